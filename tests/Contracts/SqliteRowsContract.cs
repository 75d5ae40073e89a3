using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Many rows, read in every way: whoever fetches them ahead must not show it.</summary>
public abstract class SqliteRowsContract : SqliteContract
{
    private const string Numbers = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000) ";

    [Fact]
    public void Every_row_of_a_long_result_is_the_right_one()
    {
        using var command = new SqliteCommand(
            Numbers + """
            SELECT i, i * 0.5, 'row ' || i, CASE WHEN i % 7 = 0 THEN NULL ELSE zeroblob(i % 50) END,
                i * 4611686018427387, printf('%.*c', CASE WHEN i % 500 = 0 THEN 100000 ELSE i % 90 END, 'x') FROM n
            """,
            Connection);
        using var reader = command.ExecuteReader();
        for (var i = 1; i <= 2000; i++)
        {
            Assert.True(reader.Read());
            Assert.Equal((i, i * 0.5, $"row {i}"), (reader.GetInt32(0), reader.GetDouble(1), reader.GetString(2)));
            Assert.Equal(i % 7 == 0, reader.IsDBNull(3));
            if (i % 7 != 0) Assert.Equal(i % 50, reader.GetFieldValue<byte[]>(3).Length);
            Assert.Equal(i * 4611686018427387L, reader.GetInt64(4));
            Assert.Equal(i % 500 == 0 ? 100_000 : Math.Max(1, i % 90), reader.GetString(5).Length);
            Assert.Equal(reader.GetString(5), reader.GetString(5));
        }

        Assert.False(reader.Read());
        Assert.False(reader.Read());
    }

    [Fact]
    public void Values_are_converted_as_SQLite_does_on_any_row()
    {
        using var command = new SqliteCommand(Numbers + "SELECT i, i / 3.0, i || '.9e1 apples', CAST('7' || i AS BLOB), -9223372036854775807, NULL FROM n", Connection);
        using var reader = command.ExecuteReader();
        for (var i = 1; i <= 50; i++)
        {
            Assert.True(reader.Read());
            Assert.Equal($"{i}", reader.GetString(0));
            Assert.Equal((double)i, reader.GetDouble(0));
            Assert.Equal(i / 3, reader.GetInt64(1));
            Assert.StartsWith($"{i / 3}.", reader.GetString(1), StringComparison.Ordinal);
            Assert.Equal(i, reader.GetInt64(2));
            Assert.Equal(i * 10.0 + 9, reader.GetDouble(2));
            Assert.Equal($"7{i}", reader.GetString(3));
            Assert.Equal("-9223372036854775807", reader.GetString(4));
            Assert.Equal(-9223372036854775807, reader.GetInt64(4));
            Assert.True(reader.IsDBNull(5));
        }
    }

    [Fact]
    public void A_failure_in_the_middle_comes_at_its_row_with_its_words()
    {
        using var other = new SqliteCommand("SELECT 1", Connection);
        using var command = new SqliteCommand(Numbers + "SELECT i, abs(CASE WHEN i < 777 THEN i ELSE -9223372036854775808 END) FROM n", Connection);
        using var reader = command.ExecuteReader();
        for (var i = 1; i < 777; i++)
        {
            Assert.True(reader.Read());
            Assert.Equal(i, reader.GetInt64(1));
            if (i % 100 == 0) Assert.Equal(1L, other.ExecuteScalar());
        }

        var error = Assert.Throws<SqliteException>(() => reader.Read());
        Assert.Equal(1, error.SqliteErrorCode);
        Assert.Contains("integer overflow", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Readers_of_one_connection_do_not_disturb_each_other()
    {
        Connection.Execute("CREATE TABLE t(i INTEGER PRIMARY KEY, v)");
        Connection.Execute($"INSERT INTO t {Numbers}SELECT i, 'v' || i FROM n");
        using var up = new SqliteCommand("SELECT i, v FROM t ORDER BY i", Connection);
        using var down = new SqliteCommand("SELECT i, v FROM t ORDER BY i DESC", Connection);
        using var a = up.ExecuteReader();
        using var b = down.ExecuteReader();
        for (var i = 1; i <= 2000; i++)
        {
            Assert.True(a.Read());
            Assert.True(b.Read());
            Assert.Equal(($"v{i}", $"v{2001 - i}"), (a.GetString(1), b.GetString(1)));
            if (i % 400 == 0) Assert.Equal($"v{i}", Connection.Scalar<string>("SELECT v FROM t WHERE i = $0", i));
        }
    }

    [Fact]
    public void A_reader_that_is_left_early_can_be_run_again_and_writes_go_on()
    {
        Connection.Execute("CREATE TABLE t(i INTEGER PRIMARY KEY, v)");
        Connection.Execute($"INSERT INTO t {Numbers}SELECT i, i FROM n");
        using var command = new SqliteCommand("SELECT i FROM t WHERE i > $from ORDER BY i", Connection);
        var from = command.Parameters.AddWithValue("$from", 0);
        foreach (var start in new[] { 0, 5, 1500 })
        {
            from.Value = start;
            using (var reader = command.ExecuteReader())
            {
                for (var i = 1; i <= 30; i++)
                {
                    Assert.True(reader.Read());
                    Assert.Equal(start + i, reader.GetInt64(0));
                }
            }

            Assert.Equal(1, Connection.Execute("UPDATE t SET v = v + 1 WHERE i = 1"));
        }
    }

    [Fact]
    public void Rows_that_a_write_returns_are_written_once()
    {
        Connection.Execute("CREATE TABLE t(i INTEGER PRIMARY KEY, v)");
        using (var command = new SqliteCommand($"INSERT INTO t {Numbers}SELECT i, i FROM n WHERE true RETURNING i * 2", Connection))
        {
            using var reader = command.ExecuteReader();
            for (var i = 1; i <= 2000; i++)
            {
                Assert.True(reader.Read());
                Assert.Equal(i * 2, reader.GetInt64(0));
            }
        }

        Assert.Equal(2000L, Connection.Scalar<long>("SELECT count(*) FROM t"));
    }
}
