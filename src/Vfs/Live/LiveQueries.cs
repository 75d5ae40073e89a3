using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>A live query as the one who runs it sees it.</summary>
internal interface ILiveQuery
{
    /// <summary>Whether it may have another outcome after a change.</summary>
    bool Reads(IReadOnlySet<string>? tables, bool isSchemaChanged);

    Task RunAsync();

    /// <summary>The database has stopped.</summary>
    void Fail(StorageException error);

    /// <summary>The database is closed.</summary>
    ValueTask EndAsync();
}

/// <summary>
/// The live queries of a database: hears of every change of the image, and runs those that read what changed, at once if there was peace before and at
/// most once a frame; what changes meanwhile makes one run together.
/// </summary>
internal sealed class LiveQueries(TableScout scout, TimeProvider time, Action<Exception> handlerFailed)
{
    /// <summary>Nobody sees more often what is on the screen; and how long the page may be kept from other things at a time.</summary>
    private static readonly TimeSpan Frame = TimeSpan.FromMilliseconds(16), Slice = TimeSpan.FromMilliseconds(8), Breath = TimeSpan.FromMilliseconds(1);

    private readonly Lock _gate = new();
    private readonly List<ILiveQuery> _queries = [];
    private readonly HashSet<string> _changed = [];
    private bool _isAny, _isSchemaChanged, _hasChanges, _isRunning;
    private TaskCompletionSource? _idle;
    private long _lastRun;

    public void OnHandlerFailed(Exception error) => handlerFailed(error);

    public void Add(ILiveQuery query)
    {
        lock (_gate) _queries.Add(query);
    }

    public void Remove(ILiveQuery query)
    {
        lock (_gate) _queries.Remove(query);
    }

    /// <summary>The image holds something else. Called from within locks of others, so nothing is run here.</summary>
    public void OnChanged(TouchedTables tables)
    {
        lock (_gate)
        {
            if (_queries.Count == 0) return;
            _hasChanges = true;
            _isSchemaChanged |= tables.IsSchemaChanged;
            if (tables.Names is null) _isAny = true;
            else if (!_isAny) _changed.UnionWith(tables.Names);
            if (_isRunning) return;
            _isRunning = true;
        }

        Detached.Run(RunAsync);
    }

    /// <summary>Completes when every query shows what the image holds, unless that changes meanwhile.</summary>
    public Task WhenIdleAsync()
    {
        lock (_gate) return _isRunning ? (_idle ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task : Task.CompletedTask;
    }

    public void Fail(StorageException error)
    {
        foreach (var query in Snapshot()) query.Fail(error);
    }

    public async Task EndAsync()
    {
        foreach (var query in Snapshot()) await query.EndAsync().ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        while (true)
        {
            var wait = Frame - time.GetElapsedTime(_lastRun);
            if (_lastRun != 0 && wait > TimeSpan.Zero) await Task.Delay(wait, time).ConfigureAwait(false);
            if (TakeChanges() is not var (tables, isSchemaChanged)) return;
            await RunAsync(scout.Resolve(tables)?.ToHashSet(), isSchemaChanged).ConfigureAwait(false);
            _lastRun = time.GetTimestamp();
        }
    }

    private async Task RunAsync(HashSet<string>? tables, bool isSchemaChanged)
    {
        var start = time.GetTimestamp();
        foreach (var query in Snapshot())
        {
            if (!query.Reads(tables, isSchemaChanged)) continue;
            if (time.GetElapsedTime(start) > Slice)
            {
                await Task.Delay(Breath, time).ConfigureAwait(false);
                start = time.GetTimestamp();
            }

            await query.RunAsync().ConfigureAwait(false);
        }
    }

    private (IReadOnlyList<string>? Tables, bool IsSchemaChanged)? TakeChanges()
    {
        lock (_gate)
        {
            _isRunning = _hasChanges;
            if (!_hasChanges)
            {
                _idle?.SetResult();
                _idle = null;
                return null;
            }

            (IReadOnlyList<string>?, bool) changes = (_isAny ? null : [.. _changed], _isSchemaChanged);
            _changed.Clear();
            (_hasChanges, _isAny, _isSchemaChanged) = (false, false, false);
            return changes;
        }
    }

    private ILiveQuery[] Snapshot()
    {
        lock (_gate) return [.. _queries];
    }
}
