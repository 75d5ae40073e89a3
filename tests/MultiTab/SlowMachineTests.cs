using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Pages for which each step takes many times as long as it should: slow is not blocked, and not dead.</summary>
[Collection(BrowserCollection.Name)]
public sealed class SlowMachineTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>Few, so that the suite stays short; DATASYNC_SLOW_TABS=10 and DATASYNC_SLOW_RATE=20 are what once kept a leader from being found.</summary>
    private static readonly int Tabs = Parameter("DATASYNC_SLOW_TABS", 3), Rate = Parameter("DATASYNC_SLOW_RATE", 8);
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(12);

    [Fact(Timeout = Limits.LongTest_ms)]
    public async Task Tabs_many_times_slower_open_elect_a_leader_and_another_when_it_goes()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var pages = await Task.WhenAll(Enumerable.Range(0, Tabs).Select(_ => OpenSlowAsync(tabs)));
        await Task.WhenAll(pages.Select(page => page.CallAsync<object?>("datasync.ready.then(() => null)", limit: Patience)));
        var first = await LeaderOfAsync(pages);
        await pages[1].CallAsync<object?>("datasync.execute('CREATE TABLE t(v)')", limit: Patience);

        var leader = pages[Array.FindIndex(first, status => status.IsLeader)];
        await leader.CloseAsync();
        var rest = pages.Where(page => page != leader).ToArray();
        var second = await LeaderOfAsync(rest);
        foreach (var page in rest) await page.CallAsync<object?>("datasync.execute('INSERT INTO t VALUES (1)')", limit: Patience);
        var last = await LeaderOfAsync(rest);
        output.WriteLine($"epochs {first[0].Epoch}, {second[0].Epoch}, {last[0].Epoch}");

        // Each failed take-over doubles the lease time, so there are few of them.
        Assert.InRange(last[0].Epoch, second[0].Epoch, 12);
        foreach (var page in rest)
            Assert.Equal(rest.Length, await page.CallAsync<int>("datasync.query('SELECT count(*) AS n FROM t').then(rows => rows[0].n)", limit: Patience));
    }

    private static int Parameter(string name, int otherwise) => int.TryParse(Environment.GetEnvironmentVariable(name), out var value) ? value : otherwise;

    /// <summary>Waits until one of the tabs leads and all know it.</summary>
    private static async Task<TabStatus[]> LeaderOfAsync(IPage[] pages)
    {
        await Task.WhenAll(pages.Select(page => page.WaitForStatusAsync("s.leaderId !== null", limit_ms: (int)Patience.TotalMilliseconds)));
        using var limit = new CancellationTokenSource(Patience);
        while (true)
        {
            limit.Token.ThrowIfCancellationRequested();
            var all = await Task.WhenAll(pages.Select(page => page.CallAsync<TabStatus>("datasync.status()", limit: Patience)));
            var leaders = all.Where(status => status.IsLeader).ToArray();
            if (leaders.Length == 1 && Array.TrueForAll(all, status => status.LeaderId == leaders[0].Id)) return all;
        }
    }

    private static async Task<IPage> OpenSlowAsync(TabGroup tabs)
    {
        var page = await tabs.OpenPathAsync("/page.css");
        var session = await page.Context.NewCDPSessionAsync(page);
        await session.SendAsync("Emulation.setCPUThrottlingRate", new Dictionary<string, object> { ["rate"] = Rate });
        // A write waits for as long as it takes, as an app for such machines would have it: what is looked for is progress.
        await page.GotoAsync(new Uri(new Uri(page.Url), "/?timeout=600").ToString(), new() { Timeout = (float)Patience.TotalMilliseconds, WaitUntil = WaitUntilState.Commit });
        await page.WaitForFunctionAsync("typeof datasync === 'object'", null, new() { Timeout = (float)Patience.TotalMilliseconds });
        return page;
    }
}
