using DataSync.Coordination;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.Simulation;

/// <summary>Each guard is there for a reason: without it, the simulation finds a violation within a few seeds.</summary>
public sealed class SabotageTests(ITestOutputHelper output)
{
    private const int MaxSeeds = 1000;

    /// <summary>Guards that few seeds put to the test, and the fault that does.</summary>
    private static readonly Dictionary<Guard, ActionKind> Focus = new()
    {
        [Guard.CatchUpBeforeLeading] = ActionKind.StoreFault,
        [Guard.CheckpointFailure] = ActionKind.StoreFault,
        [Guard.LeaderDeadline] = ActionKind.Hang,
        [Guard.LeaderByHead] = ActionKind.ForgeMessage,
        [Guard.StatementEpoch] = ActionKind.Hang,
        [Guard.ExtentVersion] = ActionKind.LoadBehind,
        [Guard.CheckpointPin] = ActionKind.Load,
    };

    // Those of a copy are missed by CopyKeeperTests: no copy is simulated.
    public static TheoryData<string> Guards => new(Enum.GetNames<Guard>().Except([nameof(Guard.None), nameof(Guard.CopyExpected), nameof(Guard.CopyGap)]));

    [Theory]
    [MemberData(nameof(Guards))]
    public void A_missing_guard_is_noticed(string guard)
    {
        var removed = Enum.Parse<Guard>(guard);
        var focus = Focus.TryGetValue(removed, out var kind) ? kind : default(ActionKind?);
        var result = Campaign.Run(from: 0, seeds: MaxSeeds, threads: 2, maxFailures: 1, removed: removed, focus: focus);
        Assert.True(result.Failures.Count > 0, $"Without {guard}, {result.Runs} seeds ran without a violation.");
        output.WriteLine($"{guard}: after {result.Runs} seeds, {result.Failures[0].Violation}");
    }
}
