using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Histories;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Several tabs write and read at the same time, and nothing goes wrong.</summary>
[Collection(BrowserCollection.Name)]
public sealed class WritingTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Fact(Timeout = Limits.Test_ms)]
    public async Task Rows_that_four_tabs_write_at_once_are_all_kept_once()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var pages = await tabs.OpenManyAsync(4);
        await DataSyncPage.AgreeAsync(pages);
        var history = await History.BeginAsync(tabs, pages[0], output);
        await Task.WhenAll(pages.Select(page => page.CallAsync<bool>("globalThis.seen = [], datasync.onCommit(commit => seen.push(commit.marker)), true")));
        var before = (await pages[0].StatusAsync()).Marker;

        await history.StartAsync(pages, count: 100, pause_ms: 0);
        await history.FinishAsync(TimeSpan.FromMilliseconds(Limits.Test_ms));

        Assert.Equal(400, history.AcknowledgedCount);
        await history.CheckAsync(pages);
        foreach (var page in pages)
        {
            Assert.Equal(400, await page.ScalarAsync<int>("SELECT count(*) FROM history"));
            Assert.Equal(before + 400, (await page.StatusAsync()).Marker);
            var seen = await page.CallAsync<long[]>("seen");
            Assert.Equal(Enumerable.Range(0, seen.Length).Select(i => seen[0] + i), seen);
            Assert.Equal(before + 400, seen[^1]);
        }

        foreach (var page in pages)
        {
            await page.CloseAsync();
        }

        var last = await tabs.OpenAsync();
        Assert.Equal(400, await last.ScalarAsync<int>("SELECT count(*) FROM history"));
        await history.CheckAsync([last]);
    }

    [Theory(Timeout = Limits.Test_ms)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Transactions_of_two_tabs_run_one_after_the_other(bool isAsync)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var watcher = await tabs.OpenAsync();
        await MakeChainAsync(watcher);
        var labs = new[] { await tabs.OpenPathAsync("/lab/"), await tabs.OpenPathAsync("/lab/") };

        await Task.WhenAll(labs.Select((lab, i) => lab.CallAsync<object?>("lab.appendToChain('app.db', arg.writer, 50, arg.isAsync)", new { writer = $"t{i}", isAsync }, TimeSpan.FromMilliseconds(Limits.Test_ms))));

        await watcher.WaitUntilAsync("datasync.query('SELECT n FROM chain_length').then(rows => rows[0].n >= 100)");
        var chain = await watcher.QueryAsync<Link>("SELECT n, writer FROM chain ORDER BY n, rowid");
        Assert.Equal(Enumerable.Range(1, 100), chain.Select(link => link.N));
        Assert.All(labs.Select((_, i) => $"t{i}"), writer => Assert.Equal(50, chain.Count(link => link.Writer == writer)));
        Assert.Equal(100, await watcher.ScalarAsync<int>("SELECT n FROM chain_length"));
        output.WriteLine($"The writer changed {chain.Zip(chain.Skip(1)).Count(pair => pair.First.Writer != pair.Second.Writer)} times.");
    }

    [Theory(Timeout = Limits.Test_ms)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_transaction_whose_delegate_throws_changes_nothing_anywhere(bool isAsync)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var leader = await tabs.OpenAsync();
        await MakeChainAsync(leader);
        var lab = await tabs.OpenPathAsync("/lab/");
        await lab.CallAsync<object?>("lab.appendToChain('app.db', 'first', 1, arg)", isAsync);
        var before = (await leader.StatusAsync()).Marker;

        Assert.Equal("on purpose", await lab.CallAsync<string>("lab.failInChain('app.db', arg)", isAsync));
        Assert.Equal(before, (await leader.StatusAsync()).Marker);
        await lab.CallAsync<object?>("lab.appendToChain('app.db', 'second', 1, arg)", isAsync);

        Assert.Equal(before + 1, (await leader.StatusAsync()).Marker);
        Assert.Equal(["first", "second"], (await leader.QueryAsync<Link>("SELECT n, writer FROM chain ORDER BY n")).Select(link => link.Writer));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_list_of_statements_is_all_or_nothing()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var leader = await tabs.OpenAsync();
        await DataSyncPage.AgreeAsync(leader);
        var follower = await tabs.OpenAsync();
        await DataSyncPage.AgreeAsync(leader, follower);
        await leader.ExecuteAsync("CREATE TABLE item(x INTEGER NOT NULL)");
        await follower.CallAsync<object?>("datasync.transaction([{ sql: 'INSERT INTO item VALUES (1)' }, { sql: 'INSERT INTO item SELECT x + $y FROM item', params: { y: 1 } }])");
        foreach (var page in new[] { leader, follower })
        {
            var error = await page.CallAsync<string>("datasync.transaction([{ sql: 'INSERT INTO item VALUES (3)' }, { sql: 'INSERT INTO item VALUES (NULL)' }]).then(() => 'none', error => error.name)");
            Assert.Equal("SqliteException", error);
        }

        Assert.All(await Task.WhenAll(new[] { leader, follower }.Select(page => page.ScalarAsync<string>("SELECT group_concat(x) FROM item"))), items => Assert.Equal("1,2", items));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_follower_hears_of_another_tabs_write_and_reads_it_without_a_message()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        await tabs.Context.AddInitScriptAsync("""
            globalThis.posted = 0;
            const post = BroadcastChannel.prototype.postMessage;
            BroadcastChannel.prototype.postMessage = function (message) { globalThis.posted++; return post.call(this, message); };
            """);
        var leader = await tabs.OpenAsync();
        await DataSyncPage.AgreeAsync(leader);
        var follower = await tabs.OpenAsync();
        var other = await tabs.OpenAsync();
        await DataSyncPage.AgreeAsync(leader, follower, other);
        await leader.ExecuteAsync("CREATE TABLE item(x)");
        await follower.WaitForMarkerAsync((await leader.StatusAsync()).Marker);
        await follower.CallAsync<bool>("""
            globalThis.heard = new Promise(resolve => datasync.onCommit(async commit => resolve({ ...commit, rows: await datasync.query('SELECT x FROM item') }))), true
            """);

        await other.ExecuteAsync("INSERT INTO item VALUES (7)");

        var heard = await follower.CallAsync<Heard>("heard");
        Assert.Equal(((await other.StatusAsync()).Id, false, 7), (heard.Writer, heard.IsLocal, Assert.Single(heard.Rows).X));
        Assert.Equal(heard.Marker, (await leader.StatusAsync()).Marker);
        var posted = await follower.CallAsync<int>("""
            (async () => {
              const before = posted;
              for (let i = 0; i < 200; i++) await datasync.query('SELECT count(*) FROM item WHERE x >= $i', { i });
              return posted - before;
            })()
            """);
        Assert.Equal(0, posted);
        Assert.True(await other.CallAsync<int>("posted") > 0);
    }

    private static async Task MakeChainAsync(IPage page)
    {
        await page.ExecuteAsync("CREATE TABLE chain(n INTEGER NOT NULL, writer TEXT NOT NULL)");
        await page.ExecuteAsync("CREATE TABLE chain_length(n INTEGER NOT NULL)");
        await page.ExecuteAsync("INSERT INTO chain_length VALUES (0)");
    }

    private sealed record Link(int N, string Writer);

    private sealed record Item(int X);

    private sealed record Heard(long Marker, string Writer, bool IsLocal, Item[] Rows);
}
