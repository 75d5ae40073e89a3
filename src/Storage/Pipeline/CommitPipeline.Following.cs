using DataSync.Coordination;

namespace DataSync.Storage;

// The reader's side: durable commits on their way into the image, and reading the log where messages were missed.
internal sealed partial class CommitPipeline
{
    private readonly Queue<CommitRecord> _toApply = new();
    private CommitId? _undoFrom;
    private RecoveredStore? _reload;
    private readonly List<TaskCompletionSource> _catchUpWaiters = [];
    private bool _catchingUp;
    private bool _catchUpAgain;

    /// <summary>Whether the image still has to be put back or brought forward, and waits for its readers.</summary>
    private bool IsUnsettled => _undoFrom is not null || _reload is not null || _toApply.Count > 0 || (_turn is not { Number: > 0 } && _implicitTurn == 0 && Storage.FindForeignTail() is not null);

    /// <summary>The next durable commit; anything else than the next one makes this tab read the log.</summary>
    private void OnDurable(CommitRecord commit)
    {
        if (_ledger is null || commit.Marker <= _ledger.End.Marker) return;
        if (commit.Base != _ledger.End)
        {
            StartCatchUp();
            return;
        }

        _ledger.Add(commit);
        _toApply.Enqueue(commit);
        Drain();
    }

    // Brings the image as far as it can now: put back what failed, then confirm or apply in the order of the markers.
    private void Drain()
    {
        if (_storage is null || _closed) return;
        while (true)
        {
            if (_reload is not null || _undoFrom is not null)
            {
                lock (_storage.Sync)
                {
                    if (!_storage.IsIdle) return;
                    if (_undoFrom is { } first) PutBack(first);
                    else InstallReload();
                }
            }
            else if (_toApply.TryPeek(out var commit))
            {
                if (!TryShow(commit)) return;
            }
            else
            {
                break;
            }
        }

        DropAcceptedTail();
        if (_readers.Count > 0) SettleReaders();
        if (!IsUnsettled) WakeSettleWaiters();
    }

    private void PutBack(CommitId first)
    {
        _storage!.UndoFrom(first);
        _undoFrom = null;
        SettleFailed();
    }

    private bool TryShow(CommitRecord commit)
    {
        if (_storage!.TryConfirm(commit.Position))
        {
            _toApply.Dequeue();
            Confirm(commit);
            return true;
        }

        if (_storage.ChainLength > 0)
        {
            // Another commit holds the marker that the chain hoped for, so no part of the chain can ever become durable.
            foreach (var pending in _pending) pending.Error ??= new StaleCommitException(1);
            _undoFrom = _storage.ChainFront;
            return true;
        }

        lock (_storage.Sync)
        {
            if (!_storage.IsIdle) return false;
            _storage.ApplyDurable(commit);
        }

        _toApply.Dequeue();
        Raise(commit);
        return true;
    }

    private void Confirm(CommitRecord commit)
    {
        Raise(commit);
        if (_pending.Find(p => p.Commit.Id == commit.Id) is not { } pending) return;
        _pending.Remove(pending);
        _metrics.OnAcknowledged(_time.GetElapsedTime(pending.Since));
        _gate.Defer(() => pending.Outcome.TrySetResult(new CommitOutcome(IsStale: false, commit.Position)));
        WakeAnswered();
    }

    // What was accepted but is not durable may be seen by the holder of the turn only, and by nobody when it is given up.
    private void DropAcceptedTail()
    {
        if (_storage is null || _turn is { Number: > 0 } || _implicitTurn != 0) return;
        lock (_storage.Sync)
        {
            if (_storage.IsIdle && _storage.FindForeignTail() is { } first) _storage.UndoFrom(first);
        }
    }

    /// <summary>Reads what the log holds behind this tab's history; a reading under way is followed by another.</summary>
    private void StartCatchUp() => _gate.Run(() =>
    {
        if (_closed || _fault is not null || _ledger is null || _reopening) return; // after a reopening it begins by itself
        _catchUpAgain = _catchingUp;
        if (_catchingUp) return;

        // Known as under way before it begins, and begun outside the lock: a store may answer at once.
        _catchingUp = true;
        _gate.Defer(() => _ = RunCatchUpAsync());
    });

    private Task CatchUpAsync() => _gate.Run(() =>
    {
        StartCatchUp();
        return WaitForCatchUpAsync();
    });

    // Each waits for a task of its own: of several continuations of one task, all but one hop to the thread pool.
    private Task WaitForCatchUpAsync() => _gate.Run(() =>
    {
        if ((!_catchingUp && !_reopening) || _closed || _fault is not null) return Task.CompletedTask;
        var waiter = _gate.NewCompletion();
        _catchUpWaiters.Add(waiter);
        return waiter.Task;
    });

    private async Task RunCatchUpAsync()
    {
        while (true)
        {
            _metrics.OnCatchUp();
            var error = await TryAsync(ReadPatientlyAsync).ConfigureAwait(false);
            var again = _gate.Run(() =>
            {
                if (error is StorageClosedException { Reason: StoreClosedReason.Lost }) StartReopen();
                else if (error is not null) FaultNow(error);
                _catchingUp = _catchUpAgain && error is null && !_closed;
                _catchUpAgain = false;
                if (!_catchingUp && !_reopening) CompleteAll(_catchUpWaiters);
                return _catchingUp;
            });
            if (!again) return;
        }
    }

    private void CompleteAll(List<TaskCompletionSource> waiters)
    {
        if (waiters.Count == 0) return;
        var all = waiters.ToList();
        waiters.Clear();
        foreach (var waiter in all) _gate.Defer(() => waiter.TrySetResult());
    }

    /// <returns>Whether the log ends in something that a leader has to remove.</returns>
    private async Task<bool> ReadBehindAsync()
    {
        var from = _gate.Run(() => _ledger!.End);
        var slice = await Recovery.ReadLogAsync(_store, _incarnation, from, _closing.Token).ConfigureAwait(false);
        if (!slice.NeedsReload)
        {
            _gate.Run(() =>
            {
                OnHeadSeen(slice.Head);
                foreach (var commit in slice.Commits) OnDurable(commit);
            });
            return slice.DropFrom is not null;
        }

        var recovered = await Recovery.LoadAsync(_store, slice.Head, _recoveryOptions, _closing.Token).ConfigureAwait(false);
        _gate.Run(() =>
        {
            Reload(recovered);
            OnHeadSeen(recovered.Head);
        });
        return recovered.NeedsRepair;
    }

    private void Reload(RecoveredStore recovered)
    {
        if (recovered.Image.Position.Marker < _ledger!.End.Marker)
        {
            recovered.Image.Dispose();
            return;
        }

        // A leadership builds on the ledger that it began with.
        if (_session is not null) OnLost(new MarkerConflictException(recovered.Image.Position.Marker));
        _reload?.Image.Dispose();
        _reload = recovered;
        _ledger = new CommitLedger(recovered);
        _toApply.Clear();
        Drain();
    }

    private void InstallReload()
    {
        var reload = _reload!;
        _reload = null;

        // Commits built on where the store now stands may still be taken: they go on top of the new image.
        var kept = _storage!.ChainOn(reload.Image.Position);
        ResolveByLedger(kept);
        _storage.UndoAll();
        _storage.Replace(reload.Image);
        foreach (var commit in kept) _storage.ApplyAccepted(commit);
        _metrics.OnReload();
        SettleFailed();
        Raise(new CommittedEventArgs(Position, default, isLocal: false, 0, 0));
    }

    // The chain is a run of markers, so this tab's last durable commit tells how much of it was taken.
    private void ResolveByLedger(IReadOnlyList<CommitRecord> kept)
    {
        var last = _ledger!.LastOf(_coordinator.Id);
        var taken = last is null ? -1 : _pending.FindIndex(p => p.Commit.Id == last.Value.Commit);
        for (var i = 0; i <= taken; i++)
        {
            var pending = _pending[i];
            _gate.Defer(() => pending.Outcome.TrySetResult(new CommitOutcome(IsStale: false, pending.Commit.Position)));
        }

        _pending.RemoveRange(0, taken + 1);
        WakeAnswered();
        foreach (var pending in _pending.Where(p => !kept.Contains(p.Commit))) pending.Error ??= new StaleCommitException(1);
    }

    /// <summary>Waits until the image shows all that this tab knows to be durable.</summary>
    private async Task SettleAsync(CancellationToken cancellationToken)
    {
        var settled = _gate.Run(() =>
        {
            ThrowIfUnusable();
            Drain();
            if (!IsUnsettled && Storage.IsIdle) return null;
            var waiter = new SettleWaiter(_gate.NewCompletion(), _time.GetTimestamp());
            _settleWaiters.Add(waiter);
            return waiter;
        });
        if (settled is null) return;
        await settled.Done.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private void WakeSettleWaiters(StorageException? error = null)
    {
        if (_settleWaiters.Count == 0) return;
        var waiters = _settleWaiters.ToList();
        _settleWaiters.Clear();
        foreach (var waiter in waiters)
        {
            _gate.Defer(() => _ = error is null ? waiter.Done.TrySetResult() : waiter.Done.TrySetException(error));
        }
    }

    private void OnResumed(object? sender, EventArgs e) => StartCatchUp();

    private static async Task<StorageException?> TryAsync(Func<Task> work)
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
        catch (Exception error) when (error is OperationCanceledException or ObjectDisposedException)
        {
            return null;
        }
#pragma warning disable CA1031 // Whatever else a store throws leaves its state unknown, as a lost connection does.
        catch (Exception error)
        {
            return new StorageClosedException(StoreClosedReason.Lost, $"The store failed unexpectedly: {error.Message}");
        }
#pragma warning restore CA1031
    }

    private sealed record SettleWaiter(TaskCompletionSource Done, long Since);
}
