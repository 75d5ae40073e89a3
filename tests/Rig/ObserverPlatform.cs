using DataSync.Coordination;

namespace DataSync.Rig;

/// <summary>The place of a tab that never leads, as one at the other end of a connection: while that is cut it hears nothing new of the lease.</summary>
internal sealed class ObserverPlatform(ITabPlatform inner) : IObserverPlatform
{
    private string? _lease;

    public bool IsCut { get; set; }

    public ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken) => inner.OpenAsync(session, cancellationToken);

    public async ValueTask<string?> ReadLeaseAsync(CancellationToken cancellationToken) =>
        IsCut ? _lease : _lease = await inner.ReadLeaseAsync(cancellationToken).ConfigureAwait(false);

    public ValueTask<string?> CompareAndSetLeaseAsync(string? expected, string replacement, string? release, CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask<IReadOnlyList<TabId>> QueryTabsAsync(CancellationToken cancellationToken) => inner.QueryTabsAsync(cancellationToken);

    public ValueTask WaitForTabExitAsync(TabId tab, CancellationToken cancellationToken) => new(Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken));

    public ValueTask PostAsync(string message, CancellationToken cancellationToken) => inner.PostAsync(message, cancellationToken);

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
