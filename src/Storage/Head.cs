using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>The store's one small record: which store this is, who may write, and where the log starts.</summary>
internal sealed record Head
{
    /// <summary>The format version that this code writes.</summary>
    public const int CurrentFormat = 3;

    /// <summary>How many commit ids the head keeps, so that a commit sent again after a checkpoint is recognised.</summary>
    public const int RecentCommitCount = 256;

    /// <summary>How many tabs' last commits the head keeps.</summary>
    public const int RecentWriterCount = 64;

    /// <summary>Format version of the store; readers refuse a greater one than <see cref="CurrentFormat"/>.</summary>
    public int Format { get; init; } = CurrentFormat;

    /// <summary>Random id given at creation; tells a re-created store from the old one.</summary>
    public required Guid Incarnation { get; init; }

    /// <summary>The fencing token of the present leadership; never falls.</summary>
    public required Epoch Epoch { get; init; }

    /// <summary>The tab that raised the epoch; information only.</summary>
    public TabId? Holder { get; init; }

    /// <summary>The commit up to which the extents are complete; the log starts behind it.</summary>
    public Position Checkpoint { get; init; }

    /// <summary>Database size in bytes at the checkpoint.</summary>
    public long FileSize { get; init; }

    /// <summary>How blocks and records of this store are checksummed.</summary>
    public ChecksumKind Checksum { get; init; }

    /// <summary>
    /// The last commits up to the checkpoint, oldest first, at most <see cref="RecentCommitCount"/>; the last one is the
    /// commit at <see cref="Checkpoint"/>.
    /// </summary>
    public IReadOnlyList<CommitId> RecentCommits { get; init; } = [];

    /// <summary>What statements did, of those <see cref="RecentCommits"/> that a leader made of them.</summary>
    public IReadOnlyDictionary<CommitId, StatementResult> RecentResults { get; init; } = new Dictionary<CommitId, StatementResult>();

    /// <summary>
    /// The last commit of each tab that wrote lately, newest last, at most <see cref="RecentWriterCount"/>: with it a tab
    /// that slept through many commits still learns exactly how far its own got.
    /// </summary>
    public IReadOnlyList<WriterCommit> RecentWriters { get; init; } = [];

    /// <summary>
    /// What is wrong with the stored record, in words, where this was read from its copy; null for a sound one. Not stored, and gone
    /// with the next write of the head.
    /// </summary>
    internal string? Damage { get; init; }

    /// <summary>The marker at which one of the <see cref="RecentCommits"/> was applied, or null.</summary>
    public long? FindRecent(CommitId commit)
    {
        for (var i = RecentCommits.Count - 1; i >= 0; i--)
        {
            if (RecentCommits[i] == commit) return Checkpoint.Marker - (RecentCommits.Count - 1 - i);
        }

        return null;
    }
}

/// <summary>The last commit of one tab.</summary>
/// <param name="Writer">The tab.</param>
/// <param name="Last">Where its last commit stands.</param>
internal readonly record struct WriterCommit(TabId Writer, Position Last)
{
    /// <summary>Each tab's latest entry, newest last, at most <see cref="Head.RecentWriterCount"/>.</summary>
    internal static IReadOnlyList<WriterCommit> Latest(IEnumerable<WriterCommit> entries) =>
    [
        .. entries.GroupBy(e => e.Writer).Select(g => g.MaxBy(e => e.Last.Marker)).OrderBy(e => e.Last.Marker).TakeLast(Head.RecentWriterCount),
    ];
}
