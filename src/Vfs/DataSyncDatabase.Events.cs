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
