namespace DataSync.Coordination;

/// <summary>
/// A simulated browser profile: the storage, locks and messages that its tabs share. Everything happens in the order
/// of the time provider's clock, so under a virtual clock every run is the same. Any thread may call.
/// </summary>
/// <param name="timeProvider">The clock; null for the system's.</param>
/// <param name="webLocks">False simulates a page without <c>navigator.locks</c>.</param>
internal sealed class InMemoryBrowser(TimeProvider? timeProvider = null, bool webLocks = true) : IDisposable
{
    private readonly PriorityQueue<Action, (TimeSpan Due, long Order)> _agenda = new();
    private readonly Dictionary<string, string> _leases = [];
    private readonly List<InMemoryTabPlatform> _tabs = [];
    private ITimer? _timer;
    private long _origin;
    private long _order;
    private bool _running;

    /// <summary>How long a localStorage write takes to reach other tabs and the profile; the writer sees it at once. Default zero.</summary>
    public TimeSpan StorageLag { get; set; }

    /// <summary>When set, every write to localStorage throws it, as on an exceeded quota.</summary>
    public Exception? StorageFailure { get; set; }

    /// <summary>
    /// The fate of each message to each receiver: one delay per delivery. Empty: lost; two: doubled. Null: each is delivered once, at once.
    /// </summary>
    public Func<InMemoryMessage, IReadOnlyList<TimeSpan>>? Route { get; set; }

    /// <summary>How long the next step of a page takes; null: none takes any time. Steps of one tab keep their order.</summary>
    internal Func<TimeSpan>? StepDelay { get; set; }

    internal TimeProvider Time { get; } = timeProvider ?? TimeProvider.System;

    internal bool WebLocks { get; } = webLocks;

    internal Lock Gate { get; } = new();

    /// <summary>Whether no tab is open, or all have gone.</summary>
    internal bool IsEmpty
    {
        get
        {
            lock (Gate)
                return _tabs.Count == 0;
        }
    }

    internal TimeSpan Now => Time.GetElapsedTime(_origin);

    /// <summary>Opens a simulated tab.</summary>
    public InMemoryTabPlatform OpenTab()
    {
        lock (Gate)
        {
            if (_timer is null)
            {
                _origin = Time.GetTimestamp();
                _timer = Time.CreateTimer(static self => ((InMemoryBrowser)self!).Run(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            }

            var tab = new InMemoryTabPlatform(this);
            _tabs.Add(tab);
            return tab;
        }
    }

    /// <summary>The lease record as the profile holds it; null when there is none.</summary>
    public string? ReadLease(string scope)
    {
        lock (Gate)
            return _leases.GetValueOrDefault(scope);
    }

    /// <summary>Overwrites or, with null, removes the lease record, as a user can in the developer tools.</summary>
    public void WriteLease(string scope, string? text)
    {
        lock (Gate)
            Commit(null, scope, text);
    }

    /// <summary>Stops the simulation's clock.</summary>
    public void Dispose()
    {
        lock (Gate)
            _timer?.Dispose();
    }

    internal IEnumerable<InMemoryTabPlatform> Tabs(string scope) => _tabs.Where(tab => tab.Session?.Scope == scope);

    internal void Remove(InMemoryTabPlatform tab) => _tabs.Remove(tab);

    /// <summary>Does something when the time has come, on the simulation's thread of events.</summary>
    internal void Schedule(TimeSpan delay, Action action)
    {
        lock (Gate)
        {
            _agenda.Enqueue(action, (Now + delay, _order++));
            Arm();
        }
    }

    internal void Write(InMemoryTabPlatform writer, string scope, string text)
    {
        writer.Copy = text;
        if (StorageLag == TimeSpan.Zero)
        {
            Commit(writer, scope, text);
            return;
        }

        writer.UnconfirmedWrites++;
        Schedule(StorageLag, () =>
        {
            lock (Gate)
            {
                writer.UnconfirmedWrites--;
                Commit(writer, scope, text);
            }
        });
    }

    internal void Send(InMemoryTabPlatform sender, string text)
    {
        foreach (var receiver in Tabs(sender.Session!.Scope).Where(tab => tab != sender).ToArray())
        {
            var message = new InMemoryMessage(sender.Session.Self, receiver.Session!.Self, text);
            foreach (var delay in Route?.Invoke(message) ?? [TimeSpan.Zero])
                Schedule(delay, () => receiver.Deliver(() => receiver.Signal(new TabSignal(TabSignalKind.Message, text))));
        }
    }

    /// <summary>The write reaches the profile and the tabs that have no own write on its way there (as in Chromium).</summary>
    private void Commit(InMemoryTabPlatform? writer, string scope, string? text)
    {
        if (text is null)
            _leases.Remove(scope);
        else
            _leases[scope] = text;
        foreach (var tab in Tabs(scope).Where(tab => tab != writer && tab.UnconfirmedWrites == 0))
        {
            tab.Copy = text;
            Schedule(TimeSpan.Zero, () => tab.Deliver(() => tab.Signal(new TabSignal(TabSignalKind.LeaseChanged))));
        }
    }

    private void Arm()
    {
        if (_running || !_agenda.TryPeek(out _, out var first))
            return;
        var wait = first.Due - Now;
        _timer!.Change(wait > TimeSpan.Zero ? TimeSpan.FromMilliseconds(Math.Ceiling(wait.TotalMilliseconds)) : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }

    private void Run()
    {
        lock (Gate)
        {
            if (_running)
                return;
            _running = true;
        }

        while (true)
        {
            Action action;
            lock (Gate)
            {
                if (!_agenda.TryPeek(out _, out var first) || first.Due > Now)
                {
                    _running = false;
                    Arm();
                    return;
                }

                action = _agenda.Dequeue();
            }

            action();
        }
    }
}

/// <summary>A message on its way from one simulated tab to another.</summary>
/// <param name="Sender">The tab that posted it.</param>
/// <param name="Receiver">The tab that is to get it.</param>
/// <param name="Text">The message.</param>
internal sealed record InMemoryMessage(TabId Sender, TabId Receiver, string Text);
