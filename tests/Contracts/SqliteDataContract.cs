using System.Data;
using System.Text;
using Dapper;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Values go in and come out as Microsoft.Data.Sqlite promises.</summary>
public abstract class SqliteDataContract : SqliteContract
{
    [Fact]
    public void The_database_is_the_registered_one_in_memory_journal_mode()
    {
        Assert.Equal("memory", Connection.Scalar<string>("PRAGMA journal_mode"));
        Assert.Equal(Database.Name, Connection.Rows("PRAGMA database_list")[0].Split('|')[2]);
        Assert.StartsWith("3.", Connection.ServerVersion, StringComparison.Ordinal);
    }

    [Fact]
    public void Parameters_of_all_types_come_back_as_they_went_in()
    {
        Connection.Execute("CREATE TABLE t(a, b)");
        var values = new object[]
        {
            0L, 1L, -1L, (long)int.MaxValue, (long)int.MinValue, 1L << 40, long.MaxValue, long.MinValue, 1.5, -0.0, double.MaxValue, double.Epsilon,
            "", "text", "ä€😀\0x", new string('x', 300_000), Array.Empty<byte>(), new byte[] { 0, 1, 255 }, new byte[200_000],
        };
        foreach (var value in values) Connection.Execute("INSERT INTO t VALUES ($0, 1)", value);
        using var command = new SqliteCommand("SELECT a FROM t ORDER BY rowid", Connection);
        using var reader = command.ExecuteReader();
        foreach (var value in values)
        {
            Assert.True(reader.Read());
            Assert.Equal(value, reader.GetValue(0));
        }

        Assert.False(reader.Read());
    }

    [Fact]
    public void DotNet_types_are_stored_as_Microsoft_Data_Sqlite_defines()
    {
        Connection.Execute("CREATE TABLE t(bool, byte, char, date, offset, time, decimal, guid, single, uint, missing)");
        var (date, guid) = (new DateTime(2026, 2, 3, 4, 5, 6, 789), Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"));
        var offset = new DateTimeOffset(date, TimeSpan.FromHours(2));
        Connection.Execute(
            "INSERT INTO t VALUES ($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            true, (byte)200, 'ß', date, offset, TimeSpan.FromMinutes(90), 12.34m, guid, 1.25f, uint.MaxValue, DBNull.Value);
        using var command = new SqliteCommand("SELECT * FROM t", Connection);
        using var reader = command.ExecuteReader();
        Assert.True(reader.Read());
        Assert.True(reader.GetBoolean(0));
        Assert.Equal(200, reader.GetByte(1));
        Assert.Equal('ß', reader.GetChar(2));
        Assert.Equal(date, reader.GetDateTime(3));
        Assert.Equal(offset, reader.GetDateTimeOffset(4));
        Assert.Equal(TimeSpan.FromMinutes(90), reader.GetTimeSpan(5));
        Assert.Equal(12.34m, reader.GetDecimal(6));
        Assert.Equal(guid, reader.GetGuid(7));
        Assert.Equal(1.25f, reader.GetFloat(8));
        Assert.Equal(uint.MaxValue, reader.GetInt64(9));
        Assert.True(reader.IsDBNull(10));
        Assert.Equal(DBNull.Value, reader.GetValue(10));
    }

    [Fact]
    public void A_reader_knows_names_types_and_schema()
    {
        Connection.Execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, price REAL NOT NULL); INSERT INTO t VALUES (1, 'x', 2.5)");
        using var command = new SqliteCommand("SELECT id, name AS title, price, 1 + 1 FROM t", Connection);
        using var reader = command.ExecuteReader();
        Assert.Equal(["id", "title", "price", "1 + 1"], Enumerable.Range(0, 4).Select(reader.GetName));
        Assert.Equal(["INTEGER", "TEXT", "REAL", "INTEGER"], Enumerable.Range(0, 4).Select(reader.GetDataTypeName));
        Assert.Equal(typeof(double), reader.GetFieldType(2));
        Assert.Equal(1, reader.GetOrdinal("title"));
        var schema = reader.GetSchemaTable();
        Assert.Equal("name", schema.Rows[1]["BaseColumnName"]);
        Assert.Equal("t", schema.Rows[1]["BaseTableName"]);
        Assert.Equal(true, schema.Rows[0]["IsKey"]);
        Assert.Equal(false, schema.Rows[2]["AllowDBNull"]);
    }

    [Fact]
    public void Statements_in_one_command_run_one_after_the_other()
    {
        using var command = new SqliteCommand(
            "CREATE TABLE t(a); -- a comment; with a semicolon\nINSERT INTO t VALUES (1), (2); SELECT a FROM t; ; SELECT 'ä;' || count(*) FROM t; /* end */", Connection);
        using var reader = command.ExecuteReader();
        Assert.True(reader.Read());
        Assert.True(reader.Read());
        Assert.Equal(2, reader.GetInt32(0));
        Assert.True(reader.NextResult());
        Assert.True(reader.Read());
        Assert.Equal("ä;2", reader.GetString(0));
        Assert.False(reader.NextResult());
        Assert.Equal(2, reader.RecordsAffected);
    }

    [Fact]
    public void Two_readers_of_one_connection_keep_their_values_apart()
    {
        Connection.Execute("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('one'), ('two'), ('three')");
        using var first = new SqliteCommand("SELECT a FROM t ORDER BY rowid", Connection).ExecuteReader();
        using var second = new SqliteCommand("SELECT a FROM t ORDER BY rowid DESC", Connection).ExecuteReader();
        first.Read();
        second.Read();
        Assert.Equal("one", first.GetString(0));
        Assert.Equal("three", second.GetString(0));
        first.Read();
        Assert.Equal("three", second.GetString(0));
        Assert.Equal("two", first.GetString(0));
    }

    [Fact]
    public void A_blob_is_written_and_read_as_a_stream()
    {
        Connection.Execute("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB, log TEXT); CREATE TRIGGER r AFTER UPDATE ON t BEGIN SELECT RAISE(ABORT, 'no'); END");
        Connection.Execute("INSERT INTO t VALUES (7, zeroblob(100000), NULL)");
        var content = Enumerable.Range(0, 100_000).Select(i => (byte)(i * 7)).ToArray();
        using (var blob = new SqliteBlob(Connection, "t", "data", 7))
        {
            Assert.Equal(100_000, blob.Length);
            blob.Write(content, 0, 60_000);
            blob.Write(content, 60_000, 40_000);
            Assert.Throws<NotSupportedException>(() => blob.WriteByte(1));
        }

        using (var blob = new SqliteBlob(Connection, "t", "data", 7, readOnly: true))
        {
            var bytes = new byte[100_000];
            blob.ReadExactly(bytes);
            Assert.Equal(content, bytes);
            Assert.Equal(0, blob.Read(bytes, 0, 10));
            blob.Position = 99_999;
            Assert.Equal(content[^1], blob.ReadByte());
        }

        using var reader = new SqliteCommand("SELECT id, data FROM t", Connection).ExecuteReader();
        reader.Read();
        using var stream = reader.GetStream(1);
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        Assert.Equal(content, copy.ToArray());
        Assert.Equal(content[10..20], Bytes(reader, 1, 10, 10));
        AssertFails(1, () => new SqliteBlob(Connection, "t", "data", 8).Dispose());
    }

    [Fact]
    public void An_open_blob_outlives_changes_of_other_rows_and_ends_when_its_own_changes()
    {
        Connection.Execute("CREATE TABLE t(data BLOB); INSERT INTO t VALUES (x'010203'), (x'00')");
        using var blob = new SqliteBlob(Connection, "t", "data", 1);
        Connection.Execute("UPDATE t SET data = x'0405' WHERE rowid = 2");
        Assert.Equal(1, blob.ReadByte());
        Connection.Execute("UPDATE t SET data = x'040506' WHERE rowid = 1");
        AssertFails(4, () => blob.ReadByte());
    }

    [Fact]
    public void Errors_carry_SQLites_code_and_words()
    {
        Connection.Execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT UNIQUE CHECK (b <> 'bad')); INSERT INTO t VALUES (1, 'x')");
        Assert.Contains("no such table: nowhere", AssertFails(1, () => Connection.Execute("SELECT * FROM nowhere")).Message, StringComparison.Ordinal);
        Assert.Contains("syntax error", AssertFails(1, () => Connection.Execute("SELEC")).Message, StringComparison.Ordinal);
        var unique = AssertFails(19, () => Connection.Execute("INSERT INTO t VALUES (2, 'x')"));
        Assert.Contains("UNIQUE constraint failed: t.b", unique.Message, StringComparison.Ordinal);
        Assert.Equal(2067, unique.SqliteExtendedErrorCode);
        AssertFails(19, () => Connection.Execute("INSERT INTO t VALUES (3, 'bad')"));
        AssertSound();
    }

    [Fact]
    public void A_database_that_is_not_open_in_this_tab_says_so()
    {
        var error = AssertFails(14, () => new SqliteConnection("Data Source=unknown.db;Vfs=datasync;Pooling=False").Open());
        AssertExplained("unknown.db", error);
    }

    [Fact]
    public void Dapper_maps_rows_and_parameters()
    {
        SqlMapper.Execute(Connection, "CREATE TABLE note(id INTEGER PRIMARY KEY, title TEXT, size REAL, data BLOB, done INTEGER)");
        var notes = Enumerable.Range(1, 20).Select(i => new Note { Id = i, Title = i % 3 == 0 ? null : $"ä{i}", Size = i / 4.0, Data = [(byte)i], Done = i % 2 == 0 }).ToArray();
        Assert.Equal(20, SqlMapper.Execute(Connection, "INSERT INTO note VALUES (@Id, @Title, @Size, @Data, @Done)", notes));
        var read = Connection.Query<Note>("SELECT * FROM note WHERE id IN @ids ORDER BY id", new { ids = new[] { 3, 4, 5 } }).ToArray();
        Assert.Equal([3, 4, 5], read.Select(note => note.Id));
        Assert.Null(read[0].Title);
        Assert.Equal("ä4", read[1].Title);
        Assert.Equal(1.25, read[2].Size);
        Assert.Equal([5], read[2].Data!);
        Assert.True(read[1].Done);
        Assert.Equal(20, Connection.ExecuteScalar<int>("SELECT count(*) FROM note"));
    }

    [Fact]
    public void A_prepared_command_runs_again_and_survives_a_change_of_the_schema()
    {
        Connection.Execute("CREATE TABLE t(a)");
        using var insert = new SqliteCommand("INSERT INTO t(a) VALUES ($a)", Connection);
        var parameter = insert.Parameters.Add("$a", SqliteType.Text);
        insert.Prepare();
        for (var i = 0; i < 100; i++)
        {
            if (i == 50) Connection.Execute("ALTER TABLE t ADD COLUMN b DEFAULT 'later'");
            parameter.Value = $"v{i}";
            insert.ExecuteNonQuery();
        }

        Assert.Equal(["v0|later", "v99|later"], Connection.Rows("SELECT * FROM t WHERE a IN ('v0', 'v99')"));
        Assert.Equal(100L, Connection.Scalar<long>("SELECT last_insert_rowid()"));
    }

    [Fact]
    public void Text_that_is_not_valid_and_very_long_statements_do_no_harm()
    {
        Assert.Equal("61FF62", Connection.Scalar<string>("SELECT hex(CAST(x'61FF62' AS TEXT))"));
        Assert.Equal("a\uFFFDb", Connection.Scalar<string>("SELECT CAST(x'61FF62' AS TEXT)"));
        var sql = new StringBuilder("SELECT 0");
        for (var i = 0; i < 900; i++) sql.Append("+1 /*").Append('x', 200).Append("*/");
        Assert.Equal(900, Connection.Scalar<int>(sql.ToString()));
    }

    private static byte[] Bytes(SqliteDataReader reader, int column, long from, int length)
    {
        var bytes = new byte[length];
        Assert.Equal(length, reader.GetBytes(column, from, bytes, 0, length));
        return bytes;
    }

    private sealed class Note
    {
        public long Id { get; set; }

        public string? Title { get; set; }

        public double Size { get; set; }

        public byte[]? Data { get; set; }

        public bool Done { get; set; }
    }
}
