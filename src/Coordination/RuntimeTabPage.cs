using Microsoft.JSInterop;

namespace DataSync.Coordination;

/// <summary>A page over <see cref="IJSRuntime"/>, wherever .NET runs: on a server, or beside the page in a native app.</summary>
internal sealed class RuntimeTabPage(IJSRuntime runtime, string modulePath) : ITabPage
{
    private IJSObjectReference? _module;
    private IJSObjectReference? _tab;
    private DotNetObjectReference<Receiver>? _receiver;
    private bool _isClosed;

    public async ValueTask<bool> OpenAsync(TabSession session, Action<string, string?> receive, CancellationToken cancellationToken)
    {
        _receiver ??= DotNetObjectReference.Create(new Receiver(receive));
        _module ??= await runtime.InvokeAsync<IJSObjectReference>("import", cancellationToken, modulePath).ConfigureAwait(false);
        await ThrowIfClosedAsync().ConfigureAwait(false);
        _tab = await _module.InvokeAsync<IJSObjectReference>("open", cancellationToken,
            _receiver, session.Scope, session.Self.Value, session.Heartbeat.TotalMilliseconds, session.Farewell).ConfigureAwait(false);
        await ThrowIfClosedAsync().ConfigureAwait(false);
        return await _tab.InvokeAsync<bool>("hasLocks", cancellationToken).ConfigureAwait(false);
    }

    public async ValueTask<string?> CallAsync(string method, CancellationToken cancellationToken, params string?[] arguments)
    {
        var tab = _tab ?? throw new JSException("The tab is not open.");
        return await tab.InvokeAsync<string?>(method, cancellationToken, [.. arguments]).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        _isClosed = true;
        var (tab, module) = (_tab, _module);
        (_tab, _module) = (null, null);
        try
        {
            if (tab is not null)
            {
                await tab.InvokeVoidAsync("close").ConfigureAwait(false);
                await tab.DisposeAsync().ConfigureAwait(false);
            }

            if (module is not null)
                await module.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is JSException or JSDisconnectedException or OperationCanceledException or InvalidOperationException)
        {
            // The page lets go of everything by itself when it goes.
        }

        _receiver?.Dispose();
        _receiver = null;
    }

    // Closed while the page was asked for something: what came of that is closed as well.
    private async ValueTask ThrowIfClosedAsync()
    {
        if (!_isClosed)
            return;
        await DisposeAsync().ConfigureAwait(false);
        throw new ObjectDisposedException(nameof(BrowserTabPlatform));
    }

    /// <summary>What JavaScript calls; apart, so that it is not part of the page's own members.</summary>
    internal sealed class Receiver(Action<string, string?> receive)
    {
        [JSInvokable]
        public void OnSignal(string kind, string? data) => receive(kind, data);
    }
}
