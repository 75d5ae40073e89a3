using System.Text.RegularExpressions;
using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Histories;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Browsers that lack something, and messages that are lost.</summary>
[Collection(BrowserCollection.Name)]
public sealed class DegradedTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>What a page on plain HTTP finds.</summary>
    private const string RemoveLocks = "Object.defineProperty(Navigator.prototype, 'locks', { get: () => undefined });";

    /// <summary>Loses, doubles and delays messages between the pipelines. Each tab has a sequence of its own, the same in each run.</summary>
    private const string SpoilMessages = """
        globalThis.spoilt = { dropped: 0, doubled: 0, delayed: 0, sent: 0 };
        globalThis.spoilSeed = 1;
        const random = () => {
          // mulberry32
          let t = spoilSeed = (spoilSeed + 0x6D2B79F5) | 0;
          t = Math.imul(t ^ (t >>> 15), t | 1);
          t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
          return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
        };
        const post = BroadcastChannel.prototype.postMessage;
        BroadcastChannel.prototype.postMessage = function (message) {
          const late = () => {
            // The channel to one tab is closed as soon as it was used.
            if (this.name.endsWith(':commits')) return post.call(this, message);
            const channel = new BroadcastChannel(this.name);
            post.call(channel, message);
            channel.close();
          };
          const send = () => { try { post.call(this, message); } catch { late(); } };
          if (!this.name.includes(':commits')) return send();
          spoilt.sent++;
          const fate = random();
          if (fate < 0.1) spoilt.dropped++;
          else if (fate < 0.2) { spoilt.doubled++; send(); setTimeout(send, random() * 300); }
          else if (fate < 0.35) { spoilt.delayed++; setTimeout(send, random() * 300); }
          else send();
        };
        """;

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Under_a_strict_content_security_policy_the_clock_is_a_worker_from_a_file()
    {
        const string policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src 'self'";
        await using var tabs = await browser.NewTabsAsync(output);
        await tabs.Context.RouteAsync(new Regex("/\\?"), async route =>
        {
            var response = await route.FetchAsync();
            await route.FulfillAsync(new() { Response = response, Headers = new Dictionary<string, string>(response.Headers) { ["content-security-policy"] = policy } });
        });
        var page = await tabs.Context.NewPageAsync();
        var clock = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        page.Worker += (_, worker) =>
        {
            if (worker.Url.EndsWith("/clock-worker.js", StringComparison.Ordinal)) clock.TrySetResult(worker.Url);
        };
        await page.GotoAsync(browser.Url + "/?db=policy.db");
        await page.EvaluateAsync("datasync.ready");
        await page.EvaluateAsync("datasync.execute('CREATE TABLE t(x)')");
        await clock.Task.WaitAsync(Limits.Step);
        Assert.Equal("leader", await page.EvaluateAsync<string>("datasync.status().role"));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Without_web_locks_one_tab_leads_in_the_end_and_no_row_is_lost_or_doubled()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        await tabs.Context.AddInitScriptAsync(RemoveLocks);
        var pages = await tabs.OpenManyAsync(4);
        Assert.False(await pages[0].CallAsync<bool>("'locks' in navigator && navigator.locks !== undefined"));
        var leader = await DataSyncPage.AgreeAsync(pages);
        var others = pages.Where(page => page != leader).ToArray();
        var process = (await RendererProcess.OfEachAsync([leader, .. others]))[0];
        var history = await History.BeginAsync(tabs, leader, output);
        await history.StartAsync(pages);
        await history.WaitForMoreAsync(100);

        var moment = TimeProvider.System.GetUtcNow();
        process.Kill();
        await history.WaitForMoreAsync(100, except: leader);
        await history.StopAsync(lost: leader);

        await DataSyncPage.AgreeAsync(others);
        Assert.Single(await Task.WhenAll(others.Select(page => page.StatusAsync())), status => status.IsLeader);
        await history.CheckAsync(others);
        history.AssertPauseAfter(moment, leader, TimeSpan.FromSeconds(7));
    }

    [Theory(Timeout = Limits.Test_ms)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task With_messages_lost_doubled_and_late_every_write_ends_and_no_row_is_lost_or_doubled(int seed)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        await tabs.Context.AddInitScriptAsync(SpoilMessages);
        var pages = await tabs.OpenManyAsync(4);
        foreach (var (page, i) in pages.Select((page, i) => (page, i))) await page.EvaluateAsync("seed => { spoilSeed = seed; }", seed * 1000 + i);
        await DataSyncPage.AgreeAsync(pages);
        var history = await History.BeginAsync(tabs, pages[0], output);

        await history.StartAsync(pages, count: 30, pause_ms: 0);
        await history.FinishAsync(TimeSpan.FromMilliseconds(Limits.Test_ms));

        var spoilt = await Task.WhenAll(pages.Select(page => page.CallAsync<Dictionary<string, int>>("spoilt")));
        foreach (var one in spoilt) output.WriteLine(string.Join(", ", one));
        foreach (var how in (string[])["dropped", "doubled", "delayed"]) Assert.True(spoilt.Sum(one => one[how]) > 4, $"Too few messages were {how}.");
        Assert.Equal(120, history.AcknowledgedCount);
        await history.CheckAsync(pages);
    }
}
