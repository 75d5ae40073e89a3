using DataSync.Coordination;
using Microsoft.Extensions.Logging;

namespace DataSync.Storage;

/// <summary>
/// Makes the writes of one tab durable: at once, or under <see cref="Durability.Deferred"/> later and together, as its
/// <see cref="SyncPolicy"/> says. Get it from the database.
/// </summary>
/// <remarks>
/// A deferred write is acknowledged once it is in this tab's copy, and buffered: no other tab knows of it. A sync sends what is
/// buffered, in order. If another tab commits first, the work of what was buffered is run again, in order and in the background,
/// before anything else is written here; reads do not show it meanwhile. What cannot be made durable is taken back, with
/// all that was built on it, and reported by <see cref="SyncFailed"/> and by the next <see cref="ForceSyncAsync"/>. If the tab
/// ends without a sync, what was acknowledged and not durable is lost, unless a journal keeps it (plain SQL of a client of a server); what was durable never is. Members may be called from
/// any thread.
/// </remarks>
public sealed partial class AutoSyncManager : IDisposable
{
    private readonly CommitPipeline _pipeline;
    private readonly SyncPolicy _policy;
    private readonly ISyncTriggers _triggers;
    private readonly ILogger _logger;
    private readonly string _scope;
    private readonly int _maxAttempts;
    private readonly Lock _lock = new();
    private readonly List<DeferredWrite> _outstanding = [];

    // Taken back, and no event has told of them yet.
    private readonly List<DeferredWrite> _unreported = [];
    private readonly CancellationTokenSource _disposing = new();
    private Sync? _sync;
    private Exception? _failure;
    private long _oldestBuffered;
    private (int Commits, int Blocks, long Bytes) _buffered, _dirty;
    private bool _isDisposed;

    internal AutoSyncManager(
        CommitPipeline pipeline, string scope, Durability durability, SyncPolicy policy, ISyncTriggers triggers, ILogger logger, int maxAttempts)
    {
        (_pipeline, _scope, Durability, _policy, _triggers, _logger, _maxAttempts) = (pipeline, scope, durability, policy.Copy(), triggers, logger, maxAttempts);
        pipeline.BufferSent = OnBufferSent;
    }

    /// <summary>A sync began.</summary>
    public event EventHandler<SyncStartedEventArgs>? SyncStarted;

    /// <summary>A sync ended, and all that it was to make durable is.</summary>
    public event EventHandler<SyncSucceededEventArgs>? SyncSucceeded;

    /// <summary>Writes wait, or go on: <see cref="SyncPolicy.BackpressureBytes"/>.</summary>
    public event EventHandler<BackpressureEventArgs>? BackpressureChanged;

    /// <summary>When awaited writes return.</summary>
    public Durability Durability { get; }

    /// <summary>Writes that are acknowledged and not durable: deferred ones, and what synchronous calls have written.</summary>
    public int DirtyCommits => Snapshot().Commits + _pipeline.Unawaited.Length;

    /// <summary>Blocks that those writes changed, counted in each.</summary>
    public int DirtyBlocks => Snapshot().Blocks + _pipeline.Unawaited.Sum(c => c.BlockCount + c.FreedCount);

    /// <summary>Bytes of those writes.</summary>
    public long DirtyBytes => Snapshot().Bytes + _pipeline.Unawaited.Sum(c => (long)c.Bytes.Length);

    /// <summary>Whether a sync is under way.</summary>
    public bool IsSyncing
    {
        get
        {
            lock (_lock) return _sync is not null;
        }
    }

    /// <summary>
    /// Starts a sync if a sync is due (a threshold is reached, the oldest commit was buffered long enough, the page is hidden).
    /// Called after each deferred write and with each heartbeat; call it whenever you like.
    /// </summary>
    public void MaybeAutoSync()
    {
        SyncTrigger? due;
        lock (_lock) due = _policy.Decide(Buffered(), _triggers.IsHidden);
        if (due is { } trigger) StartSync(trigger);
    }

    /// <summary>Makes durable what was acknowledged before this call. Returns at once when everything is.</summary>
    /// <param name="cancellationToken">Stops waiting; the sync goes on.</param>
    /// <exception cref="NoLeaderException">A client of a server has no connection. Nothing was taken back.</exception>
    /// <exception cref="StorageException">Some of it could not be made durable, and was taken back.</exception>
    public async Task SyncAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        foreach (var write in StartSyncOfAll())
        {
            await _pipeline.WaitWithinCutAsync(write.WaitAsync(), gates: false, cancellationToken).ConfigureAwait(false);
            if (write.Error is { } error) throw error;
        }
    }

    /// <summary>
    /// Returns when everything that this tab wrote before is durable, deferred or not, synchronous writes on the leader and
    /// what is run again in the background included.
    /// </summary>
    /// <param name="cancellationToken">Stops waiting; the sync goes on.</param>
    /// <exception cref="NoLeaderException">A client of a server has no connection. Nothing was taken back.</exception>
    /// <exception cref="StorageException">
    /// The first write since the last call that could not be made durable and was taken back, and that nobody else was told of.
    /// What a deferred work threw when it was run again comes out as it was thrown.
    /// </exception>
    public async Task ForceSyncAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        foreach (var write in StartSyncOfAll()) await _pipeline.WaitWithinCutAsync(write.WaitAsync(), gates: false, cancellationToken).ConfigureAwait(false);
        Exception? failure = null;
        try
        {
            await _pipeline.WaitWithinCutAsync(_pipeline.FlushAsync(cancellationToken), gates: false, cancellationToken).ConfigureAwait(false);
        }
        catch (StorageException error) when (!_pipeline.IsObserver || error is not NoLeaderException)
        {
            failure = error;
        }

        lock (_lock) (failure, _failure) = (_failure ?? failure, null);
        if (failure is not null) throw failure;
    }

    /// <summary>
    /// For good: takes no new writes, waits for those that wait or are run again, and returns when everything is durable.
    /// Reading goes on until the database is disposed.
    /// </summary>
    /// <param name="cancellationToken">Stops waiting; no new writes are taken all the same.</param>
    /// <inheritdoc cref="ForceSyncAsync" path="/exception"/>
    public async Task DrainAndShutdownAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        await StopAdmittingAsync(cancellationToken).ConfigureAwait(false);
        await ForceSyncAsync(cancellationToken).ConfigureAwait(false);
        _triggers.Cancel();
        Log.SyncStopped(_logger, _scope);
    }

    /// <summary>Stops watching. What is buffered is not made durable: call <see cref="DrainAndShutdownAsync"/> before.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_isDisposed) return;
            _isDisposed = true;
        }

        _triggers.Dispose();
        _disposing.Cancel();
        _disposing.Dispose();
    }

    internal ValueTask StartAsync(CancellationToken cancellationToken) =>
        Durability == Durability.Deferred ? _triggers.StartAsync(OnTrigger, cancellationToken) : ValueTask.CompletedTask;

    private (int Commits, int Blocks, long Bytes) Snapshot()
    {
        lock (_lock) return _dirty;
    }

    private BufferedWork Buffered() => new(_buffered.Commits, _buffered.Blocks, _buffered.Bytes, _pipeline.Time.GetElapsedTime(_oldestBuffered));

    private void OnTrigger(SyncTrigger trigger)
    {
        bool isDue;
        lock (_lock) isDue = _buffered.Commits > 0;
        if (isDue) StartSync(trigger);
    }

    private List<DeferredWrite> StartSyncOfAll()
    {
        List<DeferredWrite> all;
        lock (_lock) all = [.. _outstanding];
        StartSync(SyncTrigger.Requested);
        return all;
    }

    // What is buffered goes now in any case; a sync that is under way is followed by another.
    private void StartSync(SyncTrigger trigger)
    {
        Sync? sync = null;
        lock (_lock)
        {
            if (_isDisposed || (_outstanding.Count == 0 && _unreported.Count == 0)) return;
            if (_sync is null) sync = _sync = new Sync(trigger, [.. _outstanding], _pipeline.Time.GetTimestamp());
        }

        if (sync is not null)
        {
            var bytes = sync.Writes.Sum(w => w.Bytes);
            Log.SyncStarted(_logger, _scope, trigger, sync.Writes.Count, bytes);
            Raise(SyncStarted, new(trigger, sync.Writes.Count, bytes), nameof(SyncStarted));
        }

        _triggers.Cancel();
        _pipeline.SendBuffered();
        if (sync is not null) _ = FinishAsync(sync);
    }

    private async Task FinishAsync(Sync sync)
    {
        foreach (var write in sync.Writes) await write.WaitAsync().ConfigureAwait(false);
        List<DeferredWrite> failed;
        bool isMoreOnItsWay;
        lock (_lock)
        {
            _sync = null;
            isMoreOnItsWay = _outstanding.Exists(w => !w.IsBuffered);

            // Those included that were written after it began and were taken back before it ended: no other sync has them.
            failed = [.. _unreported];
            _unreported.Clear();
        }

        var duration = _pipeline.Time.GetElapsedTime(sync.Since);
        _pipeline.Metrics.OnSync(sync.Trigger, duration, failed.Count == 0 && !sync.HasFailed);
        TellOfFailed(sync.Trigger, failed);
        if (failed.Count == 0 && !sync.HasFailed)
        {
            Log.SyncSucceeded(_logger, _scope, sync.Trigger, sync.Writes.Count, duration.TotalMilliseconds);
            Raise(SyncSucceeded, new(sync.Trigger, sync.Writes.Count, duration), nameof(SyncSucceeded));
        }

        if (isMoreOnItsWay) StartSync(SyncTrigger.Turn);
    }

    private void OnBufferSent()
    {
        bool isUnknown;
        lock (_lock)
        {
            foreach (var write in _outstanding.Where(w => !w.Pending.IsBuffered)) Unbuffer(write);
            isUnknown = _sync is null;
        }

        if (isUnknown) StartSync(SyncTrigger.Turn);
    }

    private void Raise<T>(EventHandler<T>? handlers, T args, string name) =>
        _pipeline.RaiseEvent(() => Handlers.Raise(handlers, this, args, error => Log.HandlerFailed(_logger, name, error)));

    private sealed record Sync(SyncTrigger Trigger, List<DeferredWrite> Writes, long Since)
    {
        /// <summary>Whether its failure was told already.</summary>
        public bool HasFailed { get; set; }
    }
}
