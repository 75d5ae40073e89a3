namespace DataSync.Storage;

/// <summary>A sync began.</summary>
/// <param name="trigger">Why.</param>
/// <param name="commits">How many commits it makes durable.</param>
/// <param name="bytes">Bytes of their records.</param>
public sealed class SyncStartedEventArgs(SyncTrigger trigger, int commits, long bytes) : EventArgs
{
    /// <summary>Why it began.</summary>
    public SyncTrigger Trigger { get; } = trigger;

    /// <summary>How many commits it makes durable.</summary>
    public int Commits { get; } = commits;

    /// <summary>Bytes of their records.</summary>
    public long Bytes { get; } = bytes;
}

/// <summary>A sync ended, and all that it was to make durable is.</summary>
/// <param name="trigger">Why it began.</param>
/// <param name="commits">How many commits it made durable.</param>
/// <param name="duration">From its start to the last commit's durability.</param>
public sealed class SyncSucceededEventArgs(SyncTrigger trigger, int commits, TimeSpan duration) : EventArgs
{
    /// <summary>Why it began.</summary>
    public SyncTrigger Trigger { get; } = trigger;

    /// <summary>How many commits it made durable.</summary>
    public int Commits { get; } = commits;

    /// <summary>From its start to the last commit's durability.</summary>
    public TimeSpan Duration { get; } = duration;
}

/// <summary>A sync ended, and some of it was taken back.</summary>
/// <param name="trigger">Why it began.</param>
/// <param name="failed">How many writes were taken back.</param>
/// <param name="error">The first of their failures.</param>
/// <param name="writes">Those of plain SQL; null for none.</param>
public sealed class SyncFailedEventArgs(SyncTrigger trigger, int failed, Exception error, IReadOnlyList<FailedWrite>? writes = null) : EventArgs
{
    /// <summary>Why it began.</summary>
    public SyncTrigger Trigger { get; } = trigger;

    /// <summary>How many writes were taken back: they were acknowledged, and are lost, but for those that are kept over the end of a database that has stopped.</summary>
    public int Failed { get; } = failed;

    /// <summary>
    /// The first failure: a <see cref="StorageException"/>, or what the work threw when it was run again after another tab's
    /// commit.
    /// </summary>
    public Exception Error { get; } = error;

    /// <summary>
    /// Those of them that were plain SQL (<c>ExecuteAsync</c>, <c>ExecuteManyAsync</c>), with their statements, in their order; not those that are kept and run again when the database is opened next.
    /// </summary>
    public IReadOnlyList<FailedWrite> Writes { get; } = writes ?? [];
}

/// <summary>Writes wait, or go on, because of what is not durable yet.</summary>
/// <param name="isOn">Whether writes wait from now on.</param>
/// <param name="dirtyBytes">Bytes that are acknowledged and not durable.</param>
public sealed class BackpressureEventArgs(bool isOn, long dirtyBytes) : EventArgs
{
    /// <summary>Whether writes wait from now on.</summary>
    public bool IsOn { get; } = isOn;

    /// <summary>Bytes that are acknowledged and not durable.</summary>
    public long DirtyBytes { get; } = dirtyBytes;
}
