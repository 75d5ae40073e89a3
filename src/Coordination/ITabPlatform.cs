namespace DataSync.Coordination;

/// <summary>
/// What a tab needs of the place it runs in: atomic steps only, no decisions. Implemented over a browser page by
/// <see cref="BrowserTabPlatform"/> and in memory by <see cref="InMemoryTabPlatform"/>. One instance serves one
/// <see cref="TabCoordinator"/>, which disposes it. Every member may throw <see cref="CoordinationException"/>.
/// </summary>
public interface ITabPlatform : IAsyncDisposable
{
    /// <summary>
    /// Enters the page: takes the tab's lock (held until disposal), starts the heartbeat and listens.
    /// Signals go to <see cref="TabSession.Sink"/> from then on, one at a time; the sink does not throw.
    /// </summary>
    ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken);

    /// <summary>Reads the lease record; null when there is none.</summary>
    ValueTask<string?> ReadLeaseAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Writes <paramref name="replacement"/> if the record still is <paramref name="expected"/>, in one atomic step, and
    /// returns what is there afterwards (so: success is <c>result == replacement</c>). When the write succeeds, the page
    /// keeps <paramref name="release"/>, with which it replaces <paramref name="replacement"/> by itself, synchronously, if
    /// it is hidden for good, frozen or closed; null disarms that.
    /// </summary>
    ValueTask<string?> CompareAndSetLeaseAsync(string? expected, string replacement, string? release, CancellationToken cancellationToken);

    /// <summary>Lists the live tabs of the scope, this one included once it is open. Order does not matter.</summary>
    ValueTask<IReadOnlyList<TabId>> QueryTabsAsync(CancellationToken cancellationToken);

    /// <summary>Completes when the tab is gone (at once if it already is); the token ends the wait.</summary>
    ValueTask WaitForTabExitAsync(TabId tab, CancellationToken cancellationToken);

    /// <summary>Sends a message to the other tabs of the scope. A hint: it may get lost.</summary>
    ValueTask PostAsync(string message, CancellationToken cancellationToken);
}

/// <summary>
/// The place of a tab that only follows: it never claims the lease, and the others, who do not list it, do not wait for it. For one that can read the store and not write it.
/// </summary>
internal interface IObserverPlatform : ITabPlatform;

/// <summary>What a coordinator tells its platform when it opens.</summary>
/// <param name="Scope">What the leader is elected for.</param>
/// <param name="Self">This tab.</param>
/// <param name="Heartbeat">The interval between <see cref="TabSignalKind.Tick"/> signals.</param>
/// <param name="StaleAfter">How long a tab may be silent before it counts as gone, where only heartbeats can tell.</param>
/// <param name="Farewell">A message that the page posts by itself when it is closed or frozen.</param>
/// <param name="Sink">Receives the signals.</param>
public sealed record TabSession(
    string Scope, TabId Self, TimeSpan Heartbeat, TimeSpan StaleAfter, string Farewell, Action<TabSignal> Sink);

/// <summary>One thing that happened to the page.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Data">The text of a <see cref="TabSignalKind.Message"/>; otherwise null.</param>
public readonly record struct TabSignal(TabSignalKind Kind, string? Data = null);

/// <summary>The kinds of <see cref="TabSignal"/>.</summary>
public enum TabSignalKind
{
    /// <summary>A heartbeat passed.</summary>
    Tick,

    /// <summary>Another tab changed the lease record.</summary>
    LeaseChanged,

    /// <summary>Another tab sent a message.</summary>
    Message,

    /// <summary>The page is about to be frozen, cached or closed, and has released its lease and lock.</summary>
    Suspended,

    /// <summary>The page came back and holds its lock again; whatever it knew is stale.</summary>
    Resumed,
}
