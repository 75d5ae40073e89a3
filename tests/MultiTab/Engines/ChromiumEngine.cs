using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Engines;

/// <summary>Chromium by its devtools protocol, with a user's switches: the browser of the other tests, without Playwright.</summary>
public sealed class ChromiumEngine : IEngine
{
    public string Name => "chromium";

    /// <summary>Never: the other tests need it too, and install it.</summary>
    public string? Missing => null;

    public async Task<IEngineBrowser> StartAsync(string? profile, ITestOutputHelper output)
    {
        using var playwright = await Playwright.CreateAsync();
        var chromium = await RawChromium.StartAsync(await Chromium.FindOrInstallAsync(playwright), "", output, profile);
        var version = (await chromium.Connection.SendAsync("Browser.getVersion"))["product"]!.GetValue<string>();
        var session = profile is null ? (await chromium.Connection.SendAsync("Target.createBrowserContext"))["browserContextId"]!.GetValue<string>() : null;
        return new ChromiumBrowser(chromium, session, version[(version.IndexOf('/', StringComparison.Ordinal) + 1)..]);
    }

    private sealed class ChromiumBrowser(RawChromium chromium, string? privateSession, string version) : IEngineBrowser
    {
        private bool hasEnded;

        public string Version => version;

        public async Task<IEngineTab> OpenTabAsync(string url, string script = "")
        {
            var tab = await chromium.OpenBlankAsync(privateSession: privateSession);
            await tab.SendAsync("Page.enable"); // or it takes no script
            await tab.SendAsync("Page.addScriptToEvaluateOnNewDocument", new { source = script });
            await tab.NavigateAsync(url);
            return new ChromiumTab(chromium.Connection, tab);
        }

        public Task KillAsync() => DisposeAsync().AsTask();

        public async ValueTask DisposeAsync()
        {
            if (hasEnded) return;
            hasEnded = true;
            await chromium.DisposeAsync();
        }
    }

    private sealed class ChromiumTab(BrowserConnection connection, RawTab tab) : IEngineTab
    {
        public async Task<string> EvaluateAsync(string expression) => (await tab.EvaluateAsync(expression))!.GetValue<string>();

        public Task NavigateAsync(string url) => tab.NavigateAsync(url);

        public Task BackAsync() => tab.GoBackAsync();

        public async Task<byte[]> ScreenshotAsync(int width)
        {
            await tab.SendAsync("Emulation.setDeviceMetricsOverride", new { width, height = 800, deviceScaleFactor = 1, mobile = false });
            var picture = await tab.SendAsync("Page.captureScreenshot", new { captureBeyondViewport = true });
            return Convert.FromBase64String(picture["data"]!.GetValue<string>());
        }

        public async Task<RendererProcess> FindProcessAsync() => (await RendererProcess.OfEachAsync(connection, [tab]))[0];

        public Task CloseAsync() => tab.CloseAsync();
    }
}
