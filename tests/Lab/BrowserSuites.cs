using DataSync.Contracts;
using DataSync.Contracts.Scripts;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using SQLitePCL;
using Xunit;

namespace DataSync.Lab;

// One class for each contract that must hold in the browser. tests/MultiTab runs every one in a fresh tab.
public sealed class BrowserRuntime : RuntimeContract;

public sealed class BrowserSqliteData : SqliteDataContract
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();
}

public sealed class BrowserSqliteRows : SqliteRowsContract
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();
}

public sealed class BrowserSqliteTransactions : SqliteTransactionContract
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();

    // On the only thread, nobody could release the lock meanwhile.
    [Theory]
    [InlineData("")]
    [InlineData("PRAGMA busy_timeout=30000")]
    public void Busy_is_told_at_once_whatever_the_timeout(string pragma)
    {
        using var other = Database.Open("PRAGMA journal_mode=MEMORY; " + pragma, timeoutSeconds: 30);
        Connection.Execute("CREATE TABLE t(a); BEGIN IMMEDIATE");
        var start = TimeProvider.System.GetTimestamp();
        AssertFails(5, () => other.Execute("INSERT INTO t VALUES (2)"));
        AssertFails(6, () => LockOneself(other));
        Assert.True(TimeProvider.System.GetElapsedTime(start) < TimeSpan.FromSeconds(3));
    }

    private static void LockOneself(SqliteConnection connection)
    {
        using var reader = new SqliteCommand("SELECT * FROM pragma_function_list", connection).ExecuteReader();
        reader.Read();
        connection.Execute("CREATE TEMP TABLE x(a); INSERT INTO x VALUES (1), (2)");
        using var second = new SqliteCommand("SELECT * FROM x", connection).ExecuteReader();
        second.Read();
        connection.Execute("DROP TABLE x");
    }
}

public sealed class BrowserSqliteTables : SqliteTablesContract
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();
}

public sealed class BrowserSqliteFeatures : SqliteFeatureContract
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();

    // A native provider lets such an exception end the process.
    [Fact]
    public void An_exception_in_a_hook_does_not_pass_through_SQLite()
    {
        Connection.Execute("CREATE TABLE t(a)");
        raw.sqlite3_commit_hook(Connection.Handle!, _ => throw new InvalidOperationException(), null);
        AssertFails(19, () => Connection.Execute("INSERT INTO t VALUES (2)"));
        raw.sqlite3_commit_hook(Connection.Handle!, null, null);
        Connection.Execute("INSERT INTO t VALUES (3)");
        Assert.Equal(["3"], Connection.Rows("SELECT a FROM t"));
    }

    [Fact]
    public void An_exception_in_a_collation_fails_its_statement_and_nothing_of_that_stays()
    {
        var throws = false;
        Connection.CreateCollation("moody", (a, b) => throws ? throw new InvalidOperationException("not today") : string.CompareOrdinal(a, b));
        Connection.Execute("CREATE TABLE t(a TEXT COLLATE moody PRIMARY KEY); INSERT INTO t VALUES ('a'), ('b'), ('c'), ('d')");
        foreach (var sql in new[]
        {
            "SELECT * FROM t WHERE a = 'b'", "SELECT * FROM t ORDER BY a || 'x' COLLATE moody", "INSERT INTO t VALUES ('e')", "UPDATE t SET a = a || 'x'",
            "BEGIN; INSERT INTO t VALUES ('e')", "CREATE TABLE w AS SELECT a FROM t ORDER BY a || 'x' COLLATE moody", "CREATE TABLE u(v); BEGIN; INSERT INTO u VALUES (1); DELETE FROM t WHERE a > 'b'",
        })
        {
            throws = true;
            var error = Assert.Throws<SqliteException>(() => Connection.Rows(sql));
            throws = false;
            Assert.Equal((1, true), (error.SqliteErrorCode, error.Message.Contains("a collation threw: not today", StringComparison.Ordinal)));
            Assert.Equal(1, raw.sqlite3_get_autocommit(Connection.Handle!));
            Assert.Equal(["a", "b", "c", "d"], Connection.Rows("SELECT a FROM t ORDER BY a"));
        }

        Assert.Empty(Connection.Rows("SELECT * FROM u"));
        Assert.Empty(Connection.Rows("SELECT name FROM sqlite_schema WHERE name = 'w'"));
        Connection.Execute("INSERT INTO t VALUES ('e')");
        AssertSound();
    }
}

public sealed class BrowserSqliteSpeed : SqliteSpeed
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();

    protected override void Tell(string line) => Console.WriteLine(line);
}

public sealed class BrowserSqlScripts : SqlScriptContract
{
    private static int files;

    // Files in memory under the build's own VFS for files, with its journals and locks.
    protected override string? ReferenceVfs => "unix";

    // Two hundred, in parts that a test has time for.
    [Theory]
    [InlineData(1)]
    [InlineData(51)]
    [InlineData(101)]
    [InlineData(151)]
    public Task Fifty_scripts_give_what_they_give_in_memory(int first) => RunAsync(first, 50, least: 3);

    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();

    protected override string NewReferenceFile() => $"/script-{++files}.db";
}
