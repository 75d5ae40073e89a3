namespace DataSync.Simulation;

/// <summary>Leaves out what a failing run does not need: halves, quarters … of its actions, then single ones.</summary>
internal static class Shrinker
{
    private const int MaxRuns = 600;

    public static Scenario Shrink(Scenario scenario) => Shrink(scenario, RunOnce);

    public static Scenario Shrink(Scenario scenario, Func<Scenario, Violation?> run)
    {
        if (run(scenario) is not { } violation) return scenario;
        var runs = 0;
        for (var size = Math.Max(1, scenario.Actions.Count / 2); size >= 1; size /= 2)
        {
            var again = true;
            while (again && runs < MaxRuns)
            {
                again = false;
                for (var at = 0; at < scenario.Actions.Count && runs < MaxRuns; runs++)
                {
                    var shorter = scenario with { Actions = [.. scenario.Actions.Take(at), .. scenario.Actions.Skip(at + size)] };
                    if (run(shorter)?.Rule == violation.Rule) (scenario, again) = (shorter, true);
                    else at += size;
                }
            }
        }

        return scenario;
    }

    private static Violation? RunOnce(Scenario scenario)
    {
        using var world = new World(scenario);
        return world.Run();
    }
}
