using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Browser;

/// <summary>One server and one Chromium for all tests; each test takes its own <see cref="TabGroup"/> from it.</summary>
public sealed class BrowserFixture : IAsyncLifetime
{
    /// <summary>Each window starts pages of the browser's own for its address bar: 1.5 s of CPU time.</summary>
    internal const string AddressBar = "WebUIOmniboxPopup,WebUIOmniboxAimPopup";

    /// <summary>With what Playwright's own switch leaves out, which this one replaces.</summary>
    private const string LeftOut =
        "AimEnabled,AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,DialMediaRouteProvider,GlobalMediaControls,HttpsUpgrades,LensOverlay,MediaRouter,"
        + "NetworkTimeServiceQuerying,OptimizationHints,PaintHolding,ThirdPartyStoragePartitioning,Translate";

    private AppServer? server;
    private IPlaywright? playwright;
    private IBrowser? browser;

    /// <summary>The playground's address, without a slash at the end.</summary>
    public string Url => server!.Url;

    public string ChromiumPath { get; private set; } = "";

    internal static string[] Switches { get; } = [.. Chromium.Switches, .. WasmTiers.ChromiumSwitches, $"--disable-features={AddressBar},{LeftOut}"];

    public IPlaywright Playwright => playwright!;

    public async Task InitializeAsync()
    {
        Assertions.SetDefaultExpectTimeout(Limits.Step_ms);
        server = await PlaygroundServer.StartAsync();
        playwright = await Microsoft.Playwright.Playwright.CreateAsync();
        ChromiumPath = await Chromium.FindOrInstallAsync(playwright);
        browser = await playwright.Chromium.LaunchAsync(new() { ExecutablePath = ChromiumPath, Args = Switches, Headless = true });
    }

    public async Task DisposeAsync()
    {
        if (browser is not null)
        {
            await browser.CloseAsync();
        }

        playwright?.Dispose();
        if (server is not null)
        {
            await server.DisposeAsync();
        }
    }

    /// <summary>
    /// A new context: no storage, channel or lock in common with any other. Without service workers, which would fetch the whole app once more, and without animations: drawn in software they took a third
    /// of what writing in four tabs takes.
    /// </summary>
    public Task<TabGroup> NewTabsAsync(ITestOutputHelper output) => NewTabsAsync(output, Url);

    /// <summary>A new context for the app at another address, without a slash at the end.</summary>
    public async Task<TabGroup> NewTabsAsync(ITestOutputHelper output, string url, ServiceWorkerPolicy serviceWorkers = ServiceWorkerPolicy.Block) =>
        new(await browser!.NewContextAsync(new() { ServiceWorkers = serviceWorkers, ReducedMotion = ReducedMotion.Reduce }), url, output);

    /// <summary>A browser with a profile of its own on disk, deleted at the end; not started yet.</summary>
    public PersistentBrowser NewPersistentBrowser(ITestOutputHelper output, string? folder = null) => new(this, output, folder);

    /// <summary>A browser that behaves to background tabs as a user's does: Playwright's is too kind to them.</summary>
    public Task<RawChromium> StartRawAsync(ITestOutputHelper output) => RawChromium.StartAsync(ChromiumPath, Url, output);
}

/// <summary>The test classes with tabs: one after the other, so that they do not steal each other's time more than the collections beside it do.</summary>
[CollectionDefinition(Name)]
public sealed class BrowserCollection : ICollectionFixture<BrowserFixture>
{
    public const string Name = "Browser";
}

/// <summary>Those about apps and what they build on, beside the others for the same reason.</summary>
[CollectionDefinition(Name)]
public sealed class AppCollection : ICollectionFixture<BrowserFixture>
{
    public const string Name = "Apps";
}

/// <summary>Those of the longest ones, which do not mind how long they take. Each has a collection of its own, so that the runner can fill both cores to the end.</summary>
[CollectionDefinition(Name)]
public sealed class ContractCollection : ICollectionFixture<BrowserFixture>
{
    public const string Name = "Contracts";
}

/// <inheritdoc cref="ContractCollection"/>
[CollectionDefinition(Name)]
public sealed class CrashPointCollection : ICollectionFixture<BrowserFixture>
{
    public const string Name = "Crash points";
}

/// <inheritdoc cref="ContractCollection"/>
[CollectionDefinition(Name)]
public sealed class ChaosCollection : ICollectionFixture<BrowserFixture>
{
    public const string Name = "Chaos";
}

/// <summary>Tests that mostly wait, beside the others.</summary>
[CollectionDefinition(Name)]
public sealed class HiddenTabCollection : ICollectionFixture<BrowserFixture>
{
    public const string Name = "Hidden tabs";
}
