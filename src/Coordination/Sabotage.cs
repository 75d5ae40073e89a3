namespace DataSync.Coordination;

/// <summary>The guards that tests take away one by one, to show that the simulation notices.</summary>
[Flags]
internal enum Guard
{
    None = 0,
    StoreEpoch = 1,
    StoreIncarnation = 2,
    StoreMarker = 4,
    CommitDedupe = 8,
    Base = 16,
    CatchUpBeforeLeading = 32,
    UndoAfterFailure = 64,
    ApplyOnlyWhenIdle = 128,
    AppendFailure = 256,
    Resend = 512,
    DurableBeforeAnswer = 1024,
}

/// <summary>Which guards are missing on this thread: none, but in tests.</summary>
internal static class Sabotage
{
    [ThreadStatic]
    private static Guard _removed;

    public static void Remove(Guard guards) => _removed = guards;

    public static bool IsMissing(Guard guard) => (_removed & guard) != 0;
}
