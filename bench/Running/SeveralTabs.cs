using DataSync.MultiTab.Browser;
using Microsoft.Playwright;

namespace DataSync.Bench;

/// <summary>W6, W7 and W8: several pages of one browser, each with a process of its own, on one database.</summary>
internal static class SeveralTabs
{
    /// <summary>Ids of one tab's rows are apart from every other's.</summary>
    private const long IdsOfTab = 1_000_000;

    private static readonly TimeSpan LostLimit = TimeSpan.FromSeconds(10);

    public static IEnumerable<Workload> All { get; } =
    [
        new("w6", "Four tabs × 100 inserts at once", WriteAtOnceAsync, NeedsTabs),
        new("w7", "The first tab killed, or frozen, while three write", LoseTabsAsync, library => library.IsLimit ? "no leader" : library.OnlyWrites ? "" : NeedsTabs(library)),
        new("w8", "One write on a follower, uncontended", WriteOnFollowerAsync, NeedsTabs),
    ];

    private static string? NeedsTabs(Library library) => library.SupportsTabs ? null : library.TabsNote;

    private static async Task WriteAtOnceAsync(WorkloadRun run)
    {
        const int Tabs = 4;
        var pages = await OpenAsync(run, "w6", Tabs);
        var expected = 0.0;
        for (var tab = 0; tab < Tabs; tab++) expected += await WarmAsync(run, pages[tab], tab, run.Options.Warm / 4);
        var results = await Task.WhenAll(pages.Select((page, tab) => run.Browser.StepAsync(page, "writes", new
        {
            firstId = (tab + 1) * IdsOfTab + 500_000,
            count = run.Options.TabWrites,
            start_ms = Clock() + 500,
            limit_ms = run.Options.StepLimit.TotalMilliseconds / 2,
            metric = "w6",
        })));
        double[] times = [.. results.SelectMany(result => result.Series["w6"])];
        expected += times.Length;
        await run.Browser.StepAsync(pages[0], "close");
        foreach (var page in pages) await page.CloseAsync();

        var reader = await run.Browser.OpenPageAsync();
        await run.Browser.StepAsync(reader, "open", new { database = "w6" });
        var count = (await run.Browser.StepAsync(reader, "count")).Series["count"][0];
        await reader.CloseAsync();
        run.Results.Add(run.Library.Id, "w6.lost", expected - count);
        if (times.Length < Tabs * run.Options.TabWrites)
            throw new BenchException($"{times.Length} of {Tabs * run.Options.TabWrites} writes within {run.Options.StepLimit.TotalSeconds / 2:0} s");
        run.Results.Add(run.Library.Id, "w6.total", results.Max(result => result.Series["end"][0]) - results.Min(result => result.Series["begin"][0]));
        run.Results.Add(run.Library.Id, "w6.op", times);
        run.Results.Add(run.Library.Id, "w6.p99", Statistic.Of(times).P99);
    }

    private static async Task LoseTabsAsync(WorkloadRun run)
    {
        var kills = run.Library.IsDataSync ? run.Options.Kills : 1;
        for (var i = 0; i < kills; i++) await LoseTabAsync(run, $"w7-kill-{i}", "w7.killed", process => process.Kill(), process => { });
        await LoseTabAsync(run, "w7-freeze", "w7.frozen", process => process.Stop(), process => process.Kill());
    }

    private static async Task LoseTabAsync(WorkloadRun run, string database, string metric, Action<RendererProcess> lose, Action<RendererProcess> afterwards)
    {
        var pages = await OpenAsync(run, database, 3);
        var first = await run.Browser.BoundAsync("finding the pages' processes", async () => (await RendererProcess.OfEachAsync(pages))[0]);
        for (var tab = 0; tab < pages.Count; tab++) await WarmAsync(run, pages[tab], tab, run.Options.Warm / 4);
        for (var tab = 0; tab < pages.Count; tab++) await run.Browser.StepAsync(pages[tab], "startWriting", new { firstId = (tab + 1) * IdsOfTab + 500_000 });
        await Task.Delay(300);
        var lost = Clock();
        lose(first);
        try
        {
            run.Results.Add(run.Library.Id, metric, await NextWriteAsync(run, pages.Skip(1), lost));
        }
        finally
        {
            afterwards(first);
        }

        foreach (var page in pages.Skip(1))
        {
            await run.Browser.StepAsync(page, "stopWriting");
            await page.CloseAsync();
        }

        await pages[0].CloseAsync().WaitAsync(TimeSpan.FromSeconds(5));
    }

    /// <summary>The time from the loss until a write that was begun after it is acknowledged in one of the other tabs.</summary>
    private static async Task<double> NextWriteAsync(WorkloadRun run, IEnumerable<IPage> others, double lost)
    {
        var notes = new HashSet<string>();
        while (Clock() - lost < LostLimit.TotalMilliseconds)
        {
            await Task.Delay(100);
            var firsts = new List<double>();
            foreach (var page in others)
            {
                var written = await run.Browser.StepAsync(page, "written");
                if (written.Note is { } note) notes.Add(note);
                firsts.AddRange(written.Series["begins"].Zip(written.Series["ends"]).Where(write => write.First >= lost).Select(write => write.Second - lost).Take(1));
            }

            if (firsts.Count > 0) return firsts.Min();
        }

        throw new BenchException($"no write within {LostLimit.TotalSeconds:0} s{(notes.Count > 0 ? $" ({notes.First()})" : "")}");
    }

    private static async Task WriteOnFollowerAsync(WorkloadRun run)
    {
        var pages = await OpenAsync(run, "w8", 2);
        if (run.Library.Id == Library.IndexedDbId)
        {
            await run.Browser.StepAsync(pages[0], "echo");
            run.Add(await run.Browser.StepAsync(pages[1], "roundTrips", new { count = run.Options.TabWrites, metric = "w8.roundtrip" }));
        }

        await WarmAsync(run, pages[1], 1, run.Options.Warm);
        var result = await run.Browser.StepAsync(
            pages[1], "writes", new { firstId = 3 * IdsOfTab, count = run.Options.TabWrites, start_ms = 0, limit_ms = run.Options.SampleLimit.TotalMilliseconds, metric = "w8" });
        run.Results.Add(run.Library.Id, "w8", result.Series["w8"]);
        foreach (var page in pages) await page.CloseAsync();
    }

    /// <summary>Opens one after the other, so that the first leads where there is a leader.</summary>
    private static async Task<List<IPage>> OpenAsync(WorkloadRun run, string database, int count)
    {
        var pages = new List<IPage>();
        for (var tab = 0; tab < count; tab++)
        {
            pages.Add(await run.Browser.OpenPageAsync());
            await run.Browser.StepAsync(pages[tab], "open", new { database });
        }

        return pages;
    }

    private static async Task<double> WarmAsync(WorkloadRun run, IPage page, int tab, int count) => (await run.Browser.StepAsync(
        page, "warm", new { firstId = (tab + 1) * IdsOfTab, count, limit_ms = run.Options.SampleLimit.TotalMilliseconds / 2 })).Series["warmed"][0];

    /// <summary>The pages' clock (performance.timeOrigin + performance.now()) is this one, to well below a millisecond.</summary>
    private static double Clock() => (TimeProvider.System.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalMilliseconds;
}
