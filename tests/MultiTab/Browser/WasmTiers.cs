using DataSync.MultiTab.Engines;

namespace DataSync.MultiTab.Browser;

/// <summary>
/// What keeps a browser from compiling WebAssembly a second time, with its optimizing compiler. A test's page lives for seconds; in Chromium that compiler takes
/// nearly half of the CPU time of its start, and on two cores everything else waits for it. <c>DATASYNC_ENGINES_WHOLE=1</c> leaves it on, as users have it.
/// Not in WebKit, where it takes two thirds (11 s instead of 3.5): WebKitGTK 2.50 without it (<c>JSC_useOMGJIT=0</c>) computes wrongly after a minute.
/// </summary>
internal static class WasmTiers
{
    public static IReadOnlyList<string> ChromiumSwitches { get; } = EngineChoice.IsWhole ? [] : ["--js-flags=--liftoff-only"];

    public static IReadOnlyDictionary<string, object> FirefoxPreferences { get; } =
        EngineChoice.IsWhole ? new Dictionary<string, object>() : new Dictionary<string, object> { ["javascript.options.wasm_optimizingjit"] = false };
}
