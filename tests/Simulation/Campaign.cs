namespace DataSync.Simulation;

/// <summary>Many seeds on a few threads; each run stays on one.</summary>
internal static class Campaign
{
    public sealed record Result(long Runs, long Acknowledged, Coverage Coverage, IReadOnlyList<(ulong Seed, Violation Violation)> Failures);

    public static Result Run(ulong from, long seeds, int threads, int maxFailures, Action<long>? progress = null)
    {
        Coverage.Start();
        var coverage = new Coverage();
        var failures = new List<(ulong, Violation)>();
        long next = -1, done = 0, acknowledged = 0;
        var gate = new Lock();
        var workers = Enumerable.Range(0, threads).Select(_ => new Thread(Work, 16 << 20)).ToList();
        foreach (var worker in workers) worker.Start();
        foreach (var worker in workers) worker.Join();
        return new Result(done, acknowledged, coverage, [.. failures.OrderBy(f => f.Item1)]);

        void Work()
        {
            while (Interlocked.Increment(ref next) is var index && index < seeds && failures.Count < maxFailures)
            {
                var seed = from + (ulong)index;
                using var world = new World(Scenario.Generate(seed));
                var violation = world.Run();
                lock (gate)
                {
                    coverage.Add(world.Coverage);
                    acknowledged += world.Acknowledged;
                    if (violation is not null) failures.Add((seed, violation));
                    if (++done % 10_000 == 0) progress?.Invoke(done);
                }
            }
        }
    }
}
