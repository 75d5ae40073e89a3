using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>What became of a commit.</summary>
/// <param name="IsStale">Another tab committed first: nothing of it was kept, and the work must be run again.</param>
/// <param name="Position">Where the commit stands; of a stale one, where it hoped to.</param>
internal readonly record struct CommitOutcome(bool IsStale, Position Position);

/// <summary>A commit of this tab whose outcome is not known yet.</summary>
internal sealed class PendingCommit(CommitRecord commit, TaskCompletionSource<CommitOutcome> outcome, long since)
{
    public CommitRecord Commit { get; } = commit;

    /// <summary>When it was sealed or, if it was buffered, sent; as a timestamp of the pipeline's clock.</summary>
    public long Since { get; set; } = since;

    /// <summary>The slot in which it was sealed has not ended: it may still be taken back, and is not sent.</summary>
    public bool IsOpen { get; set; }

    /// <summary>The leadership that was sent its bytes; to that one they are sent again only when it asks for them.</summary>
    public (TabId Id, Epoch Epoch)? SentTo { get; set; }

    /// <summary>In the image and in no other tab's hands: it is not sent yet.</summary>
    public bool IsBuffered { get; set; }

    /// <summary>Whether its work is run again in the background when it is stale.</summary>
    public bool IsDeferred { get; set; }

    /// <summary>Another tab's commit came before it though it was acknowledged: it counts among those to be run again.</summary>
    public bool IsOvertaken { get; set; }

    /// <summary>Who waited for it was told that it has no outcome yet. It is still waited for here.</summary>
    public bool IsGivenUp { get; set; }

    public TaskCompletionSource<CommitOutcome> Outcome { get; } = outcome;

    /// <summary>Somebody has asked for the outcome; otherwise a failure is kept for the next flush.</summary>
    public bool IsObserved { get; set; }

    /// <summary>What its writer will be told once the image is put back; null while undecided.</summary>
    public StorageException? Error { get; set; }
}
