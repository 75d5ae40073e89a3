using System.Globalization;
using Dapper;
using Microsoft.Data.Sqlite;
using SQLitePCL;
using Xunit;

namespace DataSync.Contracts;

/// <summary>How long common work takes; each test fails only when it is absurdly slow, and says its time.</summary>
public abstract class SqliteSpeed : SqliteContract
{
    private const int Count = 100_000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Fact]
    public void A_hundred_thousand_inserts_and_a_scan_of_them()
    {
        Connection.Execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, x REAL, s TEXT)");
        Measure("100,000 inserts in one transaction", () =>
        {
            using var transaction = Connection.BeginTransaction();
            using var command = new SqliteCommand("INSERT INTO t(n, x, s) VALUES ($n, $x, $s)", Connection, transaction);
            var n = command.Parameters.Add("$n", SqliteType.Integer);
            var x = command.Parameters.Add("$x", SqliteType.Real);
            var s = command.Parameters.Add("$s", SqliteType.Text);
            command.Prepare();
            for (var i = 0; i < Count; i++)
            {
                (n.Value, x.Value, s.Value) = (i, i * 0.5, "some text of usual length");
                command.ExecuteNonQuery();
            }

            transaction.Commit();
        });
        Assert.Single(Database.Commits[1..]);
        Measure("100,000 inserts in one transaction by raw calls", () =>
        {
            var db = Connection.Handle!;
            Connection.Execute("BEGIN");
            Assert.Equal(0, raw.sqlite3_prepare_v2(db, "INSERT INTO t(n, x, s) VALUES (?, ?, ?)", out var statement));
            for (var i = 0; i < Count; i++)
            {
                raw.sqlite3_bind_int64(statement, 1, i);
                raw.sqlite3_bind_double(statement, 2, i * 0.5);
                raw.sqlite3_bind_text(statement, 3, "some text of usual length"u8);
                Assert.True(raw.sqlite3_step(statement) == raw.SQLITE_DONE);
                raw.sqlite3_reset(statement);
            }

            statement.Dispose();
            Connection.Execute("ROLLBACK");
        });
        Measure("scan of 100,000 rows of 4 columns", () =>
        {
            var (rows, sum) = (0, 0.0);
            using var reader = new SqliteCommand("SELECT id, n, x, s FROM t", Connection).ExecuteReader();
            for (; reader.Read(); rows++) sum += reader.GetInt64(0) + reader.GetInt32(1) + reader.GetDouble(2) + reader.GetString(3).Length;
            Assert.Equal(Count, rows);
        });
        Measure("Dapper query of 100,000 rows of 4 columns", () => Assert.Equal(Count, Connection.Query<Row>("SELECT id, n, x, s FROM t", buffered: false).Count()));
        Measure("1,000 Dapper queries by key", () =>
        {
            for (var i = 1; i <= 1000; i++) Assert.Equal(i, Connection.QuerySingle<Row>("SELECT id, n, x, s FROM t WHERE id = @i", new { i }).Id);
        });
        Measure("1,000 inserts, a transaction each", () =>
        {
            for (var i = 0; i < 1000; i++) Connection.Execute("INSERT INTO t(n, x, s) VALUES ($0, 1.5, 'text')", i);
        });
        AssertSound();
    }

    /// <summary>Where a time is told.</summary>
    protected abstract void Tell(string line);

    private void Measure(string name, Action work)
    {
        var start = TimeProvider.System.GetTimestamp();
        work();
        var elapsed = TimeProvider.System.GetElapsedTime(start);
        Tell(string.Create(CultureInfo.InvariantCulture, $"{name}: {elapsed.TotalMilliseconds:F0} ms"));
        Assert.True(elapsed < Limit);
    }

    private sealed class Row
    {
        public long Id { get; set; }

        public int N { get; set; }

        public double X { get; set; }

        public string S { get; set; } = "";
    }
}
