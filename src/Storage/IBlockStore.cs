using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Where commits become durable. Every member is one atomic step of the store; nothing here decides who may write, but
/// every write is refused unless incarnation and epoch equal what the store holds, checked in the same transaction.
/// </summary>
/// <remarks>
/// Members are called one after the other by one owner (others may be issued while reads are under way); a store
/// need not queue. Errors are <see cref="StorageException"/>s only.
/// </remarks>
internal interface IBlockStore : IAsyncDisposable
{
    /// <summary>
    /// The store was closed under its owner: deleted by the user, evicted, or its connection was lost. Raised at most
    /// once for each open; afterwards every call throws <see cref="StorageClosedException"/> until it is opened again.
    /// </summary>
    event Action<StoreClosedReason>? Closed;

    /// <summary>Why nobody may write by this way to the store, once it is open; null where it can be written to.</summary>
    StorageException? ReadOnlyReason => null;

    /// <summary>Whether commits that were made here are taken, once it is open. Else whoever leads runs this tab's statements, and nothing else is written.</summary>
    bool TakesCommits => true;

    /// <summary>Where what is durable is kept as well, by one of the tabs that have the store open; null: nowhere.</summary>
    IStoreCopy? Copy => null;

    /// <summary>Opens the store, creating it (with a new incarnation, epoch 0, marker 0) when there is none.</summary>
    /// <remarks>A head that is damaged is taken from its copy; <see cref="Recovery"/> reports it.</remarks>
    /// <exception cref="StorageUnavailableException">The platform has or allows no storage here.</exception>
    /// <exception cref="StoreFormatException">The store was written by a newer format version.</exception>
    /// <exception cref="CorruptStoreException">Neither the head nor its copy can be read.</exception>
    ValueTask<Head> OpenAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Fences every earlier leader: sets the epoch to the larger of <paramref name="proposed"/> and the stored epoch + 1,
    /// and the holder, in one transaction. Returns the head as it then is.
    /// </summary>
    /// <exception cref="FencedException">Another holder was granted just this epoch; the same holder gets it again (its own retry).</exception>
    /// <exception cref="StoreReplacedException">The store's incarnation is not <paramref name="incarnation"/>.</exception>
    ValueTask<Head> RaiseEpochAsync(Guid incarnation, Epoch proposed, TabId holder, CancellationToken cancellationToken);

    /// <summary>
    /// Appends commits with consecutive markers, all or none, in one transaction, and returns when it is durable. A
    /// commit whose marker already holds the same <see cref="CommitId"/> counts as appended (this caller's own retry).
    /// The record before the first one must exist, or be the head's checkpoint marker.
    /// </summary>
    /// <exception cref="FencedException">The store's epoch is not the fence's.</exception>
    /// <exception cref="StoreReplacedException">The store's incarnation is not the fence's.</exception>
    /// <exception cref="MarkerConflictException">A marker is taken by another commit, or the one before is missing.</exception>
    /// <exception cref="StorageQuotaException">No room; nothing was written.</exception>
    /// <exception cref="StorageClosedException">The store was closed under its owner.</exception>
    ValueTask AppendAsync(Fence fence, IReadOnlyList<CommitRecord> commits, CancellationToken cancellationToken);

    /// <summary>
    /// Reads head, (when asked) which extents there are, all or some of them, and the log records behind a marker, as they are at one moment,
    /// and hands them to the request's sink in that order. Bytes are handed over unverified; see <see cref="Recovery"/>.
    /// </summary>
    ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken);

    /// <summary>
    /// Folds the log: writes extents, replaces the head, trims the log, in one fenced transaction (or, natively, in an
    /// order that makes a crash in between harmless: extents, head, trim). The checkpoint never goes back, and the commit
    /// that it names must be in the log (or be the present checkpoint).
    /// </summary>
    /// <inheritdoc cref="AppendAsync" path="/exception"/>
    ValueTask CheckpointAsync(Fence fence, Checkpoint checkpoint, CancellationToken cancellationToken);

    /// <summary>
    /// Deletes the store and all that is in it, also when it is not open here or cannot be opened (damaged, of another layout, or of
    /// a newer version); it closes here, too. Other holders see <see cref="Closed"/>. A store that does not exist is no error.
    /// </summary>
    ValueTask DeleteAsync(CancellationToken cancellationToken);
}

/// <summary>What a write shows to be let in: which store it means, and under which leadership.</summary>
/// <param name="Incarnation">The store's <see cref="Head.Incarnation"/>.</param>
/// <param name="Epoch">The epoch that <see cref="IBlockStore.RaiseEpochAsync"/> granted to this writer.</param>
internal readonly record struct Fence(Guid Incarnation, Epoch Epoch);

/// <summary>Why a store was closed under its owner.</summary>
public enum StoreClosedReason
{
    /// <summary>Somebody deletes the store.</summary>
    Deleted,

    /// <summary>The connection was lost: storage evicted, browser storage process gone, disk error.</summary>
    Lost,

    /// <summary>A newer version of the app, in another tab, upgrades the store (IndexedDB <c>versionchange</c>). Its data stays.</summary>
    Upgraded,
}

/// <summary>What <see cref="IBlockStore.ReadAsync"/> reads.</summary>
/// <param name="Sink">Receives the head first, then extents, then log records in marker order.</param>
/// <param name="IncludeExtents">Whether the extents are read.</param>
/// <param name="AfterMarker">Only log records with a greater marker are read.</param>
internal sealed record StoreRead(IStoreReadSink Sink, bool IncludeExtents, long AfterMarker = 0)
{
    /// <summary>Of the extents only these, by index, rising and each once; those that are not stored are left out. Null: all.</summary>
    public IReadOnlyList<int>? Only { get; init; }

    /// <summary>Whether the indices of all extents are handed over, which is cheap beside reading them.</summary>
    public bool ListExtents { get; init; }
}

/// <summary>Receives what a store reads. Called from the store's own completion context, one call at a time.</summary>
internal interface IStoreReadSink
{
    /// <summary>The head, and how many extents and log records follow (for progress; may be estimates, in records).</summary>
    void OnHead(Head head, int extents, int logRecords);

    /// <summary>The indices of all extents that are stored, rising, where they were asked for.</summary>
    void OnExtentList(IReadOnlyList<int> indices)
    {
    }

    /// <summary>One extent, not yet verified. The sink owns it from here on and disposes it.</summary>
    /// <param name="extent">Filled with the record's bytes, as far as they fit.</param>
    /// <param name="recordSize">Bytes that the stored record has; 0 when it is not even bytes.</param>
    void OnExtent(Extent extent, int recordSize);

    /// <summary>One log record under its key, not yet verified.</summary>
    /// <param name="marker">The key.</param>
    /// <param name="record">The stored bytes; empty when it is not even bytes.</param>
    /// <param name="mayBeTorn">
    /// Whether a crash in the middle of an append can leave this record incomplete here. Never so on IndexedDB, whose
    /// transactions are all or nothing: there an incomplete record is damage to a commit that was acknowledged.
    /// </param>
    void OnLog(long marker, byte[] record, bool mayBeTorn);
}

/// <summary>What one checkpoint changes.</summary>
/// <param name="Head">The new head; its incarnation and epoch equal the fence's.</param>
/// <param name="Extents">Extents to write whole; an extent with no present block is removed.</param>
/// <param name="DropFrom">
/// Log records with this marker or a greater one are removed as well (recovery rolls back what is behind a bad record);
/// null keeps them. Records up to the new head's checkpoint marker are always removed.
/// </param>
/// <param name="Damaged">
/// A repair: the stored records of these extents, and of the commits that <paramref name="DropFrom"/> removes, are kept
/// aside where the store can. Null for an ordinary checkpoint, which keeps nothing.
/// </param>
internal sealed record Checkpoint(Head Head, IReadOnlyList<Extent> Extents, long? DropFrom = null, IReadOnlyCollection<int>? Damaged = null);
