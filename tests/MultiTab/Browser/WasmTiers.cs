using DataSync.MultiTab.Engines;

namespace DataSync.MultiTab.Browser;

/// <summary>
/// What keeps a browser from compiling WebAssembly a second time, with its optimizing compiler. A test's page lives for seconds: of the CPU
/// time that its start takes that compiler has two thirds in WebKit (11 s instead of 3.5) and nearly half in Chromium, and on two cores
/// everything else waits for it. <c>DATASYNC_ENGINES_WHOLE=1</c> leaves it on, as users have it.
/// </summary>
internal static class WasmTiers
{
    public static IReadOnlyList<string> ChromiumSwitches { get; } = EngineChoice.IsWhole ? [] : ["--js-flags=--liftoff-only"];

    public static IReadOnlyDictionary<string, object> FirefoxPreferences { get; } =
        EngineChoice.IsWhole ? new Dictionary<string, object>() : new Dictionary<string, object> { ["javascript.options.wasm_optimizingjit"] = false };

    public static IReadOnlyDictionary<string, string> WebKitVariables { get; } =
        EngineChoice.IsWhole ? new Dictionary<string, string>() : new Dictionary<string, string> { ["JSC_useOMGJIT"] = "0" };
}
