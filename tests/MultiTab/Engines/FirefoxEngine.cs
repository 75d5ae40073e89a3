using System.Text.Json;
using System.Text.Json.Nodes;
using DataSync.MultiTab.Browser;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Engines;

/// <summary>Firefox by WebDriver BiDi, which it speaks without a driver beside it.</summary>
public sealed class FirefoxEngine : IEngine
{
    private static readonly string[] UsualPlaces = ["/usr/lib/firefox-esr/firefox-esr", "/usr/bin/firefox-esr", "/usr/lib/firefox/firefox", "/usr/bin/firefox"];

    /// <summary>What a test's browser must not do by itself, and a process for each tab: Firefox puts at most four pages of a site apart.</summary>
    private static readonly Dictionary<string, object> Preferences = new()
    {
        ["app.update.enabled"] = false,
        ["browser.aboutwelcome.enabled"] = false,
        ["browser.newtabpage.enabled"] = false,
        ["browser.safebrowsing.update.enabled"] = false,
        ["browser.sessionstore.resume_from_crash"] = false,
        ["browser.shell.checkDefaultBrowser"] = false,
        ["browser.startup.homepage"] = "about:blank",
        ["browser.startup.page"] = 0,
        ["browser.tabs.unloadOnLowMemory"] = false,
        ["datareporting.policy.dataSubmissionEnabled"] = false,
        ["dom.ipc.processCount.webIsolated"] = 64,
        ["dom.ipc.processHangMonitor"] = false,
        ["dom.storageManager.prompt.testing"] = true, // nobody answers it here
        ["dom.storageManager.prompt.testing.allow"] = true,
        ["extensions.update.enabled"] = false,
        ["network.captive-portal-service.enabled"] = false,
        ["network.connectivity-service.enabled"] = false,
        ["services.settings.server"] = "http://127.0.0.1:1/",
        ["toolkit.startup.max_resumed_crashes"] = -1,
        ["toolkit.telemetry.enabled"] = false,
        ["ui.prefersReducedMotion"] = 1, // animations are drawn in software here
    };

    private static readonly string[] ConsoleEvents = ["log.entryAdded"];

    public string Name => "firefox";

    public string? Missing => Executable is null ? "Firefox (Debian: apt-get install firefox-esr), or its path in DATASYNC_FIREFOX" : null;

    private static string? Executable =>
        Environment.GetEnvironmentVariable("DATASYNC_FIREFOX") is { Length: > 0 } chosen ? chosen : Array.Find(UsualPlaces, File.Exists);

    public async Task<IEngineBrowser> StartAsync(string? profile, ITestOutputHelper output)
    {
        var own = Directory.CreateTempSubdirectory("datasync-firefox-").FullName;
        var isPrivate = new KeyValuePair<string, object>("browser.privatebrowsing.autostart", profile is null);
        await File.WriteAllLinesAsync(
            Path.Combine(profile ?? own, "user.js"), Preferences.Concat(WasmTiers.FirefoxPreferences).Append(isPrivate).Select(one => $"user_pref({JsonSerializer.Serialize(one.Key)}, {JsonSerializer.Serialize(one.Value)});"));
        // Without system access it does not tell the id of a tab's process.
        var group = ProcessGroup.Start(
            Executable!,
            ["--headless", "--no-remote", "--profile", profile ?? own, "--remote-debugging-port", "0", "--remote-allow-system-access"],
            new Dictionary<string, string> { ["HOME"] = own, ["MOZ_CRASHREPORTER_DISABLE"] = "1" });
        try
        {
            var address = await Announcement.WaitAsync(group.Leader, "WebDriver BiDi listening on ");
            var connection = await BrowserConnection.ConnectAsync("Firefox", new Uri($"{address.ToString().TrimEnd('/')}/session"), Limits.Step);
            var session = await connection.SendAsync("session.new", new { capabilities = new { } });
            var log = new TestLog(output);
            connection.Event += (_, method, parameters) =>
            {
                if (method == "log.entryAdded") log.Write($"{parameters["source"]?["context"]?.GetValue<string>()[..4]} {parameters["level"]}: {parameters["text"]?.GetValue<string>().ReplaceLineEndings(" ")}");
            };
            await connection.SendAsync("session.subscribe", new { events = ConsoleEvents });
            return new FirefoxBrowser(group, connection, own, session["capabilities"]!["browserVersion"]!.GetValue<string>());
        }
        catch
        {
            await group.KillAsync(_ => true);
            TemporaryFolder.Delete(own);
            throw;
        }
    }

    private sealed class FirefoxBrowser(ProcessGroup group, BrowserConnection connection, string ownFolder, string version) : IEngineBrowser
    {
        private bool hasEnded;

        public string Version => version;

        public async Task<IEngineTab> OpenTabAsync(string url, string script = "")
        {
            var context = (await connection.SendAsync("browsingContext.create", new { type = "tab" }))["context"]!.GetValue<string>();
            await connection.SendAsync("script.addPreloadScript", new { functionDeclaration = $"() => {{ {script} }}", contexts = new[] { context } });
            var tab = new FirefoxTab(connection, context);
            await tab.NavigateAsync(url);
            return tab;
        }

        public async Task KillAsync()
        {
            if (hasEnded) return;
            hasEnded = true;
            await group.KillAsync(_ => true);
            await connection.DisposeAsync();
            group.Dispose();
            TemporaryFolder.Delete(ownFolder);
        }

        public async ValueTask DisposeAsync() => await KillAsync();
    }

    private sealed class FirefoxTab(BrowserConnection connection, string context) : IEngineTab
    {
        public Task<string> EvaluateAsync(string expression) => EvaluateAsync(expression, context);

        public Task NavigateAsync(string url) => connection.SendAsync("browsingContext.navigate", new { context, url, wait = "complete" });

        public Task BackAsync() => connection.SendAsync("browsingContext.traverseHistory", new { context, delta = -1 });

        public async Task<byte[]> ScreenshotAsync(int width)
        {
            await connection.SendAsync("browsingContext.setViewport", new { context, viewport = new { width, height = 800 } });
            var picture = await connection.SendAsync("browsingContext.captureScreenshot", new { context, origin = "document" });
            return Convert.FromBase64String(picture["data"]!.GetValue<string>());
        }

        public async Task<RendererProcess> FindProcessAsync()
        {
            var windows = await connection.SendAsync("browsingContext.getTree", new JsonObject { ["moz:scope"] = "chrome" });
            var id = await EvaluateAsync(
                $$"""
                (async () => {
                  const { NavigableManager } = ChromeUtils.importESModule('chrome://remote/content/shared/NavigableManager.sys.mjs');
                  return String(NavigableManager.getBrowsingContextById('{{context}}').currentWindowGlobal.osPid);
                })()
                """,
                windows["contexts"]![0]!["context"]!.GetValue<string>());
            return new RendererProcess(int.Parse(id, null));
        }

        public Task CloseAsync() => connection.SendAsync("browsingContext.close", new { context });

        private async Task<string> EvaluateAsync(string expression, string target)
        {
            var answer = await connection.SendAsync("script.evaluate", new { expression, target = new { context = target }, awaitPromise = true });
            return answer["exceptionDetails"] is { } error
                ? throw new InvalidOperationException($"The page threw: {error["text"]}")
                : answer["result"]!["value"]!.GetValue<string>();
        }
    }
}
