using Microsoft.Playwright;

namespace DataSync.Bench;

/// <summary>W1 to W4 and W11: one page, and a database of its own for each.</summary>
internal static class SingleTab
{
    public static IEnumerable<Workload> All { get; } =
    [
        new("w1", "1,000 single inserts, each awaited durable", run => InPageAsync(run, "w1", Insert), NotInMemory),
        new("w2", "One transaction of 10,000 inserts", run => InPageAsync(run, "w2", Transaction), Always),
        new("w3", "1,000 selects by key", run => InPageAsync(run, "w3", Points), Reading),
        new("w4", "Scans into objects; sum and count", run => InPageAsync(run, "w4", Scans), Reading),
        new("w11", "Microsoft.Data.Sqlite's reader and Dapper on 10,000 rows", run => InPageAsync(run, "w11", Readers), OnlyDataSync),
    ];

    public static string? Always(Library library) => library.OnlyTabs || library.Id == Library.EntityFrameworkId ? "" : null;

    public static string? Reading(Library library) => library.OnlyWrites ? "" : Always(library);

    public static string? NotInMemory(Library library) => library.IsInMemory ? "in memory" : Always(library);

    private static string? OnlyDataSync(Library library) => library.Id == Library.DataSyncId ? null : "";

    private static async Task InPageAsync(WorkloadRun run, string database, Func<WorkloadRun, IPage, Task> work)
    {
        var page = await run.Browser.OpenPageAsync();
        await run.Browser.StepAsync(page, "open", new { database });
        await work(run, page);
        await run.Browser.StepAsync(page, "close");
        await page.CloseAsync();
    }

    private static async Task Insert(WorkloadRun run, IPage page) => run.Add(await run.Browser.StepAsync(
        page, "w1", new { count = run.Options.Inserts, warm = run.Options.Warm, limit_ms = Limit(run) }));

    private static async Task Transaction(WorkloadRun run, IPage page)
    {
        run.Add(await run.Browser.StepAsync(page, "w2", new { rows = run.Options.Rows, samples = run.Options.Samples, limit_ms = Limit(run) }));

        // W9: once more, with somebody who watches the page.
        run.Add(await run.Browser.StepAsync(page, "w2", new { rows = run.Options.Rows, samples = 1, limit_ms = Limit(run), observe = "w9.block.w2" }));
    }

    private static async Task Points(WorkloadRun run, IPage page) => run.Add(await run.Browser.StepAsync(
        page, "w3", new { rows = run.Options.Rows, count = 1000, samples = run.Options.Samples, limit_ms = Limit(run) }));

    private static async Task Scans(WorkloadRun run, IPage page) => run.Add(await run.Browser.StepAsync(
        page, "w4", new { rows = run.Options.Rows, manyRows = run.Options.ManyRows, samples = run.Options.Samples, limit_ms = Limit(run) }));

    private static async Task Readers(WorkloadRun run, IPage page) => run.Add(await run.Browser.StepAsync(
        page, "w11", new { rows = run.Options.Rows, samples = run.Options.Samples, limit_ms = Limit(run) }));

    private static double Limit(WorkloadRun run) => run.Options.SampleLimit.TotalMilliseconds;
}
