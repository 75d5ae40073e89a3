using DataSync.Coordination;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.Simulation;

/// <summary>Each guard is there for a reason: without it, the simulation finds a violation within a few seeds.</summary>
public sealed class SabotageTests(ITestOutputHelper output)
{
    private const int MaxSeeds = 3000;

    [Theory]
    [InlineData(nameof(Guard.StoreEpoch))]
    [InlineData(nameof(Guard.Base))]
    [InlineData(nameof(Guard.CatchUpBeforeLeading))]
    [InlineData(nameof(Guard.UndoAfterFailure))]
    [InlineData(nameof(Guard.ApplyOnlyWhenIdle))]
    [InlineData(nameof(Guard.AppendFailure))]
    [InlineData(nameof(Guard.Resend))]
    [InlineData(nameof(Guard.DurableBeforeAnswer))]
    public void A_missing_guard_is_noticed(string guard)
    {
        var result = Campaign.Run(from: 0, seeds: MaxSeeds, threads: 2, maxFailures: 1, removed: Enum.Parse<Guard>(guard));
        Assert.True(result.Failures.Count > 0, $"Without {guard}, {result.Runs} seeds ran without a violation.");
        output.WriteLine($"{guard}: after {result.Runs} seeds, {result.Failures[0].Violation}");
    }
}
