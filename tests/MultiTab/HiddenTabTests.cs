using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Tabs that the browser treats as it treats those that nobody looks at.</summary>
[Collection(HiddenTabCollection.Name)]
public sealed class HiddenTabTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>Longer than it takes Chromium to let a hidden page's chained timers run once a minute only.</summary>
    private static readonly TimeSpan Hidden = TimeSpan.FromSeconds(75);

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

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_leader_that_has_been_hidden_for_long_leads_on_and_others_write_as_fast_as_before()
    {
        await using var chromium = await browser.StartRawAsync(output);
        var leader = await chromium.OpenAsync();
        await leader.EvaluateAsync("datasync.ready.then(() => datasync.waitForLeader()).then(() => datasync.execute('CREATE TABLE t(v)'))");
        var before = await StatusAsync(leader);
        Assert.Equal("leader", before.Role);

        // Another tab in the leader's window, to hide it later, and a writer in a window of its own.
        var cover = await chromium.OpenBlankAsync();
        await leader.ActivateAsync();
        var writer = await chromium.OpenBlankAsync(inNewWindow: true);
        await writer.NavigateAsync(browser.Url + "/");
        Assert.Equal("visible visible", await VisibilityAsync(leader, writer));
        var usual = await WriteAsync(writer, TimeSpan.FromSeconds(5));

        await leader.EvaluateAsync(Watch);
        await cover.ActivateAsync();
        Assert.Equal("hidden visible", await VisibilityAsync(leader, writer));
        var start = await NowAsync(leader);
        var hidden = new List<double>();
        // In pieces, since the browser's protocol waits for no answer longer than 30 s.
        while (await NowAsync(leader) - start < Hidden.TotalMilliseconds) hidden.AddRange(await WriteAsync(writer, TimeSpan.FromSeconds(12)));

        var seen = await leader.EvaluateAsync("({ ...seen, now: document.visibilityState })");
        Assert.Equal("hidden", (string?)seen!["now"]);
        Assert.Equal(["hidden"], seen["visibility"]!.AsArray().Select(state => (string?)state));
        var ticks = seen["ticks"]!.Deserialize<double[]>()!.Where(at => at >= start).Append(await NowAsync(leader)).ToArray();
        var gaps = ticks.Zip(ticks.Skip(1), (a, b) => b - a).ToArray();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"The hidden page's timer of 50 ms came {ticks.Length - 1} times in {(ticks[^1] - start) / 1000:0} s, seconds apart: {string.Join(' ', gaps.Select(gap => $"{gap / 1000:0.0}"))}"));
        output.WriteLine($"Writes of a follower while the leader is visible: {Describe(usual)}; hidden: {Describe(hidden)}");

        // Once a second and, after a minute, once a minute: the moment of that is the browser's. Unthrottled it would be 20 a second.
        Assert.InRange(ticks.Length, 30, 1.2 * Hidden.TotalSeconds);
        Assert.InRange(ticks.Count(at => at - start > 63_000), 0, 4);
        var after = await StatusAsync(writer);
        Assert.Equal((before.Id, before.Epoch), (after.LeaderId, after.Epoch));
        Assert.True(hidden.Count > 200, $"{hidden.Count} writes");
        Assert.Equal(usual.Length + hidden.Count, (int?)await leader.EvaluateAsync("datasync.query('SELECT count(*) AS n FROM t').then(rows => rows[0].n)"));

        // Messages are not throttled: what a timer had a part in would take a second.
        Assert.True(Median(hidden) < Math.Max(50, 3 * Median(usual)), Describe(hidden));
        Assert.True(hidden.Count(ms => ms > 500) <= hidden.Count / 50, Describe(hidden));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_page_that_comes_back_out_of_the_browsers_cache_goes_on()
    {
        await using var chromium = await browser.StartRawAsync(output);
        var tab = await chromium.OpenAsync();
        await tab.EvaluateAsync("datasync.ready.then(() => datasync.execute('CREATE TABLE t(v)')).then(() => datasync.execute('INSERT INTO t VALUES (1)'))");
        var before = await StatusAsync(tab);
        for (var attempt = 1; !await LeaveAndComeBackAsync(tab); attempt++)
        {
            // The browser says why, as far as it is the page's doing; reasons of its own, as on a busy machine, it calls masked. Only then it may be tried again.
            var why = (string?)await tab.EvaluateAsync("(performance.getEntriesByType('navigation')[0].notRestoredReasons?.reasons ?? []).map(one => one.reason).join()");
            output.WriteLine($"loaded anew: {why}");
            Assert.True(attempt < 3 && why is "" or "masked", $"The page was loaded anew: {why}");
            await tab.EvaluateAsync("datasync.ready.then(() => datasync.waitForLeader()).then(() => true)");
            before = await StatusAsync(tab);
        }

        await tab.EvaluateAsync("datasync.execute('INSERT INTO t VALUES (2)')");
        var after = await StatusAsync(tab);
        Assert.Equal((before.Id, "leader", before.Marker + 1), (after.Id, after.Role, after.Marker));
        Assert.True(after.Epoch > before.Epoch, "It led on as if it had not been away.");
        Assert.Equal(2, (int?)await tab.EvaluateAsync("datasync.query('SELECT count(*) AS n FROM t').then(rows => rows[0].n)"));
    }

    /// <returns>Whether it was kept meanwhile, and not loaded anew.</returns>
    private async Task<bool> LeaveAndComeBackAsync(RawTab tab)
    {
        await tab.EvaluateAsync("globalThis.shown = new Promise(done => addEventListener('pageshow', event => done(event.persisted))), true");

        // Another site; and nobody else has the database open: a message or a wait for a lock would end the page's stay in the cache.
        await tab.NavigateAsync(browser.Url.Replace("127.0.0.1", "localhost", StringComparison.Ordinal) + "/page.css");
        await tab.GoBackAsync();
        await WaitForAsync(tab, "typeof datasync === 'object'");
        return (bool?)await tab.EvaluateAsync("globalThis.shown ?? false") == true;
    }

    /// <summary>Asks until an expression holds: while a page is being replaced there may be nothing to ask.</summary>
    private static async Task WaitForAsync(RawTab tab, string condition)
    {
        var time = TimeProvider.System;
        for (var start = time.GetTimestamp(); ; await Task.Delay(TimeSpan.FromMilliseconds(50), time))
        {
            try
            {
                if ((bool?)await tab.EvaluateAsync(condition) == true) return;
            }
            catch (InvalidOperationException) when (time.GetElapsedTime(start) < Limits.Step)
            {
                // It went just now.
            }

            Assert.True(time.GetElapsedTime(start) < Limits.Step, $"This does not hold: {condition}");
        }
    }

    private static async Task<string> VisibilityAsync(params IEnumerable<RawTab> tabs) =>
        string.Join(' ', await Task.WhenAll(tabs.Select(tab => tab.EvaluateAsync("document.visibilityState"))));

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
