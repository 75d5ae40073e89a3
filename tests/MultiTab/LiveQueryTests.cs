using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Live queries of one real tab, while another one writes.</summary>
[Collection(AppCollection.Name)]
public sealed class LiveQueryTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>Each shows something else after every row that is added to t.</summary>
    private static readonly string[] OfTheTable =
    [
        "SELECT id FROM t ORDER BY id DESC LIMIT 20", "SELECT count(*) FROM t WHERE id > 2", "SELECT max(id) FROM newest",
        "SELECT max(t.id) FROM t LEFT JOIN other0 USING (id)", "SELECT id FROM other1 UNION ALL SELECT (SELECT sum(id) FROM t)",
    ];

    private static readonly string[] OfOthers = [.. Enumerable.Range(0, 45).Select(i => $"SELECT count(*) FROM other{i % 3} WHERE id > {i}")];

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Of_fifty_live_queries_only_those_run_that_read_what_another_tab_writes_and_at_most_once_a_frame()
    {
        const int Commits = 1000, Frame_ms = 14; // of 16 that DataSync waits: timers take whole milliseconds, and clocks of browsers are coarse
        await using var tabs = await browser.NewTabsAsync(output);
        var writing = await OpenAsync(tabs);
        var marker = await StepAsync<int>(writing, "Execute", """
            CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE VIEW newest AS SELECT max(id) AS id FROM t;
            CREATE TABLE other0(id INTEGER PRIMARY KEY); CREATE TABLE other1(id INTEGER PRIMARY KEY); CREATE TABLE other2(id INTEGER PRIMARY KEY); INSERT INTO other2 VALUES (1)
            """);
        var page = await OpenAsync(tabs);
        await RunsAsync(page, marker);
        await StepAsync<object?>(page, "Watch", string.Join('\n', [.. OfTheTable, .. OfOthers]));
        await page.EvaluateAsync("""
            () => {
              globalThis.seen = { frames: 0, longest_ms: 0, start: performance.now() };
              const next = () => { seen.frames++; requestAnimationFrame(next); };
              requestAnimationFrame(next);
              new PerformanceObserver(list => { for (const block of list.getEntries()) seen.longest_ms = Math.max(seen.longest_ms, block.duration); }).observe({ type: 'longtask' });
            }
            """);
        var last = await StepAsync<int>(writing, "Insert", "t", Commits);
        Assert.Equal(marker + Commits, last);
        var runs = await RunsAsync(page, last);
        var seen = await page.CallAsync<Seen>("({ ...seen, took_ms: performance.now() - seen.start })");
        var pause_ms = await StepAsync<double>(page, "ShortestPause");
        var (own, others) = (runs[..OfTheTable.Length], runs[OfTheTable.Length..]);
        output.WriteLine($"{Commits} commits in {seen.Took_ms:0} ms, of {seen.Frames} frames; runs {string.Join(", ", own)}, of others at most {others.Max()}; "
            + $"shortest pause {pause_ms:0.0} ms, longest block {seen.Longest_ms:0} ms (0: none of 50)");

        Assert.Equal(OfOthers.Length, others.Length);
        Assert.Multiple(
            () => Assert.All(others, count => Assert.Equal(0, count)),
            () => Assert.All(own, count => Assert.InRange(count, 1, (seen.Took_ms / Frame_ms) + 2)),
            () => Assert.InRange(pause_ms, Frame_ms, double.MaxValue));
    }

    private static async Task<IPage> OpenAsync(TabGroup tabs)
    {
        var page = await tabs.OpenPathAsync("/lab/");
        await page.EvaluateAsync("lab.ready").WaitAsync(Limits.Step);
        await StepAsync<object?>(page, "Open", "live.db");
        return page;
    }

    /// <summary>How often each query has run since it was begun; all show what they would give now.</summary>
    private static async Task<int[]> RunsAsync(IPage page, int marker)
    {
        var runs = await page.CallAsync<int[]>("lab.live('Runs', arg).then(JSON.parse)", marker);
        Assert.DoesNotContain(-1, runs);
        return runs;
    }

    private static Task<T> StepAsync<T>(IPage page, string step, params object[] values) =>
        page.CallAsync<T>("lab.live(arg.step, ...arg.values)", new { step, values });

    private sealed record Seen(int Frames, double Longest_ms, double Took_ms);
}
