using System.Diagnostics;
using System.Text.Json;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;

namespace DataSync.Bench;

/// <summary>
/// One Chromium on a fresh profile on disk for one library. It is watched: too much memory, or a step that takes too long, ends
/// it by process id, and <see cref="BenchException"/> says so.
/// </summary>
internal sealed class BenchBrowser : IAsyncDisposable
{
    private static readonly TimeSpan WatchInterval = TimeSpan.FromMilliseconds(500);

    private readonly IBrowserContext context;
    private readonly ICDPSession session;
    private readonly Library library;
    private readonly string url;
    private readonly string profile;
    private readonly BenchOptions options;
    private readonly CancellationTokenSource ending = new();
    private readonly Task watching;
    private readonly int browserId;
    private string? killedBecause;

    private BenchBrowser(IBrowserContext context, ICDPSession session, int browserId, Library library, string url, string profile, BenchOptions options)
    {
        (this.context, this.session, this.browserId, this.library) = (context, session, browserId, library);
        (this.url, this.profile, this.options) = (url, profile, options);
        watching = WatchAsync();
    }

    /// <summary>Whether it was killed and nothing more can be done with it.</summary>
    public bool IsKilled => killedBecause is not null;

    public Library Library => library;

    /// <summary>The browser's version.</summary>
    public string Version => context.Browser!.Version;

    public static async Task<BenchBrowser> StartAsync(IPlaywright playwright, string chromium, string url, Library library, BenchOptions options)
    {
        var profile = Directory.CreateTempSubdirectory("datasync-bench-").FullName;
        var context = await playwright.Chromium.LaunchPersistentContextAsync(
            profile, new() { ExecutablePath = chromium, Args = Chromium.Switches, Headless = true, Timeout = 30_000 });
        context.SetDefaultTimeout((float)options.StepLimit.TotalMilliseconds);
        var session = await context.Browser!.NewBrowserCDPSessionAsync();
        var processes = await ProcessesAsync(session);
        return new(context, session, processes.Single(process => process.Type == "browser").Id, library, url, profile, options);
    }

    /// <summary>Opens the library's page and waits until the library is loaded.</summary>
    public Task<IPage> OpenPageAsync() => BoundAsync("loading the page", async () =>
    {
        var page = await context.NewPageAsync();
        await page.GotoAsync(url + library.Page);
        await page.EvaluateAsync("bench.ready");
        return page;
    });

    /// <summary>Runs a step of a page (steps.js, Client/Steps.cs).</summary>
    public Task<StepResult> StepAsync(IPage page, string name, object? arguments = null) => BoundAsync(name, async () =>
    {
        var json = await page.EvaluateAsync<string>("async ([name, options]) => JSON.stringify(await bench.step(name, options))", new[] { name, arguments ?? new { } });
        return JsonSerializer.Deserialize<StepResult>(json, JsonSerializerOptions.Web)!;
    });

    /// <summary>Anything else, within the same bounds.</summary>
    public async Task<T> BoundAsync<T>(string what, Func<Task<T>> work)
    {
        if (killedBecause is { } reason) throw new BenchException(reason);
        try
        {
            return await work().WaitAsync(options.StepLimit);
        }
        catch (TimeoutException)
        {
            Kill($"no answer within {options.StepLimit.TotalSeconds:0} s ({what})");
            throw new BenchException(killedBecause!);
        }
        catch (PlaywrightException error)
        {
            throw new BenchException(killedBecause ?? FirstLine(error.Message));
        }
    }

    public async ValueTask DisposeAsync()
    {
        await ending.CancelAsync();
        await watching;
        if (!IsKilled)
        {
            try
            {
                await context.CloseAsync().WaitAsync(TimeSpan.FromSeconds(10));
            }
            catch (Exception error) when (error is TimeoutException or PlaywrightException)
            {
                Kill("did not close");
            }
        }

        TemporaryFolder.Delete(profile);
        ending.Dispose();
    }

    private static string FirstLine(string message)
    {
        var line = message.Split('\n')[0].Trim();
        return line.Length > 160 ? line[..160] + "…" : line;
    }

    private static async Task<List<(int Id, string Type)>> ProcessesAsync(ICDPSession session)
    {
        var info = await session.SendAsync("SystemInfo.getProcessInfo");
        return [.. info!.Value.GetProperty("processInfo").EnumerateArray().Select(process => (process.GetProperty("id").GetInt32(), process.GetProperty("type").GetString()!))];
    }

    private async Task WatchAsync()
    {
        try
        {
            while (!ending.IsCancellationRequested)
            {
                await Task.Delay(WatchInterval, ending.Token);
                var bytes = (await ProcessesAsync(session)).Sum(process => Memory.ResidentBytes(process.Id));
                if (bytes > options.MemoryLimit_bytes) Kill($"more than {options.MemoryLimit_bytes >> 20} MB of memory");
            }
        }
        catch (Exception error) when (error is OperationCanceledException or PlaywrightException)
        {
            // It has ended.
        }
    }

    private void Kill(string reason)
    {
        killedBecause ??= reason;
        try
        {
            using var process = Process.GetProcessById(browserId);
            process.Kill(entireProcessTree: true);
            process.WaitForExit(10_000);
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException)
        {
            // It ended by itself.
        }
    }
}

/// <summary>A library did not do what it was asked for; the reason goes into the table.</summary>
internal sealed class BenchException(string message) : Exception(message);

/// <summary>What a step gives: metric → samples.</summary>
internal sealed record StepResult(Dictionary<string, double[]> Series, string? Note = null);
