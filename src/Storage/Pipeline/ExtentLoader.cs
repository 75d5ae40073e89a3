using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Brings in what is stored and not in this tab's image, and lets go of what is not needed. What is read is as old as a checkpoint and the log behind it, at one moment;
/// it comes in where that is not newer than what the image shows, else the image is brought forward first.
/// </summary>
/// <remarks>Guarded by the gate; reads run outside of it.</remarks>
internal sealed class ExtentLoader(PipelineCore core, StoreLink link, ImageFollower image)
{
    /// <summary>16 MiB: what a store hands over in one go, and in the browser holds up the page for.</summary>
    private const int MaxBatch = 64;

    /// <summary>Whoever needs something for the first time gets this much at least; with each further miss of the same work twice as much, so that it is run again seldom.</summary>
    private const int FirstBatch = 2;

    /// <summary>Heartbeats between two looks for a checkpoint, at most: a minute or so.</summary>
    private const int MostPause = 64;

    private Residency _residency = Residency.Full;
    private Position _checkpoint;
    private RecoveryOptions _recovery = new();
    private int _pins, _wholes, _next, _ahead;
    private Position _lookedAt;
    private int _beats, _pause;

    /// <summary>Whether some of the database may not be in memory.</summary>
    public bool IsOnDemand => _residency.MaxBytes is not null;

    public void Begin(Residency residency, RecoveryOptions recovery)
    {
        (_residency, _recovery) = (residency, recovery);

        // What reports or repairs damage looks at everything once.
        var isWhole = recovery.Action != CorruptionAction.Fail;
        link.LoadsParts = () => core.Gate.Run(() =>
        {
            var loadsParts = IsOnDemand && _wholes == 0 && !isWhole;
            isWhole = false;
            return loadsParts;
        });
    }

    /// <summary>Nothing leaves memory until <see cref="Unpin"/>.</summary>
    public void Pin() => core.Gate.Run(() => _pins++);

    /// <summary>Ends what <see cref="Pin"/> began.</summary>
    public void Unpin() => core.Gate.Run(() =>
    {
        _pins--;
        Trim();
    });

    /// <summary>Loads everything, and keeps it until <see cref="UnpinAll"/>.</summary>
    public async Task PinAllAsync(CancellationToken cancellationToken)
    {
        core.Gate.Run(() => (_pins, _wholes) = (_pins + 1, _wholes + 1));
        try
        {
            while (true)
            {
                // An image that was read in part before anybody needed it whole, and waits for a reader to end, would bring missing extents after this.
                var (missing, isReplaced) = core.Gate.Run(() => (image.Storage.FindIncomplete(), image.IsReloadPartial));
                if (missing.Length > 0) await LoadAsync(missing, cancellationToken).ConfigureAwait(false);
                else if (isReplaced) await image.WaitUntilShownAsync(cancellationToken).ConfigureAwait(false);
                else break;
            }
        }
        catch
        {
            UnpinAll();
            throw;
        }
    }

    /// <summary>Ends what <see cref="PinAllAsync"/> began.</summary>
    public void UnpinAll()
    {
        core.Gate.Run(() => _wholes--);
        Unpin();
    }

    /// <summary>The store's head was read or written.</summary>
    public void OnHead(Head head)
    {
        if (head.Checkpoint.Marker > _checkpoint.Marker) _checkpoint = head.Checkpoint;
    }

    /// <summary>Frees what was not used for longest, if there is too much and nobody reads at this moment.</summary>
    public void Trim()
    {
        if (_residency.MaxBytes is not { } max || _pins > 0 || !image.IsOpen || core.IsStopped || link.ReadOnlyReason is not null) return;
        if (image.Storage.Trim(max, _checkpoint) is > 0 and var evicted) core.Metrics.OnEvicted(evicted);
    }

    /// <summary>
    /// Frees what can be freed. Where there is still too much, as what other tabs have written since the last checkpoint that this tab has heard of may not leave, looks whether there
    /// is a newer one: at once, and ever less often as long as nothing new comes.
    /// </summary>
    public void OnHeartbeat()
    {
        Trim();
        if (_residency.MaxBytes is not { } max || !image.IsOpen || image.Storage.ResidentBytes <= max || _checkpoint.Marker >= image.Position.Marker) return;
        if (_lookedAt != image.Position) (_lookedAt, _beats, _pause) = (image.Position, 0, 1);
        else if (++_beats < _pause) return;
        else (_beats, _pause) = (0, Math.Min(_pause * 2, MostPause));
        link.StartCatchUp();
    }

    /// <summary>For tests: waits, for a few readings of the store, until it holds in extents all that this tab shows, so that whatever nobody needs can leave, and lets it leave.</summary>
    public async Task EvictAsync()
    {
        const int Readings = 1000;
        for (var i = 0; i < Readings && core.Gate.Run(() => _checkpoint.Marker < image.Ledger.End.Marker); i++) await link.CatchUpAsync().ConfigureAwait(false);
        core.Gate.Run(Trim);
    }

    /// <summary>Loads what was needed and missing, and more with each round of the same work.</summary>
    /// <param name="round">How often it was run, from 1.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public Task LoadWantedAsync(int round, CancellationToken cancellationToken) => LoadAsync(core.Gate.Run(() => Plan(image.Storage.TakeWanted(), round)), cancellationToken);

    /// <summary>Loads extents; those of which nothing is missing are left out.</summary>
    /// <exception cref="CorruptStoreException">One is damaged, and damage is to fail.</exception>
    /// <exception cref="StorageException">The store cannot be read, or a reader of this tab, which stays open, keeps it from showing what is stored by now.</exception>
    public async Task LoadAsync(int[] indices, CancellationToken cancellationToken)
    {
        Pin(); // also so that what is read is never older than what was here since
        try
        {
            foreach (var batch in indices.Chunk(MaxBatch))
            {
                while (core.Gate.Run(() => image.Storage.FindIncomplete(batch)) is { Length: > 0 } missing)
                {
                    if (await TryLoadAsync(missing, cancellationToken).ConfigureAwait(false)) break;
                    await image.WaitUntilShownAsync(cancellationToken).ConfigureAwait(false);
                }
            }
        }
        finally
        {
            Unpin();
        }
    }

    private async Task<bool> TryLoadAsync(int[] missing, CancellationToken cancellationToken)
    {
        var read = await link.ReadExtentsAsync(missing, cancellationToken).ConfigureAwait(false);
        if (read.Log.NeedsReload)
        {
            read.Extents.ForEach(extent => extent.Dispose());
            await link.CatchUpAsync().WaitAsync(cancellationToken).ConfigureAwait(false); // patiently, and once for all who miss it
            return false;
        }

        return core.Gate.Run(() =>
        {
            core.ThrowIfUnusable();
            link.Follow(read.Log);
            if (read.Report.IsCorrupt) Log.StoreDamaged(core.Logger, read.Report.Describe());
            var end = image.Ledger.End;
            var stored = read.Extents.ToDictionary(extent => extent.Index);
            var loaded = 0;
            foreach (var index in missing)
            {
                stored.Remove(index, out var extent);
                if (extent is not null && image.Storage.Durable == end) CheckVersions(extent, end);
                if (image.Storage.TryFill(index, extent, read.Log.Head.Checkpoint, end)) loaded++;
                else extent?.Dispose();
            }

            core.Metrics.OnLoaded(loaded);
            return loaded == missing.Length;
        });
    }

    // The whole history is shown. What is ahead of it was lost.
    private void CheckVersions(Extent extent, Position end)
    {
        if (ExtentVerifier.VerifyVersions(extent, end) is not { } finding) return;
        var report = new RecoveryReport(_recovery.Mode, end, 1, 0, 0, [finding]);
        if (_recovery.Action == CorruptionAction.Fail) throw new CorruptStoreException(report);
        Log.StoreDamaged(core.Logger, report.Describe());
    }

    // Reading on where the last loading ended brings twice as much as that; so does needing something once more.
    private int[] Plan(int[] wanted, int round)
    {
        if (wanted.Length == 0) return wanted;
        var goesOn = wanted[0] == _next;
        _ahead = Math.Max(goesOn ? Math.Min(_ahead * 2, MaxBatch) : FirstBatch, (int)Math.Min(1L << Math.Min(round, 30), int.MaxValue));
        var all = image.Storage.FindIncomplete();
        var planned = wanted.Union(all.SkipWhile(index => index < wanted[0]).Concat(all.TakeWhile(index => index < wanted[0])).Take(_ahead)).Order().ToArray();
        _next = planned[^1] + 1;
        return planned;
    }
}

/// <summary>Work that is run again until all that it needs is in memory; what was loaded for it stays until this is disposed.</summary>
internal sealed class LoadRounds(ExtentLoader extents, BlockStorage storage) : IDisposable
{
    private long _misses = storage.Misses;
    private int _rounds;

    /// <summary>Whether something was needed and missing since the last round; perhaps by other work of this tab, then it is run once more for nothing.</summary>
    public bool HasMissed => storage.Misses != _misses;

    /// <summary>Loads it.</summary>
    /// <exception cref="StorageException">It cannot be loaded.</exception>
    public async Task LoadAsync(CancellationToken cancellationToken)
    {
        if (_rounds++ == 0) extents.Pin();
        await extents.LoadWantedAsync(_rounds, cancellationToken).ConfigureAwait(false);
        _misses = storage.Misses;
    }

    public void Dispose()
    {
        if (_rounds > 0) extents.Unpin();
    }
}
