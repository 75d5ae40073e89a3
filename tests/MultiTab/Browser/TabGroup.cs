using Microsoft.Playwright;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Browser;

/// <summary>Tabs that share one storage: a browser context of its own, with all that the pages log.</summary>
public sealed class TabGroup : IAsyncDisposable
{
    private readonly string baseUrl;
    private readonly TestLog log;
    private int tabCount;

    public TabGroup(IBrowserContext context, string baseUrl, ITestOutputHelper output)
    {
        this.baseUrl = baseUrl;
        log = new TestLog(output);
        Context = context;
        context.SetDefaultTimeout(Limits.Step_ms);
        context.SetDefaultNavigationTimeout(Limits.Step_ms);
        context.Page += (_, page) => Follow(page);
    }

    public IBrowserContext Context { get; }

    /// <summary>Opens the playground with a query such as "db=a.db&amp;durability=strict", in a tab with its own renderer process.</summary>
    public Task<IPage> OpenAsync(string query = "") => OpenPathAsync("/?" + query);

    /// <summary>Opens the playground in several tabs at the same time.</summary>
    public async Task<IPage[]> OpenManyAsync(int count) => await Task.WhenAll(Enumerable.Range(0, count).Select(_ => OpenAsync()));

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
        page.Console += (_, message) => log.Write($"{tab} {message.Type}: {message.Text}");
        page.PageError += (_, error) => log.Write($"{tab} page error: {error}");
        page.Crash += (_, _) => log.Write($"{tab} crashed");
        page.RequestFailed += (_, request) => log.Write($"{tab} request failed: {request.Url} {request.Failure}");
    }
}
