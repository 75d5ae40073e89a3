using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Tabs that the browser treats as it treats those that nobody looks at.</summary>
[Collection(BrowserCollection.Name)]
public sealed class HiddenTabTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>Longer than it takes Chromium to let a hidden page's chained timers run once a minute only.</summary>
    private static readonly TimeSpan Hidden = TimeSpan.FromSeconds(72);

    /// <summary>Notes how late a timer of the page's main thread comes, and what becomes of the page's visibility.</summary>
    private const string Watch = """
        (() => {
          globalThis.seen = { visibility: [], ticks: [] };
          document.addEventListener('visibilitychange', () => seen.visibility.push(document.visibilityState));
          const tick = () => { seen.ticks.push(performance.now()); setTimeout(tick, 50); };
          tick();
        })()
        """;

    /// <summary>Writes one row after the other for a time, in the page itself, and returns how long each write took.</summary>
    private const string Write = """
        (async ms => {
          const took = [];
          for (const end = performance.now() + ms; performance.now() < end; await new Promise(done => setTimeout(done, 50))) {
            const start = performance.now();
            await datasync.execute('INSERT INTO t VALUES (?)', [took.length]);
            took.push(performance.now() - start);
          }
          return took;
        })
        """;

    [Fact(Timeout = 180_000)]
    public async Task A_leader_that_has_been_hidden_for_long_leads_on_and_others_write_as_fast_as_before()
    {
        await using var chromium = await browser.StartRawAsync(output);
        var leader = await chromium.OpenAsync();
        await leader.EvaluateAsync("datasync.ready.then(() => datasync.waitForLeader()).then(() => datasync.execute('CREATE TABLE t(v)'))");
        var before = await StatusAsync(leader);
        Assert.Equal("leader", before.Role);

        // Side by side, both are visible: how fast a follower writes when nothing is throttled.
        var beside = await chromium.OpenBlankAsync(inNewWindow: true);
        await beside.NavigateAsync(browser.Url + "/");
        Assert.Equal("visible visible", $"{await leader.EvaluateAsync("document.visibilityState")} {await beside.EvaluateAsync("document.visibilityState")}");
        var usual = await WriteAsync(beside, TimeSpan.FromSeconds(3));
        await beside.CloseAsync();

        await leader.EvaluateAsync(Watch);
        var front = await chromium.OpenAsync();
        Assert.Equal("hidden visible", $"{await leader.EvaluateAsync("document.visibilityState")} {await front.EvaluateAsync("document.visibilityState")}");
        var start = await NowAsync(leader);
        var hidden = new List<double>();
        // In pieces, since the browser's protocol waits for no answer longer than 30 s.
        while (await NowAsync(leader) - start < Hidden.TotalMilliseconds) hidden.AddRange(await WriteAsync(front, TimeSpan.FromSeconds(12)));

        var seen = await leader.EvaluateAsync("({ ...seen, now: document.visibilityState })");
        Assert.Equal("hidden", (string?)seen!["now"]);
        Assert.Equal(["hidden"], seen["visibility"]!.AsArray().Select(state => (string?)state));
        var ticks = seen["ticks"]!.Deserialize<double[]>()!.Where(at => at >= start).Append(await NowAsync(leader)).ToArray();
        var gaps = ticks.Zip(ticks.Skip(1), (a, b) => b - a).ToArray();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"The hidden page's timer of 50 ms came {ticks.Length - 1} times in {(ticks[^1] - start) / 1000:0} s, seconds apart: {string.Join(' ', gaps.Select(gap => $"{gap / 1000:0.0}"))}"));
        output.WriteLine($"Writes of a follower while the leader is visible: {Describe(usual)}; hidden: {Describe(hidden)}");

        // Once a second, and for chained timers once a minute after a while.
        Assert.All(gaps.Skip(2).SkipLast(1), gap => Assert.True(gap > 500, $"A timer of the hidden page came after {gap} ms."));
        Assert.True(gaps.Max() > 10_000, $"The longest time without a timer was {gaps.Max():0} ms: the page was not throttled as a user's is.");
        var after = await StatusAsync(front);
        Assert.Equal((before.Id, before.Epoch), (after.LeaderId, after.Epoch));
        Assert.True(hidden.Count > 200, $"{hidden.Count} writes");
        Assert.Equal(usual.Length + hidden.Count, (int?)await leader.EvaluateAsync("datasync.query('SELECT count(*) AS n FROM t').then(rows => rows[0].n)"));

        // Messages are not throttled: what a timer had a part in would take a second.
        Assert.True(Median(hidden) < Math.Max(50, 3 * Median(usual)), Describe(hidden));
        Assert.True(hidden.Count(ms => ms > 500) <= hidden.Count / 50, Describe(hidden));
    }

    private static async Task<double[]> WriteAsync(RawTab tab, TimeSpan time)
    {
        await tab.EvaluateAsync("datasync.ready");
        return (await tab.EvaluateAsync(string.Create(CultureInfo.InvariantCulture, $"({Write})({time.TotalMilliseconds})")))!.Deserialize<double[]>()!;
    }

    private static async Task<double> NowAsync(RawTab tab) => (await tab.EvaluateAsync("performance.now()"))!.GetValue<double>();

    private static async Task<TabStatus> StatusAsync(RawTab tab) => (await tab.EvaluateAsync("datasync.status()")).Deserialize<TabStatus>(JsonSerializerOptions.Web)!;

    private static double Median(IReadOnlyCollection<double> times) => times.Order().ElementAt(times.Count / 2);

    private static string Describe(IReadOnlyCollection<double> times) => string.Create(CultureInfo.InvariantCulture,
        $"{times.Count} writes, median {Median(times):0.0} ms, 99 of 100 within {times.Order().ElementAt(times.Count * 99 / 100):0.0} ms, longest {times.Max():0.0} ms");
}
