using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Live queries and the change feed, in the leader's tab and in the other: no change is missed, and nothing runs that need not.</summary>
public abstract class LiveContract : TwoTabsContract
{
    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        var created = await Leader.ExecuteAsync("CREATE TABLE todo(id INTEGER PRIMARY KEY, list, text, rank); CREATE TABLE other(v); CREATE VIEW open_todo AS SELECT id, text FROM todo WHERE list = 1");
        await SeeAsync(Follower, created.Marker);
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task A_query_follows_the_writes_of_both_tabs(bool readsInLeader, bool writesInLeader)
    {
        var (reader, writer) = (Roles(readsInLeader).Here, Roles(writesInLeader).Here);
        await using var query = await reader.LiveAsync<Todo>("SELECT id, text FROM todo ORDER BY id");
        Assert.Empty(query.Current);
        Assert.Equal(["todo"], query.Tables!);
        await writer.ExecuteAsync("INSERT INTO todo(id, text) VALUES (1, 'a')");
        Assert.Equal([new Todo(1, "a")], await ShowsAsync(query, rows => rows.Count == 1));
        await writer.WriteAsync(connection => connection.Execute("UPDATE todo SET text = 'b'"));
        await ShowsAsync(query, rows => rows is [{ Text: "b" }]);
        await writer.ExecuteAsync("DELETE FROM todo");
        await ShowsAsync(query, rows => rows.Count == 0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task It_runs_only_when_a_table_that_it_reads_was_changed(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var query = await here.LiveAsync<long>("SELECT count(*) FROM todo");
        await using var others = await here.LiveAsync<long>("SELECT count(*) FROM other");
        var runs = query.Runs;
        await there.ExecuteAsync("INSERT INTO other VALUES (1)");
        await here.ExecuteAsync("INSERT INTO other VALUES (2)");
        await ShowsAsync(others, rows => rows is [2]);
        Assert.Equal(runs, query.Runs);
        await there.ExecuteAsync("INSERT INTO todo(text) VALUES ('a')");
        await ShowsAsync(query, rows => rows is [1]);
    }

    [Theory]
    [InlineData("SELECT text FROM open_todo", "todo")]
    [InlineData("SELECT t.text FROM todo AS t JOIN other AS o ON o.v = t.id", "other todo")]
    [InlineData("WITH x AS (SELECT id FROM todo) SELECT count(*) FROM x", "todo")]
    [InlineData("SELECT 1 WHERE EXISTS (SELECT * FROM other)", "other")]
    [InlineData("SELECT value FROM json_each('[1,2]')", "")]
    [InlineData("SELECT 1", "")]
    [InlineData("SELECT name FROM sqlite_schema", "")]
    [InlineData("SELECT * FROM found WHERE found MATCH 'x'", "found")]
    [InlineData("SELECT * FROM outside", "note outside")] // its content is another table's
    [InlineData("SELECT * FROM through_view", "note through_view")]
    [InlineData("SELECT * FROM found_content", "found")]
    public async Task What_it_reads_is_found_through_views_and_virtual_tables(string sql, string tables)
    {
        await Leader.ExecuteAsync("CREATE VIRTUAL TABLE found USING fts5(text); CREATE TABLE note(id INTEGER PRIMARY KEY, body); CREATE VIRTUAL TABLE outside USING fts5(body, content='note', content_rowid=id); "
            + "CREATE VIEW notes AS SELECT id, body FROM note; CREATE VIRTUAL TABLE through_view USING fts5(body, content='notes', content_rowid=id)");
        await using var query = await Leader.LiveAsync(sql);
        Assert.Equal(tables, string.Join(' ', query.Tables!.Order(StringComparer.Ordinal)));
    }

    [Theory]
    [InlineData("SELECT seq FROM sqlite_sequence")]
    [InlineData("PRAGMA user_version")]
    [InlineData("SELECT name FROM pragma_table_info('todo')")]
    public async Task What_cannot_be_told_runs_after_every_commit(string sql)
    {
        await SeeAsync(Follower, (await Leader.ExecuteAsync("CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT)")).Marker);
        await using var query = await Follower.LiveAsync(sql);
        Assert.Null(query.Tables);
        var runs = query.Runs;
        await using var others = await Follower.LiveAsync<long>("SELECT count(*) FROM other");
        await Leader.ExecuteAsync("INSERT INTO other VALUES (1)");
        await ShowsAsync(others, rows => rows is [1]);
        Assert.True(query.Runs > runs);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Full_text_search_is_followed(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        var created = await there.ExecuteAsync("CREATE VIRTUAL TABLE found USING fts5(text)");
        await SeeAsync(here, created.Marker);
        await using var query = await here.LiveAsync<string>("SELECT text FROM found WHERE found MATCH $word", new { word = "milk" });
        await there.ExecuteAsync("INSERT INTO found VALUES ('milk and bread'), ('tea')");
        await ShowsAsync(query, rows => rows is ["milk and bread"]);
    }

    [Fact]
    public async Task The_same_rows_are_not_told_and_stay_the_same_objects()
    {
        await Leader.ExecuteAsync("INSERT INTO todo(id, list, text) VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 1, 'c')");
        await using var query = await Leader.LiveAsync<Todo>("SELECT id, text FROM todo WHERE list = 1 ORDER BY id");
        var told = 0;
        query.Changed += (_, _) => told++;
        var before = query.Current;
        await using var all = await Leader.LiveAsync<Todo>("SELECT id, text FROM todo ORDER BY id");
        await Leader.ExecuteAsync("UPDATE todo SET text = 'other' WHERE id = 2");
        await ShowsAsync(all, rows => rows[1].Text == "other");
        Assert.Equal((0, 2), (told, query.Runs));
        await Leader.ExecuteAsync("UPDATE todo SET text = 'd' WHERE id = 3; INSERT INTO todo(id, list, text) VALUES (0, 1, 'first')");
        var now = await ShowsAsync(query, rows => rows.Count == 3);
        Assert.Same(before[0], now[1]);
        Assert.NotSame(before[1], now[2]);
        await Leader.Live.WhenIdleAsync(); // handlers are called behind the rows
        Assert.Equal(1, told);
    }

    [Fact]
    public async Task A_key_tells_what_became_of_each_row()
    {
        var written = await Leader.ExecuteManyAsync("INSERT INTO todo(id, text, rank) VALUES (?, ?, ?)", [.. Enumerable.Range(1, 5).Select(i => (object?)new object[] { i, "t" + i, i })]);
        await SeeAsync(Follower, written.Marker);
        await using var query = await Follower.LiveAsync<Todo>("SELECT id, text FROM todo ORDER BY rank", key: todo => todo.Id);
        var told = new TaskCompletionSource<LiveDiff<Todo>>();
        query.Changed += (_, e) => told.TrySetResult(e.Diff!);
        await Leader.ExecuteAsync("DELETE FROM todo WHERE id = 2; INSERT INTO todo VALUES (9, NULL, 'new', 3.5); UPDATE todo SET rank = 0 WHERE id = 5; UPDATE todo SET text = 'x' WHERE id = 4");
        var diff = await told.Task;
        Assert.Equal([new LiveRow<Todo>(3, new(9, "new"))], diff.Added);
        Assert.Equal([new LiveRow<Todo>(1, new(2, "t2"))], diff.Removed);
        Assert.Equal([new LiveMove<Todo>(4, 0, new(5, "t5"))], diff.Moved);
        Assert.Equal([new LiveUpdate<Todo>(4, new(4, "t4"), new(4, "x"))], diff.Changed);
    }

    [Fact]
    public async Task Two_rows_of_one_key_are_an_error()
    {
        await Leader.ExecuteAsync("INSERT INTO todo(id, list) VALUES (1, 1), (2, 1)");
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => Leader.LiveAsync<Todo>("SELECT list AS id, text FROM todo", key: todo => todo.Id));
        Assert.Contains("key '1'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Parameters_can_be_changed()
    {
        await SeeAsync(Follower, (await Leader.ExecuteAsync("INSERT INTO todo(id, list, text) VALUES (1, 1, 'a'), (2, 2, 'b')")).Marker);
        await using var query = await Follower.LiveAsync<Todo>("SELECT id, text FROM todo WHERE list = $list", new { list = 1 });
        await query.SetParametersAsync(new { list = 2 });
        Assert.Equal([new Todo(2, "b")], query.Current);
        await Leader.ExecuteAsync("INSERT INTO todo(id, list, text) VALUES (3, 2, 'c')");
        await ShowsAsync(query, rows => rows.Count == 2);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_change_of_the_schema_runs_it_with_its_new_columns_and_an_error_goes_to_its_reader(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await SeeAsync(here, (await there.ExecuteAsync("INSERT INTO other VALUES (1)")).Marker);
        await using var query = await here.LiveAsync("SELECT * FROM other");
        await ShowsAsync(query, rows => rows.Count == 1);
        await there.ExecuteAsync("ALTER TABLE other ADD COLUMN w DEFAULT 7");
        await ShowsAsync(query, rows => rows is [[1L, 7L]]);
        Assert.Equal(["v", "w"], query.Columns);
        var failed = new TaskCompletionSource<Exception>();
        query.Changed += (_, e) =>
        {
            if (e.Error is not null) failed.TrySetResult(e.Error);
        };
        var reading = ShowsAsync(query, _ => false);
        await there.ExecuteAsync("DROP TABLE other");
        Assert.IsType<SqliteException>(await failed.Task);
        await Assert.ThrowsAsync<SqliteException>(() => reading);
        Assert.IsType<SqliteException>(query.Error);
        Assert.Single(query.Current); // what it showed last
        await there.ExecuteAsync("CREATE TABLE other(v, w); INSERT INTO other VALUES (2, 3)");
        await RecoversAsync(query);
        Assert.Equal([[2L, 3L]], query.Current);
    }

    [Fact]
    public async Task What_a_deferred_write_shows_here_is_shown_at_once()
    {
        await using var factory = await OpenFactoryAsync(new DataSyncOptions { Durability = Durability.Deferred });
        await using var tab = await factory.OpenAsync(DatabaseName);
        await using var query = await tab.LiveAsync<string>("SELECT text FROM todo");
        await tab.ExecuteAsync("INSERT INTO todo(text) VALUES ('soon durable')");
        await ShowsAsync(query, rows => rows.Count == 1);
        await tab.SyncAsync();
        Assert.Single(await Leader.QueryAsync<string>("SELECT text FROM todo"));
    }

    [Fact]
    public async Task A_query_must_not_write_and_a_wrong_one_fails_at_once()
    {
        await Assert.ThrowsAsync<InvalidOperationException>(() => Leader.LiveAsync<long>("INSERT INTO other VALUES (1) RETURNING v"));
        Assert.Equal(0, await ScalarAsync(Leader, "SELECT count(*) FROM other"));
        await Assert.ThrowsAsync<SqliteException>(() => Leader.LiveAsync<long>("SELECT nothing FROM nowhere"));
        await Assert.ThrowsAsync<OperationCanceledException>(() => Leader.LiveAsync<long>("SELECT 1", cancellationToken: new CancellationToken(true)));
        await Leader.WriteAsync(async _ => await Assert.ThrowsAsync<InvalidOperationException>(() => Leader.LiveAsync<long>("SELECT 1")));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task One_that_begins_while_a_large_transaction_is_open_waits_for_its_end(bool inLeader)
    {
        var (here, _) = Roles(inLeader);
        var isWriting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var end = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var writing = here.WriteAsync(async connection =>
        {
            connection.Execute("INSERT INTO todo(text) VALUES (hex(zeroblob(4000000)))"); // more than SQLite's cache holds, so that some of it is in the image
            isWriting.SetResult();
            await end.Task;
        });
        await isWriting.Task;
        var starting = here.LiveAsync<long>("SELECT count(*) FROM todo");
        end.SetResult();
        await writing;
        await using var query = await starting;
        Assert.Equal([1], await ShowsAsync(query, rows => rows is [1]));
    }

    [Fact]
    public async Task Disposed_it_ends_its_readers_and_runs_no_more()
    {
        var query = await Leader.LiveAsync<long>("SELECT count(*) FROM todo");
        var reading = ShowsAsync(query, _ => false);
        await query.DisposeAsync();
        await query.DisposeAsync();
        Assert.Equal([0], await reading);
        var runs = query.Runs;
        await using var other = await Leader.LiveAsync<long>("SELECT count(*) FROM todo");
        await Leader.ExecuteAsync("INSERT INTO todo(text) VALUES ('a')");
        await ShowsAsync(other, rows => rows is [1]);
        Assert.Equal(runs, query.Runs);
        await Assert.ThrowsAsync<ObjectDisposedException>(query.RefreshAsync);
    }

    [Fact]
    public async Task The_database_ends_it()
    {
        var query = await Follower.LiveAsync<long>("SELECT count(*) FROM todo");
        var reading = ShowsAsync(query, _ => false);
        var feed = FirstAsync(Follower.Changes("todo"));
        await Follower.DisposeAsync();
        await reading;
        Assert.Null(await feed);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Follower.LiveAsync<long>("SELECT 1"));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => FirstAsync(Follower.Changes()));
    }

    [Fact]
    public async Task A_handler_that_throws_or_writes_keeps_nothing_from_going_on()
    {
        await using var query = await Leader.LiveAsync<long>("SELECT count(*) FROM todo");
        query.Changed += (_, _) => throw new NotSupportedException("a handler of the test's");
        query.Changed += (_, e) =>
        {
            if (e.Rows is [< 3]) _ = Leader.ExecuteAsync("INSERT INTO todo(text) VALUES ('once more')");
        };
        await Follower.ExecuteAsync("INSERT INTO todo(text) VALUES ('a')");
        await ShowsAsync(query, rows => rows is [3]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_feed_tells_of_each_change_of_its_tables_in_order(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var feed = here.Changes("todo", "found").GetAsyncEnumerator();
        var other = await there.ExecuteAsync("INSERT INTO other VALUES (1)");
        var first = await there.ExecuteAsync("INSERT INTO todo(text) VALUES ('a'); INSERT INTO other VALUES (1)");
        Assert.True(await feed.MoveNextAsync());
        Assert.Equal((first.Marker, first.Marker, false, false), (feed.Current.From, feed.Current.Marker, feed.Current.IsSchemaChanged, feed.Current.IsLocal));
        Assert.Equal(["todo"], feed.Current.Tables!);
        Assert.True(other.Marker < first.Marker);

        var second = await there.ExecuteAsync("CREATE VIRTUAL TABLE found USING fts5(text)");
        var third = await there.ExecuteAsync("INSERT INTO found VALUES ('x')");
        await SeeAsync(here, third.Marker);
        Assert.True(await feed.MoveNextAsync());
        var told = feed.Current;
        if (told.Marker < third.Marker)
        {
            Assert.True(await feed.MoveNextAsync()); // the commits came one by one
            Assert.Equal((second.Marker, third.Marker), (told.From, feed.Current.Marker));
        }

        Assert.True(told.IsSchemaChanged);
        Assert.Equal(["found"], feed.Current.Tables!);
    }

    [Fact]
    public async Task A_subscription_to_tables_hears_of_those()
    {
        var heard = new List<TableChanges>();
        var last = new TaskCompletionSource();
        using (Follower.Subscribe(["todo"], changes =>
        {
            heard.Add(changes);
            if (changes.Tables!.Contains("todo") && heard.Count == 1) throw new NotSupportedException("a handler of the test's");
            last.TrySetResult();
            return Task.CompletedTask;
        }))
        {
            await Leader.ExecuteAsync("INSERT INTO other VALUES (1)");
            var first = await Leader.ExecuteAsync("INSERT INTO todo(text) VALUES ('a')");
            await SeeAsync(Follower, first.Marker);
            await using (var query = await Follower.LiveAsync<long>("SELECT count(*) FROM todo")) await ShowsAsync(query, rows => rows is [1]);
            while (!last.Task.IsCompleted) await Leader.ExecuteAsync("INSERT INTO todo(text) VALUES ('b')");
        }

        Assert.All(heard, changes => Assert.Equal(["todo"], changes.Tables!));
        Assert.True(heard.Count > 1);
        for (var i = 1; i < heard.Count; i++) Assert.True(heard[i].From > heard[i - 1].Marker);
    }

    [Fact]
    public async Task A_commit_says_which_tables_it_changed_in_every_tab()
    {
        var seen = new List<CommittedEventArgs>();
        var isOver = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var subscription = Follower.Subscribe(e =>
        {
            lock (seen) seen.Add(e);
            if (e.Tables is ["other"]) isOver.SetResult();
            return Task.CompletedTask;
        });
        var created = await Leader.ExecuteAsync("CREATE VIRTUAL TABLE found USING fts5(text)");
        var written = await Leader.ExecuteAsync("INSERT INTO found VALUES ('x'); INSERT INTO todo(text) VALUES ('a')");
        await Leader.ExecuteAsync("INSERT INTO other VALUES (1)");
        await isOver.Task;
        CommittedEventArgs first, second;
        lock (seen) (first, second) = (seen.Single(e => e.Position.Marker == created.Marker), seen.Single(e => e.Position.Marker == written.Marker));
        Assert.True(first.IsSchemaChanged);
        Assert.True(first.Touches("anything"));
        Assert.Equal(["found", "todo"], second.Tables!.Order(StringComparer.Ordinal));
        Assert.Equal((true, true, false), (second.Touches("found"), second.Touches("todo"), second.Touches("other")));
    }

    /// <summary>Waits until the query shows what is wanted, or ends; then gives what it showed last.</summary>
    private static async Task<IReadOnlyList<T>> ShowsAsync<T>(LiveQuery<T> query, Func<IReadOnlyList<T>, bool> isWanted)
    {
        IReadOnlyList<T> last = [];
        await foreach (var rows in query)
        {
            last = rows;
            if (isWanted(rows)) break;
        }

        return last;
    }

    private static async Task RecoversAsync<T>(LiveQuery<T> query)
    {
        var done = new TaskCompletionSource();
        query.Changed += (_, e) =>
        {
            if (e.Error is null) done.TrySetResult();
        };
        if (query.Error is not null) await done.Task;
    }

    private static async Task<TableChanges?> FirstAsync(IAsyncEnumerable<TableChanges> feed)
    {
        await foreach (var changes in feed) return changes;
        return null;
    }

    private static async Task<long> ScalarAsync(DataSyncDatabase database, string sql) => (await database.QueryAsync<long>(sql))[0];

    private sealed record Todo(long Id, string? Text);
}
