using DataSync.MultiTab.Engines;

namespace DataSync.MultiTab.Browser;

/// <summary>
/// What keeps a browser from compiling WebAssembly a second time, with its optimizing compiler. A test's page lives for seconds; in Chromium that compiler takes
/// nearly half of the CPU time of its start, in WebKit two thirds, and on two cores everything else waits for it. <c>DATASYNC_ENGINES_WHOLE=1</c> leaves it on, as users have it.
/// In WebKit it only compiles in a simpler way (13.5 s of CPU time for a tab become 6.4): WebKitGTK 2.50 without it (<c>JSC_useOMGJIT=0</c>) takes 3.5 s, but computes wrongly after a minute.
/// </summary>
internal static class WasmTiers
{
    public static IReadOnlyList<string> ChromiumSwitches { get; } = EngineChoice.IsWhole ? [] : ["--js-flags=--liftoff-only"];

    public static IReadOnlyDictionary<string, object> FirefoxPreferences { get; } =
        EngineChoice.IsWhole ? new Dictionary<string, object>() : new Dictionary<string, object> { ["javascript.options.wasm_optimizingjit"] = false };

    public static IReadOnlyDictionary<string, string> WebKitVariables { get; } =
        EngineChoice.IsWhole ? new Dictionary<string, string>() : new Dictionary<string, string> { ["JSC_useOMGInlining"] = "0", ["JSC_wasmOMGOptimizationLevel"] = "1" };
}
