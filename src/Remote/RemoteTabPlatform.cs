using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Remote;

/// <summary>
/// The place of a tab at the other end of a server. It observes: the server says at each heartbeat who leads over there, which stands here for the lease record. When it says nothing
/// any more the lease runs out, as that of a leader that has gone.
/// </summary>
internal sealed class RemoteTabPlatform(RemoteLink link) : IObserverPlatform, IRemoteMember
{
    private readonly Lock _gate = new();
    private TabSession? _session;
    private ITimer? _timer;
    private (TabId? Leader, Epoch Epoch) _lease;
    private long _renewal;
    private long _tickedAt;
    private bool _isClosed;

    private TabSession Session => _session ?? throw new CoordinationException("This tab is not open.");

    /// <inheritdoc/>
    public async ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(session);
        _session = session;
        try
        {
            await link.JoinOrEnlistAsync(this, cancellationToken).ConfigureAwait(false);
        }
        catch (StorageException error)
        {
            throw new CoordinationException(error.Message, error);
        }

        _tickedAt = link.Time.GetTimestamp();
        _timer ??= link.Time.CreateTimer(static self => ((RemoteTabPlatform)self!).Tick(), this, session.Heartbeat, session.Heartbeat);
    }

    /// <inheritdoc/>
    public ValueTask<string?> ReadLeaseAsync(CancellationToken cancellationToken)
    {
        lock (_gate) return new(_renewal == 0 ? null : new LeaseRecord(_lease.Leader, _lease.Epoch, _renewal, Leading: _lease.Leader is not null).ToText());
    }

    /// <inheritdoc/>
    public ValueTask<string?> CompareAndSetLeaseAsync(string? expected, string replacement, string? release, CancellationToken cancellationToken) =>
        throw new CoordinationException("A tab at the other end of a server does not lead.");

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<TabId>> QueryTabsAsync(CancellationToken cancellationToken)
    {
        lock (_gate) return new(_lease.Leader is { } leader ? [leader, Session.Self] : [Session.Self]);
    }

    /// <inheritdoc/>
    public async ValueTask WaitForTabExitAsync(TabId tab, CancellationToken cancellationToken) =>
        await Task.Delay(Timeout.InfiniteTimeSpan, link.Time, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public ValueTask PostAsync(string message, CancellationToken cancellationToken) => default; // about lists of tabs and hand-overs, which are not for observers

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate) _isClosed = true;
        if (_timer is { } timer) await timer.DisposeAsync().ConfigureAwait(false);
        await link.LeaveAsync(this).ConfigureAwait(false);
    }

    ValueTask IRemoteMember.EnterAsync(RemoteConnection connection, CancellationToken cancellationToken) => default;

    void IRemoteMember.OnFrame(Frame frame)
    {
        if (frame.Kind != FrameKind.Lease) return;
        var lease = Bodies.ReadLease(frame.Body.Span);
        lock (_gate) (_lease, _renewal) = (lease, _renewal + 1);
        Signal(TabSignalKind.LeaseChanged);
        Tick(); // in hidden pages timers are slow, and messages are not
    }

    void IRemoteMember.OnLost()
    {
        // Reads go on; the lease runs out by itself.
    }

    void IRemoteMember.OnRestored() => Signal(TabSignalKind.Resumed);

    private void Tick()
    {
        lock (_gate)
        {
            if (_session is not { } session || link.Time.GetElapsedTime(_tickedAt) < session.Heartbeat / 2) return;
            _tickedAt = link.Time.GetTimestamp();
        }

        Signal(TabSignalKind.Tick);
    }

    private void Signal(TabSignalKind kind)
    {
        lock (_gate) if (_isClosed) return;
        _session?.Sink(new(kind));
    }
}
