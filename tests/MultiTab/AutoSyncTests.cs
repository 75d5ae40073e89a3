using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Deferred durability: when a page makes durable what it has acknowledged.</summary>
[Collection(BrowserCollection.Name)]
public sealed class AutoSyncTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>So long that no timer of a test's life makes anything durable.</summary>
    private const string Held = "sync=deferred&hold=300";

    private const string InsertFive = "(async () => { for (let i = 1; i <= 5; i++) await datasync.execute('INSERT INTO t VALUES (?)', [i]); return datasync.status(); })()";

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Writes_return_before_they_are_durable_and_an_idle_moment_makes_them_so()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var (writer, reader) = await OpenAsync(tabs, "sync=deferred&interval=300"); // a busy machine may have no idle moment within the usual interval
        var before = (await writer.StatusAsync()).Marker;
        var status = await writer.CallAsync<DeferredStatus>(InsertFive);
        Assert.Equal((before, 5), (status.Marker, status.DirtyCommits));
        await reader.WaitUntilAsync("datasync.query('SELECT count(*) AS n FROM t').then(rows => rows[0].n === 5)");
        status = await writer.CallAsync<DeferredStatus>("datasync.status()");
        Assert.Equal((before + 5, 0, "Idle"), (status.Marker, status.DirtyCommits, status.LastSync));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_page_that_is_hidden_makes_durable_what_it_holds_and_then_holds_nothing()
    {
        await using var chromium = await browser.StartRawAsync(output);
        var tab = await chromium.OpenAsync(Held);
        await tab.EvaluateAsync("datasync.execute('CREATE TABLE t(v)').then(() => datasync.sync())");
        Assert.Equal(5, (int?)await tab.EvaluateAsync($"{InsertFive}.then(status => status.dirtyCommits)"));
        Assert.False((bool?)await tab.EvaluateAsync("document.hidden"));
        var other = await chromium.OpenAsync(Held);
        await other.ActivateAsync();
        Assert.Equal(5, (int?)await other.EvaluateAsync(WaitForRows(5)));
        Assert.True((bool?)await tab.EvaluateAsync("document.hidden"));
        Assert.Equal("Hidden", (string?)await tab.EvaluateAsync("datasync.status().lastSync"));
        await tab.EvaluateAsync("datasync.execute('INSERT INTO t VALUES (6)')");
        Assert.Equal(6, (int?)await other.EvaluateAsync(WaitForRows(6)));
    }

    [Theory(Timeout = Limits.Test_ms)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_page_holds_when_it_is_left_is_made_durable(bool isLeader)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var (writer, reader) = await OpenAsync(tabs, Held, isLeader);
        Assert.Equal(5, (await writer.CallAsync<DeferredStatus>(InsertFive)).DirtyCommits);
        await writer.GotoAsync("about:blank");
        await reader.WaitUntilAsync("datasync.query('SELECT count(*) AS n FROM t').then(rows => rows[0].n === 5)");
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task The_only_tab_leaves_and_the_next_one_finds_what_it_held()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenDatabaseAsync(Held);
        await page.CallAsync<object>("datasync.execute('CREATE TABLE t(v)').then(() => datasync.sync())");
        Assert.Equal(5, (await page.CallAsync<DeferredStatus>(InsertFive)).DirtyCommits);
        await page.GotoAsync("about:blank");
        var next = await tabs.OpenDatabaseAsync();
        Assert.Equal(5, await next.ScalarAsync<int>("SELECT count(*) FROM t"));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_killed_page_loses_what_it_held_and_nothing_that_was_synced()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var (writer, reader) = await OpenAsync(tabs, Held);
        await writer.ExecuteAsync("INSERT INTO t VALUES (1)");
        await writer.CallAsync<object>("datasync.sync()");
        await writer.ExecuteAsync("INSERT INTO t VALUES (2)");
        (await RendererProcess.OfEachAsync([writer, reader]))[0].Kill();
        await reader.WaitForStatusAsync("s.members.length === 1 && s.role === 'leader'");
        Assert.Equal([1], (await reader.QueryAsync<Row>("SELECT v FROM t")).Select(row => row.V));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_threshold_makes_durable_what_is_held_at_once()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var (writer, reader) = await OpenAsync(tabs, Held);
        for (var i = 0; i < 8; i++) await writer.ExecuteAsync("INSERT INTO t VALUES (randomblob(300000))");
        await reader.WaitUntilAsync("datasync.query('SELECT count(*) AS n FROM t').then(rows => rows[0].n >= 7)");
        Assert.Equal("DirtyBytes", (await writer.CallAsync<DeferredStatus>("datasync.status()")).LastSync);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Two_tabs_hold_writes_and_both_tabs_writes_are_kept_in_their_order()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var (first, second) = await OpenAsync(tabs, Held);
        foreach (var (page, name) in new[] { (first, "a"), (second, "b") })
            await page.CallAsync<object>("(async () => { for (let i = 1; i <= 20; i++) await datasync.execute('INSERT INTO t VALUES (?)', [arg + i]); })()", name);
        await Task.WhenAll(first.CallAsync<object>("datasync.sync()"), second.CallAsync<object>("datasync.sync()"));
        await first.WaitUntilAsync("datasync.query('SELECT count(*) AS n FROM t').then(rows => rows[0].n === 40)");
        var rows = (await first.QueryAsync<TextRow>("SELECT v FROM t ORDER BY rowid")).Select(row => row.V).ToArray();
        foreach (var name in new[] { "a", "b" }) Assert.Equal(Enumerable.Range(1, 20).Select(i => $"{name}{i}"), rows.Where(v => v.StartsWith(name, StringComparison.Ordinal)));
    }

    [Theory(Timeout = Limits.Test_ms)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_database_that_is_closed_in_the_middle_of_writing_keeps_what_it_acknowledged(bool isLeader)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var (writer, reader) = await OpenAsync(tabs, Held, isLeader);
        var acknowledged = await writer.CallAsync<int[]>("""
            (async () => {
              const ended = [], calls = [];
              for (let i = 1; i <= 40; i++) {
                calls.push(datasync.execute('INSERT INTO t VALUES (?)', [i]).then(() => ended.push(i), () => { }));
                if (i % 10 === 0) await calls[i - 1];
                if (i === 25) calls.push(datasync.close());
              }
              await Promise.all(calls);
              return ended;
            })()
            """);
        Assert.True(acknowledged.Length >= 20, $"{acknowledged.Length} were acknowledged");
        await reader.WaitForStatusAsync("s.members.length === 1 && s.role === 'leader'");
        var kept = (await reader.QueryAsync<Row>("SELECT v FROM t ORDER BY rowid")).Select(row => row.V).ToArray();
        Assert.Equal(Enumerable.Range(1, kept.Length), kept);
        Assert.Empty(acknowledged.Except(kept));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_leader_that_is_killed_takes_nothing_with_it_that_another_tab_holds()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var (writer, leader) = await OpenAsync(tabs, Held, isWriterLeader: false);
        Assert.Equal(5, (await writer.CallAsync<DeferredStatus>(InsertFive)).DirtyCommits);
        (await RendererProcess.OfEachAsync([writer, leader]))[1].Kill();
        await writer.CallAsync<object>("datasync.sync()");
        Assert.Equal(0, (await writer.CallAsync<DeferredStatus>("datasync.status()")).DirtyCommits);
        var next = await tabs.OpenDatabaseAsync();
        Assert.Equal(Enumerable.Range(1, 5), (await next.QueryAsync<Row>("SELECT v FROM t ORDER BY rowid")).Select(row => row.V));
    }

    // Asks in the page itself, since the test's own waiting is not seen by a hidden tab's timers.
    private static string WaitForRows(int count) => $$"""
        (async () => {
          await datasync.ready;
          for (let i = 0; i < 400; i++) {
            const [row] = await datasync.query("SELECT count(*) AS n FROM t").catch(() => [{ n: -1 }]);
            if (row.n === {{count}}) return row.n;
            await new Promise(done => setTimeout(done, 20));
          }
        })()
        """;

    /// <summary>Opens two tabs over a table; the first one returned writes deferred.</summary>
    private static async Task<(IPage Writer, IPage Reader)> OpenAsync(TabGroup tabs, string query, bool isWriterLeader = true)
    {
        var first = await tabs.OpenDatabaseAsync(query);
        await first.CallAsync<object>("datasync.execute('CREATE TABLE t(v)').then(() => datasync.sync())");
        var second = await tabs.OpenDatabaseAsync(query);
        var leader = await DataSyncPage.AgreeAsync(first, second);
        return (leader == first) == isWriterLeader ? (first, second) : (second, first);
    }

    private sealed record DeferredStatus(long Marker, int DirtyCommits, string? LastSync);

    private sealed record Row(int V);

    private sealed record TextRow(string V);
}
