using DataSync.Coordination;

namespace DataSync.Simulation;

/// <summary>Many seeds on a few threads; each run stays on one.</summary>
internal static class Campaign
{
    public sealed record Result(long Runs, long Operations, long Commits, long Acknowledged, Coverage Coverage, IReadOnlyList<(ulong Seed, Violation Violation)> Failures);

    public static Result Run(ulong from, long seeds, int threads, int maxFailures, Action<string>? progress = null, Guard removed = Guard.None, ActionKind? focus = null)
    {
        Coverage.Start();
        var coverage = new Coverage();
        var failures = new List<(ulong, Violation)>();
        long next = -1, done = 0, acknowledged = 0, operations = 0, commits = 0;
        var gate = new Lock();
        var underWay = new (ulong Seed, long Since)[threads];
        var worker = -1;
        var workers = Enumerable.Range(0, threads).Select(_ => new Thread(Work, 16 << 20)).ToList();
        using var watchdog = new Timer(_ => Watch(underWay), null, 5000, 5000);
        foreach (var thread in workers) thread.Start();
        foreach (var thread in workers) thread.Join();
        return new Result(done, operations, commits, acknowledged, coverage, [.. failures.OrderBy(f => f.Item1)]);

        void Work()
        {
            Sabotage.Remove(removed);
            var me = Interlocked.Increment(ref worker);
            while (Interlocked.Increment(ref next) is var index && index < seeds && failures.Count < maxFailures)
            {
                var seed = from + (ulong)index;
                underWay[me] = (seed, Environment.TickCount64);
                using var world = new World(Scenario.Generate(seed, focus));
                var violation = world.Run();
                lock (gate)
                {
                    coverage.Add(world.Coverage);
                    acknowledged += world.Acknowledged;
                    operations += world.OperationCount;
                    commits += world.DurableCount;
                    if (violation is not null)
                    {
                        failures.Add((seed, violation));
                        progress?.Invoke($"seed {seed}: {violation}");
                    }

                    if (++done % 1_000 == 0) progress?.Invoke($"{done:N0} seeds");
                }
            }
        }
    }

    /// <summary>A run that never comes back to its clock would otherwise hang without a word.</summary>
    private static void Watch((ulong Seed, long Since)[] underWay)
    {
        foreach (var (seed, since) in underWay)
        {
            if (since > 0 && Environment.TickCount64 - since > 30_000) Environment.FailFast($"Seed {seed} does not end.");
        }
    }
}
