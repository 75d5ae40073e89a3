using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;
using Change = DataSync.Vfs.RowChange<System.Collections.Generic.IReadOnlyDictionary<string, object?>>;

namespace DataSync.Contracts;

/// <summary>What becomes of rows, told in the leader's tab and in the other, whoever writes.</summary>
public abstract class RowChangesContract : TwoTabsContract
{
    // A feed begins at once where all of the database is in memory, else when its first turn has loaded it: what is told here begins with the enumerator.
    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        var created = await Leader.ExecuteAsync("CREATE TABLE todo(id INTEGER PRIMARY KEY, text, rank); INSERT INTO todo VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)");
        await SeeAsync(Follower, created.Marker);
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task Rows_are_told_with_what_they_were(bool readsInLeader, bool writesInLeader)
    {
        var (reader, writer) = (Roles(readsInLeader).Here, Roles(writesInLeader).Here);
        await LoadAsync(reader);
        await using var feed = reader.RowChanges<Todo>("todo").GetAsyncEnumerator();
        await writer.ExecuteAsync("INSERT INTO todo VALUES (0, 'new', 0); UPDATE todo SET text = 'x' WHERE id = 2; DELETE FROM todo WHERE id = 1; UPDATE todo SET rank = rank");
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal(
            [
                new("todo", RowChangeKind.Inserted, 0, null, new(0, "new", 0)), new("todo", RowChangeKind.Updated, 2, new(2, "b", 2), new(2, "x", 2)),
                new RowChange<Todo>("todo", RowChangeKind.Deleted, 1, new(1, "a", 1), null),
            ],
            feed.Current);
        await writer.ExecuteAsync("UPDATE todo SET text = 'b' WHERE id = 2");
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal([new RowChange<Todo>("todo", RowChangeKind.Updated, 2, new(2, "x", 2), new(2, "b", 2))], feed.Current);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_comes_while_the_reader_is_busy_is_told_together(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await LoadAsync(here);
        await using var feed = here.RowChanges<Todo>("todo").GetAsyncEnumerator();
        await SeeAsync(here, (await there.ExecuteAsync("INSERT INTO todo VALUES (4, 'd', 4)")).Marker);
        await here.ExecuteAsync("UPDATE todo SET rank = 9 WHERE id = 4");
        await there.ExecuteAsync("DELETE FROM todo WHERE id = 1");
        await there.ExecuteAsync("INSERT INTO todo VALUES (1, 'again', 1)");
        await there.ExecuteAsync("UPDATE todo SET rank = 5 WHERE id = 3");
        await SeeAsync(here, (await there.ExecuteAsync("UPDATE todo SET rank = 3 WHERE id = 3")).Marker); // as it was
        await here.Live.WhenIdleAsync();
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal(
            [new("todo", RowChangeKind.Updated, 1, new(1, "a", 1), new(1, "again", 1)), new RowChange<Todo>("todo", RowChangeKind.Inserted, 4, null, new(4, "d", 9))],
            feed.Current);
    }

    [Fact]
    public async Task The_rows_that_are_there_can_be_told_first()
    {
        await LoadAsync(Follower);
        await using var feed = Follower.RowChanges(["todo", "later"], includePresent: true).GetAsyncEnumerator();
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal([1L, 2, 3], feed.Current.Select(change => change.RowId!.Value));
        Assert.All(feed.Current, change => Assert.Equal(("todo", RowChangeKind.Inserted, true), (change.Table, change.Kind, change.Old is null)));
        await Leader.ExecuteAsync("CREATE TABLE later(v); INSERT INTO later VALUES (1); DELETE FROM todo WHERE id = 1");
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal([("todo", RowChangeKind.Deleted), ("later", RowChangeKind.Inserted)], feed.Current.Select(change => (change.Table, change.Kind)));
    }

    [Theory]
    [InlineData("CREATE TABLE t(k PRIMARY KEY, v) WITHOUT ROWID", "INSERT INTO t VALUES ('x', 1), ('y', 2)", "UPDATE t SET v = 3 WHERE k = 'x'", "Updated k=x v=1 > k=x v=3")]
    [InlineData("CREATE TABLE t(k TEXT PRIMARY KEY, v)", "INSERT INTO t VALUES ('x', 1), ('y', 2)", "REPLACE INTO t VALUES ('x', 3)", "Updated k=x v=1 > k=x v=3")]
    [InlineData("CREATE TABLE t(k TEXT PRIMARY KEY COLLATE NOCASE, v)", "INSERT INTO t VALUES ('x', 1)", "UPDATE t SET k = 'X'", "Updated k=x v=1 > k=X v=1")]
    [InlineData("CREATE TABLE t(k TEXT PRIMARY KEY, v)", "INSERT INTO t VALUES (NULL, 1), (NULL, 2), ('x', 3)", "UPDATE t SET v = 4 WHERE v = 2", "Updated k= v=2 > k= v=4")]
    [InlineData("CREATE TABLE t(a, b, v, PRIMARY KEY (b, a))", "INSERT INTO t VALUES (1, 1, 1), (1, 2, 2)", "DELETE FROM t WHERE b = 2", "Deleted a=1 b=2 v=2 >")]
    [InlineData("CREATE TABLE t(v)", "INSERT INTO t VALUES (1), (1)", "UPDATE t SET v = 2 WHERE rowid = 2", "Updated 2 v=1 > v=2")]
    [InlineData("CREATE TABLE t(v)", "INSERT INTO t VALUES (1)", "UPDATE t SET v = 1.0", "Updated 1 v=1 > v=1.0")]
    [InlineData("CREATE TABLE t(v COLLATE NOCASE)", "INSERT INTO t VALUES ('a')", "UPDATE t SET v = 'A'", "Updated 1 v=a > v=A")]
    [InlineData("CREATE TABLE t(rowid PRIMARY KEY, v)", "INSERT INTO t VALUES ('x', 1)", "UPDATE t SET v = 2", "Updated 1 rowid=x v=1 > rowid=x v=2")]
    [InlineData("CREATE TABLE t(rowid PRIMARY KEY, _rowid_, oid) WITHOUT ROWID", "INSERT INTO t VALUES ('x', 1, 1)", "UPDATE t SET oid = 2", "Updated rowid=x _rowid_=1 oid=1 > rowid=x _rowid_=1 oid=2")]
    [InlineData("CREATE TABLE t(id INTEGER PRIMARY KEY, v, twice AS (2 * v))", "INSERT INTO t VALUES (1, 1)", "UPDATE t SET v = 2", "Updated 1 id=1 v=1 twice=2 > id=1 v=2 twice=4")]
    [InlineData("CREATE VIRTUAL TABLE t USING fts5(v)", "INSERT INTO t VALUES ('one'), ('two')", "UPDATE t SET v = 'three' WHERE rowid = 2", "Updated 2 v=two > v=three")]
    [InlineData("CREATE VIRTUAL TABLE t USING rtree(id, a, b)", "INSERT INTO t VALUES (1000, 1, 2), (1001, 1, 2)", "UPDATE t SET b = 3 WHERE id = 1000", "Updated 1000 id=1000 a=1.0 b=2.0 > id=1000 a=1.0 b=3.0")]
    [InlineData(
        "CREATE TABLE n(id INTEGER PRIMARY KEY, v); CREATE VIEW shown AS SELECT id + 1000 AS id, v FROM n; CREATE VIRTUAL TABLE t USING fts5(v, content='shown', content_rowid='id')", "INSERT INTO n VALUES (1, 'x')",
        "UPDATE n SET v = 'y'", "Updated 1001 v=x > v=y")] // its rows are another table's, under other rowids
    [InlineData("CREATE TABLE t(id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 1)", "ALTER TABLE t ADD COLUMN n", "")]
    [InlineData("CREATE TABLE t(id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1000, 1)", "ALTER TABLE t ADD COLUMN n DEFAULT 5", "Updated 1000 id=1000 v=1 > id=1000 v=1 n=5")]
    [InlineData("CREATE TABLE t(id INTEGER PRIMARY KEY, v)", "INSERT INTO t VALUES (1, 1)", "DROP TABLE t", "Deleted 1 id=1 v=1 >")]
    [InlineData("CREATE TABLE u(v)", "INSERT INTO u VALUES (1)", "CREATE TABLE t AS SELECT v FROM u", "Inserted 1 > v=1")]
    [InlineData("CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE INDEX i ON t(v)", "INSERT INTO t SELECT value, value FROM json_each('[1,2,3,4,5]'); DELETE FROM t WHERE id = 2", "VACUUM", "")]
    [InlineData("CREATE TABLE \"odd \"\" t'\"(\"a \"\" b\" PRIMARY KEY)", "INSERT INTO \"odd \"\" t'\" VALUES (1)", "DELETE FROM \"odd \"\" t'\"", "Deleted 1 a \" b=1 >")]
    public async Task Every_kind_of_table_has_rows(string schema, string rows, string change, string told)
    {
        await Leader.ExecuteAsync(schema);
        var filled = await Leader.ExecuteAsync(rows);
        await SeeAsync(Follower, filled.Marker);
        await LoadAsync(Follower);
        await using var feed = Follower.RowChanges([schema.Contains("odd", StringComparison.Ordinal) ? "odd \" t'" : "T", "todo"]).GetAsyncEnumerator();
        var changed = await Leader.ExecuteAsync(change);
        await SeeAsync(Follower, changed.Marker);
        await Leader.ExecuteAsync("DELETE FROM todo WHERE id = 1");
        var all = new List<Change>();
        while (!all.Exists(one => one.Table == "todo"))
        {
            Assert.True(await feed.MoveNextAsync());
            all.AddRange(feed.Current);
        }

        // A row's rowid says nothing where it is no key.
        Assert.Equal(told, string.Join("; ", all.Where(one => one.Table != "todo").Select(one => $"{one.Kind} {(told.Contains($"{one.Kind} {one.RowId} ", StringComparison.Ordinal) ? one.RowId + " " : "")}{Text(one.Old)}> {Text(one.New)}".Trim())));
    }

    [Fact]
    public async Task What_a_virtual_table_shows_of_another_one_is_told_when_that_changes()
    {
        var created = await Leader.ExecuteAsync(
            "CREATE TABLE Note(id INTEGER PRIMARY KEY, body); CREATE VIEW shown AS SELECT id, body FROM note; CREATE VIRTUAL TABLE Found USING fts5(body, content='shown', content_rowid='id')");
        await SeeAsync(Follower, created.Marker);
        await LoadAsync(Follower);
        await using var feed = Follower.RowChanges(["found"]).GetAsyncEnumerator();
        var next = feed.MoveNextAsync().AsTask();
        await Leader.ExecuteAsync("INSERT INTO note VALUES (5, 'x')");
        Assert.True(await next);
        Assert.Equal(("found", 5L), (feed.Current[0].Table, feed.Current[0].RowId));
    }

    [Fact]
    public async Task A_long_row_that_is_written_over_in_place_is_told()
    {
        // The leaf does not change: the end of the row lies in pages of its own.
        var filled = await Leader.ExecuteAsync("CREATE TABLE long(id INTEGER PRIMARY KEY, body BLOB); INSERT INTO long SELECT value, zeroblob(20000) FROM json_each('[1,2,3]')");
        await SeeAsync(Follower, filled.Marker);
        await LoadAsync(Follower);
        await using var feed = Follower.RowChanges(["long"]).GetAsyncEnumerator();
        await Leader.ExecuteAsync("UPDATE long SET body = CAST(substr(body, 1, 15000) || x'01' || substr(body, 15002) AS BLOB) WHERE id = 2");
        Assert.True(await feed.MoveNextAsync());
        var change = Assert.Single(feed.Current);
        var (old, now) = ((byte[])change.Old!["body"]!, (byte[])change.New!["body"]!);
        Assert.Equal((2L, RowChangeKind.Updated, 20000, 20000, (byte)0, (byte)1), (change.RowId, change.Kind, old.Length, now.Length, old[15000], now[15000]));
    }

    [Fact]
    public async Task A_write_that_is_taken_back_is_told_and_told_back()
    {
        await LoadAsync(Leader);
        await using var feed = Leader.RowChanges<Todo>("todo").GetAsyncEnumerator();
        await Assert.ThrowsAsync<SqliteException>(() => Leader.WriteAsync(connection =>
        {
            connection.Execute("INSERT INTO todo VALUES (7, 'not for long', 7)");
            connection.Execute("INSERT INTO todo VALUES (7, 'twice', 7)");
        }));
        await Leader.WriteAsync(connection => connection.Execute("SAVEPOINT s; INSERT INTO todo VALUES (8, 'back', 8); ROLLBACK TO s; RELEASE s; INSERT INTO todo VALUES (9, 'stays', 9)"));
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal([new RowChange<Todo>("todo", RowChangeKind.Inserted, 9, null, new(9, "stays", 9))], feed.Current);
    }

    [Fact]
    public async Task An_import_is_told_row_by_row()
    {
        using var file = new MemoryStream();
        await Leader.ExportAsync(file);
        await LoadAsync(Follower);
        await using var feed = Follower.RowChanges<Todo>("todo").GetAsyncEnumerator();
        await SeeAsync(Follower, (await Leader.ExecuteAsync("DELETE FROM todo WHERE id = 1; UPDATE todo SET text = 'x' WHERE id = 2")).Marker);
        await Follower.Live.WhenIdleAsync();
        Assert.True(await feed.MoveNextAsync());
        file.Position = 0;
        await Leader.ImportAsync(file);
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal(
            [new("todo", RowChangeKind.Inserted, 1, null, new(1, "a", 1)), new RowChange<Todo>("todo", RowChangeKind.Updated, 2, new(2, "x", 2), new(2, "b", 2))],
            feed.Current);
    }

    [Fact]
    public async Task What_was_kept_is_dropped_when_other_tables_change_much()
    {
        await LoadAsync(Follower);
        await using var feed = Follower.RowChanges(["todo"]).GetAsyncEnumerator();
        var next = feed.MoveNextAsync().AsTask();
        await SeeAsync(Follower, (await Leader.ExecuteAsync("CREATE TABLE other(v)")).Marker);
        for (var i = 0; i < 30; i++) await SeeAsync(Follower, (await Leader.ExecuteAsync("INSERT INTO other VALUES (zeroblob(200000))")).Marker);
        for (var i = 0; i < 50 && Follower.Rows.KeptBlocks >= 1024; i++)
        {
            await Follower.Live.WhenIdleAsync();
            await SeeAsync(Follower, (await Leader.ExecuteAsync("INSERT INTO other VALUES (1)")).Marker);
        }

        Assert.True(Follower.Rows.KeptBlocks < 1024, $"{Follower.Rows.KeptBlocks} blocks are kept");
        Assert.False(next.IsCompleted);
        await Leader.ExecuteAsync("DELETE FROM todo WHERE id = 3");
        Assert.True(await next);
        Assert.Equal(3L, Assert.Single(feed.Current).RowId);
    }

    [Fact]
    public async Task Mistakes_are_told_and_nothing_is_lost_by_them()
    {
        Assert.Throws<ArgumentException>(() => Leader.RowChanges([]));
        Assert.Throws<ArgumentException>(() => Leader.RowChanges<Todo>(""));
        await SeeAsync(Follower, (await Leader.ExecuteAsync("CREATE VIEW seen AS SELECT * FROM todo; CREATE TABLE odd(rowid, _rowid_, oid)")).Marker);
        await LoadAsync(Follower);
        await using (var view = Follower.RowChanges(["seen"]).GetAsyncEnumerator())
        {
            await Leader.ExecuteAsync("CREATE TABLE something(v)");
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await view.MoveNextAsync());
        }

        await using (var odd = Follower.RowChanges(["odd"]).GetAsyncEnumerator())
        {
            await Leader.ExecuteAsync("INSERT INTO odd VALUES (1, 1, 1)");
            await Assert.ThrowsAsync<InvalidOperationException>(async () => await odd.MoveNextAsync());
        }

        // Within work, and with a type that does not fit: once it does, the change is still there.
        await LoadAsync(Leader);
        await using var feed = Leader.RowChanges<Todo>("todo").GetAsyncEnumerator();
        await Leader.ExecuteAsync("INSERT INTO todo(text) VALUES ('no rank')");
        await Leader.Live.WhenIdleAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => Leader.WriteAsync(async _ => await feed.MoveNextAsync()));
        await Assert.ThrowsAsync<InvalidCastException>(async () => await feed.MoveNextAsync());
        await Leader.ExecuteAsync("UPDATE todo SET rank = 4 WHERE rank IS NULL");
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal([new RowChange<Todo>("todo", RowChangeKind.Inserted, 4, null, new(4, "no rank", 4))], feed.Current);
    }

    [Fact]
    public async Task It_ends_with_its_token_with_its_reader_and_with_the_database()
    {
        using var end = new CancellationTokenSource();
        await LoadAsync(Follower);
        await using var cancelled = Follower.RowChanges(["todo"]).GetAsyncEnumerator(end.Token);
        var waiting = cancelled.MoveNextAsync().AsTask();
        await end.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        await LoadAsync(Follower);
        await using var feed = Follower.RowChanges(["todo"]).GetAsyncEnumerator();
        var ended = feed.MoveNextAsync().AsTask();
        await Follower.DisposeAsync();
        Assert.False(await ended);
        Assert.False(await feed.MoveNextAsync());
        Assert.Throws<ObjectDisposedException>(() => Follower.RowChanges(["todo"]).GetAsyncEnumerator());
    }

    private static string Text(IReadOnlyDictionary<string, object?>? row) =>
        row is null ? "" : string.Concat(row.Select(value => FormattableString.Invariant($"{value.Key}={(value.Value is double real ? real.ToString("0.0", System.Globalization.CultureInfo.InvariantCulture) : value.Value)} ")));

    private sealed record Todo(long Id, string Text, long Rank);
}
