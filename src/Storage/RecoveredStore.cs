namespace DataSync.Storage;

/// <summary>What a recovery made of a store. The caller owns the image.</summary>
internal sealed record RecoveredStore
{
    /// <summary>The head as it was read (or, after a repair, written).</summary>
    public required Head Head { get; init; }

    /// <summary>Extents and log put together.</summary>
    public required BlockImage Image { get; init; }

    /// <summary>
    /// Ids of the last commits up to the image's position, oldest first: at most <see cref="Head.RecentCommitCount"/> from
    /// the head, and all of the log.
    /// </summary>
    public required IReadOnlyList<CommitId> RecentCommits { get; init; }

    /// <summary>What statements did, of those of <see cref="RecentCommits"/> that were made of them.</summary>
    public required IReadOnlyDictionary<CommitId, StatementResult> RecentResults { get; init; }

    /// <summary>Who committed what, oldest first; a later entry of a tab replaces an earlier one.</summary>
    public required IReadOnlyList<WriterCommit> RecentWriters { get; init; }

    /// <summary>What was read and found.</summary>
    public required RecoveryReport Report { get; init; }

    /// <summary>The first marker that a leader has to remove from the log before it appends; null for none.</summary>
    public long? DropFrom { get; init; }

    /// <summary>Log records in the history, not yet folded into extents.</summary>
    public int LogRecords { get; init; }

    /// <summary>Bytes of those log records.</summary>
    public long LogBytes { get; init; }

    /// <summary>Extents that those log records touch: what the next checkpoint writes.</summary>
    public required IReadOnlyCollection<int> DirtyExtents { get; init; }

    /// <summary>Extents whose stored record is damaged.</summary>
    public required IReadOnlyCollection<int> DamagedExtents { get; init; }

    /// <summary>Whether a leader has to call <see cref="Recovery.RepairAsync"/> before it appends.</summary>
    public bool NeedsRepair => DropFrom is not null || DamagedExtents.Count > 0;
}

/// <summary>Some extents, verified, and the log behind a position, as they were at one moment.</summary>
/// <param name="Log">The log.</param>
/// <param name="Extents">Those that are stored, the caller's from here on.</param>
/// <param name="Report">What was wrong with them.</param>
internal sealed record ReadExtents(LogTail Log, List<Extent> Extents, RecoveryReport Report);

/// <summary>The log behind a position, verified.</summary>
/// <param name="Head">The head at the same moment.</param>
/// <param name="Commits">The commits that follow the position, in order; empty when <paramref name="NeedsReload"/>.</param>
/// <param name="NeedsReload">
/// The position is not in the store's history, or a checkpoint has passed it: only a whole load gets there.
/// </param>
/// <param name="DropFrom">The marker of an incomplete or foreign record at the end, which a leader removes; null for none.</param>
internal sealed record LogTail(Head Head, IReadOnlyList<CommitRecord> Commits, bool NeedsReload, long? DropFrom);
