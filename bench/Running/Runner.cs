using DataSync.MultiTab.Browser;
using Microsoft.Playwright;

namespace DataSync.Bench;

/// <summary>Runs the libraries one after the other, round by round, each in a browser of its own.</summary>
internal sealed class Runner(BenchOptions options, Measurements results, Action<string> tell)
{
    public static IReadOnlyList<Workload> Workloads { get; } = [.. SingleTab.All, .. Opening.All, .. SeveralTabs.All, .. EntityFramework.All, .. LiveQueries.All];

    private readonly Dictionary<(string Library, string Workload), TimeSpan> spent = [];
    private readonly Dictionary<string, IReadOnlyDictionary<string, string>> downloads = [];

    /// <summary>The browser's version.</summary>
    public string BrowserVersion { get; private set; } = "";

    /// <summary>Less than asked for when the time was up; null when there was nothing to do in a browser.</summary>
    public int? RoundsDone { get; private set; }

    public async Task RunAsync()
    {
        var libraries = Library.All.Where(library => options.Only.Count == 0 || options.Only.Contains(library.Id)).ToList();
        if (libraries.Count == 0) return;
        if (libraries.Any(library => library.Packages.Length > 0)) await NpmPackages.InstallAsync();
        await using var host = await BenchHost.StartAsync();
        using var playwright = await Playwright.CreateAsync();
        var chromium = await Chromium.FindOrInstallAsync(playwright);
        var (begin, last) = (TimeProvider.System.GetTimestamp(), TimeSpan.Zero);
        for (var round = 1; round <= options.Rounds; round++)
        {
            var roundBegin = TimeProvider.System.GetTimestamp();
            if (TimeProvider.System.GetElapsedTime(begin) + last > options.TimeLimit)
            {
                tell($"No time for round {round} of {options.Rounds}.");
                break;
            }

            foreach (var library in libraries)
            {
                var start = TimeProvider.System.GetTimestamp();
                await RunAsync(library, host, playwright, chromium);
                if (host.TakeServed() is { Count: > 0 } served) downloads.TryAdd(library.Id, served);
                tell($"round {round} of {options.Rounds}: {library.Title}, {TimeProvider.System.GetElapsedTime(start).TotalSeconds:0.0} s");
            }

            RoundsDone = round;
            last = TimeProvider.System.GetElapsedTime(roundBegin);
        }

        if (!options.Runs("w10")) return;
        foreach (var (library, files) in downloads) await Downloads.AddAsync(results, library, files.Values, options.IsQuick);
    }

    private async Task RunAsync(Library library, BenchHost host, IPlaywright playwright, string chromium)
    {
        BenchBrowser? browser = null;
        try
        {
            foreach (var workload in Workloads.Where(workload => options.Runs(workload.Id)))
            {
                var isLimited = !library.IsDataSync && !library.IsLimit;
                if (isLimited && (results.HasFailed(library.Id, workload.Id) || spent.GetValueOrDefault((library.Id, workload.Id)) > options.WorkloadLimit)) continue;
                if (workload.Inapplicable(library) is { } reason)
                {
                    results.Fail(library.Id, workload.Id, reason);
                    continue;
                }

                var start = TimeProvider.System.GetTimestamp();
                try
                {
                    browser ??= await BenchBrowser.StartAsync(playwright, chromium, host.Url, library, options);
                    BrowserVersion = browser.Version;
                    await workload.Run(new(browser, options, results, host));
                }
                catch (Exception failure)
                {
                    results.Fail(library.Id, workload.Id, failure.Message.Split('\n')[0]);
                    tell($"  {library.Title}, {workload.Id}: {failure.Message.Split('\n')[0]}");

                    // Whatever is left of it would disturb the next one.
                    if (browser is not null) await browser.DisposeAsync();
                    browser = null;
                }

                spent[(library.Id, workload.Id)] = spent.GetValueOrDefault((library.Id, workload.Id)) + TimeProvider.System.GetElapsedTime(start);
            }
        }
        finally
        {
            if (browser is not null) await browser.DisposeAsync();
        }
    }
}
