using Microsoft.Playwright;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Browser;

/// <summary>Tabs that share one storage: a browser context of its own, with all that the pages log.</summary>
public sealed class TabGroup : IAsyncDisposable
{
    /// <summary>How long a single step in a page may take; a test that needs longer says so itself.</summary>
    public const int StepLimit_ms = 20_000;

    private readonly string baseUrl;
    private readonly ITestOutputHelper output;
    private int tabCount;

    public TabGroup(IBrowserContext context, string baseUrl, ITestOutputHelper output)
    {
        this.baseUrl = baseUrl;
        this.output = output;
        Context = context;
        context.SetDefaultTimeout(StepLimit_ms);
        context.SetDefaultNavigationTimeout(StepLimit_ms);
        context.Page += (_, page) => Follow(page);
    }

    public IBrowserContext Context { get; }

    /// <summary>Opens the playground with a query such as "db=a.db&amp;durability=strict", in a tab with its own renderer process.</summary>
    public Task<IPage> OpenAsync(string query = "") => OpenPathAsync("/?" + query);

    /// <summary>Opens another page of the host, such as "/lab/".</summary>
    public async Task<IPage> OpenPathAsync(string path)
    {
        var page = await Context.NewPageAsync();
        await page.GotoAsync(baseUrl + path);
        return page;
    }

    public async ValueTask DisposeAsync() => await Context.CloseAsync();

    /// <summary>Writes what the page logs to the test's output, which the runner shows when the test fails.</summary>
    private void Follow(IPage page)
    {
        var tab = $"tab {Interlocked.Increment(ref tabCount)}";
        page.Console += (_, message) => Write($"{tab} {message.Type}: {message.Text}");
        page.PageError += (_, error) => Write($"{tab} page error: {error}");
        page.Crash += (_, _) => Write($"{tab} crashed");
        page.RequestFailed += (_, request) => Write($"{tab} request failed: {request.Url} {request.Failure}");
    }

    private void Write(string line)
    {
        try
        {
            output.WriteLine($"{TimeProvider.System.GetUtcNow():HH:mm:ss.fff} {line}");
        }
        catch (InvalidOperationException)
        {
            // The test has ended; what its pages say while they close belongs to nobody.
        }
    }
}
