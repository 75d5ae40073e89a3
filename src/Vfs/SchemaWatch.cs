using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>
/// Knows which schema a connection has in memory. SQLite itself looks only when a statement runs: one that only
/// compiles, such as CREATE INDEX or ADD COLUMN, would fail over what another tab has dropped, or over its own first try that was taken back.
/// </summary>
internal sealed class SchemaWatch
{
    private (int Cookie, long Retractions) _seen;

    /// <summary>Makes SQLite look, by any query, if it has to.</summary>
    public void Check(BlockStorage storage, Action<string> execute)
    {
        var schema = storage.SchemaVersion;
        if (schema == _seen) return;
        execute("SELECT 1 FROM sqlite_schema LIMIT 1");
        _seen = schema;
    }
}
