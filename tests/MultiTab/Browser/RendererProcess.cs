using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Playwright;

namespace DataSync.MultiTab.Browser;

/// <summary>The operating system's process that runs a tab's page.</summary>
public sealed partial class RendererProcess
{
    private const int StopSignalLinux = 19;
    private const int ContinueSignalLinux = 18;
    private const int StopSignalMac = 17;
    private const int ContinueSignalMac = 19;

    /// <summary>On a busy machine a renderer may begin to trace after it was asked for its mark.</summary>
    private const int MaxTraces = 5;

    private static readonly string[] TraceCategories = ["blink.user_timing"];

    /// <summary>What tells one mark in the trace from any other.</summary>
    private static int markCount;

    internal RendererProcess(int id) => Id = id;

    public int Id { get; }

    /// <summary>
    /// Finds the process of a page. The devtools protocol lists processes but not whose they are; so a performance mark is set
    /// in the page while a trace runs, and the trace says which process set it.
    /// </summary>
    public static async Task<RendererProcess> OfAsync(IPage page)
    {
        for (var attempt = 1; ; attempt++)
        {
            if (await TryFindAsync(page) is { } id) return new RendererProcess(id);
            if (attempt == MaxTraces) throw new InvalidOperationException($"No trace holds the page's mark ({page.Url}).");
        }
    }

    private static async Task<int?> TryFindAsync(IPage page)
    {
        var mark = $"datasync-renderer-{Interlocked.Increment(ref markCount)}";
        var session = await page.Context.NewCDPSessionAsync(page);
        var found = new TaskCompletionSource<int?>(TaskCreationOptions.RunContinuationsAsynchronously);
        session.Event("Tracing.dataCollected").OnEvent += (_, data) =>
        {
            if (data is { } json && FindMark(json, mark) is { } id)
            {
                found.TrySetResult(id);
            }
        };
        session.Event("Tracing.tracingComplete").OnEvent += (_, _) => found.TrySetResult(null);
        await session.SendAsync("Tracing.start", new Dictionary<string, object>
        {
            ["transferMode"] = "ReportEvents",
            ["traceConfig"] = new { includedCategories = TraceCategories },
        });
        await page.EvaluateAsync("name => void performance.mark(name)", mark);
        await session.SendAsync("Tracing.end");
        var id = await found.Task.WaitAsync(Limits.Step);
        await session.DetachAsync();
        return id;
    }

    /// <summary>Finds the processes of several pages and makes sure that each page has its own.</summary>
    public static async Task<RendererProcess[]> OfEachAsync(params IEnumerable<IPage> pages)
    {
        var processes = new List<RendererProcess>();
        foreach (var page in pages)
        {
            processes.Add(await OfAsync(page));
        }

        var ids = processes.Select(process => process.Id).ToArray();
        return ids.Distinct().Count() == ids.Length
            ? [.. processes]
            : throw new InvalidOperationException($"Tabs share a renderer process, which would spoil the test: {string.Join(", ", ids)}.");
    }

    /// <summary>Ends the process at once, as a crash does (SIGKILL).</summary>
    public void Kill()
    {
        using var process = Process.GetProcessById(Id);
        process.Kill();
    }

    /// <summary>Stops the process in the middle of whatever it does (SIGSTOP). Not on Windows.</summary>
    public void Stop() => Signal(OperatingSystem.IsMacOS() ? StopSignalMac : StopSignalLinux);

    /// <summary>Lets a stopped process go on (SIGCONT).</summary>
    public void Continue() => Signal(OperatingSystem.IsMacOS() ? ContinueSignalMac : ContinueSignalLinux);

    private static int? FindMark(JsonElement data, string mark)
    {
        foreach (var entry in data.GetProperty("value").EnumerateArray())
        {
            if (entry.TryGetProperty("name", out var name) && name.GetString() == mark)
            {
                return entry.GetProperty("pid").GetInt32();
            }
        }

        return null;
    }

    private void Signal(int signal)
    {
        if (SendSignal(Id, signal) != 0)
        {
            throw new InvalidOperationException($"Signal {signal} to process {Id} failed with error {Marshal.GetLastPInvokeError()}.");
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int processId, int signal);
}
