using System.Globalization;
using DataSync.MultiTab.Browser;

namespace DataSync.MultiTab.Chaos;

/// <summary>
/// One seed: a browser with a profile of its own, tabs that write and read, faults as the script has them, and the judgement.
/// Files: this one has the timeline and the tabs, the others the faults and the end.
/// </summary>
internal sealed partial class ChaosRun : IAsyncDisposable
{
    private const string Database = "app.db";
    private const int MostTabs = 6;
    private const int FewestTabs = 3;
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(100);

    private static readonly string PageScript =
        new StreamReader(typeof(ChaosRun).Assembly.GetManifestResourceStream("chaos.js")!).ReadToEnd();

    private readonly TimeProvider time = TimeProvider.System;
    private readonly ChaosScript script;
    private readonly RawChromium chromium;
    private readonly RawTab control;
    private readonly string url;
    private readonly ChaosWriter writer;
    private readonly List<ChaosTab> tabs = [];
    private int tabCount;

    private ChaosRun(ChaosScript script, RawChromium chromium, RawTab control, string url, ChaosLog log)
    {
        (this.script, this.chromium, this.control, this.url, Log) = (script, chromium, control, url, log);
        History = new() { Found = what => Log.Write("!!!!", what) };
        writer = new(History, log, time, script.Seed);
        foreach (var fault in Enum.GetValues<Fault>()) Figures.Faults[fault] = 0;
    }

    public ChaosLog Log { get; }

    public ChaosHistory History { get; }

    public ChaosFigures Figures { get; } = new();

    /// <summary>Runs a script and judges it; the figures hold what was found.</summary>
    public static async Task<ChaosRun> RunAsync(BrowserFixture browser, ChaosScript script)
    {
        var log = new ChaosLog();
        log.Write("seed", string.Create(CultureInfo.InvariantCulture, $"{script.Seed}: {script.Tabs} tabs, {script.Faults.Count} faults in {script.Duration.TotalSeconds:0} s"));
        var chromium = await browser.StartRawAsync(log);
        var control = await chromium.OpenBlankAsync();
        await control.NavigateAsync(browser.Url + "/page.css");
        await using var run = new ChaosRun(script, chromium, control, browser.Url, log);
        try
        {
            await run.PlayAsync();
            await run.EndAsync();
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            run.History.Violate($"the run did not end: {error}");
        }

        run.Figures.Take(run.History, run.writer);
        return run;
    }

    public async ValueTask DisposeAsync()
    {
        writer.IsOver = true;
        foreach (var tab in tabs)
        {
            if (tab.IsStopped) tab.Process!.Continue();
            tab.Page?.Lose();
        }

        await Task.WhenAll(tabs.Select(tab => tab.Page?.Working ?? Task.CompletedTask)).ContinueWith(_ => { }, TaskScheduler.Default);
        await chromium.DisposeAsync();
    }

    private async Task PlayAsync()
    {
        var start = time.GetTimestamp();
        var due = new PriorityQueue<Func<Task>, TimeSpan>();
        foreach (var fault in script.Faults) due.Enqueue(() => StepAsync(fault), fault.At);
        await CatchUpAsync(TimeSpan.Zero);
        await Task.WhenAll(Enumerable.Range(0, script.Tabs).Select(i => OpenAsync(inNewWindow: i < 2)));
        await SucceedAsync("a tab to open the database", AnswerLimit, () => Task.FromResult(tabs.Exists(tab => tab.Page!.Generation.Length > 0)));
        for (start = time.GetTimestamp(); time.GetElapsedTime(start) < script.Duration; await Task.Delay(Tick, time))
        {
            await CatchUpAsync(time.GetElapsedTime(start));
            await TendAsync();
            await FindProcessesAsync();
        }

        async Task CatchUpAsync(TimeSpan now)
        {
            while (due.TryPeek(out var step, out var at) && at <= now)
            {
                due.Dequeue();
                await step();
            }
        }

        async Task StepAsync(FaultEvent fault)
        {
            if (await BeginAsync(fault) is { } end) due.Enqueue(() => EndAsync(fault, end), time.GetElapsedTime(start) + fault.For);
        }

        // How soon a write meets the lack of room is up to the machine: it lasts until one has.
        async Task EndAsync(FaultEvent fault, Func<Task> end)
        {
            if (fault.Fault == Fault.Quota && !writer.Refusals.ContainsKey("StorageQuotaException")) due.Enqueue(() => EndAsync(fault, end), time.GetElapsedTime(start) + Tick);
            else await end();
        }
    }

    /// <summary>Does what a user would: loads pages again that say that they have to be, and opens tabs when there are few.</summary>
    private async Task TendAsync()
    {
        foreach (var tab in tabs.Where(tab => tab is { IsStopped: false, IsFrozen: false, IsAway: false } && (tab.NeedsReload || tab.Page is not { IsLost: false })).ToArray())
        {
            await LoadAsync(tab);
        }

        if (tabs.Count < FewestTabs) await OpenAsync(inNewWindow: false);
    }

    private async Task<ChaosTab> OpenAsync(bool inNewWindow)
    {
        var raw = await chromium.OpenBlankAsync(inNewWindow: inNewWindow);
        var tab = new ChaosTab(raw, Interlocked.Increment(ref tabCount));
        raw.Crashed += () => OnCrashed(tab);
        lock (tabs) tabs.Add(tab);
        await raw.SendAsync("Page.addScriptToEvaluateOnNewDocument", new { source = PageScript });
        await LoadAsync(tab);
        return tab;
    }

    /// <summary>Loads the playground into a tab, or takes what the browser loads, and lets it work.</summary>
    private async Task LoadAsync(ChaosTab tab, bool isLoading = false)
    {
        tab.Page?.Lose();
        (tab.NeedsReload, tab.Process) = (false, null);
        var page = new ChaosPage(tab, string.Create(CultureInfo.InvariantCulture, $"T{tab.Number}{(char)('a' + tab.Loads++ % 26)}{(tab.Loads > 26 ? tab.Loads / 26 : "")}"), time.GetTimestamp());
        Log.Write(page.Name, "loads");
        tab.Page = page;
        if (!isLoading) await tab.Raw.NavigateAsync(url + "/");
        page.Working = writer.WorkAsync(tab, page);
    }

    private void OnCrashed(ChaosTab tab)
    {
        Log.Write(tab.Page?.Name ?? "", "its renderer is gone");
        tab.Page?.Lose();
        (tab.IsStopped, tab.IsFrozen, tab.IsThrottled, tab.Process) = (false, false, false, null);
    }

    private ChaosTab? Pick(FaultEvent fault, Func<ChaosTab, bool> canBe)
    {
        var able = tabs.Where(canBe).ToArray();
        return able.Length == 0 ? null : able[fault.Pick % able.Length];
    }

    /// <summary>Often the leader, where it is able.</summary>
    private async Task<ChaosTab?> PickLeaderAsync(FaultEvent fault, Func<ChaosTab, bool> canBe)
    {
        if (fault.Detail % 2 == 0) return Pick(fault, canBe);
        var holder = (string?)await control.EvaluateAsync($"(() => {{ try {{ return JSON.parse(localStorage.getItem('datasync:{Database}:lease')).holder ?? ''; }} catch {{ return ''; }} }})()");
        return tabs.Find(tab => tab.Page?.TabId == holder && canBe(tab)) ?? Pick(fault, canBe);
    }

    private const int MaxLooksInVain = 20;

    private int _looksInVain;

    /// <summary>Learns the processes of the pages that have come since, unless one is stopped: the trace would wait for it.</summary>
    private async Task FindProcessesAsync()
    {
        var able = tabs.Where(tab => tab.Page is { IsLost: false } && !tab.IsAway).ToArray();
        if (tabs.Exists(tab => tab.IsStopped) || Array.TrueForAll(able, tab => tab.Process is not null)) return;
        RendererProcess[] processes;
        try
        {
            processes = await RendererProcess.OfEachAsync(chromium.Connection, [.. able.Select(tab => tab.Raw)]);
        }
        catch (InvalidOperationException) when (++_looksInVain < MaxLooksInVain)
        {
            return; // one went in the middle of it; the next look tells
        }

        _looksInVain = 0;
        foreach (var (tab, process) in able.Zip(processes)) tab.Process = process;
    }
}
