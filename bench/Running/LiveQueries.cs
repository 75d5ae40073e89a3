namespace DataSync.Bench;

/// <summary>W13: a page with fifty live queries, five of them on the table that another tab writes to.</summary>
internal static class LiveQueries
{
    private const int Own = 5, Others = 45, Pause_ms = 50;

    private const long FirstId = 1_000_000;

    public static IEnumerable<Workload> All { get; } = [new("w13", "From an insert in another tab to the page, 50 live queries", FollowAsync, library => library.IsLive ? null : "")];

    private static async Task FollowAsync(WorkloadRun run)
    {
        var (writer, reader) = (await run.Browser.OpenPageAsync(), await run.Browser.OpenPageAsync());
        foreach (var page in new[] { writer, reader }) await run.Browser.StepAsync(page, "open", new { database = "w13" });
        var limit_ms = run.Options.StepLimit.TotalMilliseconds / 2;
        await run.Browser.StepAsync(writer, "warm", new { firstId = 1, count = run.Options.Warm, limit_ms });
        await run.Browser.StepAsync(reader, "watch", new { own = Own, others = Others });

        // Twice; the first time is not counted.
        foreach (var firstId in new[] { FirstId, FirstId + run.Options.TabWrites })
        {
            var written = await run.Browser.StepAsync(writer, "writesApart", new { firstId, count = run.Options.TabWrites, pause_ms = Pause_ms });
            var seen = await run.Browser.StepAsync(reader, "seen", new { firstId = firstId + run.Options.TabWrites - 1, limit_ms });
            if (firstId == FirstId) continue;
            var shown = seen.Series["ids"].Zip(seen.Series["times"]).ToList();
            run.Results.Add(run.Library.Id, "w13", [.. written.Series["begins"].Select((begin, i) => shown.First(row => row.First >= firstId + i).Second - begin)]);
        }

        var before = await RunsAsync();
        var first = 2 * FirstId;
        var writing = run.Browser.StepAsync(writer, "writes", new { firstId = first, count = run.Options.LiveWrites, start_ms = 0, limit_ms, metric = "w13.write" });
        run.Add(await run.Browser.StepAsync(reader, "seen", new { firstId = first + run.Options.LiveWrites - 1, limit_ms = limit_ms + 5000, observe = "w13.block" }));
        await writing;
        if (await RunsAsync() is { } after)
        {
            if (after[1] != before![1]) throw new BenchException($"{after[1] - before[1]} runs of queries whose table was not written to");
            run.Results.Add(run.Library.Id, "w13.runs", after[0] - before[0]);
        }

        foreach (var page in new[] { reader, writer }) await page.CloseAsync();

        async Task<IReadOnlyList<double>?> RunsAsync() => run.Library.IsDataSync ? (await run.Browser.StepAsync(reader, "runs")).Series["runs"] : null;
    }
}
