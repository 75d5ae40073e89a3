namespace DataSync.Coordination;

/// <summary>The guards that tests take away one by one, to show that the simulation notices.</summary>
[Flags]
internal enum Guard
{
    None = 0,
    StoreEpoch = 1,
    Base = 2,
    CatchUpBeforeLeading = 4,
    UndoAfterFailure = 8,
    ApplyOnlyWhenIdle = 16,
    AppendFailure = 32,
    Resend = 64,
    DurableBeforeAnswer = 128,
    StoreIncarnation = 256,
    Marker = 1024,
    CommitId = 2048,
    LeaderDeadline = 4096,
    EpochOnRelease = 8192,
    PageCache = 1 << 14,
    CheckpointFailure = 1 << 15,
    RerunsFirst = 1 << 16,
    LeaderByHead = 1 << 17,
    TakeBack = 1 << 18,
    RecallReaders = 1 << 19,
    StatementOnce = 1 << 20,
    StatementEpoch = 1 << 21,
    ExtentVersion = 1 << 22,
    EvictClean = 1 << 23,
    CheckpointPin = 1 << 24,
    CopyExpected = 1 << 25,
    CopyGap = 1 << 26,
}

/// <summary>Which guards are missing on this thread: none, but in tests.</summary>
internal static class Sabotage
{
    [ThreadStatic]
    private static Guard _removed;

    public static void Remove(Guard guards) => _removed = guards;

    public static bool IsMissing(Guard guard) => (_removed & guard) != 0;
}
