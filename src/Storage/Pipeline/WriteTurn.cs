using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Leave to write, for one piece of work of this tab: at most one is held at a time. Run one SQLite transaction while it
/// is held, then await <see cref="Outcome"/> after disposing it, so that the next piece of work can go on top meanwhile.
/// </summary>
internal sealed class WriteTurn : IDisposable
{
    private readonly CommitPipeline _pipeline;

    internal WriteTurn(CommitPipeline pipeline) => _pipeline = pipeline;

    /// <summary>
    /// What became of the commit that was sealed while the turn was held: committed, or stale (then the work must be run
    /// again). Fails with a <see cref="StorageException"/> when the commit was rejected or its outcome cannot be learnt.
    /// When nothing was written: completed, at the image's own position, as soon as what the work could read is durable; stale
    /// if that never will be.
    /// </summary>
    public Task<CommitOutcome> Outcome => Pending is { } pending ? _pipeline.Observe(pending) : _pipeline.ObserveRead(ReadAt);

    /// <summary>The commit that was sealed while the turn was held: it is sent when the turn ends, or taken back.</summary>
    internal PendingCommit? Pending { get; set; }

    /// <summary>How many transactions have ended in it, committed or rolled back.</summary>
    internal int Ends { get; set; }

    /// <summary>What work that wrote nothing saw, where that was not durable yet.</summary>
    internal Position? ReadAt { get; set; }

    /// <summary>The leader's number for the turn; 0 when the work is done without one, in the hope that nobody else writes.</summary>
    internal long Number { get; set; }

    /// <summary>Since when it may be written with, as a timestamp of the pipeline's clock; null while it is waited for.</summary>
    internal long? ReadySince { get; set; }

    /// <summary>Whether the wait for it is over, and it may be written with.</summary>
    internal bool IsReady => ReadySince is not null;

    internal bool IsReleased { get; set; }

    /// <summary>The work is kept and run again in the background if its commit is stale; everything else waits for that.</summary>
    internal bool IsDeferred { get; init; }

    /// <summary>The commit stays in this tab until <see cref="CommitPipeline.ReleaseHeld"/>. Ends when the turn has to be asked for.</summary>
    internal bool Holds { get; set; }

    /// <summary>It runs deferred work again, and so comes before all other work.</summary>
    internal bool IsRerun { get; init; }

    /// <summary>Takes back whatever was sealed while the turn was held. The work failed, so nothing of it may be kept. Before <see cref="Dispose"/>.</summary>
    public void Abandon() => _pipeline.Abandon(this);

    /// <summary>Sends what was sealed, and gives the turn to the next piece of work. May be called more than once.</summary>
    public void Dispose() => _pipeline.Release(this);
}

/// <summary>What became of a commit.</summary>
/// <param name="IsStale">Another tab committed first: nothing of it was kept, and the work must be run again.</param>
/// <param name="Position">Where the commit stands; of a stale one, where it hoped to.</param>
internal readonly record struct CommitOutcome(bool IsStale, Position Position);

/// <summary>A commit of this tab whose outcome is not known yet.</summary>
internal sealed class PendingCommit(CommitRecord commit, TaskCompletionSource<CommitOutcome> outcome, long since)
{
    public CommitRecord Commit { get; } = commit;

    /// <summary>When it was sealed or, if it was held, released; as a timestamp of the pipeline's clock.</summary>
    public long Since { get; set; } = since;

    /// <summary>The turn in which it was sealed has not ended: it may still be taken back, and is not sent.</summary>
    public bool IsOpen { get; set; }

    /// <summary>The leadership that was sent its bytes; to that one they are sent again only when it asks for them.</summary>
    public (TabId Id, Epoch Epoch)? SentTo { get; set; }

    /// <summary>In the image and in no other tab's hands: it is not sent yet.</summary>
    public bool IsHeld { get; set; }

    /// <summary>Whether its work is run again in the background when it is stale.</summary>
    public bool IsDeferred { get; set; }

    /// <summary>It is stale, and counts among those to be run again.</summary>
    public bool IsLost { get; set; }

    public TaskCompletionSource<CommitOutcome> Outcome { get; } = outcome;

    /// <summary>Somebody has asked for the outcome; otherwise a failure is kept for the next flush.</summary>
    public bool IsObserved { get; set; }

    /// <summary>What its writer will be told once the image is put back; null while undecided.</summary>
    public StorageException? Error { get; set; }
}
