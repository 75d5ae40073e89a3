using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What is undone and redone of tables of every kind, and of what hangs on them.</summary>
public abstract class UndoTablesContract : TwoTabsContract
{
    [Fact]
    public async Task What_triggers_did_is_undone_with_it_and_they_do_not_fire_anew()
    {
        await SetUpAsync(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE log(id INTEGER PRIMARY KEY, what); CREATE TABLE total(n)",
            "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO log(what) VALUES ('+' || new.id); UPDATE total SET n = n + 1; END",
            "CREATE TRIGGER d AFTER DELETE ON t BEGIN INSERT INTO log(what) VALUES ('-' || old.id); UPDATE total SET n = n - 1; END",
            "INSERT INTO total VALUES (0); INSERT INTO t VALUES (1, 'a')");
        await RoundTripAsync("INSERT INTO t VALUES (2, 'b'), (3, 'c'); DELETE FROM t WHERE id = 1; UPDATE t SET v = 'x'", "t", "log", "total");
        await Follower.ExecuteAsync("INSERT INTO t VALUES (9, 'i')"); // they do again
        Assert.Equal(["+9"], await Follower.QueryAsync<string>("SELECT what FROM log ORDER BY id DESC LIMIT 1"));
    }

    [Fact]
    public async Task What_is_recorded_undone_and_redone_is_told_by_its_tables_as_other_writes_are()
    {
        await SetUpAsync("CREATE TABLE t(a TEXT PRIMARY KEY, b); CREATE TABLE log(v); CREATE TABLE other(v)", "CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.b); END");
        await using var feed = Leader.Changes().GetAsyncEnumerator();
        await Follower.BeginUndoUnit("First").ExecuteAsync("INSERT INTO t VALUES ('first', 0)"); // makes the history
        Assert.True(await feed.MoveNextAsync());
        Assert.True(feed.Current.IsSchemaChanged);
        await AssertToldAsync(() => Follower.BeginUndoUnit("Null").ExecuteAsync("INSERT INTO t VALUES (NULL, 1)"), "datasync_undo_step", "datasync_undo_unit", "log", "t"); // its row in t cannot be recorded
        await AssertToldAsync(() => Follower.BeginUndoUnit("Other").ExecuteAsync("INSERT INTO other VALUES (1)"), "datasync_undo_step", "datasync_undo_unit", "other");
        await AssertToldAsync(() => Follower.UndoAsync(), "datasync_undo_unit", "other");
        await AssertToldAsync(() => Follower.RedoAsync(), "datasync_undo_unit", "other");
        await AssertToldAsync(() => Follower.ExecuteAsync("INSERT INTO t VALUES ('x', 2)"), "log", "t");
        await Assert.ThrowsAsync<SqliteException>(() => Follower.BeginUndoUnit("Failed").ExecuteAsync("INSERT INTO t VALUES ('y', 2), ('x', 2)"));
        await AssertToldAsync(() => Follower.ExecuteAsync("INSERT INTO other VALUES (1)"), "other");

        async Task AssertToldAsync(Func<Task> write, params string[] tables)
        {
            await write();
            Assert.True(await feed.MoveNextAsync());
            Assert.Equal(tables, feed.Current.Tables!.Order(StringComparer.Ordinal));
            Assert.False(feed.Current.IsSchemaChanged);
        }
    }

    [Fact]
    public async Task Rows_that_a_foreign_key_deleted_or_changed_come_back_and_go_again()
    {
        await SetUpAsync(
            "CREATE TABLE parent(id INTEGER PRIMARY KEY, v); CREATE TABLE child(id INTEGER PRIMARY KEY, p REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE)",
            "CREATE TABLE leaf(id INTEGER PRIMARY KEY, c REFERENCES child ON DELETE SET NULL); CREATE TABLE strict_leaf(id INTEGER PRIMARY KEY, c REFERENCES child ON DELETE RESTRICT)",
            "INSERT INTO parent VALUES (1, 'a'), (2, 'b'); INSERT INTO child VALUES (1, 1), (2, 1), (3, 2); INSERT INTO leaf VALUES (1, 1), (2, 3); INSERT INTO strict_leaf VALUES (1, 3)");
        await RoundTripAsync("DELETE FROM parent WHERE id = 1", "parent", "child", "leaf", "strict_leaf");
        await RoundTripAsync("UPDATE parent SET id = 20 WHERE id = 2", "parent", "child", "leaf", "strict_leaf");
        await RoundTripAsync("DELETE FROM strict_leaf; DELETE FROM parent", "parent", "child", "leaf", "strict_leaf");
        await RoundTripAsync("INSERT INTO parent VALUES (7, 'g'); INSERT INTO child VALUES (7, 7)", "parent", "child", "leaf", "strict_leaf");
        Assert.Empty(await Follower.QueryAsync<string>("SELECT \"table\" FROM pragma_foreign_key_check"));
    }

    [Fact]
    public async Task An_undo_that_would_leave_a_row_without_its_parent_is_refused()
    {
        await SetUpAsync("CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(id INTEGER PRIMARY KEY, p REFERENCES parent ON DELETE CASCADE)");
        await Follower.BeginUndoUnit("Parent").ExecuteAsync("INSERT INTO parent VALUES (1)");
        await Follower.ExecuteAsync("INSERT INTO child VALUES (1, 1)");
        var error = await Assert.ThrowsAsync<UndoConflictException>(() => Follower.UndoAsync());
        Assert.Equal((UndoConflict.ForeignKey, null), (error.Conflict, error.Table));
        Assert.Equal([1L], await Follower.QueryAsync<long>("SELECT p FROM child JOIN parent ON parent.id = p"));
        await Follower.ExecuteAsync("DELETE FROM child");
        Assert.NotNull(await Follower.UndoAsync());
        await Assert.ThrowsAsync<SqliteException>(() => Follower.ExecuteAsync("INSERT INTO child VALUES (1, 1)"));
    }

    [Theory]
    [InlineData("CREATE TABLE t(a, b, c)")]
    [InlineData("CREATE TABLE t(a TEXT PRIMARY KEY, b, c)")]
    [InlineData("CREATE TABLE t(a, b, c, PRIMARY KEY(c, a)) WITHOUT ROWID")]
    [InlineData("CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b, c)")]
    [InlineData("CREATE TABLE t(a, b UNIQUE, c, twice AS (a || b), kept AS (a || c) STORED)")]
    [InlineData("CREATE TABLE t(a INT PRIMARY KEY, b ANY, c ANY) STRICT")]
    public async Task Tables_of_every_form_are_recorded(string table)
    {
        await SetUpAsync(table, "INSERT INTO t(a, b, c) VALUES (1, 'a', 1.5), (2, 'b', x'0102'), (3, 'c', 3)");
        await RoundTripAsync("INSERT INTO t(a, b, c) VALUES (4, 'd', 'ä€😀'), (5, 'e', 9223372036854775807)", "t");
        await RoundTripAsync("UPDATE t SET b = b || '!', c = 'c' || a", "t");
        await RoundTripAsync("UPDATE t SET a = a + 100 WHERE a < 3", "t");
        await RoundTripAsync("DELETE FROM t WHERE b IN ('b', 'c', 'b!')", "t");
        await RoundTripAsync("DELETE FROM t", "t");
    }

    [Fact]
    public async Task Names_that_need_quotes_and_large_values_are_recorded()
    {
        await SetUpAsync("CREATE TABLE \"a \"\"table\"\" of 'mine' – ü\"(\"the key\" INTEGER PRIMARY KEY, \"select\")");
        const string Table = "\"a \"\"table\"\" of 'mine' – ü\"";
        await RoundTripAsync($"INSERT INTO {Table} VALUES (1, randomblob(200000)), (2, '')", Table);
        await RoundTripAsync($"UPDATE {Table} SET \"select\" = hex(randomblob(70000))", Table);
    }

    [Fact]
    public async Task A_full_text_index_follows_and_stays_whole()
    {
        await SetUpAsync("CREATE VIRTUAL TABLE words USING fts5(text)", "INSERT INTO words VALUES ('alpha beta'), ('beta gamma')");
        const string Content = "(SELECT rowid, text FROM words)";
        await RoundTripAsync("INSERT INTO words VALUES ('delta beta'); DELETE FROM words WHERE rowid = 1", Content);
        await RoundTripAsync("UPDATE words SET text = 'omega' WHERE rowid = 2", Content);
        Assert.Equal(["omega"], await Follower.QueryAsync<string>("SELECT text FROM words WHERE words MATCH 'omega'"));
        await Follower.UndoAsync();
        Assert.Empty(await Follower.QueryAsync<string>("SELECT text FROM words WHERE words MATCH 'omega'"));
        Assert.Equal(["beta gamma", "delta beta"], await Follower.QueryAsync<string>("SELECT text FROM words WHERE words MATCH 'beta' ORDER BY rowid"));
        await CheckWordsAsync();

        // The connection that undid it has written to the index before, and does so again.
        var unit = Follower.BeginUndoUnit("Many");
        for (var i = 0; i < 20; i++) await unit.WriteAsync(connection => connection.Execute("INSERT INTO words VALUES ('many beta'), ('more')"));
        await Follower.UndoAsync();
        await Follower.WriteAsync(connection => connection.Execute("INSERT INTO words VALUES ('last beta')"));
        await CheckWordsAsync();
        Assert.Equal(["beta gamma", "delta beta", "last beta"], await Follower.QueryAsync<string>("SELECT text FROM words WHERE words MATCH 'beta' ORDER BY rowid"));
        await AssertSoundAsync(Follower);
    }

    [Fact]
    public async Task A_full_text_index_over_another_table_follows_with_its_triggers()
    {
        await SetUpAsync(
            "CREATE TABLE note(id INTEGER PRIMARY KEY, text); CREATE VIRTUAL TABLE words USING fts5(text, content='note', content_rowid='id')",
            "CREATE TRIGGER i AFTER INSERT ON note BEGIN INSERT INTO words(rowid, text) VALUES (new.id, new.text); END",
            "CREATE TRIGGER d AFTER DELETE ON note BEGIN INSERT INTO words(words, rowid, text) VALUES ('delete', old.id, old.text); END",
            "CREATE TRIGGER u AFTER UPDATE ON note BEGIN INSERT INTO words(words, rowid, text) VALUES ('delete', old.id, old.text); INSERT INTO words(rowid, text) VALUES (new.id, new.text); END",
            "INSERT INTO note VALUES (1, 'alpha beta'), (2, 'beta gamma')");
        await RoundTripAsync("UPDATE note SET text = 'omega' WHERE id = 1; DELETE FROM note WHERE id = 2; INSERT INTO note VALUES (3, 'beta')", "note");
        await CheckWordsAsync();
        Assert.Equal([3L], await Follower.QueryAsync<long>("SELECT rowid FROM words WHERE words MATCH 'beta'"));
        await Follower.UndoAsync();
        Assert.Equal([1L, 2L], await Follower.QueryAsync<long>("SELECT rowid FROM words WHERE words MATCH 'beta' ORDER BY rowid"));
        await SeeAsync(Leader, Follower.Marker);
        await Leader.ExecuteAsync("INSERT INTO note VALUES (4, 'beta')");
        Assert.Equal([1L, 2L, 4L], await Leader.QueryAsync<long>("SELECT rowid FROM words WHERE words MATCH 'beta' ORDER BY rowid"));
        await SeeAsync(Follower, Leader.Marker);
        await CheckWordsAsync();

        // The index's own rows were changed meanwhile.
        var error = await Assert.ThrowsAsync<UndoConflictException>(() => Follower.RedoAsync());
        Assert.StartsWith("words_", error.Table, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_spatial_index_follows()
    {
        await SetUpAsync("CREATE VIRTUAL TABLE places USING rtree(id, x0, x1)", "INSERT INTO places VALUES (1, 0, 1), (2, 5, 6)");
        await RoundTripAsync("INSERT INTO places SELECT value, value, value + 1 FROM json_each('[10,11,12,13,14,15]'); DELETE FROM places WHERE id = 1; UPDATE places SET x1 = 9 WHERE id = 2", "places");
        await Follower.UndoAsync();
        await Follower.ExecuteAsync("INSERT INTO places VALUES (3, 2, 3)");
        Assert.Equal([2L, 3L], await Follower.QueryAsync<long>("SELECT id FROM places WHERE x0 > 1 ORDER BY id"));
        Assert.Equal("ok", (await Follower.QueryAsync<string>("SELECT rtreecheck('places')"))[0]);
    }

    [Fact]
    public async Task Tables_that_are_temporary_or_attached_are_not_recorded()
    {
        await SetUpAsync("CREATE TABLE t(id INTEGER PRIMARY KEY)");
        var unit = Follower.BeginUndoUnit("Both");
        await unit.ExecuteAsync("CREATE TEMP TABLE own(id INTEGER PRIMARY KEY); INSERT INTO own VALUES (1)");
        Assert.Null(unit.Id);
        await unit.ExecuteAsync("INSERT INTO own VALUES (2); INSERT INTO t VALUES (1)");
        await Follower.UndoAsync();
        await Follower.WriteAsync(connection => Assert.Equal((2L, 0L), (connection.Scalar<long>("SELECT count(*) FROM own"), connection.Scalar<long>("SELECT count(*) FROM t"))));
    }

    [Fact]
    public async Task Rows_with_NULL_in_their_primary_key_are_not_recorded()
    {
        await SetUpAsync("CREATE TABLE t(a TEXT PRIMARY KEY, b)");
        var unit = Follower.BeginUndoUnit("Without key");
        await unit.ExecuteAsync("INSERT INTO t VALUES (NULL, 1)");
        Assert.Null(unit.Id);
        await unit.ExecuteAsync("INSERT INTO t VALUES (NULL, 2), ('a', 3)");
        await Follower.UndoAsync();
        Assert.Equal([1L, 2L], await Follower.QueryAsync<long>("SELECT b FROM t ORDER BY b"));
    }

    [Fact]
    public async Task Rows_without_a_primary_key_that_VACUUM_has_numbered_anew_are_left_alone()
    {
        await SetUpAsync("CREATE TABLE t(a, b)", "INSERT INTO t(rowid, a, b) VALUES (1, 'x', 1), (5, 'y', 2), (9, 'z', 3)");
        await Follower.BeginUndoUnit("Update").ExecuteAsync("UPDATE t SET b = b + 10 WHERE a <> 'x'");
        await Follower.ExecuteAsync("DELETE FROM t WHERE a = 'x'");
        await Follower.ExecuteAsync("VACUUM");
        await Assert.ThrowsAsync<UndoConflictException>(() => Follower.UndoAsync());
        Assert.Equal([("y", 12L), ("z", 13L)], await Follower.QueryAsync<(string, long)>("SELECT a, b FROM t ORDER BY a"));
    }

    [Fact]
    public async Task A_table_that_the_unit_made_stays_and_its_rows_go()
    {
        await SetUpAsync("CREATE TABLE t(id INTEGER PRIMARY KEY)");
        await Follower.BeginUndoUnit("Make").ExecuteAsync("CREATE TABLE made(id INTEGER PRIMARY KEY, v); INSERT INTO made VALUES (1, 'a'); ALTER TABLE t ADD COLUMN v; INSERT INTO t VALUES (1, 'b')");
        await Follower.UndoAsync();
        Assert.Equal([(0L, 0L)], await Follower.QueryAsync<(long, long)>("SELECT (SELECT count(*) FROM made), (SELECT count(*) FROM t)"));
        await Follower.RedoAsync();
        Assert.Equal([("a", "b")], await Follower.QueryAsync<(string, string)>("SELECT made.v, t.v FROM made JOIN t USING (id)"));
    }

    private async Task SetUpAsync(params string[] statements)
    {
        foreach (var sql in statements) await Leader.ExecuteAsync(sql);
        await SeeAsync(Follower, Leader.Marker);
    }

    /// <summary>Runs it as a unit of one tab; undone (in the other) all is as before, redone as after it, and the database is sound.</summary>
    private async Task RoundTripAsync(string sql, params string[] tables)
    {
        var before = await ReadAsync(Follower, tables);
        await Follower.BeginUndoUnit("Unit").ExecuteAsync(sql);
        var after = await ReadAsync(Follower, tables);
        Assert.NotEqual(before, after);
        await SeeAsync(Leader, Follower.Marker);
        Assert.NotNull(await Leader.UndoAsync());
        Assert.Equal(before, await ReadAsync(Leader, tables));
        await SeeAsync(Follower, Leader.Marker);
        Assert.Equal(before, await ReadAsync(Follower, tables));
        Assert.NotNull(await Follower.RedoAsync());
        Assert.Equal(after, await ReadAsync(Follower, tables));
        Assert.NotNull(await Follower.UndoAsync());
        Assert.Equal(before, await ReadAsync(Follower, tables));
        Assert.NotNull(await Follower.RedoAsync());
        await SeeAsync(Leader, Follower.Marker);
        await AssertSoundAsync(Leader);
        await AssertSoundAsync(Follower);
    }

    // On a new connection: SQLite's integrity_check of a full-text index believes what its connection remembers of it, whoever has written since.
    private static async Task AssertSoundAsync(DataSyncDatabase database)
    {
        await using var connection = database.CreateConnection();
        connection.ConnectionString += ";Pooling=False";
        await connection.OpenAsync();
        Assert.Equal("ok", await ScalarAsync(connection, "PRAGMA integrity_check"));
    }

    private static async Task<string> ReadAsync(DataSyncDatabase database, string[] tables)
    {
        var rows = new List<string>();
        foreach (var table in tables)
        {
            var result = await database.QueryAsync($"SELECT * FROM {table} ORDER BY 1");
            rows.AddRange(result.Rows.Select(row => $"{table}: {string.Join("|", row.Select(value => value is byte[] bytes ? Convert.ToHexString(bytes) : value))}"));
        }

        return string.Join("\n", rows);
    }

    private async Task CheckWordsAsync()
    {
        foreach (var database in (DataSyncDatabase[])[Follower, Leader])
        {
            await database.WriteAsync(connection => connection.Execute("INSERT INTO words(words) VALUES ('integrity-check')")); // in its own tab
            await SeeAsync(database == Leader ? Follower : Leader, database.Marker);
        }
    }
}
