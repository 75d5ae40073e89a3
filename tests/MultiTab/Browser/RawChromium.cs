using System.Diagnostics;
using System.Text.Json.Nodes;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Browser;

/// <summary>
/// A Chromium with a profile of its own, started without Playwright's switches: timers of hidden tabs are throttled, tabs can be
/// frozen and go into the back/forward cache, as on a user's machine. A test must still check that its tab really is.
/// </summary>
public sealed class RawChromium : IAsyncDisposable
{
    private readonly Process process;
    private readonly string? ownProfile;
    private readonly string baseUrl;
    private readonly TestLog log;

    private RawChromium(Process process, string? ownProfile, BrowserConnection connection, string baseUrl, ITestOutputHelper output)
    {
        (this.process, this.ownProfile, this.baseUrl, log) = (process, ownProfile, baseUrl, new TestLog(output));
        Connection = connection;
    }

    public BrowserConnection Connection { get; }

    /// <param name="profile">A folder that stays; null for one that is deleted in the end.</param>
    public static async Task<RawChromium> StartAsync(string executable, string baseUrl, ITestOutputHelper output, string? profile = null)
    {
        var ownProfile = profile is null ? Directory.CreateTempSubdirectory("datasync-raw-").FullName : null;
        profile ??= ownProfile;
        string[] arguments = [.. Chromium.Switches, .. WasmTiers.ChromiumSwitches, $"--disable-features={BrowserFixture.AddressBar}", "--headless=new", "--force-prefers-reduced-motion", "--remote-debugging-port=0", $"--user-data-dir={profile}", "about:blank"];
        var process = Process.Start(new ProcessStartInfo(executable, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        try
        {
            var connection = await BrowserConnection.ConnectAsync("Chromium", await Announcement.WaitAsync(process, "DevTools listening on "), Limits.Step);
            return new RawChromium(process, ownProfile, connection, baseUrl, output);
        }
        catch
        {
            End(process, ownProfile);
            throw;
        }
    }

    /// <summary>Opens the playground in a new tab, in front or behind the others, and waits until the page has loaded.</summary>
    public async Task<RawTab> OpenAsync(string query = "", bool inBackground = false)
    {
        var tab = await OpenBlankAsync(inBackground);
        await tab.NavigateAsync($"{baseUrl}/?{query}");
        return tab;
    }

    /// <summary>Opens an empty tab. One in a new window hides none of the others.</summary>
    /// <param name="privateSession">What Target.createBrowserContext gave, which has no window yet; null for the browser's profile.</param>
    public async Task<RawTab> OpenBlankAsync(bool inBackground = false, bool inNewWindow = false, string? privateSession = null)
    {
        var options = new JsonObject { ["url"] = "about:blank", ["background"] = inBackground, ["newWindow"] = inNewWindow || privateSession is not null };
        if (privateSession is not null) options["browserContextId"] = privateSession;
        var target = await Connection.SendAsync("Target.createTarget", options);
        var targetId = target["targetId"]!.GetValue<string>();
        var attached = await Connection.SendAsync("Target.attachToTarget", new { targetId, flatten = true });
        return new RawTab(Connection, targetId, attached["sessionId"]!.GetValue<string>(), log);
    }

    public async ValueTask DisposeAsync()
    {
        // Its processes first: it would otherwise notice that the test has gone and end in good order.
        End(process, ownProfile);
        await Connection.DisposeAsync();
        process.Dispose();
    }

    private static void End(Process process, string? ownProfile)
    {
        process.Kill(entireProcessTree: true);
        process.WaitForExit(TimeSpan.FromSeconds(10));
        if (ownProfile is not null) TemporaryFolder.Delete(ownProfile);
    }
}

/// <summary>A tab of <see cref="RawChromium"/>.</summary>
public sealed class RawTab
{
    /// <summary>As Playwright does it: keeping the app for use without a network would take the time of what is tested.</summary>
    private const string NoServiceWorkers = "if (navigator.serviceWorker) navigator.serviceWorker.register = async () => {};";

    private readonly BrowserConnection connection;
    private readonly string sessionId;
    private bool isEnabled;

    internal RawTab(BrowserConnection connection, string targetId, string sessionId, TestLog log)
    {
        (this.connection, this.sessionId) = (connection, sessionId);
        TargetId = targetId;
        connection.Event += (session, method, parameters) =>
        {
            if (session != sessionId) return;
            if (method == "Inspector.targetCrashed") Crashed?.Invoke();
            if (method is "Runtime.consoleAPICalled" or "Runtime.exceptionThrown")
            {
                log.Write($"{targetId[..4]} {Describe(parameters)}");
            }
        };
    }

    public string TargetId { get; }

    /// <summary>The renderer of this tab has crashed or was killed.</summary>
    public event Action? Crashed;

    /// <summary>Sends a command of the devtools protocol to this tab.</summary>
    public Task<JsonNode> SendAsync(string method, object? parameters = null) => connection.SendAsync(method, parameters, sessionId);

    /// <summary>Evaluates an expression in the page, waits if it is a promise, and returns its value. Throws when it throws.</summary>
    public async Task<JsonNode?> EvaluateAsync(string expression)
    {
        var answer = await SendAsync("Runtime.evaluate", new { expression, awaitPromise = true, returnByValue = true });
        return answer["exceptionDetails"] is { } error
            ? throw new InvalidOperationException($"The page threw: {error["exception"]?["description"] ?? error["text"]}")
            : answer["result"]!["value"];
    }

    /// <summary>Freezes the page as the browser does with a tab left alone, or wakes it. Only a hidden tab freezes.</summary>
    public Task SetFrozenAsync(bool frozen) => SendAsync("Page.setWebLifecycleState", new { state = frozen ? "frozen" : "active" });

    /// <summary>Brings this tab to the front, which hides the one that was there.</summary>
    public Task ActivateAsync() => connection.SendAsync("Target.activateTarget", new { targetId = TargetId });

    public Task CloseAsync() => connection.SendAsync("Target.closeTarget", new { targetId = TargetId });

    /// <summary>What a page wrote to its console, or an exception that nobody caught, in one line.</summary>
    private static string Describe(JsonNode parameters)
    {
        var text = parameters["args"]?.AsArray() is { } values
            ? string.Join(' ', values.Select(value => value!["value"]?.ToString() ?? value["description"]?.ToString()))
            : $"{parameters["exceptionDetails"]?["exception"]?["description"] ?? parameters["exceptionDetails"]?["text"]}";
        return $"{parameters["type"] ?? "exception"}: {text.ReplaceLineEndings(" ")}";
    }

    internal async Task NavigateAsync(string url)
    {
        var loaded = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void OnEvent(string session, string method, JsonNode parameters)
        {
            if (session == sessionId && method == "Page.loadEventFired")
            {
                loaded.TrySetResult();
            }
        }

        connection.Event += OnEvent;
        if (!isEnabled)
        {
            // Once: a tab whose renderer has crashed answers to nothing but where to go.
            await SendAsync("Page.enable");
            await SendAsync("Page.addScriptToEvaluateOnNewDocument", new { source = NoServiceWorkers });
            await SendAsync("Runtime.enable");
            isEnabled = true;
        }

        await SendAsync("Page.navigate", new { url });
        await loaded.Task.WaitAsync(Limits.Step);
        connection.Event -= OnEvent;
    }

    /// <summary>Goes back one page, which the browser may have kept. Whether it had shows in the page's own <c>pageshow</c>.</summary>
    public async Task GoBackAsync()
    {
        var history = await SendAsync("Page.getNavigationHistory");
        var entry = history["entries"]![history["currentIndex"]!.GetValue<int>() - 1]!["id"]!.GetValue<int>();
        await SendAsync("Page.navigateToHistoryEntry", new { entryId = entry });
    }
}
