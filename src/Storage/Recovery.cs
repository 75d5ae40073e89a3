namespace DataSync.Storage;

/// <summary>
/// Reads what a store holds and judges it. A history is: the checkpoint, then every log record that is whole, of this
/// store, built on the one before, and of no lower epoch. The first that is not ends it.
/// </summary>
/// <remarks>
/// Nothing here writes but <see cref="RepairAsync"/>. Errors are those of the store, and those named at each member.
/// Callable from any thread, with one call on a store at a time.
/// </remarks>
internal static class Recovery
{
    /// <summary>Reads the whole store into an image.</summary>
    /// <param name="store">An open store.</param>
    /// <param name="opened">The head that <see cref="IBlockStore.OpenAsync"/> or a later call returned; null to take any.</param>
    /// <param name="options">How much to verify and what to do about damage.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <param name="isPartial">Of the extents only the first is read; what else there is, is missing in the image.</param>
    /// <exception cref="CorruptStoreException">
    /// Something is damaged and the action is <see cref="CorruptionAction.Fail"/>, or the head itself is.
    /// </exception>
    /// <exception cref="StoreReplacedException">The store is another one than <paramref name="opened"/>.</exception>
    public static async ValueTask<RecoveredStore> LoadAsync(
        IBlockStore store, Head? opened, RecoveryOptions options, CancellationToken cancellationToken, bool isPartial = false)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(options);
        var reader = new RecoveryReader(opened, options);
        try
        {
            await store.ReadAsync(new StoreRead(reader, IncludeExtents: true) { Only = isPartial ? [0] : null, ListExtents = isPartial }, cancellationToken).ConfigureAwait(false);
            return reader.Finish();
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Reads the whole store, or samples it, and says what is wrong with it. Nothing is kept in memory and nothing changed,
    /// so it can be asked for at any time, also while others write.
    /// </summary>
    /// <param name="store">An open store.</param>
    /// <param name="mode">How much is verified; <see cref="RecoveryMode.Full"/> by default.</param>
    /// <param name="progress">Told after each record.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <returns>The report that <see cref="LoadAsync"/> would give.</returns>
    /// <exception cref="CorruptStoreException">The head itself is damaged.</exception>
    public static async ValueTask<RecoveryReport> VerifyAsync(
        IBlockStore store, RecoveryMode mode = RecoveryMode.Full, IProgress<RecoveryProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        using var reader = new RecoveryReader(null, new(mode, CorruptionAction.Report, progress), keepsImage: false);
        await store.ReadAsync(new StoreRead(reader, IncludeExtents: true), cancellationToken).ConfigureAwait(false);
        return reader.Finish().Report;
    }

    /// <summary>
    /// Makes the store hold exactly what was recovered: folds the history into extents, removes the log records behind its
    /// end, and writes damaged extents anew, in one checkpoint. What it removes or replaces is kept aside where the store
    /// can. Recovering again finds nothing.
    /// </summary>
    /// <remarks>
    /// A block that fails its checksum keeps its bytes and gets a new checksum: most of it is usually right, and SQLite's
    /// <c>PRAGMA integrity_check</c> tells what is not. The report names it; after the repair nothing else does. Blocks of
    /// an extent that is gone altogether, or that belongs to another store, read as zero.
    /// </remarks>
    /// <param name="store">The store that <paramref name="recovered"/> was read from.</param>
    /// <param name="fence">The leader's fence. The store must have been read after the leader raised the epoch.</param>
    /// <param name="recovered">What was read.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>The same image, with the new head and nothing left to repair.</returns>
    /// <exception cref="InvalidOperationException">The store was read before the epoch was raised: commits may be missing.</exception>
    public static async ValueTask<RecoveredStore> RepairAsync(
        IBlockStore store, Fence fence, RecoveredStore recovered, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(recovered);
        if (!recovered.NeedsRepair) return recovered;
        if (recovered.Head.Epoch != fence.Epoch || recovered.Head.Incarnation != fence.Incarnation)
            throw new InvalidOperationException("Load the store again: it was read before this leadership began.");
        var image = recovered.Image;
        CommitId[] recent = [.. recovered.RecentCommits.TakeLast(Head.RecentCommitCount)];
        var head = recovered.Head with
        {
            Checkpoint = image.Position,
            FileSize = image.FileSize,
            RecentCommits = recent,
            RecentResults = recovered.RecentResults.Where(r => recent.Contains(r.Key)).ToDictionary(),
            RecentWriters = WriterCommit.Latest(recovered.RecentWriters),
        };
        var extents = new List<Extent>();
        foreach (var index in recovered.DirtyExtents.Union(recovered.DamagedExtents))
        {
            var extent = image.Find(index) ?? new Extent(index);
            extent.SealRecord(head.Incarnation, head.Checksum);
            extents.Add(extent);
        }

        var dropFrom = recovered.DropFrom ?? image.Position.Marker + 1;
        await store.CheckpointAsync(fence, new(head, extents, dropFrom, recovered.DamagedExtents), cancellationToken).ConfigureAwait(false);
        return recovered with { Head = head, DropFrom = null, LogRecords = 0, LogBytes = 0, DirtyExtents = [], DamagedExtents = [] };
    }

    /// <summary>Reads the commits behind a position, for a tab that has an image at that position.</summary>
    /// <param name="store">An open store.</param>
    /// <param name="incarnation">The store that the image is of.</param>
    /// <param name="from">Where the image stands.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="StoreReplacedException">The store is another one than <paramref name="incarnation"/>.</exception>
    /// <exception cref="CorruptStoreException">A log record is damaged.</exception>
    public static async ValueTask<LogTail> ReadLogAsync(
        IBlockStore store, Guid incarnation, Position from, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(store);
        var reader = new LogReader(incarnation);
        await store.ReadAsync(reader.Behind(from, only: null), cancellationToken).ConfigureAwait(false);
        return Follow(reader, from);
    }

    /// <summary>Reads some extents, and the commits behind a position, as they are at one moment.</summary>
    /// <param name="store">An open store.</param>
    /// <param name="incarnation">The store that the image is of.</param>
    /// <param name="from">Where the image stands.</param>
    /// <param name="indices">The extents, rising and each once.</param>
    /// <param name="options">How much to verify. What is damaged is mended as when it is opened, unless the action is to fail.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="StoreReplacedException">The store is another one than <paramref name="incarnation"/>.</exception>
    /// <exception cref="CorruptStoreException">A log record is damaged, or an extent, and the action is to fail.</exception>
    public static async ValueTask<ReadExtents> ReadExtentsAsync(
        IBlockStore store, Guid incarnation, Position from, IReadOnlyList<int> indices, RecoveryOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(store);
        var reader = new LogReader(incarnation);
        try
        {
            await store.ReadAsync(reader.Behind(from, indices), cancellationToken).ConfigureAwait(false);
            var log = Follow(reader, from);
            var findings = new List<RecoveryFinding>();
            foreach (var (extent, size) in reader.Extents) if (ExtentVerifier.Verify(extent, size, log.Head, options.Mode) is { } finding) findings.Add(finding);
            var report = new RecoveryReport(options.Mode, from, reader.Extents.Count, log.Commits.Count, 0, findings);
            if (report.IsCorrupt && options.Action == CorruptionAction.Fail) throw new CorruptStoreException(report);
            return new(log, reader.Extents.ConvertAll(read => read.Extent), report);
        }
        catch
        {
            reader.Extents.ForEach(read => read.Extent.Dispose());
            throw;
        }
    }

    private static LogTail Follow(LogReader reader, Position from)
    {
        var head = reader.Head ?? throw new InvalidOperationException("The store handed over no head.");
        var log = reader.Log;
        if (!IsInHistory(head, log, from)) return new(head, [], NeedsReload: true, null);
        var verifier = new LogVerifier(head, from, verifyBlocks: true);
        var commits = new List<CommitRecord>(log.Count);
        foreach (var stored in log.Where(stored => stored.Marker > from.Marker))
        {
            if (verifier.Accept(stored, out var finding) is { } commit)
            {
                commits.Add(commit);
                continue;
            }

            if (finding!.Kind == RecoveryFindingKind.CorruptLog)
            {
                var behind = log.Count(record => record.Marker >= stored.Marker);
                throw new CorruptStoreException(new(RecoveryMode.Full, verifier.Position, 0, commits.Count, behind, [finding]));
            }

            return new(head, commits, NeedsReload: false, verifier.Position.Marker + 1);
        }

        return new(head, commits, NeedsReload: false, null);
    }

    private static bool IsInHistory(Head head, List<StoredLog> log, Position from)
    {
        if (from == head.Checkpoint) return true;
        return from.Marker > head.Checkpoint.Marker && log.Count > 0 && log[0].Marker == from.Marker
            && CommitRecord.Parse(log[0].Bytes, verifyBlocks: false, out _)?.Position == from;
    }

    private sealed class LogReader(Guid incarnation) : IStoreReadSink
    {
        public Head? Head { get; private set; }

        public List<StoredLog> Log { get; } = [];

        public void OnHead(Head head, int extents, int logRecords)
        {
            if (head.Incarnation != incarnation) throw new StoreReplacedException();
            Head = head;
        }

        public List<(Extent Extent, int RecordSize)> Extents { get; } = [];

        // The record at the position itself is read too: it tells whether this history is still the image's.
        public StoreRead Behind(Position from, IReadOnlyList<int>? only) => new(this, IncludeExtents: only is not null, Math.Max(0, from.Marker - 1)) { Only = only };

        public void OnExtent(Extent extent, int recordSize) => Extents.Add((extent, recordSize));

        public void OnLog(long marker, byte[] record, bool mayBeTorn) => Log.Add(new(marker, record, mayBeTorn));
    }
}
