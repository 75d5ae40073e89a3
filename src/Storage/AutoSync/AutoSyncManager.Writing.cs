namespace DataSync.Storage;

// The writer's side: admission, backpressure, acknowledging early, and running again what another tab's commit came before.
public sealed partial class AutoSyncManager
{
    private readonly List<TaskCompletionSource> _roomWaiters = [];
    private readonly List<TaskCompletionSource> _quietWaiters = [];
    private bool _isRerunning;
    private bool _isBackpressured;
    private bool _isStopped;
    private int _admitted;

    /// <summary>Whether writes wait at this moment because too much is not durable yet.</summary>
    public bool IsBackpressured
    {
        get
        {
            lock (_lock) return _isBackpressured;
        }
    }

    /// <summary>Counts a write as one that a shutdown waits for.</summary>
    /// <exception cref="ObjectDisposedException">The database was shut down.</exception>
    internal Admission Admit()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isStopped || _isDisposed, this);
            _admitted++;
        }

        return new(this);
    }

    /// <summary>As <see cref="CommitPipeline.BeginWriteAsync(bool, CancellationToken)"/>, behind all that was acknowledged before.</summary>
    internal ValueTask<WriteTurn> BeginWriteAsync(bool exclusive, CancellationToken cancellationToken) =>
        BeginInOrderAsync(() => new WriteTurn(_pipeline), exclusive, cancellationToken);

    /// <summary>Runs a transaction and returns as soon as it is in this tab's copy.</summary>
    /// <param name="run">Runs it, given the number of the attempt; true when it was refused and must be tried again.</param>
    /// <param name="cancellationToken">Stops waiting for leave to write.</param>
    /// <returns>The marker that it hopes for.</returns>
    internal async Task<long> WriteAsync(Func<int, bool> run, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            await WaitForRoomAsync(cancellationToken).ConfigureAwait(false);
            using var turn = await BeginInOrderAsync(
                () => new WriteTurn(_pipeline) { IsDeferred = true, Holds = !_triggers.IsHidden }, exclusive: attempt > 2, cancellationToken).ConfigureAwait(false);
            if (IsBackpressured || Try(run, attempt, turn)) continue;
            if (turn.Pending is not { } pending) return _pipeline.Position.Marker;
            Keep(new DeferredWrite(run, pending, _pipeline.NewCompletion), turn);
            turn.Dispose();
            RelieveOrSchedule();
            return pending.Commit.Marker;
        }
    }

    private static bool Try(Func<int, bool> run, int attempt, WriteTurn turn)
    {
        try
        {
            return run(attempt);
        }
        catch
        {
            turn.Abandon();
            throw;
        }
    }

    private async ValueTask<WriteTurn> BeginInOrderAsync(Func<WriteTurn> make, bool exclusive, CancellationToken cancellationToken)
    {
        while (true)
        {
            await _pipeline.WaitForRerunsAsync(cancellationToken).ConfigureAwait(false);
            var turn = await _pipeline.BeginWriteAsync(make(), exclusive, cancellationToken).ConfigureAwait(false);
            if (_pipeline.LostCount == 0) return turn;
            turn.Dispose();
        }
    }

    // Before its turn ends, so that writes are kept in the order in which they were sealed.
    private void Keep(DeferredWrite write, WriteTurn turn)
    {
        lock (_lock)
        {
            if (write.IsHeld && _held.Commits == 0) _oldestHeld = _pipeline.Time.GetTimestamp();
            _outstanding.Add(write);
            _dirty = (_dirty.Commits + 1, _dirty.Blocks + write.Blocks, _dirty.Bytes + write.Bytes);
            if (write.IsHeld) _held = (_held.Commits + 1, _held.Blocks + write.Blocks, _held.Bytes + write.Bytes);
        }

        RecordDirty();
        _ = WatchAsync(write, turn.Outcome);
    }

    private void RelieveOrSchedule()
    {
        bool turnsOn, isHeld, isOnItsWay;
        long bytes;
        TimeSpan rest;
        lock (_lock)
        {
            bytes = _dirty.Bytes;
            turnsOn = !_isBackpressured && bytes >= _policy.BackpressureBytes;
            _isBackpressured |= turnsOn;
            isHeld = _held.Commits > 0;
            isOnItsWay = _sync is null && _outstanding.Exists(w => !w.IsHeld);
            rest = _policy.Interval - _pipeline.Time.GetElapsedTime(_oldestHeld);
        }

        if (turnsOn) ChangeBackpressure(isOn: true, bytes);
        if (turnsOn) StartSync(SyncTrigger.Backpressure);
        else if (isOnItsWay) StartSync(_triggers.IsHidden ? SyncTrigger.Hidden : SyncTrigger.Turn);
        else if (isHeld)
        {
            _triggers.Schedule(_policy.Debounce, rest > TimeSpan.Zero ? rest : TimeSpan.Zero);
            MaybeAutoSync();
        }
    }

    private void ChangeBackpressure(bool isOn, long bytes)
    {
        _pipeline.Metrics.OnBackpressure(isOn);
        Log.Backpressure(_logger, _scope, isOn ? "on" : "off", bytes);
        Raise(BackpressureChanged, new(isOn, bytes), nameof(BackpressureChanged));
    }

    private async Task WaitForRoomAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            TaskCompletionSource waiter;
            lock (_lock)
            {
                if (!_isBackpressured) return;
                _roomWaiters.Add(waiter = _pipeline.NewCompletion());
            }

            await waiter.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task WatchAsync(DeferredWrite write, Task<CommitOutcome> outcome)
    {
        try
        {
            if ((await outcome.ConfigureAwait(false)).IsStale) RunAgain(write);
            else End(write, null);
        }
        catch (StorageException error)
        {
            StartSync(SyncTrigger.Conflict); // whatever fails is a sync's failure
            End(write, error);
        }
    }

    private void RunAgain(DeferredWrite write)
    {
        bool starts;
        lock (_lock)
        {
            Unhold(write);
            starts = !_isRerunning;
            _isRerunning = true;
        }

        StartSync(SyncTrigger.Conflict);
        if (starts) _ = RerunAsync();
    }

    private async Task RerunAsync()
    {
        while (HasLost())
        {
            DeferredWrite? write = null;
            Exception? error = null;
            try
            {
                using var turn = await _pipeline.BeginWriteAsync(new WriteTurn(_pipeline) { IsRerun = true }, exclusive: true, _disposing.Token).ConfigureAwait(false);

                // Chosen only now: an earlier one, whose message was lost on its way, may have grown stale meanwhile.
                write = FindLost();
                if (write is null || Try(write.Run, ++write.Attempts, turn)) continue;
                turn.Dispose();
                if ((await turn.Outcome.ConfigureAwait(false)).IsStale)
                {
                    if (write.Attempts <= _maxAttempts) continue;
                    throw new StaleCommitException(write.Attempts);
                }

                _pipeline.Metrics.OnRerun();
            }
#pragma warning disable CA1031 // The work is the application's: whatever it throws is what its write failed with.
            catch (Exception thrown)
#pragma warning restore CA1031
            {
                error = thrown;
                Log.RerunFailed(_logger, _scope, thrown.Message);
            }

            if ((write ?? FindLost()) is not { } ended) continue;
            End(ended, error);
            _pipeline.OnRanAgain();
        }
    }

    /// <summary>The first of those acknowledged whose commit is stale and that was not run again yet.</summary>
    private DeferredWrite? FindLost()
    {
        lock (_lock) return _outstanding.Find(w => w.Pending.IsLost);
    }

    private bool HasLost()
    {
        lock (_lock) return _isRerunning = _outstanding.Exists(w => w.Pending.IsLost);
    }

    private void End(DeferredWrite write, Exception? error)
    {
        List<TaskCompletionSource> room = [];
        long bytes;
        bool turnsOff = false, isUnreported;
        lock (_lock)
        {
            Unhold(write);
            _outstanding.Remove(write);
            if (error is not null) _unreported.Add(write);
            _dirty = (_dirty.Commits - 1, _dirty.Blocks - write.Blocks, _dirty.Bytes - write.Bytes);
            bytes = _dirty.Bytes;
            write.Error = error;
            _failure ??= error;
            if (_isBackpressured && bytes <= _policy.BackpressureBytes / 2)
            {
                (turnsOff, _isBackpressured) = (true, false);
                room.AddRange(_roomWaiters);
                _roomWaiters.Clear();
            }
        }

        RecordDirty();
        if (turnsOff) ChangeBackpressure(isOn: false, bytes);
        write.End();
        foreach (var waiter in room) waiter.TrySetResult();
        lock (_lock) isUnreported = _sync is null && _unreported.Count > 0;
        if (isUnreported) StartSync(SyncTrigger.Conflict);
    }

    private void Unhold(DeferredWrite write)
    {
        if (!write.IsHeld) return;
        write.IsHeld = false;
        _held = (_held.Commits - 1, _held.Blocks - write.Blocks, _held.Bytes - write.Bytes);
    }

    private void RecordDirty()
    {
        var (_, blocks, bytes) = Snapshot();
        _pipeline.Metrics.OnDirty(blocks, bytes);
    }

    private async Task StopAdmittingAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource waiter;
        lock (_lock)
        {
            _isStopped = true;
            if (_admitted == 0) return;
            _quietWaiters.Add(waiter = _pipeline.NewCompletion());
        }

        await waiter.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private void Leave()
    {
        List<TaskCompletionSource> waiters = [];
        lock (_lock)
        {
            if (--_admitted == 0 && _isStopped)
            {
                waiters.AddRange(_quietWaiters);
                _quietWaiters.Clear();
            }
        }

        foreach (var waiter in waiters) waiter.TrySetResult();
    }

    /// <summary>One write, from its call to its answer.</summary>
    internal readonly struct Admission(AutoSyncManager owner) : IDisposable
    {
        public void Dispose() => owner.Leave();
    }
}
