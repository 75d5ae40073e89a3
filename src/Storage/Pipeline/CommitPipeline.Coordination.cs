using DataSync.Coordination;

namespace DataSync.Storage;

// What the coordinator, the channel and the store tell of, and what is done about it.
internal sealed partial class CommitPipeline
{
    private long? _restingAt = -1;

    private void Listen()
    {
        _coordinator.Elected = OnElectedAsync;
        _coordinator.LeadershipChanged += OnLeadershipChanged;
        _coordinator.MembersChanged += OnMembersChanged;
        _coordinator.Heartbeat += OnHeartbeat;
        _coordinator.Resumed += OnResumed;
        _channel.Received += _peers.OnReceived;
        _store.Closed += _link.OnStoreClosed;
    }

    private void StopListening()
    {
        _coordinator.LeadershipChanged -= OnLeadershipChanged;
        _coordinator.MembersChanged -= OnMembersChanged;
        _coordinator.Heartbeat -= OnHeartbeat;
        _coordinator.Resumed -= OnResumed;
        _channel.Received -= _peers.OnReceived;
        _store.Closed -= _link.OnStoreClosed;
    }

    private async ValueTask<Epoch> OnElectedAsync(Epoch proposed, CancellationToken cancellationToken)
    {
        await _opened.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        return await _leadership.TakeOverAsync(proposed, cancellationToken).ConfigureAwait(false);
    }

    private void OnLeadershipChanged(object? sender, LeadershipChangedEventArgs e) => _core.Gate.Run(() => _leadership.OnLeadershipChanged(e));

    private void OnMembersChanged(object? sender, EventArgs e) => _core.Gate.Run(() =>
    {
        foreach (var gone in _peers.SetMembers(_coordinator.Members)) _leadership.Take(new LeaderRequest.TabGone(gone));
    });

    private void OnHeartbeat(object? sender, EventArgs e) => _core.Gate.Run(() =>
    {
        _core.OnHeartbeat();
        if (_core.IsStopped || !_image.IsOpen) return;
        Metrics.OnImage(Storage.ChainLength, LogRecords, LogBytes);
        _slots.RenewTurn(); // before the leader looks for turns that were held too long
        _leadership.OnHeartbeat();
        Rehearse();
        _image.EndOverdue();
        _slots.EndOverdue();
        _reads.Settle();
        _outbox.OnHeartbeat();
        _extents.OnHeartbeat();
        _copy.Kick();
    });

    private void OnResumed(object? sender, EventArgs e) => _link.StartCatchUp();

    // Without effect, and once. Where .NET is interpreted the first run of each method is slow, of these 70 ms: better at a heartbeat since whose
    // forerunner nothing was written in any tab than while this one opens, or takes over, sends again or reads what it missed.
    private void Rehearse()
    {
        if (_restingAt is not { } before || (_restingAt = _image.Ledger.End.Marker) != before || _outbox.PendingCount > 0) return;
        _restingAt = null;
        _link.Rehearse();
        _outbox.Rehearse();
    }
}
