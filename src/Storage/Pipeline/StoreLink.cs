using DataSync.Coordination;
using Polly;
using Polly.Retry;

namespace DataSync.Storage;

/// <summary>
/// A tab's way to its store: opened, opened again when its connection is lost, and read where messages were missed. A store that
/// fails for a moment is tried again a few times before this tab stops for good. Guarded by the gate; reads run outside of it.
/// </summary>
internal sealed class StoreLink
{
    /// <summary>About ten seconds in all, since the waits double; somebody who looks at the page still waits that long.</summary>
    private const int MaxReadRetries = 8;

    /// <summary>About three seconds, and the opening itself waits as well.</summary>
    private const int MaxReopenRetries = 6;

    /// <summary>Short beside what a user notices; what lasts longer is met by the doubling.</summary>
    private static readonly TimeSpan FirstRetryDelay = TimeSpan.FromMilliseconds(50);

    /// <summary>Room does not come back within milliseconds, and each try asks a full disk for more.</summary>
    private static readonly TimeSpan FullRetryDelay = TimeSpan.FromSeconds(2);

    /// <summary>Of a tab that cannot lead: it keeps nobody waiting, and so tries for as long as it takes, as its connection does.</summary>
    private static readonly TimeSpan LongestObserverDelay = TimeSpan.FromSeconds(10);

    private readonly PipelineCore _core;
    private readonly IBlockStore _store;
    private readonly ImageFollower _image;
    private readonly Waiters _caughtUp;
    private readonly Lazy<ResiliencePipeline> _read;
    private readonly Lazy<ResiliencePipeline> _reopen;
    private RecoveryOptions _recovery = new();
    private RecoveredStore? _recovered;
    private bool _catchingUp;
    private bool _catchUpAgain;
    private bool _reopening;

    public StoreLink(PipelineCore core, IBlockStore store, ImageFollower image)
    {
        (_core, _store, _image) = (core, store, image);
        (_read, _reopen) = (new(MakeReadPolicy), new(MakeReopenPolicy));
        _caughtUp = new Waiters(core);
    }

    /// <summary>The store's head was read.</summary>
    public required Action<Head> HeadSeen { private get; init; }

    /// <summary>The connection was lost, not the data (so far): whoever writes has to stop.</summary>
    public required Action ConnectionLost { private get; init; }

    /// <summary>The store cannot be used any more.</summary>
    public required Action<StorageException> Failed { private get; init; }

    public Guid Incarnation { get; private set; }

    /// <summary>Whether the connection was lost and is being made again.</summary>
    public bool IsReopening => _reopening;

    /// <summary>What was found when the store was opened or repaired; null before.</summary>
    public RecoveryReport? Report => _recovered?.Report;

    /// <summary>Whether the log ends in something that a leader has to remove.</summary>
    public bool NeedsRepair => _recovered is { NeedsRepair: true };

    /// <summary>Why nothing may be written, whoever leads; null when it may.</summary>
    public StorageException? ReadOnlyReason =>
        _recovered is { Report: { IsCorrupt: true } report } && _recovery.Action == CorruptionAction.Report ? new CorruptStoreException(report) : _store.ReadOnlyReason;

    /// <inheritdoc cref="IBlockStore.TakesCommits"/>
    public bool TakesCommits => _store.TakesCommits;

    public ValueTask<Head> OpenAsync(RecoveryOptions recovery, CancellationToken cancellationToken)
    {
        _recovery = recovery;
        return _store.OpenAsync(cancellationToken);
    }

    /// <summary>Asks the store for something small, to see whether it answers.</summary>
    /// <exception cref="StorageException">It does not.</exception>
    public async Task ProbeAsync(CancellationToken cancellationToken) =>
        await _store.ReadAsync(new StoreRead(new Unread(), IncludeExtents: false, _core.Gate.Run(() => _image.Ledger.End.Marker)), cancellationToken).ConfigureAwait(false);

    /// <summary>Whether what is loaded is to be as little as possible: the rest is loaded when it is needed. Asked at each load.</summary>
    public Func<bool> LoadsParts { get; set; } = () => false;

    public ValueTask<RecoveredStore> LoadAsync(Head? head, CancellationToken cancellationToken) =>
        Recovery.LoadAsync(_store, head, _recovery, cancellationToken, LoadsParts());

    /// <summary>Reads what is to be opened: from the copy, where the store has opened that; where it is no good, from the store itself.</summary>
    public async ValueTask<RecoveredStore> LoadFirstAsync(Head head, CancellationToken cancellationToken)
    {
        if (_store.Copy is not { IsReadFrom: true } copy) return await LoadAsync(head, cancellationToken).ConfigureAwait(false);
        try
        {
            var recovered = await Recovery.LoadAsync(_store, head, _recovery with { Action = CorruptionAction.Fail }, cancellationToken).ConfigureAwait(false);
            if (!recovered.NeedsRepair) return recovered;
            recovered.Image.Dispose();
            Log.CopyUnusable(_core.Logger, _core.Scope, recovered.Report.Describe());
        }
        catch (StorageException error)
        {
            Log.CopyUnusable(_core.Logger, _core.Scope, error.Message);
        }

        await copy.ForgetAsync(cancellationToken).ConfigureAwait(false);
        return await LoadAsync(await _store.OpenAsync(cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads the log behind a position.</summary>
    public ValueTask<LogTail> ReadLogAsync(Position from, CancellationToken cancellationToken) => Recovery.ReadLogAsync(_store, Incarnation, from, cancellationToken);

    /// <summary>Reads extents, and what the log holds behind this tab's history. Patiently, as the log is.</summary>
    public async Task<ReadExtents> ReadExtentsAsync(int[] indices, CancellationToken cancellationToken)
    {
        for (var tries = 1; ; tries++)
        {
            await WaitUntilReadableAsync(cancellationToken).ConfigureAwait(false);
            _core.ThrowIfUnusable();
            try
            {
                // Who stops waiting goes on at once: the retries' own cancellation hops to the thread pool. What is read for nobody frees itself.
                return await _read.Value.ExecuteAsync(
                    token => Recovery.ReadExtentsAsync(_store, Incarnation, _core.Gate.Run(() => _image.Ledger.End), indices, _recovery, token), CancellationToken.None).AsTask().WaitAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (StorageClosedException error) when (error.Reason == StoreClosedReason.Lost && tries < MaxReopenRetries)
            {
                _core.Gate.Run(StartReopen);
            }
            catch (Exception error) when (error is not (StorageException or OperationCanceledException or ObjectDisposedException))
            {
                if (tries == MaxReopenRetries) throw Unexpected(error);
                _core.Gate.Run(StartReopen);
            }
        }
    }

    // Behind a reading that is under way; for a store that is not there no longer than a write would.
    private async Task WaitUntilReadableAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await WaitForCatchUpAsync().WaitAsync(_core.Options.WriteTimeout, _core.Time, cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (TimeoutException error)
            {
                if (!_core.Gate.Run(() => _reopening)) continue;
                throw new StorageUnavailableException(
                    "What this needs is not in memory (Residency.OnDemand), and the store cannot be read at the moment: the connection with it was lost. Try again later; what is needed then, too, "
                    + "can be loaded beforehand (LoadAsync) or kept as a whole (Residency.Full).", error);
            }
        }
    }

    /// <summary>What was loaded is what this tab starts from.</summary>
    public void Install(RecoveredStore recovered)
    {
        _recovered = recovered;
        Incarnation = recovered.Head.Incarnation;
    }

    public ValueTask<RecoveryReport> VerifyAsync(RecoveryMode mode, IProgress<RecoveryProgress>? progress, CancellationToken cancellationToken) =>
        Recovery.VerifyAsync(_store, mode, progress, cancellationToken);

    public ValueTask<Head> RaiseEpochAsync(Epoch proposed, CancellationToken cancellationToken) =>
        _store.RaiseEpochAsync(Incarnation, proposed, _core.Self, cancellationToken);

    /// <returns>What it failed with; null when it is durable.</returns>
    public Task<StorageException?> AppendAsync(Fence fence, IReadOnlyList<CommitRecord> group) =>
        TryAsync(() => _store.AppendAsync(fence, group, CancellationToken.None).AsTask(), mayBeCancelled: false);

    /// <inheritdoc cref="AppendAsync"/>
    public Task<StorageException?> CheckpointAsync(Fence fence, Checkpoint checkpoint) =>
        TryAsync(() => _store.CheckpointAsync(fence, checkpoint, CancellationToken.None).AsTask(), mayBeCancelled: false);

    /// <summary>What a crash left behind the end of the history, or damage that the app wants repaired, goes before the first append.</summary>
    public async Task RepairAsync(Fence fence, CancellationToken cancellationToken)
    {
        var current = await Recovery.LoadAsync(_store, null, _recovery, cancellationToken).ConfigureAwait(false); // all of it: a repair writes whole extents
        var repaired = await Recovery.RepairAsync(_store, fence, current, cancellationToken).ConfigureAwait(false);
        _core.Gate.Run(() =>
        {
            _recovered = repaired;
            _image.Reload(repaired);
        });
    }

    /// <summary>Reads what the log holds behind this tab's history; a reading under way is followed by another.</summary>
    public void StartCatchUp() => _core.Gate.Run(() =>
    {
        if (_core.IsStopped || !_image.IsOpen || _reopening) return; // after a reopening it begins by itself
        _catchUpAgain = _catchingUp;
        if (_catchingUp) return;

        // Known as under way before it begins, and begun outside the lock: a store may answer at once.
        _catchingUp = true;
        _core.Gate.Defer(() => _ = RunCatchUpAsync());
    });

    public Task CatchUpAsync() => _core.Gate.Run(() =>
    {
        StartCatchUp();
        return WaitForCatchUpAsync();
    });

    /// <summary>Waits for the reading or reopening that is under way, if any.</summary>
    public Task WaitForCatchUpAsync() => _core.Gate.Run(() =>
        (!_catchingUp && !_reopening) || _core.IsStopped ? Task.CompletedTask : _caughtUp.Add());

    /// <summary>Reads what the log holds behind this tab's history, now.</summary>
    /// <returns>Whether the log ends in something that a leader has to remove.</returns>
    public async Task<bool> ReadBehindAsync()
    {
        var from = _core.Gate.Run(() => _image.Ledger.End);
        var slice = await Recovery.ReadLogAsync(_store, Incarnation, from, _core.Closing).ConfigureAwait(false);
        if (!slice.NeedsReload)
        {
            _core.Gate.Run(() => Follow(slice));
            return slice.DropFrom is not null;
        }

        while (true)
        {
            var recovered = await LoadAsync(slice.Head, _core.Closing).ConfigureAwait(false);
            if (recovered.Image.Position.Marker < from.Marker)
            {
                recovered.Image.Dispose();
                throw StoreReplacedException.WentBack();
            }

            var isTaken = _core.Gate.Run(() =>
            {
                // Somebody has begun to need everything meanwhile, and has found everything.
                if (recovered.Image.Incomplete.Any() && !LoadsParts()) return false;
                _image.Reload(recovered);
                HeadSeen(recovered.Head);
                return true;
            });
            if (isTaken) return recovered.NeedsRepair;
            recovered.Image.Dispose();
        }
    }

    /// <summary>Takes what the log holds behind this tab's history.</summary>
    public void Follow(LogTail log)
    {
        HeadSeen(log.Head);
        foreach (var commit in log.Commits) _image.OnDurable(commit);
    }

    /// <summary>The connection was lost: open again, and settle what is unknown by reading the log.</summary>
    public void StartReopen()
    {
        if (_reopening || _core.IsStopped) return;
        _reopening = true;
        ConnectionLost();
        _core.Gate.Defer(() => _ = ReopenAsync());
    }

    public void OnStoreClosed(StoreClosedReason reason) => _core.Gate.Run(() =>
    {
        if (_core.IsStopped) return;
        if (reason != StoreClosedReason.Lost) Failed(new StorageClosedException(reason));
        else StartReopen();
    });

    /// <summary>Makes what is made when first used, in a moment in which nobody waits for it.</summary>
    public void Rehearse()
    {
        var head = _recovered!.Head;
        _ = HeadCodec.Decode(HeadCodec.Encode(StoreRules.Raise(head, head.Incarnation, head.Epoch.Next, _core.Self)));
        _ = (_read.Value, _reopen.Value);
    }

    public void Stop() => _caughtUp.Release();

    /// <summary>Runs work on the store and returns what it failed with, as the exception that tells what to do.</summary>
    /// <param name="work">The work.</param>
    /// <param name="mayBeCancelled">Whether it ends quietly when the pipeline closes. Not what is to be durable: that has an outcome.</param>
    public static async Task<StorageException?> TryAsync(Func<Task> work, bool mayBeCancelled = true)
    {
        try
        {
            await work().ConfigureAwait(false);
            return null;
        }
        catch (StorageException error)
        {
            return error;
        }
        catch (Exception error) when (mayBeCancelled && error is (OperationCanceledException or ObjectDisposedException))
        {
            return null;
        }
#pragma warning disable CA1031
        catch (Exception error)
        {
            return Unexpected(error);
        }
#pragma warning restore CA1031
    }

    // Whatever else a store throws leaves its state unknown, as a lost connection does.
    private static StorageClosedException Unexpected(Exception error) => new(StoreClosedReason.Lost, $"The store failed unexpectedly: {error.Message}");

    private async Task RunCatchUpAsync()
    {
        while (true)
        {
            _core.Metrics.OnCatchUp();
            var error = await TryAsync(ReadPatientlyAsync).ConfigureAwait(false);
            var again = _core.Gate.Run(() =>
            {
                if (error is StorageClosedException { Reason: StoreClosedReason.Lost }) StartReopen();
                else if (error is not null) Failed(error);
                _catchingUp = _catchUpAgain && error is null && !_core.IsClosed;
                _catchUpAgain = false;
                if (!_catchingUp && !_reopening) _caughtUp.Release();
                return _catchingUp;
            });
            if (!again) return;
        }
    }

    private Task ReadPatientlyAsync() => _read.Value.ExecuteAsync(async _ => await ReadBehindAsync().ConfigureAwait(false), _core.Closing).AsTask();

    // Open again only when it can be read as well: a connection that is lost with every read would be opened over and over.
    private async Task ReopenAsync()
    {
        Log.Reopening(_core.Logger, _core.Scope);
        var error = await TryAsync(() => _reopen.Value.ExecuteAsync(
            async token =>
            {
                var head = await _store.OpenAsync(token).ConfigureAwait(false);
                if (head.Incarnation != Incarnation) throw head.Epoch == default ? StoreReplacedException.Emptied() : new StoreReplacedException();
                await ReadBehindAsync().ConfigureAwait(false);
            },
            _core.Closing).AsTask()).ConfigureAwait(false);
        _core.Gate.Run(() =>
        {
            _reopening = false;
            if (error is not null) Failed(error);
            else StartCatchUp();
        });
    }

    /// <summary>
    /// Whether the same call may succeed a moment later. What the browser gives no reason for, or no room for, may; damage, another
    /// store and a newer format stay. A lost connection is opened again first.
    /// </summary>
    private static bool IsPassing(StorageException error) => error.Code is StorageErrorCode.Other or StorageErrorCode.Quota or StorageErrorCode.Unavailable;

    private ResiliencePipeline MakeReadPolicy()
    {
        var policy = MakePatient(MaxReadRetries);
        policy.ShouldHandle = new PredicateBuilder().Handle<StorageException>(error => !_core.IsStopped && IsPassing(error));
        policy.OnRetry = retry =>
        {
            Log.ReadFailed(_core.Logger, _core.Scope, retry.Outcome.Exception!.Message);
            return default;
        };
        return new ResiliencePipelineBuilder { TimeProvider = _core.Time }.AddRetry(policy).Build();
    }

    private ResiliencePipeline MakeReopenPolicy()
    {
        var policy = MakePatient(MaxReopenRetries);
        policy.ShouldHandle = new PredicateBuilder().Handle<StorageException>(error =>
            !_core.IsStopped && (IsPassing(error) || (error is StorageClosedException closed && (!_core.IsObserver || closed.Reason == StoreClosedReason.Lost))));
        return new ResiliencePipelineBuilder { TimeProvider = _core.Time }.AddRetry(policy).Build();
    }

    private RetryStrategyOptions MakePatient(int attempts)
    {
        var policy = _core.MakeRetry(_core.IsObserver ? int.MaxValue : attempts, FirstRetryDelay);
        if (_core.IsObserver) policy.MaxDelay = LongestObserverDelay;
        policy.DelayGenerator = retry => new(retry.Outcome.Exception is StorageQuotaException ? FullRetryDelay : null);
        return policy;
    }

    private sealed class Unread : IStoreReadSink
    {
        public void OnHead(Head head, int extents, int logRecords)
        {
        }

        public void OnExtent(Extent extent, int recordSize) => extent.Dispose();

        public void OnLog(long marker, byte[] record, bool mayBeTorn)
        {
        }
    }
}
