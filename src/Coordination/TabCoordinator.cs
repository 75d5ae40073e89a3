using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Coordination;

/// <summary>
/// Elects one leader among the tabs of a scope and says who it is. Any thread may call any member. Events and
/// callbacks are raised one at a time, never under a lock, on the thread that brought the news (in a browser the
/// only one; in Blazor Server use <c>InvokeAsync</c> to touch the interface).
/// </summary>
/// <remarks>
/// Not guaranteed: that at most one tab believes at any moment that it leads. What must be exclusive needs a store
/// that checks <see cref="LeaderLease.Epoch"/> with every write; raise it in <see cref="Elected"/>.
/// </remarks>
public sealed partial class TabCoordinator : IAsyncDisposable
{
    private readonly ITabPlatform _platform;
    private readonly CoordinationOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private Func<Epoch, CancellationToken, ValueTask<Epoch>>? _elected;
    private Task? _join;

    /// <summary>Creates a coordinator that has not joined yet; it owns <paramref name="platform"/> from now on.</summary>
    /// <param name="platform">The page this tab runs in.</param>
    /// <param name="options">Settings, copied; null for the defaults.</param>
    /// <param name="timeProvider">The clock; null for the system's.</param>
    /// <param name="logger">Where to log; null for nowhere.</param>
    /// <exception cref="ArgumentNullException"><paramref name="platform"/> is null.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public TabCoordinator(
        ITabPlatform platform, CoordinationOptions? options = null, TimeProvider? timeProvider = null, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(platform);
        _platform = platform;
        _options = options?.Copy() ?? new CoordinationOptions();
        _options.Validate();
        _time = timeProvider ?? TimeProvider.System;
        _logger = logger ?? NullLogger.Instance;
        _origin = _time.GetTimestamp();
        Id = TabId.New(_time);
        _state = new ElectionState(Id, _options.Heartbeat, _options.Lease, _options.Grace) { IsObserver = platform is IObserverPlatform };
        _wake = _time.CreateTimer(static self => ((TabCoordinator)self!).Dispatch(ElectionEvent.Tick), this,
            Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>This tab.</summary>
    public TabId Id { get; }

    /// <summary>What the leader is elected for.</summary>
    public string Scope => _options.Scope;

    /// <summary>This tab's role. Information only: to act as leader, hold <see cref="CurrentLease"/>.</summary>
    public TabRole Role => State.Role;

    /// <summary>The epoch of the last leadership that this tab heard of; 0 before the first.</summary>
    public Epoch Epoch => State.Epoch;

    /// <summary>The present leader as far as this tab can see; null while there is none.</summary>
    public TabId? LeaderId => State.Leader;

    /// <summary>The live tabs of the scope, sorted; empty until joined.</summary>
    public IReadOnlyList<TabId> Members => State.Members is { IsDefault: false } members ? members : [];

    /// <summary>The lease if this tab leads at this moment; otherwise null.</summary>
    public LeaderLease? CurrentLease
    {
        get
        {
            lock (_gate)
                return HeldLease();
        }
    }

    /// <summary>
    /// Called when this tab has the lease, before it leads: raise the store's epoch to the proposed one or above, catch up,
    /// and return the epoch that the store granted. The lease is renewed meanwhile. The token is cancelled when the lease is
    /// lost or <see cref="CoordinationOptions.TakeoverTimeout"/> has passed. If it throws, another tab may try first, and
    /// this one tries again after a heartbeat, then two, four … up to the lease time. Null: the proposed epoch is taken.
    /// </summary>
    /// <exception cref="InvalidOperationException">Set after <see cref="JoinAsync"/> was called.</exception>
    public Func<Epoch, CancellationToken, ValueTask<Epoch>>? Elected
    {
        get => _elected;
        set
        {
            if (_join is not null)
                throw new InvalidOperationException("Set Elected before JoinAsync.");
            _elected = value;
            lock (_gate)
                _state = _state with { StoreDecides = value is not null };
        }
    }

    /// <summary>The leader, its epoch or this tab's role changed.</summary>
    public event EventHandler<LeadershipChangedEventArgs>? LeadershipChanged;

    /// <summary>A tab came or went; see <see cref="Members"/>.</summary>
    public event EventHandler? MembersChanged;

    /// <summary>
    /// The tab was frozen, cached or hung for longer than the lease, and is back: whatever it held of shared data is
    /// stale. It leads only if it did before, was merely busy, and no other tab has claimed the lease meanwhile.
    /// </summary>
    public event EventHandler? Resumed;

    /// <summary>Raised at each heartbeat (1 s), in hidden tabs too: a place for other periodic work.</summary>
    public event EventHandler? Heartbeat;

    /// <summary>Enters the election. Returns when this tab knows the others and the lease; it may lead by then. Again: no effect.</summary>
    /// <exception cref="CoordinationException">
    /// localStorage is missing or refused, the page did not load the module, or there is no page: while a component is prerendered.
    /// Join in <c>OnAfterRenderAsync</c>; after an error the next call tries again.
    /// </exception>
    public async Task JoinAsync(CancellationToken cancellationToken = default)
    {
        TaskCompletionSource? mine = null;
        Task join;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closing, this);
            if (_join is null || _join.IsFaulted)
                _join = (mine = NewCompletion()).Task;
            join = _join;
        }

        if (mine is not null)
        {
            try
            {
                await JoinCoreAsync(cancellationToken).ConfigureAwait(false);
                mine.SetResult();
            }
            catch (Exception exception)
            {
                mine.SetException(exception);
                _ = join.Exception;
                throw;
            }
        }

        await join.ConfigureAwait(false);
    }

    /// <summary>Waits until this tab leads, and returns its lease.</summary>
    /// <exception cref="CoordinationException">The lease could not be written three times in a row.</exception>
    /// <exception cref="ObjectDisposedException">The coordinator was disposed while waiting.</exception>
    public async Task<LeaderLease> WaitForLeadershipAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            await UntilAsync(() => HeldLease() is not null, cancellationToken).ConfigureAwait(false);
            if (CurrentLease is { } lease)
                return lease;
        }
    }

    /// <summary>Waits until some tab leads, and returns it.</summary>
    /// <exception cref="CoordinationException">The lease could not be written three times in a row.</exception>
    /// <exception cref="ObjectDisposedException">The coordinator was disposed while waiting.</exception>
    public async Task<TabId> WaitForLeaderAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            await UntilAsync(() => _state.Leader is not null, cancellationToken).ConfigureAwait(false);
            if (LeaderId is { } leader)
                return leader;
        }
    }

    /// <summary>
    /// Asks the present leader to hand over to this tab and waits for it. Returns the lease, or null when the leader did not
    /// answer within two lease times (it may be of another version, or each hand-over may have gone to another tab); at once where this tab
    /// can never lead, as at the other end of a server.
    /// </summary>
    /// <exception cref="CoordinationException">The lease could not be written three times in a row.</exception>
    /// <exception cref="ObjectDisposedException">The coordinator was disposed while waiting.</exception>
    public async Task<LeaderLease?> RequestLeadershipAsync(CancellationToken cancellationToken = default)
    {
        var deadline = Now + (_options.Lease * 2);
        while (CurrentLease is null && Now < deadline && !IsObserver)
        {
            // Asked again at each heartbeat: messages can be missed, and the leader can change.
            if (State is { Role: TabRole.Follower, Leader: { } leader })
                await PostAsync(TabMessageKind.Request, leader).ConfigureAwait(false);
            await UntilAsync(() => HeldLease() is not null, cancellationToken, _options.Heartbeat).ConfigureAwait(false);
        }

        return CurrentLease;
    }

    /// <summary>
    /// Gives up leadership, or the attempt at it, and returns when the lease is free. For two heartbeats this tab leaves
    /// it to others; if none takes it, this tab leads again. A follower: no effect.
    /// </summary>
    public async Task ResignAsync()
    {
        Dispatch(ElectionEvent.Resign(null));
        await UntilAsync(() => _closed || !_state.Owns, CancellationToken.None, _options.Lease).ConfigureAwait(false);
    }

    /// <summary>
    /// To be called when the store refused this tab's epoch. Ignored if this tab already leads under a newer one. Within <see cref="Elected"/>, with the epoch that
    /// was proposed: the store granted just this one to another tab, which therefore leads.
    /// </summary>
    /// <param name="fencedBy">The epoch that the store holds.</param>
    public void StepDown(Epoch fencedBy) => Dispatch(ElectionEvent.Fenced(fencedBy));

    /// <summary>Leaves: releases lease and lock, so that the next tab is elected at once. Waits end with <see cref="ObjectDisposedException"/>.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            if (_closing)
                return;
            _closing = true;
        }

        Dispatch(ElectionEvent.Resign(null));

        // Where the lease cannot be written it expires, and this tab must be out of the election all the same: it would hold the lease for nobody.
        await UntilAsync(() => !_state.Owns, CancellationToken.None, _options.Heartbeat).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await CloseAsync().ConfigureAwait(false);
    }

    /// <summary>
    /// Whether those who wait go on where their wait ends. In the browser a hop to the thread pool is a throttled timer; elsewhere the
    /// one who goes on may block, and must not do so within the election. A simulation on one thread sets it.
    /// </summary>
    internal bool RunsInPlace { get; init; } = OperatingSystem.IsBrowser();

    /// <summary>Called when a lease that had run out, for this page was busy, turned out to be this tab's still.</summary>
    internal Action? LeaseRegained { get; set; }

    /// <summary>Whether this tab only follows, and is in no list of tabs.</summary>
    internal bool IsObserver => _platform is IObserverPlatform;

    internal bool Holds(LeaderLease lease)
    {
        lock (_gate)
            return ReferenceEquals(HeldLease(), lease);
    }

    private ElectionState State
    {
        get
        {
            lock (_gate)
                return _state;
        }
    }

    private async Task JoinCoreAsync(CancellationToken cancellationToken)
    {
        var farewell = new TabMessage(TabMessageKind.Farewell, Scope, default, Id).ToText();
        _lastTick = Now;
        await _platform.OpenAsync(
            new TabSession(Scope, Id, _options.Heartbeat, _options.Lease, farewell, OnSignal), cancellationToken).ConfigureAwait(false);
        Log.Joined(_logger, Id, Scope);
        Rehearsal.Play(Id, _options);
        await LookAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Reads what the others have written and lists them, as at the start and after each suspension.</summary>
    private async Task LookAsync(CancellationToken cancellationToken)
    {
        await PostAsync(TabMessageKind.Hello).ConfigureAwait(false);
        var members = await _platform.QueryTabsAsync(cancellationToken).ConfigureAwait(false);
        var text = await _platform.ReadLeaseAsync(cancellationToken).ConfigureAwait(false);
        Dispatch(ElectionEvent.RecordSeen(text));
        Dispatch(ElectionEvent.MembersSeen([.. members.Order()]));
    }
}
