using DataSync.Coordination;

namespace DataSync.Vfs;

/// <summary>
/// How far each queue of deferred writes has come, in a table of the database: written by the very transaction that runs an entry of it, so that an entry is run once, whoever runs it, and however
/// late. Within a transaction of a connection that the caller has begun.
/// </summary>
internal static class AppliedWrites
{
    /// <summary>Without rowids, so that <c>last_insert_rowid()</c> stays the application's.</summary>
    public const string Table = "datasync_applied";

    private const string Exists = $"SELECT 1 FROM sqlite_schema WHERE name = '{Table}'",
        Create = $"CREATE TABLE {Table}(queue TEXT PRIMARY KEY, last INTEGER NOT NULL, time_ms INTEGER NOT NULL) WITHOUT ROWID",
        Find = $"SELECT last FROM {Table} WHERE queue = ?",
        Insert = $"INSERT INTO {Table}(last, time_ms, queue) VALUES (?, ?, ?)",
        Update = $"UPDATE {Table} SET last = ?, time_ms = ? WHERE queue = ?",
        DropOld = $"DELETE FROM {Table} WHERE time_ms < ?";

    /// <summary>
    /// A row goes when its queue was not heard of for so long: about 60 bytes for each session that wrote. Only a device that ended between an entry's durability and its removal from the journal, and
    /// comes back after that, would run the entry again.
    /// </summary>
    private static readonly TimeSpan KeptFor = TimeSpan.FromDays(400);

    /// <summary>The last entry of a queue that was run; 0 for none.</summary>
    public static long LastOf(CachedConnection writer, TabId queue) => Scalar(writer, Exists) is null ? 0 : Scalar(writer, Find, queue.Value) ?? 0;

    /// <summary>Notes that a queue's entries up to one were run.</summary>
    public static void Set(CachedConnection writer, TabId queue, long number, DateTimeOffset time)
    {
        var now = time.ToUnixTimeMilliseconds();
        if (Scalar(writer, Exists) is null) writer.Execute(Create);
        var isNew = Scalar(writer, Find, queue.Value) is null;
        if (isNew) writer.Execute(DropOld, new object[] { now - (long)KeptFor.TotalMilliseconds });
        writer.Execute(isNew ? Insert : Update, new object[] { number, now, queue.Value });
    }

    private static long? Scalar(CachedConnection writer, string sql, params object[] values) =>
        writer.Run<long?>(sql, values, static (row, isRow) => isRow ? row.GetInt64(0) : null);
}
