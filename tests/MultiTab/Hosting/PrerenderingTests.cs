using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Packages;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;
using static Microsoft.Playwright.Assertions;

namespace DataSync.MultiTab.Hosting;

/// <summary>samples/Notes: a component that a server renders first, and that runs in the browser, on the server, or on whichever is ready.</summary>
[Collection(AppCollection.Name)]
public sealed class PrerenderingTests(BrowserFixture browser, ITestOutputHelper output)
{
    private static readonly string Sample = Path.Combine(Build.Repository, "samples", "Notes", "Server");

    [Fact(Timeout = Limits.Test_ms)]
    public async Task What_the_server_rendered_is_filled_by_the_browser()
    {
        await using var server = await StartAsync();
        await using var tabs = await browser.NewTabsAsync(output, server.Url);
        var errors = Collect(tabs);
        using var http = new HttpClient();
        var html = await http.GetStringAsync(new Uri(server.Url + "/"));
        Assert.Contains("aria-busy=\"true\"", html, StringComparison.Ordinal);
        Assert.Contains("class=\"skeleton\"", html, StringComparison.Ordinal);

        var first = await tabs.OpenPathAsync("/");
        await AddAsync(first, "milk");
        var second = await tabs.OpenPathAsync("/");
        await AddAsync(second, "bread");
        await Expect(first.Locator("#notes li")).ToHaveTextAsync(["milk", "bread"]);
        await first.ReloadAsync();
        await Expect(first.Locator("#notes li")).ToHaveTextAsync(["milk", "bread"]);
        AssertCalm(errors, server);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_page_that_runs_on_the_server_says_so()
    {
        await using var server = await StartAsync();
        await using var tabs = await browser.NewTabsAsync(output, server.Url);
        var errors = Collect(tabs);
        var page = await tabs.OpenPathAsync("/server");
        await Expect(page.Locator("#elsewhere")).ToContainTextAsync("in your browser");
        AssertCalm(errors, server);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Auto_says_so_at_first_and_has_the_notes_when_the_browser_has_the_app()
    {
        await using var server = await StartAsync();
        await using var tabs = await browser.NewTabsAsync(output, server.Url);
        var errors = Collect(tabs);
        var page = await tabs.OpenPathAsync("/auto");
        await Expect(page.Locator("#elsewhere")).ToContainTextAsync("in your browser");
        // What Blazor keeps for its own next choice: the app was downloaded, behind the page.
        await page.WaitForFunctionAsync("Object.keys(localStorage).some(key => key.startsWith('blazor-resource-hash:'))");
        await page.ClickAsync("#elsewhere a");
        await AddAsync(page, "milk");
        AssertCalm(errors, server);
    }

    private static async Task AddAsync(IPage page, string text)
    {
        await page.FillAsync("#text", text);
        await page.PressAsync("#text", "Enter");
        await Expect(page.Locator("#notes li", new() { HasTextString = text })).ToBeVisibleAsync();
    }

    private static async Task<SampleServer> StartAsync()
    {
        var program = Path.Combine(Sample, "bin", Build.Configuration, "net10.0", "DataSync.Notes.dll");
        var process = DotnetProcess.Start(new Dictionary<string, string> { ["ASPNETCORE_ENVIRONMENT"] = "Development" }, Sample, program, "--urls", "http://127.0.0.1:0");
        return new(process, await process.WaitForAsync(@"Now listening on: (http://\S+)"));
    }

    private static List<string> Collect(TabGroup tabs)
    {
        var errors = new List<string>();
        tabs.Context.WebError += (_, error) => Add(error.Error);
        tabs.Context.Console += (_, message) =>
        {
            if (message.Type == "error") Add(message.Text);
        };
        return errors;

        void Add(string error)
        {
            lock (errors) errors.Add(error);
        }
    }

    private static void AssertCalm(List<string> errors, SampleServer server)
    {
        lock (errors) Assert.Empty(errors);
        Assert.DoesNotContain("fail:", server.Log, StringComparison.Ordinal);
        Assert.DoesNotContain("Exception", server.Log, StringComparison.Ordinal);
    }

    private sealed class SampleServer(DotnetProcess process, string url) : IAsyncDisposable
    {
        public string Url => url;

        public string Log => process.Log;

        public ValueTask DisposeAsync() => process.DisposeAsync();
    }
}
