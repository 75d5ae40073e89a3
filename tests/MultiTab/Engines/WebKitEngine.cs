using System.Text.Json.Nodes;
using DataSync.MultiTab.Browser;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Engines;

/// <summary>WebKitGTK: Safari's engine in a window of GTK, on a screen of its own. webkit_host.py is the program around it.</summary>
public sealed class WebKitEngine : IEngine
{
    private const string Python = "/usr/bin/python3"; // Debian's, which has Debian's packages

    private static readonly Dictionary<string, string> Surroundings = new()
    {
        ["GSETTINGS_BACKEND"] = "memory",
        ["LANG"] = "C.UTF-8",
        ["LIBGL_ALWAYS_SOFTWARE"] = "1",
        ["NO_AT_BRIDGE"] = "1",
        ["WEBKIT_DISABLE_COMPOSITING_MODE"] = "1",
        ["WEBKIT_DISABLE_DMABUF_RENDERER"] = "1",
    };

    public string Name => "webkit";

    public string? Missing => IsInstalled ? null : "WebKitGTK (Debian: apt-get install gir1.2-webkit2-4.1 gir1.2-gtk-3.0 python3-gi python3-gi-cairo xvfb xauth dbus)";

    private static bool IsInstalled =>
        OperatingSystem.IsLinux() && new[] { Python, "/usr/bin/xvfb-run", "/usr/bin/xauth", "/usr/bin/dbus-run-session", "/usr/lib/python3/dist-packages/gi" }.All(Path.Exists)
        && Directory.EnumerateDirectories("/usr/lib", "*-linux-gnu*").Prepend("/usr/lib").Any(folder => File.Exists(Path.Combine(folder, "girepository-1.0/WebKit2-4.1.typelib")));

    public async Task<IEngineBrowser> StartAsync(string? profile, ITestOutputHelper output)
    {
        var own = Directory.CreateTempSubdirectory("datasync-webkit-").FullName;
        var host = Path.Combine(AppContext.BaseDirectory, "Engines", "webkit_host.py");
        var group = ProcessGroup.Start(
            "xvfb-run", ["-a", "-s", "-screen 0 1400x1000x24", "dbus-run-session", "--", Python, host, .. profile is null ? Array.Empty<string>() : [profile]],
            new Dictionary<string, string>(Surroundings.Concat(WasmTiers.WebKitVariables)) { ["HOME"] = own });
        var log = new TestLog(output);
        group.Leader.ErrorDataReceived += (_, line) => log.Write($"webkit: {line.Data}");
        group.Leader.BeginErrorReadLine();
        var connection = new BrowserConnection("WebKit", new LineChannel(group.Leader.StandardInput.BaseStream, group.Leader.StandardOutput, line => log.Write($"webkit: {line}")), Limits.Step);
        connection.Event += (_, method, parameters) => log.Write($"webkit {method}: {parameters.ToJsonString()}");
        var browser = new WebKitBrowser(group, connection, own);
        try
        {
            browser.Version = (await connection.SendAsync("version"))["version"]!.GetValue<string>();
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }
}

/// <summary>The windows of one host, which share their storage as tabs do.</summary>
internal sealed class WebKitBrowser(ProcessGroup group, BrowserConnection connection, string ownFolder) : IEngineBrowser
{
    // Names of processes end after 15 characters.
    private const string WebProcess = "WebKitWebProces", NetworkProcess = "WebKitNetworkPr";

    private readonly SemaphoreSlim opening = new(1);
    private int tabs;
    private bool hasEnded;

    public string Version { get; set; } = "";

    public async Task<IEngineTab> OpenTabAsync(string url, string script = "")
    {
        // One after the other: each costs ten seconds of CPU time, and the new process is this tab's, which no call tells.
        await opening.WaitAsync();
        try
        {
            var before = WebProcesses();
            var number = ++tabs;
            await connection.SendAsync("open", new { tab = number, url, script });
            return new WebKitTab(connection, number, [.. WebProcesses().Except(before)]);
        }
        finally
        {
            opening.Release();
        }
    }

    /// <summary>The process that has the network and IndexedDB for all tabs.</summary>
    public RendererProcess FindNetworkProcess() => new(group.Members().Single(member => member.Name == NetworkProcess).Id);

    private int[] WebProcesses() => [.. group.Members().Where(member => member.Name == WebProcess).Select(member => member.Id)];

    public async Task KillAsync()
    {
        if (hasEnded) return;
        hasEnded = true;
        // xvfb-run and dbus-run-session tidy up when the program in them has ended.
        await group.KillAsync(member => member.Name.StartsWith("python", StringComparison.Ordinal) || member.Name.StartsWith("WebKit", StringComparison.Ordinal));
        await Task.WhenAny(group.Leader.WaitForExitAsync(), Task.Delay(TimeSpan.FromSeconds(10), TimeProvider.System));
        await group.KillAsync(_ => true);
        await connection.DisposeAsync();
        group.Dispose();
        TemporaryFolder.Delete(ownFolder);
    }

    public async ValueTask DisposeAsync() => await KillAsync();
}

/// <param name="processes">Those that came with the tab.</param>
internal sealed class WebKitTab(BrowserConnection connection, int number, int[] processes) : IEngineTab
{
    public async Task<string> EvaluateAsync(string expression) => (await AskAsync("evaluate", new() { ["expression"] = expression }))["value"]!.GetValue<string>();

    public Task NavigateAsync(string url) => AskAsync("navigate", new() { ["url"] = url });

    public Task BackAsync() => AskAsync("back", []);

    public async Task<byte[]> ScreenshotAsync(int width)
    {
        await AskAsync("resize", new() { ["width"] = width });
        await EvaluateAsync($"(async () => {{ while (innerWidth !== {width}) await new Promise(done => setTimeout(done, 50)); return ''; }})()");
        return Convert.FromBase64String((await AskAsync("picture", []))["png"]!.GetValue<string>());
    }

    public Task<RendererProcess> FindProcessAsync() => processes is [var only]
        ? Task.FromResult(new RendererProcess(only))
        : throw new InvalidOperationException($"{processes.Length} web processes came with the tab, so that it is not clear which one is its own.");

    public Task CloseAsync() => AskAsync("close", []);

    private Task<JsonNode> AskAsync(string method, JsonObject parameters)
    {
        parameters["tab"] = number;
        return connection.SendAsync(method, parameters);
    }
}
