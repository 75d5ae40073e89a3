using DataSync.Storage;

namespace DataSync.Simulation;

// Deferred durability: writes that are acknowledged before they are durable, and what syncs say of them.
internal sealed partial class SimTab
{
    /// <summary>More than one transaction of the workload.</summary>
    private const long MostBytesOfOne = 64 << 10;

    private readonly List<Operation> _deferred = [];
    private List<Operation> _syncing = [], _maybeSyncing = [];

    /// <summary>Takes no writes any more, and will leave.</summary>
    public bool IsDraining { get; private set; }

    /// <summary>Writes that were acknowledged, and whose fate nobody has told yet.</summary>
    private List<Operation> Deferred => _deferred.FindAll(o => o.State == OperationState.Deferred);

    public Task WriteDeferredAsync(Operation operation, WritePlan plan) => GuardAsync(operation, async () =>
    {
        using var cancellation = plan.CancelAfterMs > 0 ? new CancellationTokenSource(World.Ms(plan.CancelAfterMs), Clock) : null;
        using var admission = Sync.Admit();
        await RunLoadedAsync(() => Sync.WriteAsync(attempt => RunNow(operation, plan, attempt), cancellation?.Token ?? default));
        if (Sync.DirtyBytes >= Policy.BackpressureBytes + MostBytesOfOne)
            _world.Fail("backpressure", $"{Name} holds {Sync.DirtyBytes} bytes that are not durable; writes wait from {Policy.BackpressureBytes} on.");
        _world.AcknowledgeEarly(operation);
    });

    /// <summary>The work, which is run again when another tab committed first. True: refused for the moment.</summary>
    private bool RunNow(Operation operation, WritePlan plan, int attempt)
    {
        if (operation.Commits.Count > 0)
        {
            _world.OnStale(operation);
            _world.Coverage.Hit("deferred work run again");
        }

        if (_readers > 0 || Pipeline.Storage.InBatch) throw new WorkFailedException("busy");
        if (TryBegin(operation, plan, isWork: true) is { } refusal)
        {
            _world.Coverage.Hit("deferred work refused");
            return attempt < MaxAttempts ? true : throw new WorkFailedException(refusal);
        }

        Finish(operation, plan);
        if (!_deferred.Contains(operation)) _deferred.Add(operation);
        return false;
    }

    public async Task SyncAsync()
    {
        var deferred = Deferred;
        try
        {
            await Sync.SyncAsync();
            _world.OnSynced(deferred, "SyncAsync");
        }
        catch (Exception error) when (error is StorageException or ObjectDisposedException or WorkFailedException or OperationCanceledException)
        {
            Trace($"a sync failed: {error.Message}");
        }
    }

    /// <summary>The application shuts its database down and closes it.</summary>
    public async Task DrainAsync()
    {
        IsDraining = true;
        var deferred = Deferred;
        try
        {
            await Sync.DrainAndShutdownAsync();
            _world.Coverage.Hit("drained");
            _world.OnSynced(deferred, "DrainAndShutdownAsync");
            if (Sync.DirtyCommits > 0) _world.Fail("S4", $"{Name} was drained, and {Sync.DirtyCommits} writes are not durable.");
        }
        catch (Exception error) when (error is StorageException or ObjectDisposedException or WorkFailedException or OperationCanceledException)
        {
            Trace($"draining failed: {error.Message}");
        }

        _world.Leave(this, ActionKind.Dispose);
    }

    /// <summary>A sync's word counts for all that was acknowledged when it began.</summary>
    private void WatchSyncs()
    {
        Sync.SyncStarted += (_, e) =>
        {
            _world.Coverage.Hit($"sync {e.Trigger}");
            Trace($"syncs {e.Commits} ({e.Trigger})");

            // One that has just been sealed is part of it as a rule, and acknowledged a moment later.
            (_syncing, _maybeSyncing) = (Deferred, _deferred.FindAll(o => o.IsOpen));
        };
        Sync.SyncSucceeded += (_, _) =>
        {
            Trace("its sync succeeded");
            _world.OnSynced(_syncing, "A sync");
        };
        Sync.SyncFailed += (_, e) =>
        {
            Trace($"its sync failed: {e.Error.Message}");
            _world.Coverage.Hit($"sync failed {e.Error.GetType().Name}");
            _world.OnSyncFailed(_syncing, _maybeSyncing, _deferred.FindAll(o => o.IsOpen), e.Failed, e.Error);
        };
        Sync.BackpressureChanged += (_, e) => _world.Coverage.Hit(e.IsOn ? "backpressure on" : "backpressure off");
    }
}
