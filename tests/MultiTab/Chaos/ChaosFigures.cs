using System.Globalization;

namespace DataSync.MultiTab.Chaos;

/// <summary>What a run, or several, did and found.</summary>
internal sealed class ChaosFigures
{
    public Dictionary<Fault, int> Faults { get; } = [];

    /// <summary>Pages that came back out of the back/forward cache.</summary>
    public int Restored { get; set; }

    /// <summary>Frozen pages whose timers were seen to stand still.</summary>
    public int StoodStill { get; set; }

    public int Acknowledged { get; private set; }

    public int Refused { get; private set; }

    public int Unknown { get; private set; }

    /// <summary>Unknown outcomes that turned out to be written.</summary>
    public int Resolved { get; private set; }

    public int Lost { get; private set; }

    public int Doubled { get; private set; }

    public int Violations { get; private set; }

    /// <summary>From the end of the last fault until a tab had written again; the longest.</summary>
    public TimeSpan Recovery { get; set; }

    /// <summary>The same for all tabs, with the time that their pages took to load.</summary>
    public TimeSpan FullRecovery { get; set; }

    public Dictionary<string, int> Errors { get; } = [];

    public void Take(ChaosHistory history, ChaosWriter writer)
    {
        (Acknowledged, Refused, Unknown) = (history.Count(Outcome.Acknowledged), history.Count(Outcome.Refused), history.Count(Outcome.Unknown));
        (Resolved, Lost, Doubled, Violations) = (history.Resolved, history.Lost, history.Doubled, history.Violations.Count);
        foreach (var (error, count) in writer.Refusals) Errors[error] = count;
    }

    public void Add(ChaosFigures other)
    {
        foreach (var (fault, count) in other.Faults) Faults[fault] = Faults.GetValueOrDefault(fault) + count;
        foreach (var (error, count) in other.Errors) Errors[error] = Errors.GetValueOrDefault(error) + count;
        (Restored, StoodStill, Acknowledged) = (Restored + other.Restored, StoodStill + other.StoodStill, Acknowledged + other.Acknowledged);
        (Refused, Unknown, Resolved) = (Refused + other.Refused, Unknown + other.Unknown, Resolved + other.Resolved);
        (Lost, Doubled, Violations) = (Lost + other.Lost, Doubled + other.Doubled, Violations + other.Violations);
        if (other.Recovery > Recovery) Recovery = other.Recovery;
        if (other.FullRecovery > FullRecovery) FullRecovery = other.FullRecovery;
    }

    /// <summary>As one row of <see cref="Table"/>.</summary>
    public string Row(string name) => string.Create(CultureInfo.InvariantCulture,
        $"| {name} | {string.Join(" | ", Faults.OrderBy(pair => pair.Key).Select(pair => pair.Value))} | {Restored} | {Acknowledged} | {Refused} | {Unknown} ({Resolved}) | {Lost} | {Doubled} | {Violations} | {Recovery.TotalSeconds:0.0} | {FullRecovery.TotalSeconds:0.0} |");

    /// <summary>A Markdown table: a row for each seed and one for the sum.</summary>
    public static string Table(IReadOnlyList<(int Seed, ChaosFigures Figures)> runs)
    {
        var sum = new ChaosFigures();
        foreach (var (_, figures) in runs) sum.Add(figures);
        string[] columns = ["seed", .. sum.Faults.Keys.Order().Select(fault => fault.ToString()), "restored", "acknowledged", "refused", "unknown (there)", "lost", "doubled", "violations", "a tab writes again after, s", "all do after, s"];
        string[] lines =
        [
            $"| {string.Join(" | ", columns)} |",
            $"|{string.Concat(columns.Select(_ => "---|"))}",
            .. runs.Select(run => run.Figures.Row(string.Create(CultureInfo.InvariantCulture, $"{run.Seed}"))),
            sum.Row("all"),
            "",
            $"Errors answered: {string.Join(", ", sum.Errors.OrderBy(pair => pair.Key).Select(pair => $"{pair.Key} {pair.Value}"))}",
        ];
        return string.Join('\n', lines) + "\n";
    }
}
