using DataSync.MultiTab.Browser;
using Microsoft.Playwright;

namespace DataSync.Bench;

/// <summary>W5: from opening a database that is there to its first answer, each time in a new page; with W9's block and memory.</summary>
internal static class Opening
{
    public static IEnumerable<Workload> All { get; } =
    [
        new("w5", "Open to first answer: 10,000 rows; 50 MB", RunAsync, library => library.IsInMemory ? "in memory" : SingleTab.Reading(library)),
    ];

    private static async Task RunAsync(WorkloadRun run)
    {
        await OpenAsync(run, "w5-small", "w5.10k", run.Options.Rows, "openFirst", "fill");

        // IndexedDB's records have no database around them: the same bytes instead, all of them read.
        if (run.Library.Id is Library.IndexedDbId) await OpenAsync(run, "w5-large", "w5.50mb", run.Options.LargeRows, "openExtents", "fillExtents");
        else await OpenAsync(run, "w5-large", "w5.50mb", run.Options.LargeRows, "openFirst", "fill");
    }

    private static async Task OpenAsync(WorkloadRun run, string database, string metric, int rows, string openStep, string fillStep)
    {
        var bytes = run.Options.LargeBytes;
        var page = await run.Browser.OpenPageAsync();
        await run.Browser.StepAsync(page, "open", new { database });
        await run.Browser.StepAsync(page, fillStep, new { rows, bytes, chunk = 20_000 });
        await run.Browser.StepAsync(page, "close");
        await page.CloseAsync();
        for (var i = 0; i < run.Options.Opens; i++)
        {
            page = await run.Browser.OpenPageAsync();
            run.Add(await run.Browser.StepAsync(page, openStep, new { database, rows, bytes, metric }));
            await run.Browser.StepAsync(page, "close");
            await page.CloseAsync();
        }

        if (metric != "w5.50mb") return;
        page = await run.Browser.OpenPageAsync();
        run.Add(await run.Browser.StepAsync(page, openStep, new { database, rows, bytes, metric, observe = "w9.block.w5" }));
        run.Results.Add(run.Library.Id, "w9.memory", await OwnBytesAsync(run.Browser, page));
        await run.Browser.StepAsync(page, "close");
        await page.CloseAsync();
    }

    private static async Task<double> OwnBytesAsync(BenchBrowser browser, IPage page)
    {
        var process = await browser.BoundAsync("finding the page's process", () => RendererProcess.OfAsync(page));
        return Memory.OwnBytes(process.Id);
    }
}
