using DataSync.Coordination;

namespace DataSync.Simulation;

/// <summary>The page below a coordinator: what the world does to locks, and what a tab may do to the lease.</summary>
internal sealed class SimPlatform(World world, SimTab tab, InMemoryTabPlatform inner) : ITabPlatform
{
    /// <summary>When, by the tab's own clock, the last renewal that succeeded was sent; null while the lease is not its own.</summary>
    public long? RenewedAt { get; private set; }

    /// <summary>How often the lease time was doubled in that renewal.</summary>
    public int RenewedPatience { get; private set; }

    public ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken) => inner.OpenAsync(session, cancellationToken);

    public async ValueTask<string?> ReadLeaseAsync(CancellationToken cancellationToken)
    {
        var text = await inner.ReadLeaseAsync(cancellationToken);
        if (text != world.Browser.ReadLease(World.Scope)) world.Coverage.Hit("fault stale lease read");
        return text;
    }

    public async ValueTask<string?> CompareAndSetLeaseAsync(string? expected, string replacement, string? release, CancellationToken cancellationToken)
    {
        world.CheckLease(tab, expected, replacement);
        if (release is not null) world.CheckLease(tab, replacement, release);
        var sentAt = tab.Clock.GetTimestamp();
        var text = await inner.CompareAndSetLeaseAsync(expected, replacement, release, cancellationToken);
        if (text == replacement)
        {
            RenewedAt = LeaseRecord.Read(text, out var record) == LeaseReading.Valid && record.Holder == tab.Coordinator.Id ? sentAt : null;
            RenewedPatience = record.Patience;
        }

        return text;
    }

    public ValueTask<IReadOnlyList<TabId>> QueryTabsAsync(CancellationToken cancellationToken) => inner.QueryTabsAsync(cancellationToken);

    /// <summary>The browser grants a gone tab's lock late, or never.</summary>
    public async ValueTask WaitForTabExitAsync(TabId other, CancellationToken cancellationToken)
    {
        await inner.WaitForTabExitAsync(other, cancellationToken);
        if (world.DecideGrant() is not { } delayMs) await new TaskCompletionSource().Task.WaitAsync(cancellationToken);
        else if (delayMs > 0) await tab.DelayAsync(delayMs);
    }

    public ValueTask PostAsync(string message, CancellationToken cancellationToken) => inner.PostAsync(message, cancellationToken);

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
