namespace DataSync.Storage;

// Running again what another tab's commit came before.
public sealed partial class AutoSyncManager
{
    private bool _isRerunning;

    private void RunAgain(DeferredWrite write)
    {
        bool starts;
        lock (_lock)
        {
            Unbuffer(write);
            starts = !_isRerunning;
            _isRerunning = true;
        }

        StartSync(SyncTrigger.Conflict);
        if (starts) _ = RerunAsync();
    }

    private async Task RerunAsync()
    {
        using var loading = new LoadRounds(_pipeline.Extents, _pipeline.Storage);
        while (HasOvertaken())
        {
            DeferredWrite? write = null;
            Exception? error = null;
            var isMissing = false;
            try
            {
                using var slot = await _pipeline.BeginWriteAsync(
                    _pipeline.MakeSlot(isDeferred: _pipeline.IsObserver, isBuffered: _pipeline.IsCut, isRerun: true), exclusive: true, _disposing.Token).ConfigureAwait(false);

                // Chosen only now: an earlier one, whose message was lost on its way, may have grown stale meanwhile.
                write = FindOvertaken();
                if (write is null || Try(write.Run, ++write.Attempts, slot)) continue;
                if (_pipeline.IsObserver && slot.Pending is { } pending)
                {
                    KeepAgain(write, pending, slot);
                    continue;
                }

                slot.Dispose();
                if ((await slot.Outcome.ConfigureAwait(false)).IsStale)
                {
                    if (write.Attempts <= _maxAttempts) continue;
                    throw new StaleCommitException(write.Attempts);
                }

                _pipeline.Metrics.OnRerun();
            }
            catch (Exception) when (write is not null && loading.HasMissed)
            {
                write.Attempts--;
                isMissing = true;
            }
            catch (NoLeaderException) when (_pipeline.IsObserver && !_disposing.IsCancellationRequested)
            {
                continue; // its connection is away, perhaps for days: the next round goes on without
            }
#pragma warning disable CA1031 // The work is the application's: whatever it throws is what its write failed with.
            catch (Exception thrown)
#pragma warning restore CA1031
            {
                error = thrown;
                Log.RerunFailed(_logger, _scope, thrown.Message);
            }

            if (isMissing)
            {
                error = await StoreLink.TryAsync(() => loading.LoadAsync(_disposing.Token)).ConfigureAwait(false);
                if (error is null || (_pipeline.IsObserver && error is StorageUnavailableException && !_disposing.IsCancellationRequested)) continue;
            }

            if ((write ?? FindOvertaken()) is not { } ended) continue;
            if (error is not null) await MarkFailedAsync(ended.Statements, error).ConfigureAwait(false);
            End(ended, error);
            _pipeline.OnRanAgain();
        }
    }

    // Where the answer may be away for days nothing waits for it: what was run again is as if it had just been acknowledged.
    private void KeepAgain(DeferredWrite write, PendingCommit pending, WriteSlot slot)
    {
        lock (_lock)
        {
            (write.Pending, write.Attempts) = (pending, 0);
            Buffer(write);
        }

        _pipeline.Metrics.OnRerun();
        _ = WatchAsync(write, slot.Outcome);
        slot.Dispose();
        _pipeline.OnRanAgain();
        RelieveOrSchedule();
    }

    /// <summary>The first of those acknowledged whose commit is stale and that was not run again yet.</summary>
    private DeferredWrite? FindOvertaken()
    {
        lock (_lock) return _outstanding.Find(w => w.Pending.IsOvertaken);
    }

    private bool HasOvertaken()
    {
        lock (_lock) return _isRerunning = _outstanding.Exists(w => w.Pending.IsOvertaken);
    }
}
