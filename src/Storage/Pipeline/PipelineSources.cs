namespace DataSync.Storage;

/// <summary>Where a pipeline takes chance and "soon" from. A simulation gives its own, so that a run can be repeated.</summary>
internal sealed record PipelineSources
{
    public static PipelineSources Default { get; } = new();

    /// <summary>Names a new commit.</summary>
    public Func<CommitId> NewCommitId { get; init; } = CommitId.New;

    /// <summary>Spreads retries: from 0 to 1. Null for the retry library's own.</summary>
    public Func<double>? Jitter { get; init; }

    /// <summary>
    /// Whether completions and events run where they arise. In the browser they do: a hop to the thread pool is a timer there, and
    /// timers of hidden tabs run once a second. Elsewhere whoever goes on may block, and must not do so within the pipeline.
    /// </summary>
    public bool RunsInPlace { get; init; } = OperatingSystem.IsBrowser();

    /// <summary>Runs an action soon, on an empty stack. Null for the thread pool.</summary>
    public Action<Action>? Later { get; init; }
}
