namespace DataSync.Storage;

// Deferred writes that are kept over the end of the tab.
public sealed partial class AutoSyncManager
{
    /// <summary>An app that never listens must not fill the memory with what it was not told.</summary>
    private const int MaxUntold = 64;

    private readonly List<JournalEntry> _forgotten = [];
    private readonly List<SyncFailedEventArgs> _untold = [];
    private EventHandler<SyncFailedEventArgs>? _syncFailed, _syncFailureSeen;
    private Func<byte[], Exception, byte[]>? _markFailed;
    private Task _forgetting = Task.CompletedTask;
    private bool _isForgetting, _isClosing;

    /// <summary>
    /// A sync ended, and some of it was taken back. The application should tell its user. What failed while nobody listened yet, as deferred writes of an earlier session while the database was
    /// opened, is told to the first handler at once.
    /// </summary>
    public event EventHandler<SyncFailedEventArgs>? SyncFailed
    {
        add
        {
            foreach (var args in ListenToFailures(ref _syncFailed, value, isApp: true)) Raise(value, args, nameof(SyncFailed));
        }

        remove
        {
            lock (_lock) _syncFailed -= value;
        }
    }

    /// <summary>The same for DataSync's own components, which take nothing from the app's first handler.</summary>
    internal event EventHandler<SyncFailedEventArgs>? SyncFailureSeen
    {
        add
        {
            foreach (var args in ListenToFailures(ref _syncFailureSeen, value, isApp: false)) Raise(value, args, nameof(SyncFailed));
        }

        remove
        {
            lock (_lock) _syncFailureSeen -= value;
        }
    }

    /// <summary>Where deferred writes are kept; null: nowhere.</summary>
    internal IDeferredJournal? Journal { get; private set; }

    /// <summary>Whether nothing is lost when the tab ends now, and waiting would not help: there is no connection, and all that is not durable is in the journal.</summary>
    internal bool MayLeave
    {
        get
        {
            if (Journal is null || !_pipeline.IsCut) return false;
            lock (_lock) return _outstanding.TrueForAll(write => write.Statements is { IsKept: true });
        }
    }

    /// <summary>Keeps deferred writes from now on.</summary>
    /// <param name="journal">Where; it is closed by <see cref="CloseJournalAsync"/>.</param>
    /// <param name="markFailed">Makes of an entry's body the one that says that it has failed, and with what.</param>
    internal void KeepIn(IDeferredJournal journal, Func<byte[], Exception, byte[]> markFailed) => (Journal, _markFailed) = (journal, markFailed);

    /// <summary>Tells of a write of an earlier session that failed, now or before.</summary>
    internal async Task ReportFailedAsync(DeferredStatements statements, Exception error)
    {
        await MarkFailedAsync(statements, error).ConfigureAwait(false);
        lock (_lock) _failure ??= error;
        Log.SyncFailed(_logger, _scope, 1, error.Message);
        RaiseFailed(new(SyncTrigger.Conflict, 1, error, [new(statements.Statements, error)]));
        _pipeline.RaiseEvent(() => Forget(statements.Entry!));
    }

    /// <summary>This tab ends: what fails from now on because of that has not failed.</summary>
    internal void BeginClosing() => _isClosing = true;

    /// <summary>Closes the journal, when what was to be taken out of it is.</summary>
    internal async Task CloseJournalAsync()
    {
        if (Journal is not { } journal) return;
        Task forgetting;
        lock (_lock) forgetting = _forgetting;
        await forgetting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await journal.DisposeAsync().ConfigureAwait(false);
    }

    // Within the slot, so that the journal has them in the order in which they were sealed.
    private async ValueTask KeepInJournalAsync(DeferredStatements statements, WriteSlot slot)
    {
        try
        {
            await Journal!.AppendAsync(statements.Entry!).ConfigureAwait(false);
            statements.IsKept = true;
        }
        catch
        {
            slot.Abandon();
            Forget(statements.Entry!); // perhaps it is there all the same
            throw;
        }
    }

    // Before anything behind it is durable: from then on it counts as run, and the next session would say nothing of it.
    private void TellAtOnce()
    {
        List<DeferredWrite> failed;
        lock (_lock)
        {
            if (_unreported.TrueForAll(StaysInJournal)) return;
            failed = [.. _unreported];
            _unreported.Clear();
            if (_sync is { } sync) sync.HasFailed = true;
        }

        TellOfFailed(SyncTrigger.Conflict, failed);
    }

    // Before anybody is told. If this tab ends in the middle of telling, whoever is given its queue tells once more, and does not run what the user believes failed. Whoever removed it first instead
    // would lose what was never told.
    private async ValueTask MarkFailedAsync(DeferredStatements? statements, Exception error)
    {
        if (statements is not { IsKept: true, Entry: { } entry } || StaysInJournal(statements, error)) return;
        try
        {
            await Journal!.ReplaceAsync(entry with { Body = _markFailed!(entry.Body, error) }).ConfigureAwait(false);
        }
        catch (StorageException failure)
        {
            Log.JournalNotTrimmed(_logger, _scope, 1, failure.Message);
        }
    }

    private void TellOfFailed(SyncTrigger trigger, List<DeferredWrite> failed)
    {
        if (failed is not [{ Error: { } error }, ..]) return;
        Log.SyncFailed(_logger, _scope, failed.Count, error.Message);
        var ended = failed.Where(write => write.Statements is not null && !StaysInJournal(write)).ToList();
        RaiseFailed(new(trigger, failed.Count, error, [.. ended.Select(write => new FailedWrite(write.Statements!.Statements, write.Error!))]));
        _pipeline.RaiseEvent(() => ended.ForEach(write => Forget(write.Statements))); // behind the handlers
    }

    // What only the end of this tab has ended: the next one runs it.
    private bool StaysInJournal(DeferredWrite write) => StaysInJournal(write.Statements, write.Error);

    private bool StaysInJournal(DeferredStatements? statements, Exception? error) => statements is { IsKept: true }
        && error is (StorageException or OperationCanceledException or ObjectDisposedException) && (_isClosing || _pipeline.IsStopped || _disposing.IsCancellationRequested);

    private void Forget(DeferredStatements? statements)
    {
        if (statements is not { IsKept: true, Entry: { } entry }) return;
        statements.IsKept = false;
        Forget(entry);
    }

    private void Forget(JournalEntry entry)
    {
        lock (_lock)
        {
            _forgotten.Add(entry);
            if (_isForgetting) return;
            _isForgetting = true;
        }

        var forgetting = ForgetAsync();
        lock (_lock) _forgetting = forgetting;
    }

    private async Task ForgetAsync()
    {
        while (true)
        {
            JournalEntry[] entries;
            lock (_lock)
            {
                entries = [.. _forgotten];
                _forgotten.Clear();
                if (!(_isForgetting = entries.Length > 0)) return;
            }

            try
            {
                await Journal!.RemoveAsync(entries).ConfigureAwait(false);
            }
            catch (StorageException error)
            {
                Log.JournalNotTrimmed(_logger, _scope, entries.Length, error.Message);
            }
        }
    }

    /// <returns>What was held for the app's first handler.</returns>
    private SyncFailedEventArgs[] ListenToFailures(ref EventHandler<SyncFailedEventArgs>? handlers, EventHandler<SyncFailedEventArgs>? added, bool isApp)
    {
        lock (_lock)
        {
            handlers += added;
            SyncFailedEventArgs[] untold = [.. _untold];
            if (isApp) _untold.Clear();
            return untold;
        }
    }

    private void RaiseFailed(SyncFailedEventArgs args)
    {
        EventHandler<SyncFailedEventArgs>? handlers, seen;
        lock (_lock)
        {
            (handlers, seen) = (_syncFailed, _syncFailureSeen);
            if (handlers is null && _untold.Count < MaxUntold) _untold.Add(args);
        }

        Raise(handlers, args, nameof(SyncFailed));
        Raise(seen, args, nameof(SyncFailed));
    }
}
