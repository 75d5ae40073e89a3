using Microsoft.JSInterop;

namespace DataSync.Coordination;

/// <summary>
/// A tab of a browser page, through the module <c>coordination.js</c>; for Blazor WebAssembly, Server and Hybrid.
/// Where the page has no Web Locks (plain HTTP), the check-and-set of the lease is best effort and tabs are found by
/// heartbeats in localStorage.
/// </summary>
/// <param name="runtime">The page's JavaScript runtime.</param>
/// <param name="modulePath">Where the module is served; null for the static web assets of this package.</param>
/// <param name="timeProvider">The clock for telling silent tabs; null for the system's.</param>
public sealed class BrowserTabPlatform(IJSRuntime runtime, string? modulePath = null, TimeProvider? timeProvider = null) : ITabPlatform
{
    private const string DefaultModulePath = "./_content/DataSync.Coordination/coordination.js";

    private readonly Lock _gate = new();
    private readonly Dictionary<TabId, TaskCompletionSource> _watches = [];
    private readonly TimeProvider _time = timeProvider ?? TimeProvider.System;
    private TabSession? _session;
    private ITabPage? _page;
    private TabPresence? _presence;

    /// <inheritdoc />
    public async ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(session);
        _session = session;
        _page ??= modulePath is null && OperatingSystem.IsBrowser() ? new WebAssemblyTabPage() : new RuntimeTabPage(runtime, modulePath ?? DefaultModulePath);
        try
        {
            if (!await _page.OpenAsync(session, Receive, cancellationToken).ConfigureAwait(false))
                _presence = new TabPresence(session.Self, session.StaleAfter, _time);
        }
        catch (Exception exception) when (IsScriptError(exception))
        {
            throw new CoordinationException(
                "This page cannot coordinate its tabs: localStorage is refused or full, or coordination.js did not load. Allow site data and check the path of the module.",
                exception);
        }
        catch (Exception exception) when (IsPageMissing(exception, cancellationToken))
        {
            throw WithoutPage(exception);
        }
    }

    /// <inheritdoc />
    public ValueTask<string?> ReadLeaseAsync(CancellationToken cancellationToken) => CallAsync("read", cancellationToken);

    /// <inheritdoc />
    public ValueTask<string?> CompareAndSetLeaseAsync(
        string? expected, string replacement, string? release, CancellationToken cancellationToken) =>
        CallAsync("compareAndSet", cancellationToken, expected, replacement, release);

    /// <inheritdoc />
    public async ValueTask<IReadOnlyList<TabId>> QueryTabsAsync(CancellationToken cancellationToken)
    {
        var list = await CallAsync("tabs", cancellationToken).ConfigureAwait(false) ?? string.Empty;
        var lines = list.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        if (_presence is null)
            return [.. lines.Select(line => TabId.TryParse(line, out var id) ? id : default).Where(id => id != default)];

        IReadOnlyList<TabId> live;
        IReadOnlyList<TabId> dead;
        TaskCompletionSource[] over;
        lock (_gate)
        {
            (live, dead) = _presence.Update(lines);
            over = [.. _watches.Where(watch => !live.Contains(watch.Key)).Select(watch => watch.Value)];
        }

        foreach (var watch in over)
            watch.TrySetResult();
        foreach (var tab in dead)
            await CallAsync("forget", cancellationToken, tab.Value).ConfigureAwait(false);
        return live;
    }

    /// <inheritdoc />
    public async ValueTask WaitForTabExitAsync(TabId tab, CancellationToken cancellationToken)
    {
        TaskCompletionSource? gone;
        lock (_gate)
        {
            if (!_watches.TryGetValue(tab, out gone))
                _watches[tab] = gone = new TaskCompletionSource();
        }

        try
        {
            // Without locks the coordinator's listing of tabs, at each heartbeat, tells.
            if (_presence is null)
                await CallAsync("watch", cancellationToken, tab.Value).ConfigureAwait(false);
            await gone.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            lock (_gate)
            {
                if (_watches.GetValueOrDefault(tab) == gone)
                    _watches.Remove(tab);
            }

            if (!gone.Task.IsCompleted && _presence is null && _page is { } page)
                _ = StopWatchingAsync(page, tab);
        }
    }

    /// <inheritdoc />
    public async ValueTask PostAsync(string message, CancellationToken cancellationToken) =>
        await CallAsync("post", cancellationToken, message).ConfigureAwait(false);

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        var page = _page;
        _page = null;
        if (page is not null)
            await page.DisposeAsync().ConfigureAwait(false);
    }

    private static bool IsScriptError(Exception exception) => exception is JSException or System.Runtime.InteropServices.JavaScript.JSException;

    /// <summary>Prerendering, or a native app's page that is not there yet; a circuit that has closed; a page that does not answer.</summary>
    private static bool IsPageMissing(Exception exception, CancellationToken cancellationToken) =>
        exception is JSDisconnectedException or (InvalidOperationException and not ObjectDisposedException)
        || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested);

    private static CoordinationException WithoutPage(Exception exception) => new(
        "There is no page whose JavaScript could be called: the component is being prerendered, or its page has gone. Join in OnAfterRenderAsync, "
        + "which runs only beside a page, or switch prerendering off (prerender: false).",
        exception) { IsPageMissing = true };

    private static async Task StopWatchingAsync(ITabPage page, TabId tab)
    {
        try
        {
            await page.CallAsync("unwatch", CancellationToken.None, tab.Value).ConfigureAwait(false);
        }
        catch (Exception exception) when (IsScriptError(exception) || exception is JSDisconnectedException or OperationCanceledException or InvalidOperationException)
        {
            // A page that is gone watches nobody.
        }
    }

    private async ValueTask<string?> CallAsync(string method, CancellationToken cancellationToken, params string?[] arguments)
    {
        var page = _page ?? throw new CoordinationException("The page is not open.");
        try
        {
            return await page.CallAsync(method, cancellationToken, arguments).ConfigureAwait(false);
        }
        catch (Exception exception) when (IsScriptError(exception))
        {
            throw new CoordinationException($"The page refused '{method}': {exception.Message}", exception);
        }
        catch (Exception exception) when (IsPageMissing(exception, cancellationToken))
        {
            throw WithoutPage(exception);
        }
    }

    private void Receive(string kind, string? data)
    {
        TaskCompletionSource? gone = null;
        switch (kind)
        {
            case "tick":
                _session?.Sink(new TabSignal(TabSignalKind.Tick));
                break;
            case "lease":
                _session?.Sink(new TabSignal(TabSignalKind.LeaseChanged));
                break;
            case "message":
                _session?.Sink(new TabSignal(TabSignalKind.Message, data));
                break;
            case "suspended":
                _session?.Sink(new TabSignal(TabSignalKind.Suspended));
                break;
            case "resumed":
                _session?.Sink(new TabSignal(TabSignalKind.Resumed));
                break;
            case "gone" when TabId.TryParse(data, out var tab):
                lock (_gate)
                    _watches.Remove(tab, out gone);
                break;
        }

        gone?.TrySetResult();
    }
}
