using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Server.Tests;

/// <summary>Deferred writes of several tabs of one device: a queue is run by its own tab while that is open, then by one of the others; what was reported is never applied.</summary>
public sealed class OutboxTabsTests : DeviceTests
{
    [Fact(Timeout = 60_000)]
    public async Task What_an_open_tab_has_written_no_other_one_runs()
    {
        await using var owner = await Device.OpenAsync();
        owner.Journal.IsCut = true;
        await AddRandomAsync(owner, 5);
        await using var newcomer = await Device.OpenAsync();
        Assert.Empty(await newcomer.TagsAsync());
        await newcomer.AddAsync("own");
        await newcomer.SyncAsync();
        Assert.Equal(["own"], await SeenElsewhereAsync(1));
        Assert.Equal(0, newcomer.Journal.Given);
        owner.Journal.IsCut = false;
        await owner.SyncAsync();
        Assert.Equal(["own", "a0", "a1", "a2", "a3", "a4"], (await SeenElsewhereAsync(6)).Select(tag => tag.Split(' ')[0]));
        await EmptiedAsync();
    }

    /// <summary>Opened before the one that ends, and after it.</summary>
    [Theory(Timeout = 60_000)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_a_tab_leaves_one_of_the_others_runs_without_a_reload(bool isClosed)
    {
        await using var before = await Device.OpenAsync();
        await using var owner = await Device.OpenAsync();
        await using var after = await Device.OpenAsync();
        await before.AddAsync("before");
        await before.SyncAsync();
        owner.Journal.IsCut = true;
        await AddRandomAsync(owner, 20);
        if (isClosed) await owner.DisposeAsync();
        else owner.Journal.Crash();
        var tags = await SeenElsewhereAsync(21);
        Assert.Equal(["before", .. Enumerable.Range(0, 20).Select(i => $"a{i}")], tags.Select(tag => tag.Split(' ')[0]));
        await EmptiedAsync();
        Assert.Equal(20, before.Journal.Given + after.Journal.Given);
        Assert.Empty(before.Failed.Concat(after.Failed));
    }

    /// <summary>In the order in which they were written: the heir's own queue is older than the one that it took over and built on.</summary>
    [Fact(Timeout = 60_000)]
    public async Task Whoever_runs_it_ends_as_well_and_the_next_one_runs_all_in_its_order()
    {
        await using var heir = await Device.OpenAsync();
        await using var owner = await Device.OpenAsync();
        await using var last = await Device.OpenAsync();
        (heir.Journal.IsCut, owner.Journal.IsCut) = (true, true);
        await owner.AddAsync("a");
        owner.Journal.Crash();
        await SeeAsync(heir, ["a"]);
        await heir.Database.ExecuteAsync("UPDATE entry SET tag = tag || 'b'"); // built on what it took over
        await heir.AddAsync("c");
        Assert.Empty(await last.TagsAsync());
        heir.Journal.Crash();
        await EmptiedAsync();
        Assert.Equal(["ab", "c"], await SeenElsewhereAsync(2));
        Assert.Empty(last.Failed);
    }

    [Fact(Timeout = 60_000)]
    public async Task A_tab_that_opens_while_another_one_is_there_runs_nothing_of_what_that_has_taken_over()
    {
        Device.IsCut = true;
        await using (var first = await Device.OpenAsync()) await AddRandomAsync(first, 5);
        await using var heir = await Device.OpenAsync();
        Assert.Equal(5, (await heir.TagsAsync()).Count);
        await using var newcomer = await Device.OpenAsync();
        Assert.Empty(await newcomer.TagsAsync());
        Device.IsCut = false;
        await heir.SyncAsync();
        Assert.Equal(5, (await SeenElsewhereAsync(5)).Count);
        Assert.Equal((5, 0), (heir.Journal.Given, newcomer.Journal.Given));
        await EmptiedAsync();
    }

    /// <summary>Its tab ends between the report and the removal from the journal. The model notices where nothing is noted before.</summary>
    [Theory(Timeout = 60_000)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, false)]
    public async Task What_was_reported_is_never_applied(bool isNoted, bool isTakenOver)
    {
        Device.Journal.MarksNothing = !isNoted;
        await using var owner = await Device.OpenAsync();
        await using var witness = isTakenOver ? await Device.OpenAsync() : null;
        owner.Journal.IsCut = true;
        await owner.AddAsync("a1");
        await AddElsewhereAsync("a1");
        var reported = new TaskCompletionSource<FailedWrite>();
        owner.Database.AutoSync.SyncFailed += (_, e) =>
        {
            owner.Journal.Crash();
            reported.TrySetResult(e.Writes.Single());
        };
        owner.Journal.IsCut = false;
        AssertIs("a1", await reported.Task);
        await Other.ExecuteAsync("DELETE FROM entry"); // now it could succeed
        await using var next = witness ?? await Device.OpenAsync();
        if (isNoted) AssertIs("a1", Assert.Single(await next.FailedAsync(1)));
        await EmptiedAsync();
        await next.AddAsync("last");
        await next.SyncAsync();
        Assert.Equal(isNoted ? ["last"] : ["a1", "last"], await SeenElsewhereAsync(isNoted ? 1 : 2));
    }

    /// <summary>The tab ends when it is noted and before anybody is told, at which the next one's user is.</summary>
    [Theory(Timeout = 60_000)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_failed_is_told_whenever_its_tab_ends(bool isOfEarlierSession)
    {
        var owner = await Device.OpenAsync();
        Device.IsCut = true;
        await owner.AddAsync("a1");
        await AddElsewhereAsync("a1");
        if (isOfEarlierSession)
        {
            await owner.DisposeAsync();
            owner = await Device.OpenAsync();
        }

        var marked = new TaskCompletionSource();
        Device.Journal.Marked = () =>
        {
            owner.Journal.Crash();
            marked.TrySetResult();
        };
        Device.IsCut = false;
        await marked.Task;
        Device.Journal.Marked = null;
        Assert.Empty(owner.Failed);
        await Other.ExecuteAsync("DELETE FROM entry");
        await using var next = await Device.OpenAsync();
        var failed = Assert.Single(await next.FailedAsync(1));
        AssertIs("a1", failed);
        Assert.Equal(19, Assert.IsType<SqliteException>(failed.Error).SqliteErrorCode);
        await EmptiedAsync();
        await next.AddAsync("last");
        await next.SyncAsync();
        Assert.Equal(["last"], await SeenElsewhereAsync(1));
    }

    /// <summary>A database that has stopped is still read by its page; what it has kept is for the next one, that of the same page too.</summary>
    [Fact(Timeout = 60_000)]
    public async Task A_database_that_stops_lets_go_of_its_queue()
    {
        var access = DatabaseAccess.Write;
        await using var server = await TestServer.StartAsync(o =>
        {
            o.Authorize = (_, _) => new(access);
            o.ReauthorizeEvery = TimeSpan.FromSeconds(1);
        });
        await using var device = new Device(server);
        await using var owner = await device.OpenAsync();
        await owner.Database.ExecuteAsync("CREATE TABLE entry (id INTEGER PRIMARY KEY, tag TEXT UNIQUE)");
        await owner.SyncAsync();
        owner.Journal.IsCut = true;
        await owner.AddAsync("a1");
        var stopped = new TaskCompletionSource();
        owner.Database.Faulted += (_, _) => stopped.TrySetResult();
        access = DatabaseAccess.None;
        await stopped.Task.WaitAsync(TestServer.Patience);
        access = DatabaseAccess.Write;
        await using var next = await device.OpenAsync();
        await SeeAsync(next, ["a1"]);
        await next.SyncAsync();
        Assert.Equal(1, next.Journal.Given);
        await EmptiedAsync(device);
        Assert.Single(await owner.Database.QueryAsync<string>("SELECT name FROM sqlite_schema WHERE name = 'entry'"));
    }

    /// <summary>Random cuts, tabs that open, close and crash, and conflicts that come and go, beside a model: each write is there once, in its tab's order, or was reported, and never both.</summary>
    [Theory(Timeout = 120_000)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Whatever_happens_each_write_is_there_once_or_reported(int seed)
    {
        var random = new Random(seed);
        var acknowledged = new List<string>();
        var (open, all) = (new List<DeviceTab>(), new List<DeviceTab>());
        for (var step = 0; step < 40; step++)
        {
            if (open.Count == 0 || (open.Count < 3 && random.Next(8) == 0)) await OpenAsync();
            var tab = open[random.Next(open.Count)];
            switch (random.Next(14))
            {
                case 0:
                    Device.IsCut = !Device.IsCut;
                    break;
                case 1:
                    open.Remove(tab);
                    await tab.DisposeAsync();
                    break;
                case 2:
                    open.Remove(tab);
                    tab.Journal.Crash();
                    break;
                case 3:
                    tab.Journal.IsCut = !tab.Journal.IsCut;
                    break;
                case 4:
                    Device.Journal.KeepsAll = !Device.Journal.KeepsAll;
                    break;
                case 5 when acknowledged.Count > 0:
                    // Another device takes a name that this one may have used already.
                    await Other.ExecuteAsync("INSERT OR IGNORE INTO entry (tag, origin) VALUES (?, 'other')", new object[] { acknowledged[random.Next(acknowledged.Count)] });
                    break;
                case 6:
                    await Other.ExecuteAsync("DELETE FROM entry WHERE origin = 'other'");
                    break;
                default:
                    var tag = $"{all.IndexOf(tab):00} {acknowledged.Count:000}";
                    await tab.AddAsync(tag);
                    acknowledged.Add(tag);
                    break;
            }
        }

        (Device.IsCut, Device.Journal.KeepsAll) = (false, false);
        foreach (var tab in open) tab.Journal.IsCut = false;
        foreach (var tab in open) await tab.DisposeAsync();
        for (var i = 0; i < 2; i++)
        {
            await OpenAsync();
            await all[^1].SyncAsync();
            await all[^1].DisposeAsync();
        }

        await EmptiedAsync();
        for (var waited = 0; Lost().Count + (await AppliedAsync()).Count < acknowledged.Count && waited < 100; waited++) await Task.Delay(20); // events come a little later
        var applied = await AppliedAsync();
        Assert.Empty(applied.Intersect(Lost()));
        Assert.Equal(acknowledged.Order(), applied.Concat(Lost()).Order());
        foreach (var ofTab in applied.GroupBy(tag => tag[..2])) Assert.Equal(ofTab.Order(), ofTab); // in their order

        async Task OpenAsync()
        {
            var tab = await Device.OpenAsync();
            open.Add(tab);
            all.Add(tab);
        }

        async Task<IReadOnlyList<string>> AppliedAsync() => await Other.QueryAsync<string>("SELECT tag FROM entry WHERE origin IS NULL ORDER BY id");
        List<string> Lost() => [.. all.SelectMany(one => one.Failed).Select(TagOf).Distinct()];
    }

    private static string TagOf(FailedWrite write) => (string)((object?[])write.Statements.Single().Parameters!)[0]!;

    private static void AssertIs(string tag, FailedWrite write) => Assert.Equal(tag, TagOf(write));

    // Run twice they would not fail.
    private static async Task AddRandomAsync(DeviceTab tab, int count)
    {
        for (var i = 0; i < count; i++) await tab.Database.ExecuteAsync("INSERT INTO entry (tag) VALUES (? || ' ' || hex(randomblob(8)))", new object[] { $"a{i}" });
    }

    private static async Task SeeAsync(DeviceTab tab, string[] tags)
    {
        for (var waited = 0; (await tab.TagsAsync()).Count < tags.Length && waited < 500; waited++) await Task.Delay(20);
        Assert.Equal(tags, await tab.TagsAsync());
    }
}
