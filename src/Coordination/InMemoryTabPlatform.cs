namespace DataSync.Coordination;

/// <summary>
/// A simulated tab of an <see cref="InMemoryBrowser"/>. What runs in the tab must take its time from <see cref="Clock"/>,
/// whose timers stand still while the tab does.
/// </summary>
internal sealed class InMemoryTabPlatform : ITabPlatform
{
    /// <summary>Without locks a check-and-set writes, waits this long, and reads again.</summary>
    private static readonly TimeSpan SettleTime = TimeSpan.FromMilliseconds(30);

    private readonly InMemoryBrowser _browser;
    private readonly Queue<Action> _held = new();
    private readonly List<(TabId Tab, Action Done)> _watches = [];
    private string? _armed;
    private string? _release;
    private TimeSpan _beat;
    private TimeSpan _lastStep;
    private bool _locked;
    private bool _stopped;
    private bool _frozen;
    private bool _left;
    private bool _gone;

    internal InMemoryTabPlatform(InMemoryBrowser browser)
    {
        _browser = browser;
        Clock = new TabClock(this);
    }

    /// <summary>The tab's clock: the browser's time; its timers wait while the tab hangs and never fire once it is gone.</summary>
    public TimeProvider Clock { get; }

    internal TabSession? Session { get; private set; }

    internal string? Copy { get; set; }

    internal int UnconfirmedWrites { get; set; }

    private bool Present => _locked && !_gone
        && (_browser.WebLocks || _browser.Now - _beat < Session!.StaleAfter);

    /// <summary>The process dies: nothing is released but the lock.</summary>
    public void Crash() => Leave(release: false);

    /// <summary>The user closes the tab: the page releases its lease and lock by itself.</summary>
    public void Close() => Leave(release: true);

    /// <summary>The process stops without notice, as by SIGSTOP or a blocked thread. <see cref="Thaw"/> ends it.</summary>
    public void Hang()
    {
        lock (_browser.Gate)
            _stopped = true;
    }

    /// <summary>The browser freezes or caches the page: it releases its lease and lock, then stands still until <see cref="Thaw"/>.</summary>
    public void Freeze()
    {
        lock (_browser.Gate)
            ReleaseAll();
        Signal(new TabSignal(TabSignalKind.Suspended));
        lock (_browser.Gate)
            (_stopped, _frozen) = (true, true);
    }

    /// <summary>The tab runs again; what it missed comes now, in order.</summary>
    public void Thaw() => _browser.Schedule(TimeSpan.Zero, () =>
    {
        bool frozen;
        lock (_browser.Gate)
        {
            (frozen, _stopped, _frozen) = (_frozen, false, false);
            _locked = Session is not null;
            _beat = _browser.Now;
        }

        if (frozen)
            Signal(new TabSignal(TabSignalKind.Resumed));

        // What comes out may stop the tab anew: the rest waits for the next thaw.
        while (!_stopped && _held.TryDequeue(out var action))
            Deliver(action);
    });

    /// <inheritdoc />
    public ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken) => new(Step(() =>
    {
        if (_browser.StorageFailure is { } failure)
            throw new CoordinationException("localStorage is refused.", failure);
        (Session, Copy, _locked, _beat) = (session, _browser.ReadLease(session.Scope), true, _browser.Now);
        ScheduleTick();
        return true;
    }));

    /// <inheritdoc />
    public ValueTask<string?> ReadLeaseAsync(CancellationToken cancellationToken) => new(Step(() => Copy));

    /// <inheritdoc />
    public async ValueTask<string?> CompareAndSetLeaseAsync(
        string? expected, string replacement, string? release, CancellationToken cancellationToken)
    {
        var written = await Step(() =>
        {
            if (Copy != expected)
                return false;
            if (_browser.StorageFailure is { } failure)
                throw new CoordinationException("localStorage refused the write.", failure);
            _browser.Write(this, Session!.Scope, replacement);
            (_armed, _release) = (replacement, release);
            return true;
        }).ConfigureAwait(false);
        return await Step(() => Copy, written && !_browser.WebLocks ? SettleTime : TimeSpan.Zero).ConfigureAwait(false);
    }

    /// <inheritdoc />
    public ValueTask<IReadOnlyList<TabId>> QueryTabsAsync(CancellationToken cancellationToken) => new(Step<IReadOnlyList<TabId>>(() =>
        [.. _browser.Tabs(Session!.Scope).Where(tab => tab.Present).Select(tab => tab.Session!.Self)]));

    /// <inheritdoc />
    public async ValueTask WaitForTabExitAsync(TabId tab, CancellationToken cancellationToken)
    {
        var done = new TaskCompletionSource();
        Action complete = () => done.TrySetResult();
        lock (_browser.Gate)
            _watches.Add((tab, complete));
        CheckWatches();
        try
        {
            await done.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            lock (_browser.Gate)
                _watches.Remove((tab, complete));
        }
    }

    /// <inheritdoc />
    public ValueTask PostAsync(string message, CancellationToken cancellationToken) => new(Step(() =>
    {
        _browser.Send(this, message);
        return true;
    }));

    /// <inheritdoc />
    public ValueTask DisposeAsync()
    {
        Leave(release: true, isGone: false);
        return ValueTask.CompletedTask;
    }

    internal void Signal(TabSignal signal) => Session?.Sink(signal);

    /// <summary>Runs something in the tab: never once it is gone, later while it stands still.</summary>
    internal void Deliver(Action action)
    {
        lock (_browser.Gate)
        {
            if (_gone)
                return;
            if (_stopped)
            {
                _held.Enqueue(action);
                return;
            }
        }

        action();
    }

    /// <summary>One atomic step in the tab. The answer never comes if the tab goes first.</summary>
    private Task<T> Step<T>(Func<T> step, TimeSpan delay = default)
    {
        var done = new TaskCompletionSource<T>();
        if (_browser.StepDelay is { } stepDelay)
        {
            var due = _browser.Now + stepDelay();
            _lastStep = due > _lastStep ? due : _lastStep;
            delay += _lastStep - _browser.Now;
        }

        _browser.Schedule(delay, () => Deliver(() =>
        {
            T answer;
            try
            {
                lock (_browser.Gate)
                    answer = step();
            }
#pragma warning disable CA1031 // Handed to the caller.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                done.SetException(exception);
                return;
            }

            done.SetResult(answer);
        }));
        return done.Task;
    }

    private void ScheduleTick() => _browser.Schedule(Session!.Heartbeat, () => Deliver(() =>
    {
        lock (_browser.Gate)
        {
            if (_left)
                return;
            _beat = _browser.Now;
            ScheduleTick();
        }

        CheckWatches();
        Signal(new TabSignal(TabSignalKind.Tick));
    }));

    /// <summary>The coordinator leaves; the page, and with it the clock, may live on.</summary>
    private void Leave(bool release, bool isGone = true)
    {
        lock (_browser.Gate)
        {
            _gone |= isGone;
            if (_left)
                return;
            if (release)
                ReleaseAll();
            (_left, _locked) = (true, false);
            _browser.Remove(this);
            Announce();
        }
    }

    private void ReleaseAll()
    {
        if (Session is null)
            return;
        if (_armed is not null && _release is not null && Copy == _armed && _browser.StorageFailure is null)
            _browser.Write(this, Session.Scope, _release);
        _browser.Send(this, Session.Farewell);
        _armed = null;
        _locked = false;
        Announce();
    }

    /// <summary>A lock was let go: with Web Locks those who wait for it learn at once.</summary>
    private void Announce()
    {
        if (!_browser.WebLocks || Session is null)
            return;
        foreach (var tab in _browser.Tabs(Session.Scope))
            _browser.Schedule(TimeSpan.Zero, () => tab.Deliver(tab.CheckWatches));
    }

    private void CheckWatches()
    {
        Action[] over;
        lock (_browser.Gate)
        {
            var present = Session is null ? [] : _browser.Tabs(Session.Scope).Where(tab => tab.Present).Select(tab => tab.Session!.Self).ToHashSet();
            over = [.. _watches.Where(watch => !present.Contains(watch.Tab)).Select(watch => watch.Done)];
        }

        foreach (var done in over)
            _browser.Schedule(TimeSpan.Zero, () => Deliver(done));
    }

    private sealed class TabClock(InMemoryTabPlatform tab) : TimeProvider
    {
        public override long TimestampFrequency => tab._browser.Time.TimestampFrequency;

        public override DateTimeOffset GetUtcNow() => tab._browser.Time.GetUtcNow();

        public override long GetTimestamp() => tab._browser.Time.GetTimestamp();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            tab._browser.Time.CreateTimer(_ => tab.Deliver(() => callback(state)), null, dueTime, period);
    }
}
