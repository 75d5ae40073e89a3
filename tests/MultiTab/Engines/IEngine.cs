using DataSync.MultiTab.Browser;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Engines;

/// <summary>A kind of browser: the seam below the suites that every browser must pass.</summary>
public interface IEngine
{
    /// <summary>As DATASYNC_ENGINES has it, such as "firefox".</summary>
    string Name { get; }

    /// <summary>What is to be installed; null when nothing is missing.</summary>
    string? Missing { get; }

    /// <summary>Starts a browser.</summary>
    /// <param name="profile">A folder for what it stores; null for a private session, of which nothing is left.</param>
    /// <param name="output">Takes what pages write to their consoles.</param>
    Task<IEngineBrowser> StartAsync(string? profile, ITestOutputHelper output);
}

/// <summary>A browser that runs, until it is disposed of or killed.</summary>
public interface IEngineBrowser : IAsyncDisposable
{
    string Version { get; }

    /// <summary>Opens a tab with a process of its own and waits until the page has loaded.</summary>
    /// <param name="script">Runs before the scripts of each of the tab's pages.</param>
    Task<IEngineTab> OpenTabAsync(string url, string script = "");

    /// <summary>Ends all of its processes at once (SIGKILL).</summary>
    Task KillAsync();
}

/// <summary>A tab of such a browser.</summary>
public interface IEngineTab
{
    /// <summary>Evaluates a JavaScript expression that is a promise of a text. What it throws must be in the text: see <see cref="EngineTab"/>.</summary>
    Task<string> EvaluateAsync(string expression);

    /// <summary>Goes to another page and waits until it has loaded.</summary>
    Task NavigateAsync(string url);

    /// <summary>Goes back to the page before, without waiting for it.</summary>
    Task BackAsync();

    /// <summary>Makes the page as wide as this, in CSS pixels, and returns a picture (PNG) of it from top to bottom.</summary>
    Task<byte[]> ScreenshotAsync(int width);

    /// <summary>The process that runs the page.</summary>
    Task<RendererProcess> FindProcessAsync();

    Task CloseAsync();
}
