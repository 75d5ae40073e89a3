using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>One SQLite transaction is one batch of the storage, or none; locks hold between the connections of a tab.</summary>
public abstract class SqliteTransactionContract : SqliteContract
{
    [Fact]
    public void Each_transaction_is_one_commit_and_a_reading_one_none()
    {
        Connection.Execute("CREATE TABLE t(a)");
        using (var transaction = Connection.BeginTransaction())
        {
            for (var i = 0; i < 100; i++) Execute(transaction, $"INSERT INTO t VALUES ({i})");
            transaction.Commit();
        }

        Connection.Rows("SELECT * FROM t");
        Assert.Equal(2, Database.Commits.Count);
        Connection.Execute("INSERT INTO t VALUES (1)");
        Assert.Equal(3, Database.Commits.Count);
        Assert.Equal([1L, 2L, 3L], Database.Commits.Select(commit => commit.Marker));
        AssertSound();
    }

    [Theory]
    [InlineData("MEMORY")]
    [InlineData("DELETE")]
    [InlineData("TRUNCATE")]
    [InlineData("PERSIST")]
    public void A_rollback_leaves_no_trace_also_after_the_cache_spilled(string journalMode)
    {
        using var connection = Database.Open($"PRAGMA journal_mode={journalMode}; PRAGMA cache_size=10; PRAGMA cache_spill=10;");
        Assert.Equal(journalMode, connection.Scalar<string>("PRAGMA journal_mode"), ignoreCase: true);
        connection.Execute("CREATE TABLE t(a, b); CREATE INDEX i ON t(b)");
        Fill(connection, 200);
        var before = Database.Storage.Size;
        var commits = Database.Commits.Count;
        using (var transaction = connection.BeginTransaction())
        {
            Execute(transaction, "UPDATE t SET b = b || 'changed'");
            Execute(transaction, "INSERT INTO t SELECT a + 1000, b FROM t");
            Execute(transaction, "INSERT INTO t SELECT a + 2000, b FROM t");
            Assert.True(Database.Storage.DirtyBlocks > 20, "the cache did not spill");
            transaction.Rollback();
        }

        Assert.Equal(before, Database.Storage.Size);
        Assert.Equal(commits, Database.Commits.Count);
        Assert.Equal(200, connection.Scalar<int>("SELECT count(*) FROM t"));
        Assert.Equal(0, connection.Scalar<int>("SELECT count(*) FROM t WHERE b LIKE '%changed'"));
        Fill(connection, 50);
        Assert.Equal(commits + 1, Database.Commits.Count);
        connection.Dispose();
        AssertSound();
    }

    [Fact]
    public void Without_a_journal_a_transaction_still_commits_and_a_failed_one_still_vanishes()
    {
        using var connection = Database.Open("PRAGMA journal_mode=OFF; PRAGMA cache_size=10;");
        connection.Execute("CREATE TABLE t(a, b)");
        Fill(connection, 100);
        using (var transaction = connection.BeginTransaction())
        {
            Execute(transaction, "INSERT INTO t SELECT a + 1000, b FROM t");
            Execute(transaction, "INSERT INTO t SELECT a + 2000, b FROM t");
            transaction.Rollback();
        }

        Assert.Equal(100, connection.Scalar<int>("SELECT count(*) FROM t"));
        connection.Dispose();
        AssertSound();
    }

    [Fact]
    public void Under_exclusive_locking_every_transaction_is_a_commit_of_its_own()
    {
        Connection.Execute("CREATE TABLE t(a)");
        using (var connection = Database.Open("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY;"))
        {
            connection.Execute("INSERT INTO t VALUES (0)");
            connection.Execute("INSERT INTO t VALUES (1)");
            Assert.Equal(3, Database.Commits.Count);
            AssertExplained("writing", AssertFails(5, () => Connection.Execute("SELECT * FROM t")));
            connection.Execute("PRAGMA locking_mode=NORMAL; SELECT * FROM t");
            connection.Execute("INSERT INTO t VALUES (2)");
        }

        Assert.Equal(3, Connection.Scalar<int>("SELECT count(*) FROM t"));
        AssertSound();
    }

    [Fact]
    public void Savepoints_nest()
    {
        Connection.Execute("CREATE TABLE t(a)");
        using (var transaction = Connection.BeginTransaction())
        {
            Execute(transaction, "INSERT INTO t VALUES (1)");
            transaction.Save("one");
            Execute(transaction, "INSERT INTO t VALUES (2)");
            transaction.Save("two");
            Execute(transaction, "INSERT INTO t VALUES (3)");
            transaction.Rollback("two");
            transaction.Release("two");
            Execute(transaction, "INSERT INTO t VALUES (4)");
            transaction.Commit();
        }

        Assert.Equal(["1", "2", "4"], Connection.Rows("SELECT a FROM t ORDER BY a"));
    }

    [Fact]
    public void A_second_connection_sees_a_commit_and_never_what_is_not_committed()
    {
        using var other = Database.Open();
        Connection.Execute("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
        Assert.Equal(1, other.Scalar<int>("SELECT count(*) FROM t"));
        using (var transaction = Connection.BeginTransaction())
        {
            Execute(transaction, "INSERT INTO t VALUES (2)");
            Assert.Equal(1, other.Scalar<int>("SELECT count(*) FROM t"));
            transaction.Commit();
        }

        Assert.Equal(2, other.Scalar<int>("SELECT count(*) FROM t"));
    }

    [Fact]
    public void Two_writers_of_one_tab_get_busy_and_the_first_goes_on()
    {
        using var other = Database.Open();
        Connection.Execute("CREATE TABLE t(a)");
        using (var transaction = Connection.BeginTransaction())
        {
            Execute(transaction, "INSERT INTO t VALUES (1)");
            Assert.Contains("database is locked", AssertFails(5, () => other.Execute("INSERT INTO t VALUES (2)")).Message, StringComparison.Ordinal);
            AssertFails(5, () => other.BeginTransaction().Dispose());
            transaction.Commit();
        }

        other.Execute("INSERT INTO t VALUES (3)");
        Assert.Equal(["1", "3"], Connection.Rows("SELECT a FROM t"));
        other.Dispose();
        AssertSound();
    }

    [Fact]
    public void A_commit_that_readers_hold_up_can_be_tried_again()
    {
        using var other = Database.Open();
        Connection.Execute("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)");
        var reader = new SqliteCommand("SELECT a FROM t", other).ExecuteReader();
        Assert.True(reader.Read());
        Connection.Execute("BEGIN; INSERT INTO t VALUES (3)");
        AssertFails(5, () => Connection.Execute("COMMIT"));
        Assert.True(reader.Read());
        reader.Dispose();
        Connection.Execute("COMMIT");
        Assert.Equal(3, other.Scalar<int>("SELECT count(*) FROM t"));
        other.Dispose();
        AssertSound();
    }

    [Fact]
    public void A_tab_that_may_not_write_gets_busy_with_the_reason_at_once_and_loses_nothing()
    {
        Connection.Execute("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
        Database.Refusal = "Another tab has the write turn.";
        var error = AssertFails(5, () => Connection.Execute("INSERT INTO t VALUES (2)"));
        AssertExplained("Another tab has the write turn.", error);
        Assert.Equal(Vfs.SqliteResult.BusyRefused, error.SqliteExtendedErrorCode);
        AssertFails(5, () => Connection.BeginTransaction().Dispose());
        Connection.Execute("BEGIN");
        AssertFails(5, () => Connection.Execute("INSERT INTO t VALUES (2)"));
        Assert.Equal(1, Connection.Scalar<int>("SELECT count(*) FROM t"));
        Database.Refusal = null;
        Connection.Execute("INSERT INTO t VALUES (3); COMMIT");
        Assert.Equal(["1", "3"], Connection.Rows("SELECT a FROM t"));
        AssertSound();
    }

    [Fact]
    public void A_commit_that_is_taken_back_is_gone_from_every_cache_and_so_is_its_schema()
    {
        using var other = Database.Open();
        Connection.Execute("CREATE TABLE base(x); INSERT INTO base VALUES ('kept')");
        Connection.Execute("CREATE TABLE mine(a); INSERT INTO mine VALUES ('never')");
        Assert.Equal(["never"], other.Rows("SELECT a FROM mine"));
        var commit = Database.Commits[^2];
        Database.Storage.UndoFrom(commit.Id);

        // The same number of transactions: change counter and schema cookie are what they were.
        Connection.Execute("CREATE TABLE other(b); INSERT INTO other VALUES ('instead')");
        foreach (var connection in new[] { Connection, other })
        {
            AssertFails(1, () => connection.Execute("SELECT * FROM mine"));
            Assert.Equal(["instead"], connection.Rows("SELECT b FROM other"));
            Assert.Equal(["kept"], connection.Rows("SELECT x FROM base"));
        }

        other.Dispose();
        AssertSound();
    }

    [Fact]
    public void The_cache_of_a_connection_that_only_reads_is_dropped_too()
    {
        using var other = Database.Open();
        Connection.Execute("CREATE TABLE t(a); INSERT INTO t VALUES ('old')");
        Connection.Execute("UPDATE t SET a = 'refused'");
        Assert.Equal(["refused"], other.Rows("SELECT a FROM t"));
        Database.Storage.UndoFrom(Database.Commits[^1].Id);
        Connection.Execute("UPDATE t SET a = 'new'");
        Assert.Equal(["new"], other.Rows("SELECT a FROM t"));
        Assert.Equal(["new"], Connection.Rows("SELECT a FROM t"));
    }

    [Fact]
    public void Write_ahead_logging_is_refused_and_the_database_stays_as_it_is()
    {
        Connection.Execute("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
        Assert.Equal("memory", Connection.Scalar<string>("PRAGMA journal_mode=WAL"));
        using (var exclusive = Database.Open("PRAGMA locking_mode=EXCLUSIVE;"))
        {
            Assert.ThrowsAny<SqliteException>(() =>
            {
                exclusive.Execute("PRAGMA journal_mode=WAL");
                exclusive.Execute("SELECT * FROM t");
            });
        }

        Assert.Equal(["1"], Connection.Rows("SELECT a FROM t"));
        Connection.Execute("INSERT INTO t VALUES (2)");
        AssertSound();
    }

    [Fact]
    public void A_read_only_connection_reads_and_does_not_write()
    {
        Connection.Execute("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
        using var reader = new SqliteConnection($"Data Source={Database.Name};Vfs=datasync;Mode=ReadOnly;Pooling=False");
        reader.Open();
        Assert.Equal(1, reader.Scalar<int>("SELECT a FROM t"));
        AssertFails(8, () => reader.Execute("INSERT INTO t VALUES (2)"));
    }

    private static void Fill(SqliteConnection connection, int rows)
    {
        using var transaction = connection.BeginTransaction();
        for (var i = 0; i < rows; i++) Execute(transaction, $"INSERT INTO t VALUES ({i}, printf('%.*c', 900, 'x'))");
        transaction.Commit();
    }

    private static void Execute(SqliteTransaction transaction, string sql)
    {
#pragma warning disable CA2100 // The test's own text.
        using var command = new SqliteCommand(sql, transaction.Connection, transaction);
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }
}
