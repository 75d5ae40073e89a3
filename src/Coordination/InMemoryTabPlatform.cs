namespace DataSync.Coordination;

/// <summary>A simulated tab of an <see cref="InMemoryBrowser"/>.</summary>
public sealed class InMemoryTabPlatform : ITabPlatform
{
    internal InMemoryTabPlatform(InMemoryBrowser browser) => _ = browser;

    /// <inheritdoc />
    public ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <inheritdoc />
    public ValueTask<string?> ReadLeaseAsync(CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <inheritdoc />
    public ValueTask<string?> CompareAndSetLeaseAsync(string? expected, string replacement, string? release, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <inheritdoc />
    public ValueTask<IReadOnlyList<TabId>> QueryTabsAsync(CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <inheritdoc />
    public ValueTask WaitForTabExitAsync(TabId tab, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <inheritdoc />
    public ValueTask PostAsync(string message, CancellationToken cancellationToken) => throw new NotImplementedException();

    /// <inheritdoc />
    public ValueTask DisposeAsync() => throw new NotImplementedException();
}
