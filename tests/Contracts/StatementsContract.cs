using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Writes of a tab that the leader's tab runs: the same as if it had run them itself.</summary>
public abstract class StatementsContract : TwoTabsContract
{
    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await Leader.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE, w); CREATE TABLE log(n); CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END");
        await MeetAsync();
    }

    [Fact]
    public async Task A_write_beside_another_tabs_is_run_there_and_says_what_it_did()
    {
        var result = await TravelsAsync(() => Follower.ExecuteAsync("INSERT INTO t(id, v) VALUES (7, 'a')"));
        Assert.Equal((2, 7), (result.Changes, result.LastInsertRowId));
        Assert.Equal(Follower.Marker, result.Marker);
        Assert.Equal("a", await ScalarAsync<string>(Follower, "SELECT v FROM t WHERE id = 7"));
        result = await TravelsAsync(() => Follower.ExecuteAsync("UPDATE t SET w = 1"));
        Assert.Equal((1, 7), (result.Changes, result.LastInsertRowId));
    }

    [Fact]
    public async Task Values_of_every_type_arrive_as_they_are_bound_here()
    {
        object?[] values = [null, long.MinValue, 3, 2.5, true, "Ünï\0code", new byte[] { 0, 255 }, new DateTime(2026, 11, 28, 1, 2, 3), Guid.Parse("00000000-0000-0000-0000-0000000000ff"), 1.25m, DayOfWeek.Friday];
        var marks = string.Join(", ", Enumerable.Repeat("?", values.Length));
        await TravelsAsync(() => Follower.ExecuteAsync($"CREATE TABLE sent({string.Join(", ", values.Select((_, i) => $"c{i}"))})"));
        await TravelsAsync(() => Follower.ExecuteAsync($"INSERT INTO sent VALUES ({marks})", values));
        await Follower.WriteAsync(_ => { }); // from here on this tab does it by itself
        await Follower.ExecuteAsync($"INSERT INTO sent VALUES ({marks})", values);
        var columns = values.Select((_, i) => $"quote(c{i}) || typeof(c{i})");
        var rows = await Follower.QueryAsync<string>($"SELECT {string.Join(" || '|' || ", columns)} FROM sent");
        Assert.Equal(2, rows.Count);
        Assert.Equal(rows[1], rows[0]);
    }

    [Fact]
    public async Task Parameters_of_every_form_arrive()
    {
        await TravelsAsync(() => Follower.ExecuteAsync("INSERT INTO t VALUES ($id, $v, @w)", new { id = 1, v = "x", w = 2, Ignored = 3 }));
        await TravelsAsync(() => Follower.ExecuteAsync("INSERT INTO t VALUES ($id, $v, $w)", new Dictionary<string, object?> { ["id"] = 2, ["$v"] = "y", ["w"] = null }));
        await TravelsAsync(() => Follower.ExecuteAsync("INSERT INTO t VALUES (?, ?, 0); UPDATE t SET w = ? WHERE id = 3", new object[] { 3, "z", 9 }));
        await TravelsAsync(() => Follower.ExecuteAsync([new("INSERT INTO t VALUES (?, ?, ?)", new object[] { 4, "p", 1 }), new("UPDATE t SET w = $w WHERE id = 4", new { w = 5 })]));
        await TravelsAsync(() => Follower.ExecuteManyAsync("INSERT INTO t VALUES (?, ?, ?)", [new object[] { 5, "q", 1 }, new object[] { 6, "r", 2 }]));
        Assert.Equal(
            "1x2,2y,3z9,4p5,5q1,6r2",
            await ScalarAsync<string>(Follower, "SELECT group_concat(id || v || ifnull(w, ''), ',') FROM (SELECT * FROM t ORDER BY id)"));
    }

    [Fact]
    public async Task What_fails_fails_here_with_its_own_error_and_leaves_nothing()
    {
        await TravelsAsync(() => Follower.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 0)"));
        var error = await Assert.ThrowsAsync<SqliteException>(() => Follower.ExecuteAsync("INSERT INTO t VALUES (2, 'b', 0), (3, 'a', 0)"));
        Assert.Contains("UNIQUE", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<SqliteException>(() => Follower.ExecuteAsync("INSERT INTO missing VALUES (1)"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Follower.ExecuteAsync("INSERT INTO t VALUES ($a, $b, 0)", new { a = 1 }));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Follower.ExecuteAsync("BEGIN"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Follower.ExecuteAsync("SAVEPOINT s"));
        await MeetAsync();
        await TravelsAsync(() => Follower.ExecuteAsync("UPDATE t SET w = 5"));
        Assert.Equal(5, await ScalarAsync<long>(Leader, "SELECT w FROM t"));
        Assert.Equal(1, await ScalarAsync<long>(Follower, "SELECT count(*) FROM t"));
        Assert.Equal(1, await ScalarAsync<long>(Leader, "SELECT count(*) FROM log"));
    }

    [Fact]
    public async Task What_changes_nothing_says_so()
    {
        var before = Follower.Marker;
        Assert.Equal(0, (await Follower.ExecuteAsync("UPDATE t SET w = 1 WHERE id = 99")).Changes);
        Assert.Equal(before, Follower.Marker);
    }

    [Fact]
    public async Task What_uses_the_state_of_its_connection_is_run_here()
    {
        await TravelsAsync(() => Follower.ExecuteAsync("INSERT INTO t(v) VALUES ('a')"));
        await Leader.ExecuteAsync("INSERT INTO t(id, v) VALUES (500, 'other')");
        await StaysAsync(() => Follower.ExecuteAsync("INSERT INTO log VALUES (-last_insert_rowid())"));
        Assert.Equal(-1, await ScalarAsync<long>(Follower, "SELECT min(n) FROM log"));
        await StaysAsync(() => Follower.ExecuteAsync("CREATE TEMP TABLE own(v)"));
        await StaysAsync(() => Follower.ExecuteAsync("INSERT INTO t(v) VALUES ('b')")); // a temporary trigger could do something more
        await StaysAsync(() => Follower.ExecuteAsync("INSERT INTO own VALUES (1)"));
        await StaysAsync(() => Follower.ExecuteAsync("DROP TABLE own"));
    }

    [Fact]
    public async Task A_connection_with_a_setting_of_its_own_runs_its_statements_itself()
    {
        await TravelsAsync(() => Follower.ExecuteAsync("CREATE TABLE child(parent REFERENCES t(id))"));
        await StaysAsync(() => Follower.ExecuteAsync("PRAGMA foreign_keys=OFF"));
        await StaysAsync(() => Follower.ExecuteAsync("INSERT INTO child VALUES (77)"));
        await StaysAsync(() => Follower.ExecuteAsync("PRAGMA foreign_keys=ON"));
        await MeetAsync();
        await Assert.ThrowsAsync<SqliteException>(() => Follower.ExecuteAsync("INSERT INTO child VALUES (78)"));
    }

    [Fact]
    public async Task A_function_or_collation_that_only_this_tab_has_keeps_its_statements_here()
    {
        await Follower.WriteAsync(connection => connection.CreateFunction("upper", (string text) => $"own {text}"));
        await Leader.ExecuteAsync("INSERT INTO log VALUES (0)");
        await StaysAsync(() => Follower.ExecuteAsync("INSERT INTO t(v) VALUES (upper('a'))"));
        await StaysAsync(() => Follower.ExecuteAsync("INSERT INTO t(v) VALUES (upper('b'))"));
        Assert.Equal(["own a", "own b"], await Follower.QueryAsync<string>("SELECT v FROM t ORDER BY v"));
    }

    [Fact]
    public async Task A_connection_that_may_not_be_looked_at_writes_all_the_same()
    {
        await Follower.WriteAsync(connection => SQLitePCL.raw.sqlite3_set_authorizer(
            connection.Handle, (SQLitePCL.strdelegate_authorizer)((_, action, _, _, _, _) => action == SQLitePCL.raw.SQLITE_PRAGMA ? SQLitePCL.raw.SQLITE_DENY : SQLitePCL.raw.SQLITE_OK), null));
        await StaysAsync(() => Follower.ExecuteAsync("INSERT INTO t(v) VALUES ('a')"));
        await StaysAsync(() => Follower.ExecuteAsync("INSERT INTO t(v) VALUES ('b')"));
        Assert.Equal(2, await ScalarAsync<long>(Follower, "SELECT count(*) FROM t"));
    }

    [Fact]
    public async Task What_takes_long_is_run_here()
    {
        const string Long = "INSERT INTO log WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 30000) SELECT count(*) FROM c";
        await StaysAsync(() => Follower.ExecuteAsync(Long));
        Assert.Equal(30000, await ScalarAsync<long>(Follower, "SELECT max(n) FROM log"));
        await StaysAsync(() => Follower.ExecuteAsync("INSERT INTO t(v) VALUES (?)", new object[] { new byte[20_000] }));
    }

    [Fact]
    public async Task The_leaders_own_connection_notices_nothing()
    {
        await Leader.ExecuteAsync("INSERT INTO log VALUES (1), (2), (3)");
        await Leader.ExecuteAsync("UPDATE log SET n = n");
        await MeetAsync();
        var (row, changes) = (0L, 0L);
        await TravelsAsync(async () =>
        {
            await Leader.WriteAsync(connection => (row, changes) = (connection.Scalar<long>("SELECT last_insert_rowid()"), connection.Scalar<long>("SELECT changes()")));
            return await Follower.ExecuteAsync("INSERT INTO t(id, v) VALUES (900, 'x')");
        });
        await Leader.WriteAsync(connection => Assert.Equal((row, changes), (connection.Scalar<long>("SELECT last_insert_rowid()"), connection.Scalar<long>("SELECT changes()"))));
    }

    [Fact]
    public async Task Many_at_once_are_kept_once_each_and_in_order()
    {
        await TravelsAsync(() => Task.WhenAll(Enumerable.Range(0, 150).Select(i => Follower.ExecuteAsync("INSERT INTO log VALUES (?)", new object[] { i }))));

        // What a leader refuses as it would have to load is run here, behind what was sent meanwhile.
        Assert.Equal(Enumerable.Range(0, 150).Select(i => (long)i), await Follower.QueryAsync<long>($"SELECT n FROM log ORDER BY {(IsOnDemand ? "n" : "rowid")}"));
    }

    [Fact]
    public async Task Full_text_and_schema_changes_travel_as_well()
    {
        await TravelsAsync(() => Follower.ExecuteAsync("CREATE VIRTUAL TABLE words USING fts5(text)"));
        await TravelsAsync(() => Follower.ExecuteAsync("INSERT INTO words VALUES ('a b c')"));
        await TravelsAsync(() => Follower.ExecuteAsync("ALTER TABLE log ADD COLUMN more DEFAULT 5"));
        Assert.Equal(1, await ScalarAsync<long>(Leader, "SELECT count(*) FROM words WHERE words MATCH 'b'"));
        await TravelsAsync(() => Follower.ExecuteAsync("INSERT INTO words VALUES ('b d')"));
        Assert.Equal(2, await ScalarAsync<long>(Follower, "SELECT count(*) FROM words WHERE words MATCH 'b'"));
    }

    /// <summary>Both write, and this tab sees it: from here on its statements may travel.</summary>
    private async Task MeetAsync()
    {
        await Leader.ExecuteAsync("CREATE TABLE IF NOT EXISTS met(n); INSERT INTO met VALUES (1)");
        await SeeAsync(Follower, Leader.Marker);
        await Follower.ExecuteAsync("INSERT INTO met VALUES (2)");
    }

    private static async Task<T> ScalarAsync<T>(DataSyncDatabase database, string sql) => (await database.QueryAsync<T>(sql))[0];

    private async Task<T> TravelsAsync<T>(Func<Task<T>> write)
    {
        await SeeAsync(Leader, Follower.Marker);
        await Leader.ExecuteAsync("INSERT INTO met VALUES (3)");
        await SeeAsync(Follower, Leader.Marker);
        var before = Leader.StatementRuns;
        var result = await write();
        if (!IsOnDemand) Assert.True(Leader.StatementRuns > before, "It was run in its own tab."); // a leader that would have to load first refuses it
        return result;
    }

    private async Task StaysAsync(Func<Task> write)
    {
        await Leader.ExecuteAsync("INSERT INTO met VALUES (4)");
        await SeeAsync(Follower, Leader.Marker);
        var before = Leader.StatementRuns;
        await write();
        Assert.Equal(before, Leader.StatementRuns);
    }
}
