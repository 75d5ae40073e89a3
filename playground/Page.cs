using System.Runtime.InteropServices.JavaScript;

namespace DataSync.Playground;

/// <summary>What the page does through page.js: things that only JavaScript can.</summary>
internal static partial class Page
{
    private const string Module = "Page";

    /// <summary>The address from the question mark on.</summary>
    public static string Query => ReadQuery();

    /// <summary>Loads page.js; before that no other member works.</summary>
    public static Task ImportAsync() => JSHost.ImportAsync(Module, "../page.js");

    /// <summary>Raised by <see cref="RequestRefresh"/>: many requests, at most ten refreshes a second (on a slow machine one), none in a hidden tab.</summary>
    public static event Action? Refresh;

    [JSImport("requestRefresh", Module)]
    public static partial void RequestRefresh();

    /// <summary>Opens more tabs of this page, each with a renderer process of its own.</summary>
    [JSImport("openTabs", Module)]
    public static partial void OpenTabs(int count);

    /// <summary>Keeps this tab's thread busy.</summary>
    [JSImport("hang", Module)]
    public static partial void Hang(int milliseconds);

    /// <summary>Makes the browser kill this tab's process.</summary>
    [JSImport("crash", Module)]
    public static partial void Crash();

    /// <summary>Offers bytes to the user as a file.</summary>
    [JSImport("download", Module)]
    public static partial void Download(string fileName, [JSMarshalAs<JSType.Array<JSType.Number>>] byte[] content);

    [JSExport]
    internal static void OnRefresh() => Refresh?.Invoke();

    [JSImport("query", Module)]
    private static partial string ReadQuery();
}
