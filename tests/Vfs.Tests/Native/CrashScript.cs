using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>Mixed transactions, each with the content that must be there after it.</summary>
internal static class CrashScript
{
    private static readonly Action<SqliteConnection>[] Work =
    [
        c => c.Execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE, b BLOB); CREATE INDEX i ON t(v, id)"),
        c => Insert(c, 1, 60, 200),
        c => c.Execute("CREATE TABLE log(n INTEGER PRIMARY KEY, e TEXT); CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO log(e) VALUES (old.v); END; DELETE FROM t WHERE id % 7 = 0"),
        c =>
        {
            // Larger than the page cache: it spills, and part of it is taken back.
            c.Execute("PRAGMA cache_size=5");
            Insert(c, 100, 200, 900);
            c.Execute("SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; RELEASE s");
        },
        c => c.Execute("INSERT INTO t(id, v) VALUES (1, 'again') ON CONFLICT(id) DO UPDATE SET v = excluded.v || id"),
        c => c.Execute("DELETE FROM t WHERE id > 150; UPDATE t SET b = NULL WHERE id % 2 = 0"),
        c => c.Execute("ALTER TABLE t ADD COLUMN x DEFAULT 'new'; CREATE VIRTUAL TABLE f USING fts5(v); INSERT INTO f SELECT v FROM t"),
        c => c.Execute("INSERT INTO t(v, b) VALUES ('blob', zeroblob(300000))"),
        c => c.Execute("DROP TABLE f; UPDATE t SET v = v || '!' WHERE id % 3 = 0; DELETE FROM t WHERE v = 'blob'"),
        c => Insert(c, 500, 20, 10),
    ];

    private static readonly Lazy<string[]> Wanted = new(() =>
    {
        using var memory = new SqliteConnection("Data Source=:memory:");
        memory.Open();
        var states = new List<string> { Describe(memory) };
        foreach (var work in Work)
        {
            using var transaction = memory.BeginTransaction();
            work(memory);
            transaction.Commit();
            states.Add(Describe(memory));
        }

        return [.. states];
    });

    /// <summary>How many transactions there are.</summary>
    public static int Length => Work.Length;

    /// <summary>The content after so many of them, on SQLite alone.</summary>
    public static IReadOnlyList<string> States => Wanted.Value;

    /// <summary>Some small pages of log, so that checkpoints come in between.</summary>
    public static DataSyncOptions Options()
    {
        var options = new DataSyncOptions();
        options.Pipeline.CheckpointLogRecords = 3;
        return options;
    }

    /// <summary>Runs one of them; every third on a connection of the test's own where the tab leads, the others through the database.</summary>
    public static async Task RunAsync(DataSyncDatabase database, int index)
    {
        if (index % 3 != 2 || database.Coordinator.Role != TabRole.Leader)
        {
            await database.WriteAsync(connection => Work[index](connection));
            return;
        }

        using (var connection = new SqliteConnection(database.ConnectionString + ";Pooling=False"))
        {
            connection.Open();
            using var transaction = connection.BeginTransaction();
            Work[index](connection);
            transaction.Commit();
        }

        await database.ForceSyncAsync();
    }

    /// <summary>Everything in the tables, and SQLite's judgement of them.</summary>
    public static string Describe(SqliteConnection connection)
    {
        Assert.Equal("ok", connection.Scalar<string>("PRAGMA integrity_check"));
        var tables = connection.Rows("SELECT name, sql FROM sqlite_schema WHERE type <> 'trigger' AND name NOT LIKE 'sqlite%' ORDER BY name");
        var rows = connection.Rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").SelectMany(name => connection.Rows($"SELECT * FROM \"{name}\"").Select(row => name + ": " + row));
        var blobs = tables.Any(name => name.StartsWith("t|", StringComparison.Ordinal)) ? connection.Rows("SELECT id, hex(b) FROM t WHERE b IS NOT NULL ORDER BY id") : [];
        return string.Join('\n', tables.Concat(rows).Append(Checksum.Compute(ChecksumKind.FastHash, System.Text.Encoding.UTF8.GetBytes(string.Join('\n', blobs))).ToString("x", null)));
    }

    /// <summary>The content that a store holds, read without an election and without changing it.</summary>
    public static async Task<(string State, RecoveryReport Report)> ReadAsync(IBlockStore store)
    {
        var head = await store.OpenAsync(default);
        var recovered = await Recovery.LoadAsync(store, head, new(), default);
        using var database = new LocalDatabase(recovered.Image);
        using var connection = database.Open("PRAGMA query_only=ON");
        return (Describe(connection), recovered.Report);
    }

    private static void Insert(SqliteConnection connection, int first, int count, int size) => connection.Execute(
        $"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first + count - 1}) INSERT INTO t(id, v, b) SELECT i, 'v' || i, CAST(printf('%.*c', {size}, char(65 + i % 26)) AS BLOB) FROM n");
}
