namespace DataSync.Storage;

/// <summary>A store that can hold a copy of another one's durable history, so that a database opens from it while the other one is out of reach.</summary>
internal interface ICopyStore : IBlockStore
{
    /// <summary>Brings the copy from one state of the other store's history to a later one, or to any other as a whole, in one transaction.</summary>
    /// <remarks>
    /// Nothing elects who does this: what is written is the other store's own and durable there, so all that matters is that it follows what the copy holds. That is compared in the transaction.
    /// </remarks>
    /// <exception cref="MarkerConflictException">The copy is not what was expected: somebody else has written it. Nothing was written.</exception>
    /// <exception cref="StorageQuotaException">No room; nothing was written.</exception>
    /// <exception cref="StorageClosedException">The copy was closed under its owner.</exception>
    ValueTask AdoptAsync(Adoption adoption, CancellationToken cancellationToken);
}

/// <summary>What a copy is to hold.</summary>
/// <param name="Expected">What it has to hold before.</param>
/// <param name="Head">The other store's head, as of the copy's checkpoint; with the epoch of the last commit at least.</param>
/// <param name="Commits">Commits behind the log's end (or, where all is replaced, behind the checkpoint), in order.</param>
/// <param name="Extents">Extents as of the checkpoint; one with no present block is removed.</param>
/// <param name="ReplacesAll">Whether nothing stays of what it holds.</param>
internal sealed record Adoption(CopyState Expected, Head Head, IReadOnlyList<CommitRecord> Commits, IReadOnlyList<Extent> Extents, bool ReplacesAll = false);

/// <summary>How far a copy has come.</summary>
/// <param name="Incarnation">Of the store that it is a copy of.</param>
/// <param name="Checkpoint">The marker of its checkpoint.</param>
/// <param name="End">The marker of its last commit; that of the checkpoint where its log is empty.</param>
internal readonly record struct CopyState(Guid Incarnation, long Checkpoint, long End);

/// <summary>The copy of a store that one of the tabs that have it open keeps.</summary>
internal interface IStoreCopy
{
    /// <summary>Whether the store reads from it at this moment, since it has not reached the other one yet.</summary>
    bool IsReadFrom { get; }

    /// <summary>Whether it is this tab that writes it.</summary>
    bool IsKeptHere { get; }

    /// <summary>What was read from it is in place: from here on the store may say that it is closed, to be opened anew from the other one.</summary>
    void OnInstalled();

    /// <summary>It is no good: deletes it. The store opens from the other one next.</summary>
    ValueTask ForgetAsync(CancellationToken cancellationToken);

    /// <summary>The copy, open; null where there can be none any more.</summary>
    ValueTask<ICopyStore?> OpenToWriteAsync(CancellationToken cancellationToken);
}
