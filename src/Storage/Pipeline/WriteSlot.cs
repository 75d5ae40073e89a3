namespace DataSync.Storage;

/// <summary>
/// Leave to write, for one piece of work of this tab: at most one is held at a time. Run one SQLite transaction while it
/// is held, then await <see cref="Outcome"/> after disposing it, so that the next piece of work can go on top meanwhile.
/// </summary>
internal sealed class WriteSlot : IDisposable
{
    private readonly WriteSlots _owner;

    internal WriteSlot(WriteSlots owner) => _owner = owner;

    /// <summary>
    /// What became of the commit that was sealed while the slot was held: committed, or stale (then the work must be run
    /// again). Fails with a <see cref="StorageException"/> when the commit was rejected or its outcome cannot be learnt.
    /// When nothing was written: completed, at the image's own position, as soon as what the work could read is durable; stale
    /// if that never will be.
    /// </summary>
    public Task<CommitOutcome> Outcome => _owner.Observe(this);

    /// <summary>The commit that was sealed while the slot was held: it is sent when the slot ends, or taken back.</summary>
    internal PendingCommit? Pending { get; set; }

    /// <summary>How many transactions have ended in it, committed or rolled back.</summary>
    internal int Ends { get; set; }

    /// <summary>What work that wrote nothing saw, where that was not durable yet.</summary>
    internal Position? ReadAt { get; set; }

    /// <summary>The number of the write turn that the leader gave for it; 0 when the work is done without one, in the hope that nobody else writes.</summary>
    internal long Turn { get; set; }

    /// <summary>Since when it may be written with, as a timestamp of the pipeline's clock; null while it is waited for.</summary>
    internal long? ReadySince { get; set; }

    /// <summary>Whether the wait for it is over, and it may be written with.</summary>
    internal bool IsReady => ReadySince is not null;

    /// <summary>All that is committed in it is one piece of work, of which only the last commit's outcome is asked for.</summary>
    internal bool IsWhole { get; set; }

    /// <summary>When the work was last seen to go on; null for work that says nothing of itself.</summary>
    internal long? TouchedAt { get; set; }

    internal bool IsEnded { get; set; }

    /// <summary>It runs statements of other tabs. What is committed in it is theirs.</summary>
    internal bool IsForOthers { get; init; }

    /// <summary>The thread on which such statements run; 0 while none do. Elsewhere nobody may write meanwhile: it would be taken for theirs.</summary>
    internal int RunsOn { get; set; }

    /// <summary>The last commit that was made in it of another tab's statements.</summary>
    internal CommitRecord? Made { get; set; }

    /// <summary>The work is kept and run again in the background if its commit is stale; everything else waits for that.</summary>
    internal bool IsDeferred { get; init; }

    /// <summary>The commit stays in this tab until <see cref="CommitPipeline.SendBuffered"/>. Ends when the turn has to be asked for.</summary>
    internal bool IsBuffered { get; set; }

    /// <summary>It runs deferred work again, and so comes before all other work.</summary>
    internal bool IsRerun { get; init; }

    /// <summary>The work goes on: the write turn stays with it for another <see cref="PipelineOptions.TurnDeadline"/>.</summary>
    public void Touch() => _owner.Touch(this);

    /// <summary>Takes back whatever was sealed while the slot was held. The work failed, so nothing of it may be kept. Before <see cref="Dispose"/>.</summary>
    public void Abandon() => _owner.Abandon(this);

    /// <summary>Sends what was sealed, and lets the next piece of work begin. May be called more than once.</summary>
    public void Dispose() => _owner.End(this);
}
