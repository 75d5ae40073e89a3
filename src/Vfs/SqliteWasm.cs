namespace DataSync.Vfs;

/// <summary>Placeholder until the vfs branch lands.</summary>
public static class SqliteWasm
{
    /// <summary>Loads it.</summary>
    public static Task InitializeAsync() => throw new NotImplementedException();
}
