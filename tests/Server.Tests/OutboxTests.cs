using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Server.Tests;

/// <summary>Deferred writes of a client that outlive a cut and a reload: each is run once, in their order, on the present state; what fails is reported with its statement.</summary>
public sealed class OutboxTests : DeviceTests
{
    [Fact(Timeout = 60_000)]
    public async Task Writes_without_a_network_are_there_once_and_in_their_order_after_two_reloads()
    {
        Device.IsCut = true;
        await using (var first = await Device.OpenAsync())
        {
            for (var i = 1; i <= 100; i++) await first.AddAsync($"a{i}");
            Assert.Equal(100, (await first.TagsAsync()).Count);
            Assert.Equal(100, Device.Journal.Count);
        }

        await AddElsewhereAsync("x1");
        await using (var second = await Device.OpenAsync())
        {
            Assert.Equal(["x1", .. Tags("a", 100)], await second.TagsAsync()); // at once, though nobody else knows of them
            await second.AddAsync("b1");
            await second.AddAsync("b2");
        }

        await AddElsewhereAsync("x2", "a17");
        Assert.Equal(102, Device.Journal.Count);
        Device.IsCut = false;
        await using var third = await Device.OpenAsync();
        await third.SyncAsync();
        Assert.Equal(["x1", "x2", "a17", .. Tags("a", 100).Where(tag => tag != "a17"), "b1", "b2"], await third.TagsAsync());
        Assert.Equal(await third.TagsAsync(), await SeenElsewhereAsync(104));
        AssertFailed(Assert.Single(await third.FailedAsync(1)), "a17");
        await EmptiedAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task While_the_page_lives_what_another_one_wrote_comes_first_and_conflicts_are_reported_with_their_statement()
    {
        await using var tab = await Device.OpenAsync();
        Device.IsCut = true;
        for (var i = 1; i <= 10; i++) await tab.AddAsync($"a{i}");
        await tab.Database.WriteAsync(connection => connection.ExecuteText("INSERT INTO entry (tag) VALUES ('work')")); // no text: kept in memory only
        Assert.Equal(10, Device.Journal.Count);
        await AddElsewhereAsync("a3", "a5");
        Device.IsCut = false;
        await tab.SyncAsync();
        Assert.Equal(["a3", "a5", .. Tags("a", 10).Where(tag => tag is not ("a3" or "a5")), "work"], await tab.TagsAsync());
        Assert.Equal(["a3", "a5"], (await tab.FailedAsync(2)).Select(write => (string)((object[])write.Statements.Single().Parameters!)[0]));
        await EmptiedAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task What_became_durable_and_was_not_taken_out_of_the_journal_is_not_run_again()
    {
        Device.Journal.KeepsAll = true;
        await using (var first = await Device.OpenAsync())
        {
            for (var i = 1; i <= 5; i++) await first.Database.ExecuteAsync("INSERT INTO entry (tag) VALUES (hex(randomblob(8)))"); // run twice it would not fail
            await first.SyncAsync();
        }

        Assert.Equal(5, Device.Journal.Count);
        for (var round = 0; round < 300; round++) if (round % 100 == 0) await AddElsewhereAsync($"x{round}");
        Device.Journal.KeepsAll = false;
        await using var second = await Device.OpenAsync();
        await second.SyncAsync();
        Assert.Equal(8, (await second.TagsAsync()).Count);
        Assert.Empty(second.Failed);
        await EmptiedAsync();
    }

    [Theory(Timeout = 60_000)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Without_locks_tabs_run_the_same_queue_and_run_it_once(bool isOwnerAlive)
    {
        await Device.DisposeAsync();
        Device = new(Server, hasLocks: false) { IsCut = true };
        var owner = await Device.OpenAsync();
        for (var i = 1; i <= 20; i++) await owner.Database.ExecuteAsync("INSERT INTO entry (tag) VALUES (? || hex(randomblob(8)))", new object[] { $"a{i:00}" });
        if (!isOwnerAlive) await owner.DisposeAsync();
        var tabs = await Task.WhenAll(Device.OpenAsync(), Device.OpenAsync());
        if (isOwnerAlive) tabs = [.. tabs, owner];
        foreach (var tab in tabs) await tab.AddAsync($"own {tab.Database.Coordinator.Id}");
        Assert.All(tabs, tab => Assert.True(tab.Database.IsCut));
        Device.IsCut = false;
        await Task.WhenAll(tabs.Select(tab => tab.SyncAsync()));
        var tags = await SeenElsewhereAsync(20 + tabs.Length);
        Assert.Equal(Enumerable.Range(1, 20).Select(i => $"a{i:00}"), tags.Where(tag => tag[0] == 'a').Select(tag => tag[..3]));
        Assert.All(tabs, tab => Assert.Empty(tab.Failed));
        await EmptiedAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task A_write_that_the_journal_does_not_take_fails_and_leaves_nothing()
    {
        await using var tab = await Device.OpenAsync();
        await tab.AddAsync("a1");
        Device.Journal.AppendError = new StorageQuotaException();
        await Assert.ThrowsAsync<StorageQuotaException>(() => tab.AddAsync("a2"));
        Assert.Equal(["a1"], await tab.TagsAsync());
        Device.Journal.AppendError = null;
        await tab.AddAsync("a3");
        await tab.SyncAsync();
        Assert.Equal(["a1", "a3"], await SeenElsewhereAsync(2));
        Assert.Empty(tab.Failed);
        await EmptiedAsync();
    }

    [Fact(Timeout = 60_000)]
    public async Task What_is_noted_beside_the_rows_is_seen_by_nobody()
    {
        await using var tab = await Device.OpenAsync();
        await tab.AddAsync("a1");
        await tab.SyncAsync();
        await using var feed = tab.Database.Changes().GetAsyncEnumerator();
        var next = feed.MoveNextAsync();
        var result = await tab.Database.ExecuteAsync([new("INSERT INTO entry (id, tag) VALUES (7, 'a2')"), new("UPDATE entry SET tag = tag || '!'")]);
        Assert.Equal((3, 7), (result.Changes, result.LastInsertRowId));
        await tab.SyncAsync();
        Assert.True(await next);
        Assert.Equal(["entry"], feed.Current.Tables);
        Assert.False(feed.Current.IsSchemaChanged);

        // What changes nothing is not kept; what is not about rows goes its own way.
        var before = tab.Database.Marker;
        Device.IsCut = true;
        await tab.Database.ExecuteAsync("UPDATE entry SET tag = 'none' WHERE id = 99");
        await tab.Database.ExecuteAsync("CREATE TABLE IF NOT EXISTS entry (id)");
        await tab.Database.ExecuteAsync("PRAGMA foreign_keys = ON");
        Assert.Equal((0, 0), (Device.Journal.Count, tab.Database.AutoSync.DirtyCommits));
        await tab.Database.ExecuteAsync("CREATE TABLE second (id)");
        await tab.Database.ExecuteAsync("VACUUM");
        Assert.Equal(1, Device.Journal.Count);
        Device.IsCut = false;
        await tab.SyncAsync();
        Assert.True(tab.Database.Marker > before);
        var error = await Assert.ThrowsAsync<SqliteException>(() => tab.AddAsync("a1!"));
        Assert.Equal(19, error.SqliteErrorCode);
        await EmptiedAsync();
    }

    /// <summary>A copy that is older than what was written on it: the statement is no failure yet.</summary>
    [Fact(Timeout = 60_000)]
    public async Task What_fails_on_an_old_copy_waits_for_the_present_state()
    {
        Device.IsCut = true;
        await using (var first = await Device.OpenAsync())
        {
            await first.AddAsync("a1");
            await first.Database.ExecuteAsync("INSERT INTO entry (tag) SELECT 'of ' || tag FROM entry WHERE tag = 'a1'");
        }

        await Other.ExecuteAsync("ALTER TABLE entry RENAME TO hidden"); // as if it were not there yet
        await using var second = await Device.OpenAsync();
        Assert.Empty(second.Failed);
        await Other.ExecuteAsync("ALTER TABLE hidden RENAME TO entry");
        Device.IsCut = false;
        Assert.Equal(["a1", "of a1"], await SeenElsewhereAsync(2));
        await second.SyncAsync();
        Assert.Empty(second.Failed);
        await EmptiedAsync();
    }

    private static IEnumerable<string> Tags(string prefix, int count) => Enumerable.Range(1, count).Select(i => $"{prefix}{i}");

    private static void AssertFailed(FailedWrite write, string tag)
    {
        var statement = Assert.Single(write.Statements);
        Assert.Equal(("INSERT INTO entry (tag) VALUES (?)", false), (statement.Sql, statement.IsMany));
        Assert.Equal([tag], Assert.IsType<object?[]>(statement.Parameters));
        Assert.Equal(19, Assert.IsType<SqliteException>(write.Error).SqliteErrorCode);
    }
}
