using System.Collections.Immutable;
using Microsoft.Extensions.Logging;

namespace DataSync.Coordination;

/// <content>
/// How the election is driven: events go in one at a time under the lock; effects, notifications and completed waits
/// come out in order, without the lock, by whichever caller finds nobody else at it.
/// </content>
public sealed partial class TabCoordinator
{
    /// <summary>Of localStorage, one after the other, a heartbeat apart: one or two pass by themselves (a full disk, a browser that restarts its storage).</summary>
    private const int ErrorsBeforeGivingUp = 3;

    private readonly Lock _gate = new();
    private readonly Queue<Action> _outbox = new();
    private readonly List<(Func<bool> Ready, TaskCompletionSource Done)> _waits = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly ITimer _wake;
    private readonly long _origin;
    private ElectionState _state;
    private LeaderLease? _lease;
    private CancellationTokenSource? _takeover;
    private CancellationTokenSource? _watch;
    private TimeSpan _lastTick;
    private int _errors;
    private bool _looking;
    private bool _sending;
    private bool _closing;
    private bool _closed;

    private TimeSpan Now => _time.GetElapsedTime(_origin);

    /// <summary>Timers count whole milliseconds and cut the rest off; one more makes sure that the moment has come.</summary>
    private TimeSpan DueIn(TimeSpan at) => TimeSpan.FromMilliseconds(Math.Max(0, Math.Floor((at - Now).TotalMilliseconds)) + 1);

    private LeaderLease? HeldLease() => _lease is not null && (Now < _state.Deadline || Sabotage.IsMissing(Guard.LeaderDeadline)) ? _lease : null;

    private void Dispatch(ElectionEvent happened)
    {
        lock (_gate)
        {
            if (_closed)
                return;
            var before = _state;
            (_state, var effects) = LeaseElection.Step(before, happened, Now);
            foreach (var effect in effects)
                Plan(effect);
            PlanNotifications(before);
            if (before.Holding && _state.Holding && Now >= before.Deadline && Now < _state.Deadline)
                _outbox.Enqueue(() => LeaseRegained?.Invoke());
            if (_state.WakeAt is { } at && (at != before.WakeAt || happened.Kind == ElectionEventKind.Tick))
                _wake.Change(DueIn(at), Timeout.InfiniteTimeSpan);
            PlanWaits(failure: null);
        }

        Send();
    }

    /// <summary>What must be true for callers at once is done here, under the lock; everything else is queued.</summary>
    private void Plan(ElectionEffect effect)
    {
        switch (effect.Kind)
        {
            case ElectionEffectKind.Set:
                if (_state.Reading == LeaseReading.Newer)
                    _outbox.Enqueue(() => Log.ReplacingNewerLease(_logger, Scope));
                _outbox.Enqueue(() => _ = SetAsync(effect));
                break;
            case ElectionEffectKind.RaiseEpoch:
                _outbox.Enqueue(() => _ = RaiseEpochAsync(effect));
                break;
            case ElectionEffectKind.Watch:
                _outbox.Enqueue(() => _ = WatchAsync(effect.Tab));
                break;
            case ElectionEffectKind.Lead:
                _lease = new LeaderLease(this, effect.Epoch);
                _outbox.Enqueue(() =>
                {
                    Log.Leads(_logger, Id, Scope, effect.Epoch);
                    _ = PostAsync(TabMessageKind.Leading);
                });
                break;
            case ElectionEffectKind.Lost:
                var lease = _lease;
                var takeover = _takeover;
                (_lease, _takeover) = (null, null);
                _outbox.Enqueue(() => Log.Lost(_logger, Id, Scope, effect.Epoch));
                _outbox.Enqueue(() => lease?.Lose());
                _outbox.Enqueue(() => Cancel(takeover));
                break;
        }
    }

    private void PlanNotifications(ElectionState before)
    {
        var now = _state;
        if (before.Leader != now.Leader || before.Epoch != now.Epoch || before.Role != now.Role)
        {
            if (before.Leader != now.Leader && now.Leader is not null)
                CoordinationMetrics.LeadershipChanged(Scope);
            var change = new LeadershipChangedEventArgs(before.Leader, now.Leader, now.Epoch, now.Role);
            _outbox.Enqueue(() => Handlers.Raise(LeadershipChanged, this, change, OnHandlerFailed));
        }

        // After a suspension the list is unknown for a moment; that alone is no news.
        var unchanged = now.Members.IsDefault
            || (!before.Members.IsDefault && now.Members.AsSpan().SequenceEqual(before.Members.AsSpan()));
        if (unchanged)
            return;
        CoordinationMetrics.Members(Scope, now.Members.Length);
        _outbox.Enqueue(() => Handlers.Raise(MembersChanged, this, OnHandlerFailed));
    }

    private void PlanWaits(Exception? failure)
    {
        for (var i = _waits.Count - 1; i >= 0; i--)
        {
            var (ready, done) = _waits[i];
            if (failure is null && !ready())
                continue;
            _waits.RemoveAt(i);
            _outbox.Enqueue(() => _ = failure is null ? done.TrySetResult() : done.TrySetException(failure));
        }
    }

    private void Send()
    {
        lock (_gate)
        {
            if (_sending)
                return;
            _sending = true;
        }

        while (true)
        {
            Action? next;
            lock (_gate)
            {
                if (!_outbox.TryDequeue(out next))
                {
                    _sending = false;
                    return;
                }
            }

            try
            {
                next();
            }
#pragma warning disable CA1031 // A faulty handler of the application must not stop the election.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                OnHandlerFailed(exception);
            }
        }
    }

    private void OnHandlerFailed(Exception exception) => Log.CallbackFailed(_logger, exception, Scope);

    /// <summary>Waits for a condition, which is asked under the lock after every event; ends quietly after <paramref name="most"/>.</summary>
    private async Task UntilAsync(Func<bool> ready, CancellationToken cancellationToken, TimeSpan? most = null)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var done = NewCompletion();
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (ready())
                return;
            _waits.Add((ready, done));
        }

        try
        {
            await done.Task.WaitAsync(most ?? Timeout.InfiniteTimeSpan, _time, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException) when (most is not null)
        {
            // The caller asked for at most this long.
        }
        finally
        {
            lock (_gate)
                _waits.RemoveAll(wait => wait.Done == done);
        }
    }

    private TaskCompletionSource NewCompletion() =>
        new(RunsInPlace ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);

    private static void Cancel(CancellationTokenSource? source)
    {
        try
        {
            source?.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // Its work has just ended by itself.
        }
    }

    private async Task CloseAsync()
    {
        lock (_gate)
        {
            _closed = true;
            PlanWaits(new ObjectDisposedException(nameof(TabCoordinator)));
        }

        Send();
        await _wake.DisposeAsync().ConfigureAwait(false);
        Cancel(_stop);
        await _platform.DisposeAsync().ConfigureAwait(false);
        _stop.Dispose();
    }
}
