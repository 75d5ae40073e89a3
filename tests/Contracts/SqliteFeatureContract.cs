using Microsoft.Data.Sqlite;
using SQLitePCL;
using Xunit;

namespace DataSync.Contracts;

/// <summary>SQLite's features work on DataSync as on a file.</summary>
public abstract class SqliteFeatureContract : SqliteContract
{
    [Theory]
    [InlineData(512)]
    [InlineData(1024)]
    [InlineData(4096)]
    [InlineData(16384)]
    [InlineData(65536)]
    public void Any_page_size_works_and_vacuum_changes_it(int pageSize)
    {
        Connection.Execute($"PRAGMA page_size={pageSize}; CREATE TABLE t(a, b); CREATE INDEX i ON t(b)");
        Connection.Execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, hex(randomblob(200)) FROM n");
        Assert.Equal(pageSize, Connection.Scalar<int>("PRAGMA page_size"));
        AssertSound();
        var before = Database.Storage.Size;
        Connection.Execute("DELETE FROM t WHERE a % 4 <> 0");
        Connection.Execute($"PRAGMA page_size={(pageSize == 4096 ? 1024 : 4096)}; VACUUM");
        Assert.True(Database.Storage.Size < before * 0.6);
        Assert.Equal(pageSize == 4096 ? 1024 : 4096, Connection.Scalar<int>("PRAGMA page_size"));
        Assert.Equal(500, Connection.Scalar<int>("SELECT count(*) FROM t"));
        AssertSound();
    }

    [Fact]
    public void A_new_database_has_pages_of_a_block_and_one_row_changes_two_of_them()
    {
        Connection.Execute("CREATE TABLE t(a)");
        Connection.Execute("INSERT INTO t VALUES (1)");
        Assert.Equal(4096, Connection.Scalar<int>("PRAGMA page_size"));
        Assert.Equal(2, Database.Commits[^1].BlockIds.Length);
    }

    [Fact]
    public void Auto_vacuum_gives_room_back()
    {
        Connection.Execute("PRAGMA auto_vacuum=FULL; CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(500000))");
        Assert.True(Database.Storage.Size > 500_000);
        Connection.Execute("DELETE FROM t");
        Assert.True(Database.Storage.Size < 50_000);
        Assert.NotEqual(0, Database.Commits[^1].FreedIds.Length);
        AssertSound();
    }

    [Fact]
    public void Other_databases_can_be_attached()
    {
        using var second = new LocalDatabase();
        Connection.Execute($"ATTACH '{second.Name}' AS two; ATTACH ':memory:' AS mem; CREATE TABLE t(a); CREATE TABLE two.t(a); CREATE TABLE mem.t(a)");
        Connection.Execute("BEGIN; INSERT INTO main.t VALUES (1); INSERT INTO two.t VALUES (2); INSERT INTO mem.t VALUES (3); COMMIT");
        Assert.Equal(["1|2|3"], Connection.Rows("SELECT main.t.a, two.t.a, mem.t.a FROM main.t, two.t, mem.t"));
        Connection.Execute("BEGIN; INSERT INTO main.t VALUES (1); INSERT INTO two.t VALUES (2); ROLLBACK");
        Assert.Equal(1, Connection.Scalar<int>("SELECT count(*) FROM two.t"));
        var error = AssertFails(14, () => Connection.Execute("ATTACH 'nowhere.db' AS three"));
        Assert.Contains("unable to open database", error.Message, StringComparison.Ordinal);
        Connection.Execute("DETACH two; DETACH mem");
        using var other = second.Open();
        Assert.Equal(["2"], other.Rows("SELECT a FROM t"));
        AssertSound();
    }

    [Fact]
    public void User_functions_take_and_give_every_type_and_their_exceptions_become_errors()
    {
        Connection.CreateFunction("plus", (long a, double b) => a + b);
        Connection.CreateFunction("shout", (string? s) => s is null ? null : s.ToUpperInvariant() + "!");
        Connection.CreateFunction("reversed", (byte[] b) => b.Reverse().ToArray());
        Connection.CreateFunction("count_args", (object?[] args) => args.Length, isDeterministic: true);
        Connection.CreateFunction<int>("fail", () => throw new InvalidOperationException("the reason"));
        Assert.Equal(["3.5|ÄBC!|NULL|030201|4"], Connection.Rows("SELECT plus(1, 2.5), shout('äbc'), shout(NULL), hex(reversed(x'010203')), count_args(1, 'a', NULL, x'00')"));
        Assert.Contains("the reason", AssertFails(1, () => Connection.Execute("SELECT fail()")).Message, StringComparison.Ordinal);
        Connection.CreateFunction("nested", () => Connection.Scalar<int>("SELECT 40 + count_args(1, 2)"));
        Assert.Equal(42, Connection.Scalar<int>("SELECT nested()"));
        Connection.CreateFunction("shout", (Func<string?, string?>?)null);
        AssertFails(1, () => Connection.Execute("SELECT shout('x')"));
    }

    [Fact]
    public void Aggregates_keep_a_state_for_each_group()
    {
        Connection.CreateAggregate("joined", "", (string? text, string? item) => text + item);
        Connection.CreateAggregate("started", 7, (int state, long _) => state + 1, state => state);
        Connection.Execute("CREATE TABLE t(g, v); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (1, 'c')");
        Assert.Equal(["1|ac", "2|b"], Connection.Rows("SELECT g, joined(v) FROM t GROUP BY g"));
        Assert.Equal(["ac|b"], Connection.Rows("SELECT joined(v) FILTER (WHERE g = 1), joined(v) FILTER (WHERE g = 2) FROM t"));
        Assert.Equal(7, Connection.Scalar<int>("SELECT started(g) FROM t WHERE 0"));
    }

    [Fact]
    public void Collations_order_and_compare()
    {
        Connection.CreateCollation("backwards", (a, b) => -string.CompareOrdinal(a, b));
        Connection.Execute("CREATE TABLE t(a TEXT COLLATE backwards); CREATE INDEX i ON t(a); INSERT INTO t VALUES ('a'), ('ä'), ('c'), ('')");
        Assert.Equal(["ä", "c", "a", ""], Connection.Rows("SELECT a FROM t ORDER BY a"));
        Assert.Equal(["c"], Connection.Rows("SELECT a FROM t WHERE a = 'c'"));
        AssertSound();
    }

    [Fact]
    public void Backups_go_both_ways()
    {
        Connection.Execute("CREATE TABLE t(a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT hex(i) FROM n");
        using var memory = new SqliteConnection("Data Source=:memory:");
        memory.Open();
        Connection.BackupDatabase(memory);
        Assert.Equal(5000, memory.Scalar<int>("SELECT count(*) FROM t"));
        memory.Execute("DELETE FROM t WHERE rowid > 10; CREATE TABLE more(x)");
        using var second = new LocalDatabase();
        using (var target = second.Open())
        {
            target.Execute("CREATE TABLE gone(x)");
            memory.BackupDatabase(target);
            Assert.Equal(10, target.Scalar<int>("SELECT count(*) FROM t"));
            AssertFails(1, () => target.Execute("SELECT * FROM gone"));
        }

        Assert.Equal(2, second.Commits.Count);
        memory.BackupDatabase(Connection);
        Assert.Equal(10, Connection.Scalar<int>("SELECT count(*) FROM t"));
        AssertSound();
    }

    [Fact]
    public void Temporary_tables_and_large_sorts_stay_out_of_the_database()
    {
        using var connection = Database.Open("PRAGMA journal_mode=MEMORY; PRAGMA temp_store=FILE; PRAGMA cache_size=10;");
        connection.Execute("CREATE TEMP TABLE t(a, b)");
        connection.Execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, hex(randomblob(50)) FROM n");
        Assert.Equal(20_000, connection.Scalar<int>("SELECT count(*) FROM (SELECT DISTINCT b FROM t ORDER BY b DESC)"));
        connection.Execute("BEGIN; UPDATE t SET b = 'x'; ROLLBACK");
        Assert.Equal(0, connection.Scalar<int>("SELECT count(*) FROM t WHERE b = 'x'"));
        Assert.Empty(Database.Commits);
        Assert.Equal(0, Database.Storage.Size);
    }

    [Fact]
    public void Full_text_search_and_spatial_index_and_json()
    {
        Connection.Execute("CREATE VIRTUAL TABLE doc USING fts5(title, body); INSERT INTO doc VALUES ('one', 'the quick brown fox'), ('two', 'lazy dog')");
        Assert.Equal(["one|the <quick> brown fox"], Connection.Rows("SELECT title, highlight(doc, 1, '<', '>') FROM doc WHERE doc MATCH 'quick'"));
        Connection.Execute("CREATE VIRTUAL TABLE place USING rtree(id, x0, x1, y0, y1); INSERT INTO place VALUES (1, 0, 1, 0, 1), (2, 5, 6, 5, 6)");
        Assert.Equal(["2"], Connection.Rows("SELECT id FROM place WHERE x0 >= 4 AND x1 <= 7"));
        Assert.Equal("[1,2,3]", Connection.Scalar<string>("SELECT json_set('[1,2]', '$[2]', 3)"));
        Assert.Equal(["a|1", "b|2"], Connection.Rows("SELECT key, value FROM json_each('{\"a\":1,\"b\":2}')"));
        AssertSound();
    }

    [Fact]
    public void Schema_objects_of_every_kind()
    {
        Connection.Execute(
            """
            CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c AS (b || '-' || a) STORED, d AS (a * 2));
            CREATE TABLE log(what TEXT);
            CREATE TABLE pair(k TEXT, v INT, PRIMARY KEY (k, v)) WITHOUT ROWID;
            CREATE TABLE child(t INTEGER REFERENCES t(a) ON DELETE CASCADE) STRICT;
            CREATE TRIGGER on_insert AFTER INSERT ON t BEGIN INSERT INTO log VALUES ('insert ' || new.b); END;
            CREATE VIEW v AS SELECT b, c, d FROM t;
            CREATE UNIQUE INDEX i ON t(b) WHERE b IS NOT NULL;
            INSERT INTO t(b) VALUES ('x'), ('y');
            INSERT INTO pair VALUES ('k', 2), ('k', 1);
            INSERT INTO child VALUES (1);
            DELETE FROM t WHERE a = 1;
            """);
        Assert.Equal(["y|y-2|4"], Connection.Rows("SELECT * FROM v"));
        Assert.Equal(["insert x", "insert y"], Connection.Rows("SELECT what FROM log"));
        Assert.Equal(["k|1", "k|2"], Connection.Rows("SELECT * FROM pair"));
        Assert.Empty(Connection.Rows("SELECT * FROM child"));
        Assert.Equal(["y|2|1"], Connection.Rows("INSERT INTO t(a, b) VALUES (2, 'y') ON CONFLICT DO UPDATE SET b = excluded.b RETURNING b, a, 1"));
        AssertSound();
    }

    [Fact]
    public void Foreign_keys_are_enforced_unless_the_app_says_otherwise()
    {
        Connection.Execute("CREATE TABLE a(id INTEGER PRIMARY KEY); CREATE TABLE b(a REFERENCES a(id))");
        AssertFails(19, () => Connection.Execute("INSERT INTO b VALUES (1)"));
        Connection.Execute("PRAGMA foreign_keys=OFF; INSERT INTO b VALUES (1)");
        using var off = new SqliteConnection($"Data Source={Database.Name};Vfs=datasync;Foreign Keys=False;Pooling=False");
        off.Open();
        off.Execute("INSERT INTO b VALUES (2)");
    }

    [Fact]
    public void Hooks_are_called()
    {
        var db = Connection.Handle!;
        var calls = new List<string>();
        raw.sqlite3_update_hook(db, (_, type, database, table, rowid) => calls.Add($"update {type} {database.utf8_to_string()}.{table.utf8_to_string()} {rowid}"), null);
        raw.sqlite3_commit_hook(db, _ => { calls.Add("commit"); return 0; }, null);
        raw.sqlite3_rollback_hook(db, _ => calls.Add("rollback"), null);
        raw.sqlite3_trace(db, (strdelegate_trace)((_, sql) => calls.Add(sql)), null);
        Connection.Execute("CREATE TABLE t(a)");
        calls.Clear();
        Connection.Execute("INSERT INTO t VALUES ($0)", "x");
        Assert.Equal(["INSERT INTO t VALUES ('x')", "update 18 main.t 1", "commit"], calls);
        raw.sqlite3_commit_hook(db, _ => 1, null);
        AssertFails(19, () => Connection.Execute("INSERT INTO t VALUES (2)"));
        raw.sqlite3_commit_hook(db, null, null);
        raw.sqlite3_set_authorizer(db, (strdelegate_authorizer)((_, action, a, _, _, _) => action == 20 && a == "t" ? 1 : 0), null);
        AssertFails(23, () => Connection.Execute("SELECT a FROM t"));
        raw.sqlite3_set_authorizer(db, (strdelegate_authorizer?)null, null);
        var progress = 0;
        raw.sqlite3_progress_handler(db, 1000, _ => ++progress > 5 ? 1 : 0, null);
        AssertFails(9, () => Connection.Execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"));
        raw.sqlite3_progress_handler(db, 0, null, null);
        Assert.Equal(1, Connection.Scalar<int>("SELECT count(*) FROM t"));
    }

    [Fact]
    public void Raw_calls_find_their_memory()
    {
        var db = Connection.Handle!;
        Assert.Equal(0, raw.sqlite3_exec(db, "CREATE TABLE t(a, b); INSERT INTO t VALUES (1, NULL), ('ä', 2)"));
        var rows = new List<string>();
        Assert.Equal(0, raw.sqlite3_exec(db, "SELECT * FROM t; SELECT 3", (strdelegate_exec)((_, values, names) => { rows.Add(string.Join(',', names) + "=" + string.Join(',', values)); return 0; }), null, out var error));
        Assert.Equal(["a,b=1,", "a,b=ä,2", "3=3"], rows);
        Assert.Null(error);
        Assert.Equal(1, raw.sqlite3_exec(db, "nonsense", out error));
        Assert.Contains("syntax error", error, StringComparison.Ordinal);
        Assert.Equal(Database.Name, raw.sqlite3_db_filename(db, "main").utf8_to_string());
        Assert.Equal(0, raw.sqlite3_table_column_metadata(db, "main", "t", "a", out var type, out var collation, out var notNull, out _, out _));
        Assert.Equal(("BINARY", 0), (collation, notNull));
        Assert.True(raw.sqlite3_compileoption_used("ENABLE_FTS5") == 1);
        Assert.True(raw.sqlite3_keyword_count() > 100);
        raw.sqlite3_limit(db, 0, 100);
        Assert.Equal(100, raw.sqlite3_limit(db, 0, -1));
    }

    [Fact]
    public unsafe void A_database_is_serialized_and_deserialized()
    {
        Connection.Execute("CREATE TABLE t(a); INSERT INTO t VALUES ('inside')");
        var data = raw.sqlite3_serialize(Connection.Handle!, "main", out var size, 0);
        Assert.Equal(Database.Storage.Size, size);
        Assert.Equal("SQLite format 3"u8, new ReadOnlySpan<byte>((void*)data, 15));
        using var memory = new SqliteConnection("Data Source=:memory:");
        memory.Open();
        Assert.Equal(0, raw.sqlite3_deserialize(memory.Handle!, "main", data, size, size, 3));
        Assert.Equal("inside", memory.Scalar<string>("SELECT a FROM t"));
    }
}
