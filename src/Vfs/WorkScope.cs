namespace DataSync.Vfs;

/// <summary>
/// The work that <see cref="DataSyncDatabase.WriteAsync(Action{Microsoft.Data.Sqlite.SqliteConnection}, CancellationToken)"/> runs at
/// the moment, as the code within it sees it: it flows with the execution context, so what the work calls is told from what others call.
/// </summary>
internal sealed class WorkScope(CachedConnection writer)
{
    public CachedConnection Writer { get; } = writer;

    /// <summary>The work has ended; code that it started and did not wait for may still run, and is within nothing.</summary>
    public bool IsOver { get; set; }
}
