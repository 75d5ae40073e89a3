using System.Collections.Immutable;
using Microsoft.Extensions.Logging;

namespace DataSync.Coordination;

/// <content>The traffic with the page: effects go out, signals come in.</content>
public sealed partial class TabCoordinator
{
    private async Task SetAsync(ElectionEffect effect)
    {
        ElectionEvent answer;
        try
        {
            var text = await _platform.CompareAndSetLeaseAsync(effect.Expected, effect.Text!, effect.Release, _stop.Token).ConfigureAwait(false);
            if (effect.Release is not null)
                CoordinationMetrics.LeaseWritten(Scope, text == effect.Text);
            _errors = 0;
            answer = ElectionEvent.SetDone(effect.Ticket, text);
        }
#pragma warning disable CA1031 // Whatever the page throws, the lease was not written; the election tries again.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            if (_closed)
                return;
            if (exception is CoordinationException { IsPageMissing: true })
                Log.PlatformFailed(_logger, exception, Scope);
            else
                Log.LeaseUnavailable(_logger, exception, Scope);
            CoordinationMetrics.LeaseWritten(Scope, success: false);
            if (++_errors >= ErrorsBeforeGivingUp)
                FailWaits(exception);
            answer = ElectionEvent.SetFailed(effect.Ticket);
        }

        Dispatch(answer);
    }

    private void FailWaits(Exception cause)
    {
        var failure = cause is CoordinationException { IsPageMissing: true }
            ? cause
            : new CoordinationException("The lease cannot be written: localStorage is full or refused. Free some space or allow site data.", cause);
        lock (_gate)
            PlanWaits(failure);
        Send();
    }

    private async Task RaiseEpochAsync(ElectionEffect effect)
    {
        var answer = ElectionEvent.Granted(effect.Ticket, effect.Epoch);
        if (_elected is { } elected)
        {
            using var takeover = new CancellationTokenSource(_options.TakeoverTimeout * (1 << State.Patience), _time);
            lock (_gate)
                _takeover = takeover;
            try
            {
                var granted = await elected(effect.Epoch, takeover.Token).AsTask().WaitAsync(takeover.Token).ConfigureAwait(false);
                if (granted < effect.Epoch)
                    throw new InvalidOperationException($"Elected returned epoch {granted}; {effect.Epoch} or above was proposed.");
                answer = ElectionEvent.Granted(effect.Ticket, granted);
            }
#pragma warning disable CA1031 // Whatever kept the application from taking over: the lease goes to the next tab.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                if (WasGivenUp(takeover, exception))
                    Log.TakeOverGivenUp(_logger, Id, Scope, effect.Epoch);
                else
                    Log.TakeOverFailed(_logger, exception, Id, Scope, effect.Epoch);
                answer = takeover.IsCancellationRequested ? ElectionEvent.Overdue(effect.Ticket) : ElectionEvent.Refused(effect.Ticket);
            }

            lock (_gate)
                _takeover = _takeover == takeover ? null : _takeover;
        }

        Dispatch(answer);
    }

    /// <summary>Whether this tab itself ended the attempt (the page closes, or lost the lease) rather than failed at it.</summary>
    private bool WasGivenUp(CancellationTokenSource takeover, Exception exception)
    {
        lock (_gate)
        {
            var stoppedByApplication = exception is OperationCanceledException && !takeover.IsCancellationRequested;
            return _closing || _takeover != takeover || stoppedByApplication;
        }
    }

    private async Task WatchAsync(TabId? tab)
    {
        CancellationTokenSource? mine = null;
        CancellationTokenSource? before;
        lock (_gate)
        {
            before = _watch;
            if (tab is not null && !_closed)
                mine = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
            _watch = mine;
        }

        Cancel(before);
        if (mine is null)
            return;
        using (mine)
        {
            try
            {
                await _platform.WaitForTabExitAsync(tab!.Value, mine.Token).ConfigureAwait(false);
            }
#pragma warning disable CA1031 // Without the watch, the lease's expiry tells.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                if (!mine.IsCancellationRequested)
                    Log.PlatformFailed(_logger, exception, Scope);
                return;
            }
            finally
            {
                lock (_gate)
                    _watch = _watch == mine ? null : _watch;
            }
        }

        // The claim goes out before the tabs are listed anew: on this path every millisecond is one without a leader.
        Dispatch(ElectionEvent.TabGone(tab.Value));
        await RefreshAsync(read: false).ConfigureAwait(false);
    }

    private void OnSignal(TabSignal signal)
    {
        switch (signal.Kind)
        {
            case TabSignalKind.Tick:
                OnTick();
                break;
            case TabSignalKind.LeaseChanged:
                _ = ReadAsync();
                break;
            case TabSignalKind.Message:
                OnMessage(signal.Data);
                break;
            case TabSignalKind.Suspended:
                Dispatch(ElectionEvent.Suspended);
                break;
            case TabSignalKind.Resumed:
                OnResumed();
                break;
        }
    }

    private void OnTick()
    {
        var silence = Now - _lastTick;
        _lastTick = Now;
        if (silence >= State.OwnLease)
            OnResumed();
        Dispatch(ElectionEvent.Tick);
        _ = RefreshAsync(read: Role == TabRole.Follower);
        Raise(() => Handlers.Raise(Heartbeat, this, OnHandlerFailed));
    }

    private void OnResumed()
    {
        _lastTick = Now;
        Dispatch(ElectionEvent.Resumed);
        Log.Resumed(_logger, Id, Scope);
        Raise(() => Handlers.Raise(Resumed, this, OnHandlerFailed));
        _ = GuardAsync(() => LookAsync(_stop.Token));
    }

    private void OnMessage(string? text)
    {
        if (!TabMessage.TryParse(text, Scope, out var message))
        {
            CoordinationMetrics.MessageDropped(Scope);
            Log.MessageDropped(_logger, Scope);
            return;
        }

        switch (message.Kind)
        {
            case TabMessageKind.Hello:
            case TabMessageKind.Farewell:
                _ = RefreshAsync(read: true);
                break;
            case TabMessageKind.Leading:
                _ = ReadAsync();
                break;
            case TabMessageKind.Request when message.To == Id && Role == TabRole.Leader && Members.Contains(message.Sender):
                Dispatch(ElectionEvent.Resign(message.Sender));
                break;
        }
    }

    private Task ReadAsync() => GuardAsync(async () =>
        Dispatch(ElectionEvent.RecordSeen(await _platform.ReadLeaseAsync(_stop.Token).ConfigureAwait(false))));

    /// <summary>Reads the lease if asked to, and lists the tabs unless that is under way already.</summary>
    private async Task RefreshAsync(bool read)
    {
        if (read)
            await ReadAsync().ConfigureAwait(false);
        lock (_gate)
        {
            if (_looking)
                return;
            _looking = true;
        }

        await GuardAsync(async () =>
        {
            var members = await _platform.QueryTabsAsync(_stop.Token).ConfigureAwait(false);
            Dispatch(ElectionEvent.MembersSeen([.. members.Order()]));
        }).ConfigureAwait(false);
        lock (_gate)
            _looking = false;
    }

    private Task PostAsync(TabMessageKind kind, TabId? to = null) => GuardAsync(() =>
        _platform.PostAsync(new TabMessage(kind, Scope, Epoch, Id, to).ToText(), _stop.Token).AsTask());

    private void Raise(Action notification)
    {
        lock (_gate)
            _outbox.Enqueue(notification);
        Send();
    }

    /// <summary>For traffic whose loss is made good by the next heartbeat.</summary>
    private async Task GuardAsync(Func<Task> traffic)
    {
        if (_closed)
            return;
        try
        {
            await traffic().ConfigureAwait(false);
        }
#pragma warning disable CA1031 // A page that is going away fails in many ways; the next heartbeat tries again.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            if (!_closed)
                Log.PlatformFailed(_logger, exception, Scope);
        }
    }
}
