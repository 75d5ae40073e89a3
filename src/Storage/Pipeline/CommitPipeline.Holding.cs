using DataSync.Coordination;

namespace DataSync.Storage;

// Deferred durability: commits that stay in this tab's chain until they are released, all at once and in order.
internal sealed partial class CommitPipeline
{
    private readonly List<TaskCompletionSource> _lostWaiters = [];
    private int _lost;

    /// <summary>What was held is on its way now. Raised outside of all locks.</summary>
    internal Action? HeldReleased { get; set; }

    internal StorageMetrics Metrics => _metrics;

    internal TimeProvider Time => _time;

    /// <inheritdoc cref="PipelineGate.NewCompletion()"/>
    internal TaskCompletionSource NewCompletion() => _gate.NewCompletion();

    /// <summary>Raises an event outside of all locks: at once where events run in place, else in order on a thread of their own.</summary>
    internal void RaiseEvent(Action raise) => _gate.RaiseNow(raise);

    /// <summary>
    /// Deferred commits that turned out stale and whose work has not been run again yet. Until it has, nothing else may
    /// write: it was acknowledged earlier.
    /// </summary>
    internal int LostCount => _gate.Run(() => Sabotage.IsMissing(Guard.RerunsFirst) ? 0 : _lost);

    /// <summary>Sends every commit that is held. From here on their time to be answered counts.</summary>
    internal void ReleaseHeld() => _gate.Run(() =>
    {
        var held = _pending.FindAll(p => p.IsHeld);
        if (held.Count == 0) return;
        foreach (var pending in held) (pending.IsHeld, pending.Since) = (false, _time.GetTimestamp());

        // One that is refused at once takes the later ones with it, and those are not sent.
        if (_session is { } session) session.Collect(() => held.ForEach(Send));
        else held.ForEach(Send);
        _gate.Defer(() => HeldReleased?.Invoke());
    });

    /// <summary>Waits until all deferred work that was lost has been run again.</summary>
    internal Task WaitForRerunsAsync(CancellationToken cancellationToken)
    {
        var waiter = _gate.Run(() => LostCount > 0 ? AddWaiter(_lostWaiters) : null);
        return waiter?.Task.WaitAsync(cancellationToken) ?? Task.CompletedTask;
    }

    /// <summary>Lost work was run again, or cannot be.</summary>
    internal void OnRanAgain() => _gate.Run(() =>
    {
        if (--_lost == 0) CompleteAll(_lostWaiters);
    });

    // On top of what is held there is no need for a leader: at worst it grows stale with the rest.
    private bool TryGoOnHolding(WriteTurn turn, bool exclusive)
    {
        if (exclusive || !turn.Holds || IsUnsettled) return false;
        var isOnHeld = _pending.Exists(p => p.IsHeld);
        if (!isOnHeld && (_session is not null || _contended)) return false;
        turn.Number = 0;
        return true;
    }
}
