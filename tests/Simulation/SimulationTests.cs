using Xunit;
using Xunit.Abstractions;

namespace DataSync.Simulation;

public sealed class SimulationTests(ITestOutputHelper output)
{
    [Fact]
    public void Two_thousand_seeds_run_without_a_violation()
    {
        var result = Campaign.Run(from: 0, seeds: 2000, threads: 2, maxFailures: 1);
        output.WriteLine(result.Coverage.ToTable());
        Assert.True(result.Failures.Count == 0, string.Join('\n', result.Failures.Select(f => $"seed {f.Seed}: {f.Violation}")));
        Assert.True(result.Acknowledged > 20_000);

        // A fault or state that is never reached is not tested.
        var counts = result.Coverage.Counts;
        foreach (var expected in Expected) Assert.True(counts.GetValueOrDefault(expected) > 0, $"Never reached: {expected}");
    }

    [Theory]
    [InlineData(7)]
    [InlineData(20)]
    [InlineData(312)]
    [InlineData(1253)]
    public void The_same_seed_gives_the_same_trace_twice(int seed)
    {
        var first = TraceOf((ulong)seed);
        Assert.True(first.Count > 20);
        Assert.Equal(first, TraceOf((ulong)seed));
    }

    [Fact]
    public void A_failing_run_is_shrunk_to_what_it_needs()
    {
        var scenario = Scenario.Generate(3);
        var shrunk = Shrinker.Shrink(scenario, run => run.Actions.Any(a => a.Kind == ActionKind.Write) ? new Violation("test", "", 0) : null);
        Assert.Equal(ActionKind.Write, Assert.Single(shrunk.Actions).Kind);
    }

    private static readonly string[] Expected =
    [
        "fault message lost", "fault message doubled", "fault control message lost", "fault partition", "fault tab Crash", "fault tab Close",
        "fault tab Dispose", "fault tab Hang", "fault tab Freeze", "fault leader Crash", "fault leader Hang", "fault leader Freeze",
        "fault Crash inside a transaction", "fault lease forged", "fault lease cleared", "fault localStorage refuses writes", "fault wall clock jumps",
        "fault store Abort at Append", "fault store Quota at Append", "fault store Quota at Checkpoint", "fault store LoseBefore at Append",
        "fault store LoseAfter at Append", "fault store CrashBefore at Append", "fault store CrashAfter at Append", "fault store HangBefore at Append",
        "fault store HangAfter at Append", "fault store HoldBefore at Append", "fault store deleted", "fault store evicted",
        "fault all connections to the store lost", "fault slow store", "state two tabs lead", "state stale leader appends", "state stale",
        "state group commit", "state chain of several commits", "state turn on commits of others under way", "transaction rolled back",
        "synchronous write", "writer waits for a reader", "metric datasync.reloads", "metric datasync.appends.fenced", "metric datasync.checkpoints",
        "ended Unknown NoLeaderException", "ended Failed StorageQuotaException",
    ];

    private static List<string> TraceOf(ulong seed)
    {
        using var world = new World(Scenario.Generate(seed), traces: true);
        world.Run();

        // Tab ids name themselves in log lines, and a part of them is chance that nothing depends on.
        return [.. world.TraceLines.Select(line => System.Text.RegularExpressions.Regex.Replace(line, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "id"))];
    }
}
