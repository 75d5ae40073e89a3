using Microsoft.JSInterop;

namespace DataSync.Coordination;

/// <summary>A tab of a browser page.</summary>
public sealed class BrowserTabPlatform(IJSRuntime runtime) : ITabPlatform
{
    /// <inheritdoc />
    public ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken) => throw new NotImplementedException(runtime.ToString());

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
