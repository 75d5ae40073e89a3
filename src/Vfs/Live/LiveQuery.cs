using System.Runtime.ExceptionServices;
using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>A query that follows the database: it runs again when a table that it reads was changed, by any tab.</summary>
/// <remarks>
/// Get one from <see cref="DataSyncDatabase.LiveAsync{T}"/> and dispose it. Members may be called from any thread. A row that is as it was is the same object
/// in <see cref="Current"/> as before, so a list that is keyed by its rows touches only what changed.
/// </remarks>
public sealed class LiveQuery<T> : ILiveQuery, IAsyncEnumerable<IReadOnlyList<T>>, IAsyncDisposable
{
    private readonly LiveQueries _owner;
    private readonly LiveSource<T> _source;
    private readonly Func<T, object?>? _key;
    private readonly SemaphoreSlim _running = new(1);
    private readonly CancellationTokenSource _end = new();
    private readonly Lock _gate = new();
    private LiveRun<T>? _run;
    private Exception? _error;
    private TaskCompletionSource _next = NewSignal();
    private long _version;
    private bool _isDisposed;

    internal LiveQuery(LiveQueries owner, LiveSource<T> source, Func<T, object?>? key) => (_owner, _source, _key) = (owner, source, key);

    /// <summary>
    /// There is another outcome, or the query failed. Raised one after the other, natively on a thread of its own, so in a component: <c>InvokeAsync(StateHasChanged)</c>. What a handler
    /// throws is logged (event 3003).
    /// </summary>
    public event EventHandler<LiveChangedEventArgs<T>>? Changed;

    /// <summary>The rows of the last run that succeeded.</summary>
    public IReadOnlyList<T> Current
    {
        get
        {
            lock (_gate) return _run?.Rows ?? [];
        }
    }

    /// <summary>The columns' names, of the last run that succeeded.</summary>
    public IReadOnlyList<string> Columns
    {
        get
        {
            lock (_gate) return _run?.Columns ?? [];
        }
    }

    /// <summary>
    /// What the last run failed with; null when it succeeded. A query that failed runs again after each commit. <see cref="StorageException"/>: the database has stopped, and so has the
    /// query.
    /// </summary>
    public Exception? Error
    {
        get
        {
            lock (_gate) return _error;
        }
    }

    /// <summary>The tables that it reads, through views, too; virtual tables under their own names. Null where it runs after every commit, because it cannot be told (it reads tables of SQLite's own, for instance).</summary>
    public IReadOnlySet<string>? Tables
    {
        get
        {
            lock (_gate) return _run?.Tables;
        }
    }

    /// <summary>How often it has run.</summary>
    public int Runs { get; private set; }

    /// <summary>Sets other parameters, and runs it with them.</summary>
    /// <param name="parameters">As for <see cref="DataSyncDatabase.QueryAsync{T}"/>.</param>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    /// <exception cref="InvalidOperationException">It was not made of SQL.</exception>
    /// <exception cref="Exception">What the run failed with; it is also <see cref="Error"/>.</exception>
    public Task SetParametersAsync(object? parameters)
    {
        _source.SetParameters(parameters);
        return RefreshAsync();
    }

    /// <summary>Runs it now. That is needed only where it depends on something that is not in the database, such as the time.</summary>
    /// <inheritdoc cref="SetParametersAsync" path="/exception"/>
    public async Task RefreshAsync()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (await RunAsync().ConfigureAwait(false) is { } error) ExceptionDispatchInfo.Throw(error);
    }

    /// <summary>
    /// The present outcome, then each newer one; one that is overtaken while the caller is busy is left out. Ends when the query is disposed or the database is closed.
    /// </summary>
    /// <param name="cancellationToken">Ends the waiting with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="Exception">What the query failed with; enumerate again when it has recovered, of which <see cref="Changed"/> tells.</exception>
    public async IAsyncEnumerator<IReadOnlyList<T>> GetAsyncEnumerator(CancellationToken cancellationToken = default)
    {
        for (var seen = -1L; ;)
        {
            Task next;
            IReadOnlyList<T>? rows = null;
            lock (_gate)
            {
                if (_isDisposed) yield break;
                if (_version != seen)
                {
                    if (_error is not null) ExceptionDispatchInfo.Throw(_error);
                    (seen, rows) = (_version, _run?.Rows ?? []);
                }

                next = _next.Task;
            }

            if (rows is null) await next.WaitAsync(cancellationToken).ConfigureAwait(false);
            else yield return rows;
        }
    }

    /// <summary>Stops it: no run and no call of a handler begins any more; those that are under way are not waited for.</summary>
    public ValueTask DisposeAsync()
    {
        _owner.Remove(this);
        lock (_gate)
        {
            if (_isDisposed) return ValueTask.CompletedTask;
            _isDisposed = true;
        }

        _end.Cancel();
        _next.TrySetResult();
        return ValueTask.CompletedTask;
    }

    /// <summary>The first run, which must succeed.</summary>
    internal async Task StartAsync(CancellationToken cancellationToken)
    {
        _owner.Add(this); // first: a commit during the run is another reason to run
        try
        {
            var error = await RunAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
            if (error is not null) ExceptionDispatchInfo.Throw(error);
        }
        catch
        {
            await DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The first run, for those who hear of the outcome by <see cref="Changed"/>: if it fails, the next commit makes it run again.</summary>
    internal Task BeginAsync()
    {
        _owner.Add(this);
        return RunAsync();
    }

    bool ILiveQuery.Reads(IReadOnlySet<string>? tables, bool isSchemaChanged)
    {
        lock (_gate)
        {
            if (tables is null || isSchemaChanged || _run is null) return true;
            return _run.Tables is null || _run.Tables.Overlaps(tables);
        }
    }

    Task ILiveQuery.RunAsync() => RunAsync();

    void ILiveQuery.Fail(StorageException error) => Tell(_run, error);

    ValueTask ILiveQuery.EndAsync() => DisposeAsync();

    private async Task<Exception?> RunAsync()
    {
        try
        {
            await _running.WaitAsync(_end.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return new ObjectDisposedException(nameof(LiveQuery<>));
        }

        try
        {
            Runs++;
            var run = await _source.RunAsync(_run, _end.Token).ConfigureAwait(false);
            Tell(run, null);
            return null;
        }
#pragma warning disable CA1031 // It goes to whoever reads the query.
        catch (Exception error)
#pragma warning restore CA1031
        {
            if (_end.IsCancellationRequested) return new ObjectDisposedException(nameof(LiveQuery<>));

            Tell(_run is null ? null : _run with { Tables = null }, error); // what it takes to succeed is not known
            return error;
        }
        finally
        {
            _running.Release();
        }
    }

    private void Tell(LiveRun<T>? run, Exception? error)
    {
        var isSame = _run is not null && run is not null && error is null && _error is null && AreSame(_run.Rows, run.Rows) && _run.Columns.SequenceEqual(run.Columns);
        LiveDiff<T>? diff = null;
        if (!isSame && error is null && _key is not null) diff = LiveDiff<T>.Of(_run?.Rows ?? [], run!.Rows, _key, IsSame);
        TaskCompletionSource next;
        lock (_gate)
        {
            (_run, _error) = (run, error);
            if (isSame || _isDisposed) return;
            _version++;
            (next, _next) = (_next, NewSignal());
        }

        next.TrySetResult();
        Handlers.Raise(Changed, this, new LiveChangedEventArgs<T>(run?.Rows ?? [], diff, error), _owner.OnHandlerFailed);
    }

    private static bool AreSame(IReadOnlyList<T> before, IReadOnlyList<T> now)
    {
        if (before.Count != now.Count) return false;
        for (var i = 0; i < now.Count; i++)
        {
            if (!IsSame(before[i], now[i])) return false;
        }

        return true;
    }

    /// <summary>Whether a row is as it was: the source keeps objects whose values are the same.</summary>
    internal static bool IsSame(T before, T now) => typeof(T).IsValueType ? EqualityComparer<T>.Default.Equals(before, now) : ReferenceEquals(before, now);

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>Another outcome of a live query.</summary>
/// <param name="rows">The rows.</param>
/// <param name="diff">How they differ.</param>
/// <param name="error">What it failed with.</param>
public sealed class LiveChangedEventArgs<T>(IReadOnlyList<T> rows, LiveDiff<T>? diff, Exception? error) : EventArgs
{
    /// <summary>The rows; after a failure those of the last run that succeeded.</summary>
    public IReadOnlyList<T> Rows { get; } = rows;

    /// <summary>How they differ from the rows that were told before; null where the query was given no key, and after a failure.</summary>
    public LiveDiff<T>? Diff { get; } = diff;

    /// <summary>What the query failed with; null when it succeeded.</summary>
    public Exception? Error { get; } = error;
}
