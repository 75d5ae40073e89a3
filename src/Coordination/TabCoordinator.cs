using Microsoft.Extensions.Logging;

namespace DataSync.Coordination;

/// <summary>Elects one leader among the tabs of a scope.</summary>
public sealed class TabCoordinator : IAsyncDisposable
{
    /// <summary>Creates a coordinator.</summary>
    public TabCoordinator(
        ITabPlatform platform, CoordinationOptions? options = null, TimeProvider? timeProvider = null, ILogger? logger = null) =>
        throw new NotImplementedException();

    /// <summary>This tab.</summary>
    public TabId Id => throw new NotImplementedException();

    /// <summary>What the leader is elected for.</summary>
    public string Scope => throw new NotImplementedException();

    /// <summary>This tab's role; information only.</summary>
    public TabRole Role => throw new NotImplementedException();

    /// <summary>The highest epoch of a leadership that this tab heard of.</summary>
    public Epoch Epoch => throw new NotImplementedException();

    /// <summary>The present leader; null while there is none.</summary>
    public TabId? LeaderId => throw new NotImplementedException();

    /// <summary>The live tabs of the scope, sorted.</summary>
    public IReadOnlyList<TabId> Members => throw new NotImplementedException();

    /// <summary>The lease, while this tab leads.</summary>
    public LeaderLease? CurrentLease => throw new NotImplementedException();

    /// <summary>Raises the epoch in the store; see rule 7.</summary>
    public Func<Epoch, CancellationToken, ValueTask<Epoch>>? Elected { get; set; }

    /// <summary>The leader, the epoch or this tab's role changed.</summary>
    public event EventHandler<LeadershipChangedEventArgs>? LeadershipChanged;

    /// <summary>A tab came or went.</summary>
    public event EventHandler? MembersChanged;

    /// <summary>The tab was frozen, cached or suspended; what it knew is stale.</summary>
    public event EventHandler? Resumed;

    /// <summary>Raised at each heartbeat, in hidden tabs too.</summary>
    public event EventHandler? Heartbeat;

    /// <summary>Enters the election.</summary>
    public Task JoinAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Waits until this tab leads.</summary>
    public Task<LeaderLease> WaitForLeadershipAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Waits until some tab leads.</summary>
    public Task<TabId> WaitForLeaderAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Asks the present leader to hand over; null when it did not happen in time.</summary>
    public Task<LeaderLease?> RequestLeadershipAsync(CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Gives the leadership up, if held.</summary>
    public Task ResignAsync() => throw new NotImplementedException();

    /// <summary>Tells that the store refused this tab's epoch.</summary>
    public void StepDown(Epoch fencedBy) => throw new NotImplementedException();

    /// <summary>Leaves.</summary>
    public ValueTask DisposeAsync() => throw new NotImplementedException();

    internal bool Holds(LeaderLease lease) => throw new NotImplementedException();

    private void Unused() => (LeadershipChanged, MembersChanged, Resumed, Heartbeat).ToString();
}
