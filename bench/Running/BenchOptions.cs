namespace DataSync.Bench;

/// <summary>What the command line asks for. No round of the browser's part is begun that would not end within the time limit.</summary>
internal sealed record BenchOptions(int Rounds, TimeSpan TimeLimit, bool IsQuick, IReadOnlySet<string> Only, IReadOnlySet<string> Workloads, string OutputFolder, bool WritesReadme)
{
    /// <summary>Rows of the table in W2, W3, W5 and W11, and of W4's first scan.</summary>
    public int Rows { get; } = 10_000;

    /// <summary>Rows of W4's second scan.</summary>
    public int ManyRows => IsQuick ? 20_000 : 100_000;

    /// <summary>About 50 MB of SQLite database; a tenth with <c>--quick</c>.</summary>
    public int LargeRows => IsQuick ? 38_000 : 380_000;

    /// <summary>Bytes of that database.</summary>
    public long LargeBytes => IsQuick ? 5_000_000 : 50_000_000;

    /// <summary>W1's inserts.</summary>
    public int Inserts => IsQuick ? 100 : 1000;

    /// <summary>Not counted before W1 and W6: .NET and the JavaScript engine get faster with use.</summary>
    public int Warm => IsQuick ? 50 : 200;

    /// <summary>Samples for each round of W2, W3, W4, W11.</summary>
    public int Samples => IsQuick ? 2 : 4;

    /// <summary>Samples for each round of W5, each in a page of its own.</summary>
    public int Opens => IsQuick ? 1 : 2;

    /// <summary>Writes of each tab in W6; W8 takes as many.</summary>
    public int TabWrites => IsQuick ? 25 : 100;

    /// <summary>W13's writes of another tab, one after the other.</summary>
    public int LiveWrites => IsQuick ? 100 : 1000;

    /// <summary>Leaders killed in each round of W7.</summary>
    public int Kills => IsQuick ? 1 : 2;

    /// <summary>Samples of one metric stop after this time.</summary>
    public TimeSpan SampleLimit => TimeSpan.FromSeconds(IsQuick ? 2 : 3);

    /// <summary>A step that takes longer is given up and its browser killed.</summary>
    public TimeSpan StepLimit => TimeSpan.FromSeconds(IsQuick ? 20 : 30);

    /// <summary>
    /// What a library other than DataSync and the limits may take for one workload in all rounds together: once it has taken it, it is left
    /// out of that workload's later rounds. Keeps a run from being mostly about the slowest.
    /// </summary>
    public TimeSpan WorkloadLimit => TimeSpan.FromSeconds(1.5) * Rounds;

    /// <summary>A browser whose processes hold more is killed.</summary>
    public long MemoryLimit_bytes { get; } = 4L << 30;

    public bool Runs(string workload) => Workloads.Count == 0 || Workloads.Contains(workload);
}
