using System.Text.Json;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;

namespace DataSync.MultiTab;

/// <summary>
/// One storage in which page after page ends in the middle of something: the page that recovered after the last one is the next.
/// Each point has a database of its own.
/// </summary>
internal sealed class CrashContext : IAsyncDisposable
{
    private static readonly TimeSpan StepLimit = Limits.Step;

    private readonly TabGroup tabs;
    private readonly RawRecords raw;
    private readonly string[] states;
    private readonly bool aborts;
    private IPage? page;
    private TaskCompletionSource crashed = new();

    private CrashContext(TabGroup tabs, RawRecords raw, string[] states, bool aborts) =>
        (this.tabs, this.raw, this.states, this.aborts) = (tabs, raw, states, aborts);

    /// <summary>The points that were reached, as text.</summary>
    public List<string> Steps { get; } = [];

    public static async Task<CrashContext> OpenAsync(TabGroup tabs, string[] states, bool aborts)
    {
        var raw = await RawRecords.OpenAsync(tabs);
        await raw.Page.EvaluateAsync("globalThis.faults = new BroadcastChannel('fault')");
        var context = new CrashContext(tabs, raw, states, aborts);
        await context.OpenPageAsync();
        return context;
    }

    /// <summary>Runs the script with an end at one point, recovers, and runs the rest. Returns false when the script has no such point.</summary>
    public async Task<bool> EndAtAsync(int point)
    {
        var name = $"point-{point}";
        var told = raw.Page.EvaluateAsync<JsonElement>("new Promise(done => { faults.onmessage = e => done(e.data); })");
        await page!.EvaluateAsync("next => { Object.assign(fault, next, { steps: [], appended: 0 }); }", new { db = "datasync:" + name, at = point, aborts });
        var acknowledged = 0;
        var run = RunAsync(page!, name, 0, () => acknowledged++);
        if (await Task.WhenAny(told, run).WaitAsync(StepLimit) == run && run.IsCompletedSuccessfully && await page!.EvaluateAsync<int>("fault.steps.length") < point)
        {
            Assert.Equal(states.Length - 1, await page!.EvaluateAsync<int>("fault.appended"));
            return false;
        }

        var fault = (await told.WaitAsync(StepLimit)).Deserialize<Fault>(JsonSerializerOptions.Web)!;
        await EndPageAsync();
        await run.ContinueWith(_ => { }, TaskScheduler.Default).WaitAsync(StepLimit);
        Steps.Add($"{point:000}: {fault.Step}");
        await CheckAsync(name, fault, acknowledged, $"point {point}, {fault}, {acknowledged} acknowledged");
        return true;
    }

    public async ValueTask DisposeAsync() => await page!.CloseAsync();

    private async Task OpenPageAsync()
    {
        page = await tabs.OpenPathAsync("/lab/");
        crashed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        page.Crash += (_, _) => crashed.TrySetResult();
    }

    /// <summary>Waits until the page that crashes at the point has, or closes the one whose transaction was aborted.</summary>
    private async Task EndPageAsync()
    {
        if (!aborts) await crashed.Task.WaitAsync(StepLimit);
        await page!.CloseAsync();
    }

    private async Task CheckAsync(string name, Fault fault, int acknowledged, string what)
    {
        await OpenPageAsync();
        await page!.EvaluateAsync("name => lab.script('Open', name, 0)", name);
        var found = await page!.EvaluateAsync<string>("lab.script('Look')");
        var kept = Array.IndexOf(states, found);
        Assert.True(kept >= 0, $"{what}: found {found}, which is no state between two transactions.");

        // What is acknowledged is durable; of a page that was killed it is known exactly what is.
        var isInFlight = fault is { IsAppend: true, Step: "committed" };
        var (least, most) = aborts ? (acknowledged, acknowledged + 1) : (fault.Appended, fault.Appended + (isInFlight ? 1 : 0));
        Assert.True(acknowledged <= least && kept >= least && kept <= most, $"{what}: found state {kept}.");

        // A second recovery changes nothing, neither what SQLite sees nor a record but the head with its epoch, and its copy.
        var records = await RecordsAsync(name);
        await page!.EvaluateAsync("lab.script('Close')");
        await page!.EvaluateAsync("name => lab.script('Open', name, 0)", name);
        Assert.Equal((what, found, records), (what, await page!.EvaluateAsync<string>("lab.script('Look')"), await RecordsAsync(name)));

        await page!.EvaluateAsync("lab.script('Close')");
        await RunAsync(page, name, kept, () => { });
        Assert.Equal(states[^1], await page!.EvaluateAsync<string>("lab.script('Look')"));
        await page!.EvaluateAsync("lab.script('Close')");
    }

    private static async Task RunAsync(IPage page, string name, int from, Action onAcknowledged)
    {
        await page.EvaluateAsync("name => lab.script('Open', name, 2)", name);
        var count = await page!.EvaluateAsync<int>("lab.script('Length')");
        for (var i = from; i < count; i++)
        {
            await page!.EvaluateAsync("i => lab.script('Write', i)", i);
            onAcknowledged();
        }
    }

    private async Task<string> RecordsAsync(string name)
    {
        var dump = await raw.DumpAsync(name);
        return string.Join('\n', dump.Split('\n').Where(line => !line.StartsWith("head ", StringComparison.Ordinal) && !line.StartsWith("extents head ", StringComparison.Ordinal)));
    }

    private sealed record Fault(string Step, bool IsAppend, int Appended);
}
