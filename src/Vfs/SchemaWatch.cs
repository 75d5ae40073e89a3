using System.Buffers.Binary;
using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>
/// Knows whether the schema is still the one that a connection has in memory. SQLite itself looks only when a statement runs: one that only
/// compiles, such as CREATE INDEX or ADD COLUMN, would fail over what another tab has dropped, or over its own first try that was taken back.
/// </summary>
internal sealed class SchemaWatch
{
    /// <summary>Running this makes SQLite look.</summary>
    public const string Look = "SELECT 1 FROM sqlite_schema LIMIT 1";

    private (int Cookie, long Retractions) _seen;

    /// <summary>Whether SQLite has to be made look; then it counts as done.</summary>
    public bool IsOld(BlockStorage storage)
    {
        Span<byte> cookie = stackalloc byte[4];
        storage.Read(DatabaseFile.CookieOffset, cookie);
        var schema = (BinaryPrimitives.ReadInt32BigEndian(cookie), storage.Retractions);
        if (schema == _seen) return false;
        _seen = schema;
        return true;
    }
}
