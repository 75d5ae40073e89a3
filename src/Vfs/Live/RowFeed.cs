using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>What becomes of the rows of some tables: each time what is other than it was told before.</summary>
internal sealed class RowFeed<T>(DataSyncDatabase database, IReadOnlyCollection<string> tables, bool includePresent, RowReaderFactory<T> reader) : IAsyncEnumerable<IReadOnlyList<RowChange<T>>>
{
    public IAsyncEnumerator<IReadOnlyList<RowChange<T>>> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
        new Reader(database, tables, includePresent, reader, cancellationToken);

    private sealed class Reader : IAsyncEnumerator<IReadOnlyList<RowChange<T>>>, ILiveQuery
    {
        /// <summary>From so many blocks on that were changed since, also by commits to other tables, what was kept is dropped by comparing: 4 MiB.</summary>
        private const int MaxKeptBlocks = 1024;

        private static readonly TimeSpan BusyPause = TimeSpan.FromMilliseconds(16);

        private readonly DataSyncDatabase _database;
        private readonly IReadOnlyCollection<string> _tables;
        private readonly RowReaderFactory<T> _reader;
        private readonly CancellationToken _cancellationToken;
        private readonly Lock _gate = new();
        private BlockUndo? _past; // null: nothing was told yet
        private TaskCompletionSource _news = NewSignal();
        private IReadOnlySet<string>? _behind; // what virtual tables show; null: not known
        private StorageException? _fault;
        private readonly bool _includesPresent;
        private readonly Task _loading; // what is remembered is compared as a whole, so all of it stays in memory
        private bool _isTouched, _isOver, _hasBegun, _isEnded;

        public Reader(DataSyncDatabase database, IReadOnlyCollection<string> tables, bool includePresent, RowReaderFactory<T> reader, CancellationToken cancellationToken)
        {
            (_database, _tables, _reader, _cancellationToken) = (database, tables, reader, cancellationToken);
            database.ThrowIfUnreadable();
            database.Live.Add(this); // first: a commit from here on is a reason to compare
            _fault = database.Fault; // what it holds can be told, and nothing more comes
            _includesPresent = includePresent;
            _loading = database.PinAllAsync(cancellationToken);
            if (_loading.IsCompletedSuccessfully) Begin();
        }

        public IReadOnlyList<RowChange<T>> Current { get; private set; } = [];

        public async ValueTask<bool> MoveNextAsync()
        {
            if (!_hasBegun)
            {
                await _loading.ConfigureAwait(false);
                Begin();
            }

            while (true)
            {
                if (TakeNews() is { } news)
                {
                    await news.WaitAsync(_cancellationToken).ConfigureAwait(false);
                    continue;
                }

                if (_isOver) return false;
                try
                {
                    await _database.WaitForCleanImageAsync(_cancellationToken).ConfigureAwait(false);
                    _database.ThrowIfUnreadable();
                    _database.ThrowIfWithinWork();
                    _behind = _database.Scout.BehindOf(_tables); // first: a change of the schema from here on is told
                    (Current, _past) = _database.Rows.Compare(_past, _tables, _reader, _cancellationToken);
                }
                catch (SqliteException error) when (error.SqliteErrorCode == SqliteResult.Busy)
                {
                    // A writer of this tab, on another thread, holds the lock for longer than a moment.
                    Touch();
                    await Task.Delay(BusyPause, _database.Time, _cancellationToken).ConfigureAwait(false);
                    continue;
                }
                catch (ObjectDisposedException)
                {
                    return false; // the database was closed
                }
                catch
                {
                    Touch();
                    throw;
                }

                if (Current.Count > 0) return true;
            }
        }

        public async ValueTask DisposeAsync()
        {
            _database.Live.Remove(this);
            if (_past is not null) _database.Rows.Forget(_past);
            await ((ILiveQuery)this).EndAsync().ConfigureAwait(false);
            if (_isEnded) return;
            _isEnded = true;
            await _loading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_loading.IsCompletedSuccessfully) _database.UnpinAll();
        }

        bool ILiveQuery.Reads(IReadOnlySet<string>? tables, bool isSchemaChanged) =>
            tables is null || isSchemaChanged || _behind is null || _behind.Overlaps(tables) || _past?.Blocks.Count >= MaxKeptBlocks;

        Task ILiveQuery.RunAsync()
        {
            Touch();
            return Task.CompletedTask;
        }

        void ILiveQuery.Fail(StorageException error)
        {
            lock (_gate)
            {
                _fault = error;
                _news.TrySetResult();
            }
        }

        ValueTask ILiveQuery.EndAsync()
        {
            lock (_gate)
            {
                _isOver = true;
                _news.TrySetResult();
            }

            return ValueTask.CompletedTask;
        }

        private void Begin()
        {
            _hasBegun = true;
            _behind = _database.Scout.BehindOf(_tables);
            if (_includesPresent) _isTouched = true;
            else _past = _database.Rows.Remember();
        }

        private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

        // Null: there is something to be done at once.
        private Task? TakeNews()
        {
            lock (_gate)
            {
                if (_isOver) return null;
                if (_isTouched)
                {
                    _isTouched = false;
                    return null;
                }

                if (_fault is not null) throw _fault;
                if (_news.Task.IsCompleted) _news = NewSignal();
                return _news.Task;
            }
        }

        private void Touch()
        {
            lock (_gate)
            {
                _isTouched = true;
                _news.TrySetResult();
            }
        }
    }
}
