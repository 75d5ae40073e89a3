using DataSync.Storage;

namespace DataSync.Simulation;

/// <summary>The moments of a page at which deferred writes become durable: timers, and being hidden or left.</summary>
internal sealed class SimTriggers(TimeProvider clock) : ISyncTriggers
{
    private readonly TimerSyncTriggers _timers = new(clock);
    private Action<SyncTrigger>? _fire;

    public bool IsHidden { get; private set; }

    public ValueTask StartAsync(Action<SyncTrigger> fire, CancellationToken cancellationToken)
    {
        _fire = fire;
        return _timers.StartAsync(fire, cancellationToken);
    }

    public void Schedule(TimeSpan quiet, TimeSpan limit) => _timers.Schedule(quiet, limit);

    public void Cancel() => _timers.Cancel();

    public void Hide(bool isHidden)
    {
        IsHidden = isHidden;
        if (isHidden) _fire?.Invoke(SyncTrigger.Hidden);
    }

    public void OnLeft() => _fire?.Invoke(SyncTrigger.PageLeft);

    public void Dispose() => _timers.Dispose();
}
