using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>One or several commits after one another that changed tables.</summary>
/// <param name="From">The marker of the first of them.</param>
/// <param name="Marker">The marker of the last of them.</param>
/// <param name="Tables">Of the tables that were asked for, those that were changed; null where it is not known, so that it may be any (see <see cref="CommittedEventArgs.Tables"/>).</param>
/// <param name="IsSchemaChanged">Whether tables, indexes, views or triggers may be others.</param>
/// <param name="IsLocal">Whether all of them were this tab's own.</param>
public sealed record TableChanges(long From, long Marker, IReadOnlyList<string>? Tables, bool IsSchemaChanged, bool IsLocal);

/// <summary>The commits that change some tables, those together that come while the reader is busy.</summary>
internal sealed class ChangeFeed(DataSyncDatabase database, IReadOnlyCollection<string> tables) : IAsyncEnumerable<TableChanges>
{
    public IAsyncEnumerator<TableChanges> GetAsyncEnumerator(CancellationToken cancellationToken = default) => new Reader(database, tables, cancellationToken);

    private sealed class Reader : IAsyncEnumerator<TableChanges>
    {
        private readonly DataSyncDatabase _database;
        private readonly IReadOnlyCollection<string> _tables;
        private readonly CancellationToken _cancellationToken;
        private readonly long _start;
        private readonly Lock _gate = new();
        private TaskCompletionSource _news = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TableChanges? _waiting;
        private StorageException? _fault;

        public Reader(DataSyncDatabase database, IReadOnlyCollection<string> tables, CancellationToken cancellationToken)
        {
            (_database, _tables, _cancellationToken) = (database, tables, cancellationToken);
            database.ThrowIfUnreadable();
            database.Committed += OnCommitted; // from here on nothing is missed
            database.Faulted += OnFaulted;
            _start = database.Marker; // what is shown already may be told late
        }

        public TableChanges Current { get; private set; } = null!;

        public async ValueTask<bool> MoveNextAsync()
        {
            while (true)
            {
                Task news;
                lock (_gate)
                {
                    if (_waiting is not null)
                    {
                        (Current, _waiting) = (_waiting, null);
                        return true;
                    }

                    if (_fault is not null) throw _fault;
                    if (_news.Task.IsCompleted) _news = new(TaskCreationOptions.RunContinuationsAsynchronously);
                    news = _news.Task;
                }

                if (await Task.WhenAny(news, _database.Closed).WaitAsync(_cancellationToken).ConfigureAwait(false) != news) return false;
            }
        }

        public ValueTask DisposeAsync()
        {
            _database.Committed -= OnCommitted;
            _database.Faulted -= OnFaulted;
            return ValueTask.CompletedTask;
        }

        private void OnCommitted(object? sender, CommittedEventArgs e)
        {
            if (e.Position.Marker <= _start) return;
            var touched = _tables.Count == 0 || e.Tables is null ? e.Tables : [.. e.Tables.Where(_tables.Contains)];
            if (touched is [] && !e.IsSchemaChanged) return;
            lock (_gate)
            {
                var one = new TableChanges(e.Position.Marker, e.Position.Marker, touched, e.IsSchemaChanged, e.IsLocal);
                _waiting = _waiting is not { } before ? one : new(
                    before.From,
                    one.Marker,
                    before.Tables is null || touched is null ? null : [.. before.Tables.Union(touched)],
                    before.IsSchemaChanged || one.IsSchemaChanged,
                    before.IsLocal && one.IsLocal);
                _news.TrySetResult();
            }
        }

        private void OnFaulted(object? sender, StorageFaultedEventArgs e)
        {
            lock (_gate)
            {
                _fault = e.Error;
                _news.TrySetResult();
            }
        }
    }
}
