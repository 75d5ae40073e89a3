namespace DataSync.Coordination;

/// <summary>
/// The handle of one leadership. Whoever acts as leader holds it, passes <see cref="Epoch"/> with every write and stops
/// when <see cref="LostToken"/> is cancelled. Any thread may call; no member throws because the lease was lost.
/// </summary>
public sealed class LeaderLease : IAsyncDisposable
{
    private readonly TabCoordinator _coordinator;
    private readonly CancellationTokenSource _lost = new();

    internal LeaderLease(TabCoordinator coordinator, Epoch epoch)
    {
        _coordinator = coordinator;
        Epoch = epoch;
        LostToken = _lost.Token;
    }

    /// <summary>The epoch that the store granted to this leadership.</summary>
    public Epoch Epoch { get; }

    /// <summary>
    /// Cancelled when the leadership ends for whatever reason. In a page that hangs nothing runs, so also ask
    /// <see cref="IsHeld"/> before acting; only the store's check of the epoch is certain.
    /// </summary>
    public CancellationToken LostToken { get; }

    /// <summary>
    /// Whether the lease is held at this moment, by this tab's own monotonic clock, counted from when the last
    /// successful renewal was sent.
    /// </summary>
    public bool IsHeld => _coordinator.Holds(this);

    /// <summary>Resigns if this leadership is still the present one; otherwise does nothing.</summary>
    public ValueTask DisposeAsync() => IsHeld ? new ValueTask(_coordinator.ResignAsync()) : ValueTask.CompletedTask;

    internal void Lose() => _lost.Cancel();
}
