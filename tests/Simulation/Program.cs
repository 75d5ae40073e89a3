using System.Diagnostics;
using System.Globalization;
using DataSync.Coordination;

namespace DataSync.Simulation;

/// <summary>Runs many seeds, or one with its trace.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        var seeds = Get(args, "--seeds", 2000);
        var from = Get(args, "--from", 0);
        var threads = (int)Get(args, "--threads", 2);
        if (args.Contains("--seed")) return Replay((ulong)Get(args, "--seed", 0), args.Contains("--shrink"), args.Contains("--live"));
        var stopwatch = Stopwatch.StartNew();
        var stop = Get(args, "--failures", 1);
        var removed = Enum.Parse<Guard>(Word(args, "--without") ?? nameof(Guard.None));
        var focus = Word(args, "--focus") is { } kind ? Enum.Parse<ActionKind>(kind) : default(ActionKind?);
        var result = Campaign.Run(
            (ulong)from, seeds, threads, (int)stop, news => Console.Error.WriteLine($"{stopwatch.Elapsed.TotalSeconds,6:0} s  {news}"), removed, focus);
        Console.WriteLine(result.Coverage.ToTable());
        var faults = result.Coverage.Counts.Where(c => c.Key.StartsWith("fault ", StringComparison.Ordinal)).ToList();
        Console.WriteLine();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{result.Runs:N0} seeds from {from:N0} on, in {stopwatch.Elapsed.TotalSeconds:0} s on {threads} threads: {result.Operations:N0} writes asked for, {result.Acknowledged:N0} acknowledged as durable, "
            + $"{result.Coverage.Counts.GetValueOrDefault("acknowledged early"):N0} before they were, {result.Commits:N0} commits, {faults.Sum(f => f.Value):N0} faults of {faults.Count} kinds, {result.Failures.Count} violations"));
        foreach (var (seed, violation) in result.Failures) Console.WriteLine($"seed {seed}: {violation}");
        Sabotage.Remove(removed);
        return result.Failures.Count == 0 ? 0 : Replay(result.Failures[0].Seed, shrink: true, focus: focus);
    }

    private static int Replay(ulong seed, bool shrink, bool live = false, ActionKind? focus = null)
    {
        var scenario = Scenario.Generate(seed, focus);
        if (shrink) scenario = Shrinker.Shrink(scenario);
        using var world = new World(scenario, traces: true) { Live = live ? Console.Error.WriteLine : null };
        var violation = world.Run();
        foreach (var line in world.TraceLines) Console.WriteLine(line);
        Console.WriteLine(scenario with { Actions = [] });
        foreach (var action in scenario.Actions) Console.WriteLine(action);
        Console.WriteLine(violation is null ? $"seed {seed}: no violation" : $"seed {seed}: {violation}");
        return violation is null ? 0 : 1;
    }

    private static string? Word(string[] args, string name) => Array.IndexOf(args, name) is >= 0 and var at && at + 1 < args.Length ? args[at + 1] : null;

    private static long Get(string[] args, string name, long otherwise)
    {
        var index = Array.IndexOf(args, name);
        return index < 0 || index + 1 >= args.Length ? otherwise : long.Parse(args[index + 1], NumberStyles.AllowThousands, CultureInfo.InvariantCulture);
    }
}
