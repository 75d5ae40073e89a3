namespace DataSync.Vfs;

/// <summary>
/// One name of a factory. Its openings and deletions are done one after the other, and each begins with closing what the one
/// before has left open. Those who ask while a database opens, or is open, share it.
/// </summary>
internal sealed class DatabaseSlot(Func<CancellationToken, Task<DataSyncDatabase?>> open)
{
    private readonly Lock _gate = new();
    private Step _last = Step.Over();
    private bool _isDisposed;
    private bool _isWanted;

    /// <summary>What is open now, and works; null otherwise.</summary>
    public DataSyncDatabase? Open
    {
        get
        {
            lock (_gate) return _last is { IsShared: true, Task.IsCompletedSuccessfully: true } ? _last.Task.Result : null;
        }
    }

    /// <summary>The token ends this caller's waiting; the opening ends when nobody waits for it any more.</summary>
    /// <param name="cancellationToken">Ends this caller's waiting.</param>
    /// <param name="kept">What the opening before this one has left, and is not to be closed.</param>
    /// <param name="isByTheWay">The caller does not mind when somebody else has it closed; see <see cref="CloseUnlessWantedAsync"/>.</param>
    public async Task<DataSyncDatabase> OpenAsync(CancellationToken cancellationToken, DataSyncDatabase? kept = null, bool isByTheWay = false)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Step step;
        Step? before = null;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, typeof(DataSyncFactory));
            if (!_last.IsShared) (before, _last, _isWanted) = (_last, new Step(), false);
            _isWanted |= !isByTheWay;
            step = _last;
            step.Waiters++;
        }

        if (before is not null) _ = RunAsync(step, before, open, kept);
        try
        {
            return (await step.Task.WaitAsync(cancellationToken).ConfigureAwait(false))!;
        }
        finally
        {
            Leave(step);
        }
    }

    /// <summary>Deletes the store when nothing of this factory has it open; who opens meanwhile comes after that.</summary>
    public Task DeleteAsync(Func<Task> delete, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return Task.FromCanceled(cancellationToken); // before anything is closed
        lock (_gate) ObjectDisposedException.ThrowIf(_isDisposed, typeof(DataSyncFactory));
        return FollowAsync(async _ =>
        {
            await delete().ConfigureAwait(false);
            return null;
        }).WaitAsync(cancellationToken);
    }

    /// <summary>Closes what is open, if everybody who has asked for it did so by the way. Who opens meanwhile comes after that.</summary>
    public Task CloseUnlessWantedAsync()
    {
        lock (_gate)
        {
            if (_isWanted || _isDisposed || !_last.IsShared) return Task.CompletedTask;
            return FollowAsync(_ => Task.FromResult<DataSyncDatabase?>(null));
        }
    }

    /// <summary>Stops an opening, closes what is open, and opens nothing more.</summary>
    public async Task DisposeAsync()
    {
        Step last;
        lock (_gate)
        {
            _isDisposed = true;
            last = _last;
        }

        await last.Stop.CancelAsync().ConfigureAwait(false);
        await FollowAsync(_ => Task.FromResult<DataSyncDatabase?>(null)).ConfigureAwait(false);
    }

    /// <summary>Does something that nobody shares.</summary>
    private Task<DataSyncDatabase?> FollowAsync(Func<CancellationToken, Task<DataSyncDatabase?>> work)
    {
        var step = new Step { IsAbandoned = true };
        Step before;
        lock (_gate) (before, _last) = (_last, step);
        _ = RunAsync(step, before, work, kept: null);
        return step.Task;
    }

    private async Task RunAsync(Step step, Step before, Func<CancellationToken, Task<DataSyncDatabase?>> work, DataSyncDatabase? kept)
    {
        try
        {
            await before.CloseAsync(kept).ConfigureAwait(false);
            var stop = step.Stop.Token;
            var database = await work(stop).ConfigureAwait(false);
            if (database is not null && stop.IsCancellationRequested)
            {
                await database.DisposeAsync().ConfigureAwait(false);
                stop.ThrowIfCancellationRequested();
            }

            step.Done.SetResult(database);
        }
#pragma warning disable CA1031 // It goes to those who wait.
        catch (Exception error)
#pragma warning restore CA1031
        {
            lock (_gate)
            {
                if (_isDisposed && error is OperationCanceledException) error = new ObjectDisposedException(nameof(DataSyncFactory));
            }

            step.Done.SetException(error);
            _ = step.Task.Exception; // perhaps nobody waits
        }
    }

    private void Leave(Step step)
    {
        lock (_gate)
        {
            if (--step.Waiters > 0 || step.Task.IsCompleted) return;
            step.IsAbandoned = true;
        }

        step.Stop.Cancel();
    }

    /// <summary>An opening or a deletion.</summary>
    private sealed class Step
    {
        /// <summary>Natively a caller must not go on, and perhaps block, on the thread that also brings the database its answers.</summary>
        public TaskCompletionSource<DataSyncDatabase?> Done { get; } =
            new(OperatingSystem.IsBrowser() ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<DataSyncDatabase?> Task => Done.Task;

        public CancellationTokenSource Stop { get; } = new();

        public int Waiters { get; set; }

        /// <summary>Whether nobody may join it: all that waited have gone, or it is no opening.</summary>
        public bool IsAbandoned { get; set; }

        /// <summary>Whether it opens, or what it opened is of use.</summary>
        public bool IsShared => !IsAbandoned && (!Task.IsCompleted || (Task.IsCompletedSuccessfully && Task.Result!.IsUsable));

        /// <summary>What the first one comes after.</summary>
        public static Step Over()
        {
            var over = new Step { IsAbandoned = true };
            over.Done.SetResult(null);
            return over;
        }

        /// <summary>Returns when it is over and what it opened is closed, also if that had stopped by itself or is closing.</summary>
        public async Task CloseAsync(DataSyncDatabase? kept)
        {
            await ((Task)Task).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (Task is { IsCompletedSuccessfully: true, Result: { } database } && database != kept) await database.DisposeAsync().ConfigureAwait(false);
        }
    }
}
