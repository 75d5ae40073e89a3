using DataSync.Storage.Tests.Pipeline;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Storage.Tests.AutoSync;

/// <summary>A tab of a cluster whose writes are deferred.</summary>
internal sealed class SyncedTab : IDisposable
{
    private readonly Cluster _cluster;

    public SyncedTab(Cluster cluster, SyncPolicy? policy = null, ISyncTriggers? triggers = null, bool isObserver = false)
    {
        _cluster = cluster;
        Tab = cluster.Open(isObserver);
        Sync = new AutoSyncManager(
            Tab.Pipeline, Cluster.Scope, Durability.Deferred, policy ?? new(), triggers ?? new TimerSyncTriggers(Tab.Platform.Clock), NullLogger.Instance, 8);
        Sync.SyncStarted += (_, e) => Started.Add(e);
        Sync.SyncSucceeded += (_, e) => Succeeded.Add(e);
        Sync.SyncFailed += (_, e) => Failed.Add(e);
        Sync.BackpressureChanged += (_, e) => Backpressure.Add(e.IsOn);
        Tab.Coordinator.Heartbeat += (_, _) => Sync.MaybeAutoSync();
        cluster.Do(() => _ = Sync.StartAsync(default).AsTask());
    }

    public ClusterTab Tab { get; }

    public AutoSyncManager Sync { get; }

    public List<SyncStartedEventArgs> Started { get; } = [];

    public List<SyncSucceededEventArgs> Succeeded { get; } = [];

    public List<SyncFailedEventArgs> Failed { get; } = [];

    public List<bool> Backpressure { get; } = [];

    public int Appends => Tab.Store.CountOf(StoreOperation.Append);

    /// <summary>Appends a tag and does not wait.</summary>
    public Task<long> Append(ulong tag) => _cluster.Start(() => AppendAsync(tag));

    /// <summary>Appends a tag; acknowledged at once.</summary>
    public void AppendNow(ulong tag)
    {
        var write = Append(tag);
        Xunit.Assert.True(write.IsCompleted, "A deferred write waits for nobody.");
        write.GetAwaiter().GetResult();
    }

    public async Task<long> AppendAsync(ulong tag)
    {
        using var admission = Sync.Admit();
        return await Sync.WriteAsync(_ => Tab.TryAppend(tag) is not null, default);
    }

    public void ForceSync() => Wait(() => Sync.ForceSyncAsync());

    public void Wait(Func<Task> work) => _cluster.Wait(_cluster.Start(async () =>
    {
        await work().ConfigureAwait(false);
        return 0;
    }));

    public void Dispose() => Sync.Dispose();
}

/// <summary>Triggers that a test pulls.</summary>
internal sealed class ManualTriggers : ISyncTriggers
{
    private Action<SyncTrigger>? _fire;

    public bool IsHidden { get; set; }

    public bool IsScheduled { get; private set; }

    public ValueTask StartAsync(Action<SyncTrigger> fire, CancellationToken cancellationToken)
    {
        _fire = fire;
        return ValueTask.CompletedTask;
    }

    public void Schedule(TimeSpan quiet, TimeSpan limit) => IsScheduled = true;

    public void Cancel() => IsScheduled = false;

    public void Fire(SyncTrigger trigger) => _fire!(trigger);

    public void Dispose() => IsScheduled = false;
}
