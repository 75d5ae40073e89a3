using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using SQLitePCL;
using Xunit;

namespace DataSync.Contracts;

/// <summary>A commit says which tables it changed, however it was made: none too few, and none that it did not touch.</summary>
public abstract class SqliteTablesContract : SqliteContract
{
    [Theory]
    [InlineData("INSERT INTO a VALUES (9, 9)", "a")]
    [InlineData("INSERT INTO a SELECT id + 100, v FROM b", "a")]
    [InlineData("UPDATE b SET v = v + 1", "b")]
    [InlineData("DELETE FROM a WHERE id = 1", "a")]
    [InlineData("DELETE FROM a", "a")] // the whole table at once
    [InlineData("REPLACE INTO a VALUES (1, 5)", "a")]
    [InlineData("INSERT INTO a VALUES (1, 5) ON CONFLICT DO UPDATE SET v = 6", "a")]
    [InlineData("INSERT INTO w VALUES ('x', 1)", "w")]
    [InlineData("DELETE FROM w; INSERT INTO w SELECT * FROM w2", "w")] // copied as they are
    [InlineData("DELETE FROM a; INSERT INTO a SELECT * FROM b", "a")]
    [InlineData("INSERT OR IGNORE INTO a SELECT * FROM b UNION ALL SELECT 400, 1", "a")]
    [InlineData("UPDATE a SET v = b.v + 10 FROM b WHERE b.id = a.id", "a")]
    [InlineData("WITH x AS (SELECT max(id) + 1 AS n FROM a) INSERT INTO b SELECT n, 1 FROM x", "b")]
    [InlineData("UPDATE w SET v = 2", "w")]
    [InlineData("DELETE FROM w", "w")]
    [InlineData("INSERT INTO auto(v) VALUES (1)", "auto")]
    [InlineData("INSERT INTO triggers VALUES (1)", "log triggers")]
    [InlineData("DELETE FROM parent WHERE id = 1", "child parent")]
    [InlineData("DELETE FROM parent WHERE id = 2", "parent")] // without a child
    [InlineData("UPDATE parent SET id = 7 WHERE id = 1", "child parent")]
    [InlineData("INSERT INTO v_a VALUES (4)", "a")] // by an INSTEAD OF trigger
    [InlineData("INSERT INTO \"Ünï table\" VALUES (1)", "Ünï table")]
    [InlineData("BEGIN; INSERT INTO a VALUES (50, 1); UPDATE b SET v = 2; INSERT INTO a VALUES (51, 1); COMMIT", "a b")]
    [InlineData("BEGIN; SAVEPOINT s; INSERT INTO b VALUES (60, 1); RELEASE s; COMMIT", "b")]
    [InlineData("BEGIN; CREATE TEMP TABLE t(v); INSERT INTO t VALUES (1); INSERT INTO a VALUES (70, 1); COMMIT", "a")]
    [InlineData("INSERT INTO a VALUES (80, 1); INSERT INTO b VALUES (80, 1)", "b")] // the last of two transactions
    [InlineData("INSERT INTO a VALUES (90, 1); INSERT INTO a VALUES (91, 1)", "a")]
    public void Of_every_way_of_writing(string sql, string tables)
    {
        CreateTables();
        Connection.Execute(sql);
        Assert.Equal(tables, string.Join(' ', Last.Names!.Order(StringComparer.Ordinal)));
        Assert.False(Last.IsSchemaChanged);
    }

    [Theory]
    [InlineData("CREATE TABLE c(v)")]
    [InlineData("CREATE INDEX i ON a(v)")]
    [InlineData("ALTER TABLE a ADD COLUMN x DEFAULT 1")]
    [InlineData("ALTER TABLE a DROP COLUMN v")]
    [InlineData("ALTER TABLE b RENAME TO c")]
    [InlineData("DROP TABLE a")]
    [InlineData("CREATE VIEW v AS SELECT 1")]
    [InlineData("CREATE TABLE c AS SELECT * FROM a")]
    [InlineData("VACUUM")]
    public void A_change_of_the_schema_is_told(string sql)
    {
        CreateTables();
        Connection.Execute(sql);
        Assert.True(Last.IsSchemaChanged);
        Connection.Execute("INSERT INTO w VALUES ('y', 1)");
        Assert.False(Last.IsSchemaChanged);
        Assert.Equal(["w"], Last.Names!);
    }

    [Fact]
    public void What_no_table_shows_may_be_any()
    {
        CreateTables();
        Connection.Execute("PRAGMA user_version = 7");
        Assert.Null(Last.Names);
        Assert.False(Last.IsSchemaChanged);
    }

    [Fact]
    public void Of_what_was_rolled_back_nothing_is_left()
    {
        CreateTables();
        Connection.Execute("BEGIN; INSERT INTO a VALUES (50, 1); ROLLBACK; INSERT INTO b VALUES (50, 1)");
        Assert.Equal(["b"], Last.Names!);
        AssertFails(19, () => Connection.Execute("INSERT INTO a VALUES (60, 1), (60, 2)"));
        Connection.Execute("UPDATE b SET v = 3");
        Assert.Equal(["b"], Last.Names!);
    }

    [Fact]
    public void Full_text_search_and_trees_are_told_by_their_shadow_tables()
    {
        Connection.Execute("CREATE VIRTUAL TABLE f USING fts5(text); CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); CREATE TABLE f_mine(v)");
        Connection.Execute("INSERT INTO f VALUES ('some words')");
        Assert.All(Last.Names!, name => Assert.StartsWith("f_", name, StringComparison.Ordinal));
        Assert.Contains("f_content", Last.Names!);
        Connection.Execute("INSERT INTO r VALUES (1, 0, 1)");
        Assert.All(Last.Names!, name => Assert.StartsWith("r_", name, StringComparison.Ordinal));
        Assert.NotEmpty(Last.Names!);
    }

    [Fact]
    public void Of_attached_databases_each_hears_of_its_own()
    {
        using var second = new LocalDatabase();
        Connection.Execute($"CREATE TABLE a(v); CREATE TABLE b(v); ATTACH '{second.Name}' AS two; CREATE TABLE two.a(v); CREATE TABLE two.c(v)");
        Connection.Execute("BEGIN; INSERT INTO main.b VALUES (1); INSERT INTO two.a VALUES (2); INSERT INTO two.c VALUES (2); COMMIT");
        Assert.Equal(["b"], Last.Names!);
        Assert.Equal(["a", "c"], second.Commits[^1].Tables.Names!.Order(StringComparer.Ordinal));
        Connection.Execute("INSERT INTO two.c VALUES (3)");
        Connection.Execute("BEGIN; INSERT INTO two.c VALUES (4); INSERT INTO two.a VALUES (4); COMMIT");
        Assert.Equal(["a", "c"], second.Commits[^1].Tables.Names!.Order(StringComparer.Ordinal));
        using var memory = new SqliteConnection($"Data Source=:memory:;Vfs={BlockVfs.Name}");
        memory.Open();
        memory.Execute($"ATTACH '{second.Name}' AS two; CREATE TABLE x(v); INSERT INTO x VALUES (1); INSERT INTO two.c VALUES (5)");
        Assert.Equal(["c"], second.Commits[^1].Tables.Names!);
    }

    [Fact]
    public void Connections_do_not_mix_theirs_up()
    {
        CreateTables();
        using var other = Database.Open();
        for (var i = 0; i < 3; i++)
        {
            Connection.Execute($"INSERT INTO a VALUES ({100 + i}, 1)");
            Assert.Equal(["a"], Last.Names!);
            other.Execute($"INSERT INTO b VALUES ({100 + i}, 1)");
            Assert.Equal(["b"], Last.Names!);
        }
    }

    [Fact]
    public void Blobs_and_whole_files_are_told()
    {
        CreateTables();
        Connection.Execute("INSERT INTO a VALUES (5, zeroblob(10)); INSERT INTO b VALUES (5, 1)");
        using (var blob = new SqliteBlob(Connection, "a", "v", 5)) blob.Write([1, 2, 3]);
        Assert.Equal(["a"], Last.Names!);
        using var source = new SqliteConnection("Data Source=:memory:");
        source.Open();
        source.Execute("CREATE TABLE z(v); INSERT INTO z VALUES (1)");
        source.BackupDatabase(Connection);
        Assert.Null(Last.Names);
        Assert.True(Last.IsSchemaChanged);
    }

    [Fact]
    public void A_connection_that_keeps_its_lock_tells_them_too()
    {
        CreateTables();
        Connection.Execute("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO a VALUES (5, 1)");
        Connection.Execute("INSERT INTO b VALUES (5, 1)");
        Assert.Equal(["b"], Last.Names!);
        Connection.Execute("INSERT INTO b VALUES (6, 1)");
        Assert.Equal(["b"], Last.Names!);
    }

    [Fact]
    public void Of_hundreds_it_is_not_told_which()
    {
        Connection.Execute(string.Concat(Enumerable.Range(0, 300).Select(i => $"CREATE TABLE a_table_with_a_long_name_{i}(v);")));
        Connection.Execute("BEGIN;" + string.Concat(Enumerable.Range(0, 300).Select(i => $"INSERT INTO a_table_with_a_long_name_{i} VALUES (1);")) + "COMMIT");
        Assert.Null(Last.Names);
        Connection.Execute("INSERT INTO a_table_with_a_long_name_7 VALUES (2)");
        Assert.Equal(["a_table_with_a_long_name_7"], Last.Names!);
    }

    [Fact]
    public void The_hook_of_the_app_stays_its_own()
    {
        CreateTables();
        var rows = 0;
        raw.sqlite3_update_hook(Connection.Handle, (strdelegate_update)((_, _, _, _, _) => rows++), null);
        Connection.Execute("INSERT INTO a VALUES (5, 1), (6, 1)");
        Assert.Equal(2, rows);
        Assert.Equal(["a"], Last.Names!);
    }

    private TouchedTables Last => Database.Commits[^1].Tables;

    private void CreateTables() => Connection.Execute("""
        CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(id INTEGER PRIMARY KEY, v); CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE w2(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
        CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT, v); CREATE TABLE log(v); CREATE TABLE triggers(v); CREATE TABLE "Ünï table"(v);
        CREATE TRIGGER t1 AFTER INSERT ON triggers BEGIN INSERT INTO log VALUES (new.v); END;
        CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
        CREATE VIEW v_a AS SELECT id FROM a; CREATE TRIGGER t2 INSTEAD OF INSERT ON v_a BEGIN INSERT INTO a VALUES (new.id, 0); END;
        INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1, 1), (2, 2); INSERT INTO w VALUES ('a', 1); INSERT INTO w2 VALUES ('x', 1), ('y', 2); INSERT INTO auto(v) VALUES (1);
        INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1);
        """);
}
