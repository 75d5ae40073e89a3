using System.Runtime.InteropServices.JavaScript;

namespace DataSync.Playground;

/// <summary>New versions of this page, through updates.js.</summary>
internal static partial class Updates
{
    private const string Module = "Updates";

    /// <summary>Loads updates.js; before that no other member works.</summary>
    public static Task ImportAsync() => JSHost.ImportAsync(Module, "../updates.js");

    /// <summary>Keeps the page for use without a network, and calls back when a new version waits or has taken over.</summary>
    /// <param name="changed">Whether one waits; whether one has taken over since this page was loaded.</param>
    /// <returns>False where there is no service worker: the page works without, and nothing is called back.</returns>
    [JSImport("watch", Module)]
    public static partial Task<bool> WatchAsync([JSMarshalAs<JSType.Function<JSType.Boolean, JSType.Boolean>>] Action<bool, bool> changed);

    /// <summary>Lets the version that waits take over; every tab opened or reloaded from then on has it.</summary>
    [JSImport("activate", Module)]
    public static partial Task ActivateAsync();

    [JSImport("reload", Module)]
    public static partial void Reload();
}
