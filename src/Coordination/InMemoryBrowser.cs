namespace DataSync.Coordination;

/// <summary>A simulated browser profile: the storage, locks and messages that its tabs share.</summary>
public sealed class InMemoryBrowser(TimeProvider? timeProvider = null)
{
    private readonly TimeProvider _time = timeProvider ?? TimeProvider.System;

    /// <summary>Opens a simulated tab.</summary>
    public InMemoryTabPlatform OpenTab() => _time is null ? throw new InvalidOperationException() : new(this);
}
