namespace DataSync.Bench;

/// <summary>W12: EF Core's writes beside DataSync's own and beside EF Core in memory, in the leader's tab and in a follower's.</summary>
internal static class EntityFramework
{
    /// <summary>For <see cref="Metric"/> and <see cref="Bar"/>.</summary>
    public static IReadOnlyList<string> Roles { get; } = ["leader", "follower"];

    public static IEnumerable<Workload> All { get; } =
    [
        new("w12", "EF Core: one entity, and 1,000, saved; leader and follower", RunAsync, library => library.Id == Library.EntityFrameworkId ? null : ""),
    ];

    private static async Task RunAsync(WorkloadRun run)
    {
        // The first leads.
        for (var tab = 0; tab < Roles.Count; tab++)
        {
            var page = await run.Browser.OpenPageAsync();
            await run.Browser.StepAsync(page, "open", new { });
            var (firstId, metric) = ((tab + 1) * 1_000_000, Roles[tab]);
            run.Add(await run.Browser.StepAsync(page, "saveOne", new { firstId, count = run.Options.TabWrites, warm = run.Options.Warm / 4, metric }));
            run.Add(await run.Browser.StepAsync(page, "saveMany", new { firstId = firstId + 500_000, rows = 1000, samples = run.Options.Samples, metric }));
        }
    }
}
