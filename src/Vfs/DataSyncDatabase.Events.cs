using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Vfs;

// Commits for asynchronous handlers.
public sealed partial class DataSyncDatabase
{
    /// <summary>
    /// Calls an asynchronous handler for each commit of any tab, as <see cref="Committed"/>, in the order of the markers and one
    /// call after the other: commits that come during a call wait for its end. What the handler throws is logged (event 3010),
    /// and the next commit is delivered all the same. In a component: <c>db.Subscribe(_ => InvokeAsync(LoadAsync))</c>.
    /// </summary>
    /// <remarks>
    /// No commit is left out, so a handler that is slower than the writes lags behind. One that only shows what the database holds may return at once while <c>e.Position.Marker &lt; db.Marker</c>: a call for a later commit follows.
    /// </remarks>
    /// <param name="handler">May query, write, and dispose the subscription or the database.</param>
    /// <returns>
    /// Ends it when disposed, from anywhere, as often as you like: no call begins any more; one that runs is not waited for. The
    /// database's disposal ends it, too.
    /// </returns>
    /// <exception cref="ObjectDisposedException">The database was closed.</exception>
    /// <exception cref="StorageException">The database has stopped.</exception>
    public IDisposable Subscribe(Func<CommittedEventArgs, Task> handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        ThrowIfUnusable();
        var subscription = new Subscription(this, handler);
        Committed += subscription.OnCommitted;
        return subscription;
    }

    /// <summary>
    /// The commits of any tab that change some tables, in their order; those that come while the reader is busy are told together, and none is left out. Begins with the enumeration, and
    /// ends with the database.
    /// </summary>
    /// <param name="tables">The tables, as they were created; none: all. A change of the schema is always told.</param>
    /// <exception cref="ObjectDisposedException">When the enumeration begins: the database was closed.</exception>
    /// <exception cref="StorageException">In the enumeration: the database has stopped.</exception>
    public IAsyncEnumerable<TableChanges> Changes(params string[] tables)
    {
        ArgumentNullException.ThrowIfNull(tables);
        return new ChangeFeed(this, tables);
    }

    /// <summary>Calls an asynchronous handler for the commits of any tab that change some tables, one call after the other: what comes during a call is told together by the next one.</summary>
    /// <param name="tables">As for <see cref="Changes"/>.</param>
    /// <param name="handler">May query, write, and dispose the subscription. What it throws is logged (event 3010), and it hears of the next changes all the same.</param>
    /// <inheritdoc cref="Subscribe(Func{CommittedEventArgs, Task})" path="/returns"/>
    /// <inheritdoc cref="Subscribe(Func{CommittedEventArgs, Task})" path="/exception"/>
    public IDisposable Subscribe(IReadOnlyCollection<string> tables, Func<TableChanges, Task> handler)
    {
        ArgumentNullException.ThrowIfNull(tables);
        ArgumentNullException.ThrowIfNull(handler);
        ThrowIfUnusable();
        var end = new CancellationTokenSource();
        var changes = new ChangeFeed(this, tables).GetAsyncEnumerator(end.Token); // now, so that nothing is missed
        Detached.Run(() => DeliverAsync(changes, handler, end.Token));
        return new CancellationDisposable(end);
    }

    /// <summary>Completes when the database is closed.</summary>
    internal Task Closed => _closing.Task;

    private async Task DeliverAsync(IAsyncEnumerator<TableChanges> changes, Func<TableChanges, Task> handler, CancellationToken end)
    {
        await using (changes.ConfigureAwait(false))
        {
            while (await NextAsync().ConfigureAwait(false))
            {
                try
                {
                    await handler(changes.Current).ConfigureAwait(false);
                }
#pragma warning disable CA1031 // A faulty handler of the application hears of the next changes all the same.
                catch (Exception error)
#pragma warning restore CA1031
                {
                    Log.SubscriberFailed(_logger, Name, changes.Current.Marker, error);
                }
            }
        }

        async Task<bool> NextAsync()
        {
            try
            {
                return await changes.MoveNextAsync().ConfigureAwait(false) && !end.IsCancellationRequested;
            }
            catch (Exception error) when (error is OperationCanceledException or StorageException)
            {
                return false; // Faulted tells of it
            }
        }
    }

    private void RaiseCommitted(CommittedEventArgs e)
    {
        if (Committed is not { } handlers) return;
        var tables = Scout?.Resolve(e.Tables); // null while it is being opened
        Handlers.Raise(handlers, this, tables == e.Tables ? e : new CommittedEventArgs(e, tables), error => Log.HandlerFailed(_logger, nameof(Committed), error));
    }

    private void RaiseFaulted(StorageFaultedEventArgs e)
    {
        _live?.Fail(e.Error);
        Handlers.Raise(Faulted, this, e, error => Log.HandlerFailed(_logger, nameof(Faulted), error));
    }

    private sealed class CancellationDisposable(CancellationTokenSource source) : IDisposable
    {
        public void Dispose() => source.Cancel();
    }

    private sealed class Subscription(DataSyncDatabase database, Func<CommittedEventArgs, Task> handler) : IDisposable
    {
        private readonly Queue<CommittedEventArgs> _waiting = new();
        private bool _isDelivering, _isOver;

        public void Dispose()
        {
            lock (_waiting) _isOver = true;
            database.Committed -= OnCommitted;
        }

        public void OnCommitted(object? sender, CommittedEventArgs e)
        {
            lock (_waiting)
            {
                _waiting.Enqueue(e);
                if (_isDelivering) return;
                _isDelivering = true;
            }

            _ = DeliverAsync();
        }

        private async Task DeliverAsync()
        {
            while (Next() is { } commit)
            {
                try
                {
                    await handler(commit).ConfigureAwait(false);
                }
#pragma warning disable CA1031 // A faulty handler of the application hears of the next commit all the same.
                catch (Exception error)
#pragma warning restore CA1031
                {
                    Log.SubscriberFailed(database._logger, database.Name, commit.Position.Marker, error);
                }
            }
        }

        private CommittedEventArgs? Next()
        {
            lock (_waiting)
            {
                if (_isOver || database._closed) _waiting.Clear();
                _isDelivering = _waiting.TryDequeue(out var next);
                return next;
            }
        }
    }
}
