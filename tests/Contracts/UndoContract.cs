using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Units of work are undone and redone, whichever tab made them, and what cannot be undone is refused as a whole.</summary>
public abstract class UndoContract : TwoTabsContract
{
    private readonly List<DataSyncFactory> _others = [];

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await Leader.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, v, w)");
        await SeeAsync(Follower, Leader.Marker);
    }

    public override async Task DisposeAsync()
    {
        foreach (var factory in _others) await factory.DisposeAsync();
        await base.DisposeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Inserts_updates_and_deletes_are_undone_and_redone(bool inLeader)
    {
        var here = Roles(inLeader).Here;
        await here.ExecuteAsync("INSERT INTO t VALUES (1, 'a', x'00'), (2, 'b', 2.5), (3, NULL, 3)");
        var before = await ReadAsync(here);
        var unit = here.BeginUndoUnit("Three at once");
        Assert.Null(unit.Id);
        var result = await unit.ExecuteAsync("INSERT INTO t VALUES (4, 'd', NULL); UPDATE t SET v = v || '!', w = NULL WHERE id = 2; DELETE FROM t WHERE id = 1");
        Assert.Equal((3, 4L, here.Marker), (result.Changes, result.LastInsertRowId, result.Marker));
        var after = await ReadAsync(here);
        var undone = await here.UndoAsync();
        Assert.Equal((unit.Id!.Value, "Three at once", here.Coordinator.Id, true), (undone!.Id, undone.Name, undone.Tab, undone.IsUndone));
        Assert.Equal(before, await ReadAsync(here));
        Assert.Null(await here.UndoAsync());
        Assert.Equal(undone with { IsUndone = false }, await here.RedoAsync());
        Assert.Equal(after, await ReadAsync(here));
        Assert.Null(await here.RedoAsync());
        Assert.Equal(4, (await here.ExecuteAsync("UPDATE t SET v = 0 WHERE id = 99")).LastInsertRowId); // the history's rows are not the app's
    }

    [Fact]
    public async Task All_writes_of_a_unit_in_whatever_form_are_one()
    {
        var unit = Follower.BeginUndoUnit("Much");
        await unit.ExecuteAsync("INSERT INTO t VALUES (?, ?, ?)", new object[] { 1, "a", 1 });
        await unit.ExecuteAsync([new("INSERT INTO t VALUES (2, 'b', $w)", new { w = 2 }), new("UPDATE t SET w = w + 10")]);
        await unit.ExecuteManyAsync("INSERT INTO t VALUES (?, ?, 3)", [new object[] { 3, "c" }, new object[] { 4, "d" }]);
        await unit.WriteAsync(connection => connection.Execute("DELETE FROM t WHERE id = 2"));
        var result = await unit.WriteAsync((connection, transaction) => Insert(connection, transaction, 5));
        Assert.Equal((1, 5L), (result.Changes, result.LastInsertRowId));
        result = await unit.WriteAsync(async connection =>
        {
            await Task.Yield();
            connection.Execute("UPDATE t SET v = 'x'");
        });
        Assert.Equal(4, result.Changes);
        await unit.WriteAsync(async (connection, transaction) =>
        {
            await Task.Yield();
            Insert(connection, transaction, 6);
        });
        var after = await ReadAsync(Follower);
        Assert.Equal("1x11,3x3,4x3,5x,6f", after);
        Assert.Single(await Follower.GetUndoHistoryAsync());
        var marker = Follower.Marker;
        await Follower.UndoAsync(unit.Id);
        Assert.Equal(("", marker + 1), (await ReadAsync(Follower), Follower.Marker));
        await Follower.RedoAsync(unit.Id);
        Assert.Equal(after, await ReadAsync(Follower));
    }

    [Fact]
    public async Task What_the_work_took_back_itself_is_not_recorded()
    {
        await Leader.BeginUndoUnit("Partly").WriteAsync(connection =>
            connection.Execute("INSERT INTO t VALUES (1, 'a', 1); SAVEPOINT s; INSERT INTO t VALUES (2, 'b', 2); UPDATE t SET v = 'x'; ROLLBACK TO s; RELEASE s; INSERT OR REPLACE INTO t VALUES (1, 'c', 3)"));
        Assert.Equal("1c3", await ReadAsync(Leader));
        await Leader.UndoAsync();
        Assert.Equal("", await ReadAsync(Leader));
        await Leader.RedoAsync();
        Assert.Equal("1c3", await ReadAsync(Leader));
    }

    [Fact]
    public async Task What_changes_nothing_is_not_recorded()
    {
        var unit = Leader.BeginUndoUnit("Nothing");
        await unit.ExecuteAsync("DELETE FROM t WHERE id = 99");
        await unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1); DELETE FROM t");
        await unit.ExecuteAsync("CREATE TABLE another(a)");
        Assert.Null(unit.Id);
        Assert.Null(await Leader.UndoAsync());
        Assert.Null(await Leader.RedoAsync());
        Assert.Empty(await Leader.GetUndoHistoryAsync());
        Assert.Empty(await Leader.QueryAsync<string>("SELECT name FROM sqlite_schema WHERE name LIKE 'datasync%'"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Another_tab_undoes_and_redoes(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await WriteAsync(here, "First", "INSERT INTO t VALUES (1, 'a', 1)");
        await SeeAsync(there, here.Marker);
        await WriteAsync(there, "Second", "INSERT INTO t VALUES (2, 'b', 2)");
        var history = await there.GetUndoHistoryAsync();
        Assert.Equal([("Second", there.Coordinator.Id, false), ("First", here.Coordinator.Id, false)], history.Select(entry => (entry.Name, entry.Tab, entry.IsUndone)));
        Assert.Equal("Second", (await here.UndoAsync())!.Name);
        await SeeAsync(there, here.Marker);
        Assert.Equal("First", (await there.UndoAsync())!.Name);
        Assert.Equal("", await ReadAsync(there));
        Assert.Null(await here.UndoAsync());
        Assert.Equal("First", (await here.RedoAsync())!.Name);
        Assert.Equal("Second", (await there.RedoAsync())!.Name);
        Assert.Equal("1a1,2b2", await ReadAsync(there));
        await SeeAsync(here, there.Marker);
        Assert.Equal("1a1,2b2", await ReadAsync(here));
    }

    [Fact]
    public async Task Two_tabs_that_undo_at_once_undo_two_units()
    {
        for (var i = 1; i <= 4; i++) await WriteAsync(i % 2 == 0 ? Leader : Follower, $"{i}", $"INSERT INTO t VALUES ({i}, 'a', {i})");
        await SeeAsync(Leader, Follower.Marker);
        await SeeAsync(Follower, Leader.Marker);
        var undone = await Task.WhenAll(Leader.UndoAsync(), Follower.UndoAsync(), Leader.UndoAsync());
        Assert.Equal(["2", "3", "4"], undone.Select(entry => entry!.Name).Order());
        await SeeAsync(Follower, Leader.Marker);
        Assert.Equal("1a1", await ReadAsync(Follower));
    }

    [Fact]
    public async Task A_unit_of_the_middle_is_undone_by_its_id_and_the_last_one_undone_is_redone_first()
    {
        var ids = new List<long>();
        for (var i = 1; i <= 3; i++) ids.Add(await WriteAsync(Leader, $"{i}", $"INSERT INTO t VALUES ({i}, 'a', {i})"));
        Assert.Equal("2", (await Leader.UndoAsync(ids[1]))!.Name);
        Assert.Null(await Leader.UndoAsync(ids[1]));
        Assert.Null(await Leader.UndoAsync(12345));
        Assert.Null(await Leader.RedoAsync(ids[0]));
        Assert.Equal("3", (await Leader.UndoAsync())!.Name);
        Assert.Equal("1a1", await ReadAsync(Leader));
        Assert.Equal([("3", true), ("2", true), ("1", false)], (await Leader.GetUndoHistoryAsync()).Select(entry => (entry.Name, entry.IsUndone)));
        Assert.Equal("3", (await Leader.RedoAsync())!.Name);
        Assert.Equal("2", (await Leader.RedoAsync())!.Name);
        Assert.Equal("1a1,2a2,3a3", await ReadAsync(Leader));
    }

    [Fact]
    public async Task A_new_unit_ends_what_could_be_redone_and_its_id_is_new()
    {
        var first = await WriteAsync(Leader, "First", "INSERT INTO t VALUES (1, 'a', 1)");
        await Leader.UndoAsync();
        var unit = Leader.BeginUndoUnit("Second");
        await unit.ExecuteAsync("UPDATE t SET v = 1 WHERE id = 99");
        Assert.Single(await Leader.GetUndoHistoryAsync()); // it has written nothing
        await unit.ExecuteAsync("INSERT INTO t VALUES (2, 'b', 2)");
        Assert.Null(await Leader.RedoAsync());
        Assert.Null(await Leader.RedoAsync(first));
        Assert.Equal((true, "Second"), (unit.Id > first, Assert.Single(await Leader.GetUndoHistoryAsync()).Name));
        Assert.Equal(1, await OneAsync<long>(Leader, "SELECT count(*) FROM datasync_undo_step"));
        await Leader.UndoAsync();
        await unit.ExecuteAsync("INSERT INTO t VALUES (3, 'c', 3)"); // begins anew
        Assert.Equal(unit.Id, Assert.Single(await Leader.GetUndoHistoryAsync()).Id);
        await Leader.UndoAsync();
        Assert.Equal("", await ReadAsync(Leader));
    }

    [Theory]
    [InlineData("UPDATE t SET v = 'b'", "UPDATE t SET v = 'c' WHERE id = 2", UndoConflict.RowChanged)]
    [InlineData("UPDATE t SET v = 'b'", "DELETE FROM t WHERE id = 2", UndoConflict.RowMissing)]
    [InlineData("DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (2, 'c', 3)", UndoConflict.RowExists)]
    [InlineData("DELETE FROM t WHERE id = 2", "CREATE UNIQUE INDEX i ON t(v); INSERT INTO t VALUES (4, 'a2', 3)", UndoConflict.Constraint)]
    [InlineData("DELETE FROM t WHERE id = 2", "ALTER TABLE t ADD COLUMN x", UndoConflict.SchemaChanged)]
    [InlineData("DELETE FROM t WHERE id = 2", "DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, v)", UndoConflict.SchemaChanged)]
    [InlineData("DELETE FROM t WHERE id = 2", "ALTER TABLE t RENAME TO t2; CREATE VIEW t AS SELECT * FROM t2", UndoConflict.SchemaChanged)]
    public async Task What_stands_in_the_way_is_told_and_nothing_is_changed(string sql, string other, UndoConflict conflict)
    {
        await Leader.ExecuteAsync("INSERT INTO t VALUES (1, 'a1', 1), (2, 'a2', 2), (3, 'a3', 3)");
        await WriteAsync(Leader, "Touch", sql);
        await Leader.ExecuteAsync(other);
        var (before, marker) = (await ReadAsync(Leader, "1"), Leader.Marker);
        var error = await Assert.ThrowsAsync<UndoConflictException>(() => Leader.UndoAsync());
        Assert.Equal((conflict, "t", false, "Touch"), (error.Conflict, error.Table, error.IsRedo, error.Unit.Name));
        Assert.Contains("“Touch”", error.Message, StringComparison.Ordinal);
        Assert.Equal((before, marker), (await ReadAsync(Leader, "1"), Leader.Marker));
        Assert.False(Assert.Single(await Leader.GetUndoHistoryAsync()).IsUndone);
        await Leader.ExecuteAsync("CREATE TABLE goes_on(a)");
    }

    [Fact]
    public async Task A_conflict_in_the_second_step_leaves_the_first_as_it_was_and_when_it_is_gone_all_is_undone()
    {
        var unit = Follower.BeginUndoUnit("Two steps");
        await unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1)");
        await unit.ExecuteAsync("INSERT INTO t VALUES (2, 'b', 2)");
        await SeeAsync(Leader, Follower.Marker);
        await Leader.ExecuteAsync("UPDATE t SET v = 'x' WHERE id = 1");
        await SeeAsync(Follower, Leader.Marker);
        await Assert.ThrowsAsync<UndoConflictException>(() => Follower.UndoAsync());
        Assert.Equal("1x1,2b2", await ReadAsync(Follower));
        await Leader.ExecuteAsync("UPDATE t SET v = 'a' WHERE id = 1");
        await SeeAsync(Follower, Leader.Marker);
        await Follower.UndoAsync();
        Assert.Equal("", await ReadAsync(Follower));
        await Follower.ExecuteAsync("INSERT INTO t VALUES (2, 'taken', 2)");
        var error = await Assert.ThrowsAsync<UndoConflictException>(() => Follower.RedoAsync());
        Assert.Equal((UndoConflict.RowExists, true), (error.Conflict, error.IsRedo));
        Assert.Equal("2taken2", await ReadAsync(Follower));
    }

    [Fact]
    public async Task Columns_and_rows_that_the_unit_did_not_write_may_be_changed_meanwhile()
    {
        await Leader.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1)");
        await WriteAsync(Leader, "Rename", "UPDATE t SET v = 'b'");
        await Leader.ExecuteAsync("UPDATE t SET w = 7; INSERT INTO t VALUES (2, 'z', 9)");
        await Leader.UndoAsync();
        Assert.Equal("1a7,2z9", await ReadAsync(Leader));
    }

    [Fact]
    public async Task The_history_is_there_after_a_reload()
    {
        var name = $"undo-{Guid.NewGuid():N}.db";
        var database = await OpenAsync(new(), name);
        await database.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, v, w)");
        await WriteAsync(database, "First", "INSERT INTO t VALUES (1, 'a', 1)");
        await WriteAsync(database, "Second", "INSERT INTO t VALUES (2, 'b', 2)");
        await database.UndoAsync();
        var history = await database.GetUndoHistoryAsync();
        await database.DisposeAsync();
        database = await OpenAsync(new(), name);
        Assert.Equal(history, await database.GetUndoHistoryAsync());
        await database.RedoAsync();
        Assert.Equal("1a1,2b2", await ReadAsync(database));
        await database.UndoAsync();
        await database.UndoAsync();
        Assert.Equal("", await ReadAsync(database));
        await _others[^1].DeleteAsync(name);
    }

    [Fact]
    public async Task No_more_units_are_kept_than_the_options_say()
    {
        var database = await OpenAsync(new() { MaxUndoUnits = 3 });
        for (var i = 1; i <= 5; i++) await WriteAsync(database, $"{i}", $"INSERT INTO t VALUES ({i}, 'a', {i})");
        Assert.Equal(["5", "4", "3"], (await database.GetUndoHistoryAsync()).Select(entry => entry.Name));
        Assert.Equal(3, await OneAsync<long>(database, "SELECT count(*) FROM datasync_undo_step"));
        while (await database.UndoAsync() is not null)
        {
        }

        Assert.Equal("1a1,2a2", await ReadAsync(database));
    }

    [Fact]
    public async Task No_more_bytes_are_kept_than_the_options_say_and_what_is_too_large_by_itself_ends_the_history()
    {
        var database = await OpenAsync(new() { MaxUndoBytes = 4096 });
        for (var i = 1; i <= 5; i++) await WriteAsync(database, $"{i}", $"INSERT INTO t VALUES ({i}, zeroblob(1500), {i})");
        Assert.Equal(["5", "4"], (await database.GetUndoHistoryAsync()).Select(entry => entry.Name));
        var large = database.BeginUndoUnit("Large");
        await large.ExecuteAsync("INSERT INTO t VALUES (6, zeroblob(5000), 6)");
        Assert.Null(large.Id);
        Assert.Empty(await database.GetUndoHistoryAsync());
        Assert.Equal(0, await OneAsync<long>(database, "SELECT count(*) FROM datasync_undo_step"));
        Assert.Null(await database.UndoAsync());
        Assert.Equal(6, await OneAsync<long>(database, "SELECT count(*) FROM t"));
    }

    [Theory]
    [InlineData(0, 4096)]
    [InlineData(10_001, 4096)]
    [InlineData(1, 1023)]
    [InlineData(1, (64 << 20) + 1)]
    public async Task Options_out_of_their_range_are_refused(int units, int bytes) =>
        await Assert.ThrowsAsync<ArgumentException>(() => OpenAsync(new() { MaxUndoUnits = units, MaxUndoBytes = bytes }));

    [Fact]
    public async Task Deferred_writes_are_recorded_and_undone_as_well()
    {
        var database = await OpenAsync(new() { Durability = Durability.Deferred });
        var unit = database.BeginUndoUnit("Soon");
        await unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1)");
        await unit.ExecuteAsync("INSERT INTO t VALUES (2, 'b', 2)");
        await WriteAsync(database, "Later", "UPDATE t SET w = 5");
        Assert.Equal("Later", (await database.UndoAsync())!.Name);
        Assert.Equal("1a1,2b2", await ReadAsync(database));
        await database.SyncAsync();
        await SeeAsync(Leader, database.Marker);
        Assert.Equal("1a1,2b2", await ReadAsync(Leader));
        Assert.Equal("Later", (await Leader.RedoAsync())!.Name);
        await Leader.UndoAsync();
        Assert.Equal("Soon", (await Leader.UndoAsync())!.Name);
        Assert.Equal("", await ReadAsync(Leader));
    }

    [Fact]
    public async Task A_write_that_is_run_again_because_another_tab_was_first_is_recorded_once()
    {
        var runs = 0;
        var others = new List<Task>();
        var unit = Follower.BeginUndoUnit("Contended");
        await unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1)");
        await SeeAsync(Leader, Follower.Marker);
        foreach (var tab in new[] { Leader, Follower }) await LoadAsync(tab); // who has to load is not first
        await unit.WriteAsync(connection =>
        {
            if (++runs == 1) others.Add(WriteAsync(Leader, "First", "INSERT INTO t VALUES (10, 'other', 1)"));
            connection.Execute("INSERT INTO t SELECT max(id) + 1, 'mine', 2 FROM t");
        });
        await Task.WhenAll(others);
        Assert.Equal(2, runs);
        await SeeAsync(Leader, Follower.Marker);
        Assert.Equal("1a1,10other1,11mine2", await ReadAsync(Leader));
        Assert.Equal(["First", "Contended"], (await Leader.GetUndoHistoryAsync()).Select(entry => entry.Name));
        Assert.Equal(2, await OneAsync<long>(Leader, "SELECT count(*) FROM datasync_undo_step JOIN datasync_undo_unit u ON u.id = unit WHERE name = 'Contended'"));
        await Leader.UndoAsync(unit.Id);
        Assert.Equal("10other1", await ReadAsync(Leader));
    }

    [Fact]
    public async Task Deferred_writes_that_are_run_again_are_recorded_once()
    {
        var database = await OpenAsync(new() { Durability = Durability.Deferred });
        var unit = database.BeginUndoUnit("Hoped for");
        for (var i = 0; i < 2; i++) await unit.ExecuteAsync("INSERT INTO t SELECT ifnull(max(id), 0) + 1, 'mine', NULL FROM t");
        await WriteAsync(Leader, "First", "INSERT INTO t VALUES (10, 'other', NULL)");
        await unit.ExecuteAsync("INSERT INTO t SELECT max(id) + 1, 'mine', NULL FROM t");
        await database.SyncAsync();
        await SeeAsync(Leader, database.Marker);
        Assert.Equal(["First", "Hoped for"], (await Leader.GetUndoHistoryAsync()).Select(entry => entry.Name).Order());
        Assert.Equal(3, await OneAsync<long>(Leader, "SELECT count(*) FROM datasync_undo_step JOIN datasync_undo_unit u ON u.id = unit WHERE name = 'Hoped for'"));
        Assert.Equal("Hoped for", (await Leader.UndoAsync(unit.Id))!.Name);
        Assert.Equal("10other", await ReadAsync(Leader));
    }

    [Fact]
    public async Task Two_units_of_one_tab_may_be_open_at_once()
    {
        var (first, second) = (Leader.BeginUndoUnit("First"), Leader.BeginUndoUnit("Second"));
        await first.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1)");
        await second.ExecuteAsync("INSERT INTO t VALUES (2, 'b', 2)");
        await first.ExecuteAsync("INSERT INTO t VALUES (3, 'c', 3)");
        await Task.WhenAll(Enumerable.Range(10, 20).Select(i => (i % 2 == 0 ? first : second).ExecuteAsync("INSERT INTO t VALUES (?, 'x', NULL)", new object[] { i })));
        Assert.Equal(2, (await Leader.GetUndoHistoryAsync()).Count);
        Assert.Equal("First", (await Leader.UndoAsync(first.Id))!.Name);
        Assert.Equal("2b2,11x,13x,15x,17x,19x,21x,23x,25x,27x,29x", await ReadAsync(Leader));
    }

    [Theory]
    [InlineData(Durability.Immediate)]
    [InlineData(Durability.Deferred)]
    public async Task Work_that_fails_leaves_nothing_and_the_next_is_recorded(Durability durability)
    {
        var database = await OpenAsync(new() { Durability = durability });
        var unit = database.BeginUndoUnit("Fails");
        await Assert.ThrowsAsync<NotSupportedException>(() => unit.WriteAsync(connection =>
        {
            connection.Execute("INSERT INTO t VALUES (1, 'a', 1)");
            throw new NotSupportedException();
        }));
        await Assert.ThrowsAsync<NotSupportedException>(() => unit.WriteAsync(async (connection, transaction) =>
        {
            Insert(connection, transaction, 1);
            await Task.Yield();
            throw new NotSupportedException();
        }));
        await Assert.ThrowsAsync<SqliteException>(() => unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1), (1, 'b', 2)"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1); COMMIT"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1); ALTER TABLE t ADD COLUMN x; UPDATE t SET x = 1; DROP TABLE t"));
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1)", null, cancelled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => database.UndoAsync(null, cancelled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => database.RedoAsync(null, cancelled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => database.GetUndoHistoryAsync(cancelled.Token));
        Assert.Null(unit.Id);
        Assert.Empty(await database.GetUndoHistoryAsync());
        Assert.Equal("", await ReadAsync(database));
        await unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1)");
        await Assert.ThrowsAsync<InvalidOperationException>(() => unit.ExecuteAsync("DELETE FROM datasync_undo_unit"));
        await database.UndoAsync();
        Assert.Equal("", await ReadAsync(database));
    }

    [Fact]
    public async Task Within_the_work_of_a_write_nothing_is_undone_or_recorded()
    {
        var unit = Leader.BeginUndoUnit("Within");
        await unit.WriteAsync(async connection =>
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => Leader.UndoAsync());
            await Assert.ThrowsAsync<InvalidOperationException>(() => Leader.RedoAsync());
            await Assert.ThrowsAsync<InvalidOperationException>(() => unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1)"));
            await Assert.ThrowsAsync<InvalidOperationException>(() => Leader.BeginUndoUnit("Other").WriteAsync(_ => { }));
            Assert.Empty(await Leader.GetUndoHistoryAsync());
            connection.Execute("INSERT INTO t VALUES (2, 'b', 2)");
        });
        Assert.Equal("2b2", await ReadAsync(Leader));
        await Leader.UndoAsync();
        Assert.Equal("", await ReadAsync(Leader));
    }

    [Fact]
    public async Task A_closed_database_undoes_nothing()
    {
        var unit = Follower.BeginUndoUnit("Late");
        await unit.ExecuteAsync("INSERT INTO t VALUES (1, 'a', 1)");
        await Follower.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => Follower.BeginUndoUnit("Later"));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => unit.ExecuteAsync("INSERT INTO t VALUES (2, 'a', 1)"));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Follower.UndoAsync());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Follower.RedoAsync());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Follower.GetUndoHistoryAsync());
        Assert.Throws<ArgumentNullException>(() => Leader.BeginUndoUnit(null!));
    }

    [Fact]
    public async Task Work_that_closes_its_own_database_ends_with_it()
    {
        var unit = Follower.BeginUndoUnit("Last");
        await Assert.ThrowsAnyAsync<Exception>(() => unit.WriteAsync(async connection =>
        {
            connection.Execute("INSERT INTO t VALUES (1, 'a', 1)");
            await Follower.DisposeAsync();
        }));
        Assert.Equal("", await ReadAsync(Leader));
        await WriteAsync(Leader, "Goes on", "INSERT INTO t VALUES (2, 'b', 2)");
        Assert.Equal("Goes on", (await Leader.UndoAsync())!.Name);
    }

    private static async Task<long> WriteAsync(DataSyncDatabase database, string name, string sql)
    {
        var unit = database.BeginUndoUnit(name);
        await unit.ExecuteAsync(sql);
        return unit.Id!.Value;
    }

    private static void Insert(SqliteConnection connection, SqliteTransaction transaction, int id)
    {
        using var command = new SqliteCommand($"INSERT INTO t VALUES ({id}, '{(char)('`' + id)}', NULL)", connection, transaction);
        command.ExecuteNonQuery();
    }

    private static Task<string> ReadAsync(DataSyncDatabase database, string columns = "id || ifnull(iif(typeof(v) = 'blob', 'blob', v), '') || ifnull(iif(typeof(w) = 'blob', 'blob', w), '')") =>
        OneAsync<string>(database, $"SELECT ifnull(group_concat({columns}, ','), '') FROM (SELECT * FROM t ORDER BY 1)");

    private static async Task<T> OneAsync<T>(DataSyncDatabase database, string sql) => (await database.QueryAsync<T>(sql))[0];

    private async Task<DataSyncDatabase> OpenAsync(DataSyncOptions options, string? name = null)
    {
        var factory = await OpenFactoryAsync(options);
        _others.Add(factory);
        return await factory.OpenAsync(name ?? DatabaseName);
    }
}
