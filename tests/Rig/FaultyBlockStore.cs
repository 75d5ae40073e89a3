using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Rig;

/// <summary>Which member of <see cref="IBlockStore"/>.</summary>
internal enum StoreOperation
{
    Open,
    RaiseEpoch,
    Append,
    Read,
    Checkpoint,
    Delete,
}

/// <summary>One call: which operation, and which call of this operation it is, from 1.</summary>
internal sealed record StoreCall(StoreOperation Operation, int Number)
{
    public IReadOnlyList<CommitRecord> Commits { get; init; } = [];
}

/// <summary>
/// Passes every call on to another store, with hooks before and after each. A hook that throws makes the call fail: before, with
/// nothing done; after, with everything done and the answer lost.
/// </summary>
internal sealed class FaultyBlockStore(IBlockStore inner) : IBlockStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<StoreOperation, int> _counts = [];
    private readonly List<(StoreOperation Operation, int Number, bool After, Func<Task> Action)> _faults = [];

    public event Action<StoreClosedReason>? Closed
    {
        add => inner.Closed += value;
        remove => inner.Closed -= value;
    }

    public IStoreCopy? Copy => inner.Copy;

    /// <summary>Runs before every call.</summary>
    public Func<StoreCall, Task>? Before { get; set; }

    /// <summary>Runs after every call that succeeded.</summary>
    public Func<StoreCall, Task>? After { get; set; }

    /// <summary>How often an operation was called.</summary>
    public int CountOf(StoreOperation operation)
    {
        lock (_lock) return _counts.GetValueOrDefault(operation);
    }

    /// <summary>Makes the n-th call from now fail: by default the next one, before anything is done.</summary>
    public void FailAt(StoreOperation operation, Exception error, int nth = 1, bool after = false) =>
        Add(operation, nth, after, () => Task.FromException(error));

    /// <summary>Stops the n-th call from now, by default the next one, before it reaches the store (or before its answer comes back).</summary>
    public HeldCall HoldAt(StoreOperation operation, int nth = 1, bool after = false)
    {
        var held = new HeldCall();
        Add(operation, nth, after, held.EnterAsync);
        return held;
    }

    public ValueTask<Head> OpenAsync(CancellationToken cancellationToken) =>
        RunAsync(StoreOperation.Open, [], () => inner.OpenAsync(cancellationToken));

    public ValueTask<Head> RaiseEpochAsync(Guid incarnation, Epoch proposed, TabId holder, CancellationToken cancellationToken) =>
        RunAsync(StoreOperation.RaiseEpoch, [], () => inner.RaiseEpochAsync(incarnation, proposed, holder, cancellationToken));

    public async ValueTask AppendAsync(Fence fence, IReadOnlyList<CommitRecord> commits, CancellationToken cancellationToken) =>
        await RunAsync(StoreOperation.Append, commits, () => ToResult(inner.AppendAsync(fence, commits, cancellationToken))).ConfigureAwait(false);

    public async ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken) =>
        await RunAsync(StoreOperation.Read, [], () => ToResult(inner.ReadAsync(request, cancellationToken))).ConfigureAwait(false);

    public async ValueTask CheckpointAsync(Fence fence, Checkpoint checkpoint, CancellationToken cancellationToken) =>
        await RunAsync(StoreOperation.Checkpoint, [], () => ToResult(inner.CheckpointAsync(fence, checkpoint, cancellationToken))).ConfigureAwait(false);

    public async ValueTask DeleteAsync(CancellationToken cancellationToken) =>
        await RunAsync(StoreOperation.Delete, [], () => ToResult(inner.DeleteAsync(cancellationToken))).ConfigureAwait(false);

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private static async ValueTask<bool> ToResult(ValueTask task)
    {
        await task.ConfigureAwait(false);
        return true;
    }

    private async ValueTask<T> RunAsync<T>(StoreOperation operation, IReadOnlyList<CommitRecord> commits, Func<ValueTask<T>> call)
    {
        StoreCall which;
        lock (_lock)
        {
            _counts[operation] = _counts.GetValueOrDefault(operation) + 1;
            which = new StoreCall(operation, _counts[operation]) { Commits = commits };
        }

        if (Before is { } before) await before(which).ConfigureAwait(false);
        if (Take(which, after: false) is { } early) await early().ConfigureAwait(false);
        var result = await call().ConfigureAwait(false);
        if (After is { } after) await after(which).ConfigureAwait(false);
        if (Take(which, after: true) is { } late) await late().ConfigureAwait(false);
        return result;
    }

    private void Add(StoreOperation operation, int nth, bool after, Func<Task> action)
    {
        lock (_lock) _faults.Add((operation, _counts.GetValueOrDefault(operation) + nth, after, action));
    }

    private Func<Task>? Take(StoreCall call, bool after)
    {
        lock (_lock)
        {
            var index = _faults.FindIndex(fault => (fault.Operation, fault.Number, fault.After) == (call.Operation, call.Number, after));
            if (index < 0) return null;
            var action = _faults[index].Action;
            _faults.RemoveAt(index);
            return action;
        }
    }
}

/// <summary>A call that waits until the test lets it go on.</summary>
internal sealed class HeldCall
{
    private readonly TaskCompletionSource _reached = new(), _released = new();

    /// <summary>Completes when the call has come.</summary>
    public Task Reached => _reached.Task;

    /// <summary>Lets the call go on, before this returns.</summary>
    public void Release() => End(() => _released.TrySetResult());

    /// <summary>Ends the call with an error instead.</summary>
    public void Fail(Exception error) => End(() => _released.TrySetException(error));

    // Within xunit's context what waits would go on in the thread pool, some real time later, in which virtual time may run out.
    private static void End(Action end)
    {
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            end();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    internal Task EnterAsync()
    {
        _reached.TrySetResult();
        return _released.Task;
    }
}
