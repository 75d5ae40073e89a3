using DataSync.Coordination;

namespace DataSync.Storage;

// The writer's side: admission, backpressure, acknowledging early.
public sealed partial class AutoSyncManager
{
    private readonly List<TaskCompletionSource> _roomWaiters = [];
    private readonly List<TaskCompletionSource> _quietWaiters = [];
    private readonly Queue<BackpressureEventArgs> _changes = new();
    private bool _isBackpressured;
    private bool _isTelling;
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

    /// <summary>A deferred write was acknowledged, became durable, or was taken back.</summary>
    internal event EventHandler? DirtyChanged;

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
    internal ValueTask<WriteSlot> BeginWriteAsync(bool exclusive, CancellationToken cancellationToken) =>
        BeginInOrderAsync(() => _pipeline.MakeSlot(), exclusive, cancellationToken);

    /// <summary>As the other, for work that is no text.</summary>
    internal Task<long> WriteAsync(Func<int, bool> run, CancellationToken cancellationToken) => WriteAsync(run, statements: null, onPresentState: false, cancellationToken);

    /// <summary>Runs a transaction and returns as soon as it is in this tab's copy.</summary>
    /// <param name="run">Runs it, given the number of the attempt; true when it was refused and must be tried again.</param>
    /// <param name="statements">What it is as text; kept in the journal if the run gives them an entry. Null: work of the application's own.</param>
    /// <param name="onPresentState">Run it with the write turn, so on what is the end of the history then: it waits for a leader.</param>
    /// <param name="cancellationToken">Stops waiting for leave to write.</param>
    /// <returns>The marker that it hopes for.</returns>
    internal async Task<long> WriteAsync(Func<int, bool> run, DeferredStatements? statements, bool onPresentState, CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            await WaitForRoomAsync(cancellationToken).ConfigureAwait(false);
            using var slot = await BeginDeferredAsync(exclusive: attempt > 2, onPresentState, cancellationToken).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            if (IsBackpressured || Try(run, attempt, slot)) continue;
            if (slot.Pending is not { } pending)
            {
                if (statements is not { IsKept: true }) return _pipeline.Position.Marker;
                slot.Dispose();
                if ((await slot.Outcome.ConfigureAwait(false)).IsStale) continue; // what it saw done may not be
                Forget(statements);
                return _pipeline.Position.Marker;
            }

            if (statements is { Entry: not null, IsKept: false }) await KeepInJournalAsync(statements, slot).ConfigureAwait(false);
            Keep(new DeferredWrite(run, pending, _pipeline.NewCompletion) { Statements = statements }, slot);
            slot.Dispose();
            RelieveOrSchedule();
            return pending.Commit.Marker;
        }
    }

    private static bool Try(Func<int, bool> run, int attempt, WriteSlot slot)
    {
        try
        {
            return run(attempt);
        }
        catch
        {
            slot.Abandon();
            throw;
        }
    }

    private async ValueTask<WriteSlot> BeginDeferredAsync(bool exclusive, bool onPresentState, CancellationToken cancellationToken)
    {
        if (onPresentState) return await BeginInOrderAsync(() => _pipeline.MakeSlot(isDeferred: true), exclusive: true, cancellationToken).ConfigureAwait(false);
        while (true)
        {
            try
            {
                return await BeginInOrderAsync(() => _pipeline.MakeSlot(isDeferred: true, isBuffered: !_triggers.IsHidden || _pipeline.IsCut), exclusive, cancellationToken).ConfigureAwait(false);
            }
            catch (NoLeaderException) when (_pipeline.IsCut)
            {
                // The connection was lost while the turn was waited for: it goes on without.
            }
        }
    }

    private async ValueTask<WriteSlot> BeginInOrderAsync(Func<WriteSlot> make, bool exclusive, CancellationToken cancellationToken)
    {
        while (true)
        {
            await _pipeline.WaitForRerunsAsync(cancellationToken).ConfigureAwait(false);
            var slot = await _pipeline.BeginWriteAsync(make(), exclusive, cancellationToken).ConfigureAwait(false);
            if (_pipeline.OvertakenCount == 0) return slot;
            slot.Dispose();
        }
    }

    // Before its slot ends, so that writes are kept in the order in which they were sealed.
    private void Keep(DeferredWrite write, WriteSlot slot)
    {
        lock (_lock)
        {
            _outstanding.Add(write);
            _dirty = (_dirty.Commits + 1, _dirty.Blocks + write.Blocks, _dirty.Bytes + write.Bytes);
            Buffer(write);
        }

        RecordDirty();
        _ = WatchAsync(write, slot.Outcome);
    }

    private void RelieveOrSchedule()
    {
        bool turnsOn, isBuffered, isOnItsWay;
        long bytes;
        TimeSpan rest;
        lock (_lock)
        {
            bytes = _dirty.Bytes;
            turnsOn = !_isBackpressured && bytes >= _policy.BackpressureBytes;
            if (turnsOn) SetBackpressure(isOn: true, bytes);
            isBuffered = _buffered.Commits > 0;
            isOnItsWay = _sync is null && _outstanding.Exists(w => !w.IsBuffered);
            rest = _policy.Interval - _pipeline.Time.GetElapsedTime(_oldestBuffered);
        }

        TellBackpressure();
        if (turnsOn) StartSync(SyncTrigger.Backpressure);
        else if (isOnItsWay) StartSync(_triggers.IsHidden ? SyncTrigger.Hidden : SyncTrigger.Turn);
        else if (isBuffered)
        {
            _triggers.Schedule(_policy.Debounce, rest > TimeSpan.Zero ? rest : TimeSpan.Zero);
            MaybeAutoSync();
        }
    }

    private void SetBackpressure(bool isOn, long bytes)
    {
        _isBackpressured = isOn;
        _changes.Enqueue(new(isOn, bytes));
    }

    // Outside of the lock, and in the order in which it happened, whichever thread gets here first.
    private void TellBackpressure()
    {
        while (true)
        {
            BackpressureEventArgs? change;
            lock (_lock)
            {
                if (_isTelling || !_changes.TryDequeue(out change)) return;
                _isTelling = true;
            }

            _pipeline.Metrics.OnBackpressure(change.IsOn);
            Log.Backpressure(_logger, _scope, change.IsOn ? "on" : "off", change.DirtyBytes);
            Raise(BackpressureChanged, change, nameof(BackpressureChanged));
            lock (_lock) _isTelling = false;
        }
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

            await _pipeline.WaitWithinCutAsync(waiter.Task, gates: true, cancellationToken).ConfigureAwait(false);
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
            await MarkFailedAsync(write.Statements, error).ConfigureAwait(false);
            End(write, error);
        }
    }

    private void End(DeferredWrite write, Exception? error)
    {
        List<TaskCompletionSource> room = [];
        long bytes;
        bool isUnreported;
        lock (_lock)
        {
            Unbuffer(write);
            _outstanding.Remove(write);
            if (error is not null) _unreported.Add(write);
            _dirty = (_dirty.Commits - 1, _dirty.Blocks - write.Blocks, _dirty.Bytes - write.Bytes);
            bytes = _dirty.Bytes;
            write.Error = error;
            _failure ??= error;
            if (_isBackpressured && bytes <= _policy.BackpressureBytes / 2)
            {
                SetBackpressure(isOn: false, bytes);
                room.AddRange(_roomWaiters);
                _roomWaiters.Clear();
            }
        }

        if (error is null) Forget(write.Statements);
        else if (write.Statements is { IsKept: true }) TellAtOnce();
        RecordDirty();
        TellBackpressure();
        write.End();
        foreach (var waiter in room) waiter.TrySetResult();
        lock (_lock) isUnreported = _sync is null && _unreported.Count > 0;
        if (isUnreported) StartSync(SyncTrigger.Conflict);
    }

    private void Buffer(DeferredWrite write)
    {
        write.IsBuffered = write.Pending.IsBuffered;
        if (!write.IsBuffered) return;
        if (_buffered.Commits == 0) _oldestBuffered = _pipeline.Time.GetTimestamp();
        _buffered = (_buffered.Commits + 1, _buffered.Blocks + write.Blocks, _buffered.Bytes + write.Bytes);
    }

    private void Unbuffer(DeferredWrite write)
    {
        if (!write.IsBuffered) return;
        write.IsBuffered = false;
        _buffered = (_buffered.Commits - 1, _buffered.Blocks - write.Blocks, _buffered.Bytes - write.Bytes);
    }

    private void RecordDirty()
    {
        var (_, blocks, bytes) = Snapshot();
        _pipeline.Metrics.OnDirty(blocks, bytes);
        if (DirtyChanged is { } handlers) _pipeline.RaiseEvent(() => Handlers.Raise(handlers, this, error => Log.HandlerFailed(_logger, nameof(DirtyChanged), error)));
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
