using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Hosting;

/// <summary>What a database needs arrives while the app starts (DataSync.Vfs.lib.module.js).</summary>
[Collection(AppCollection.Name)]
public sealed class StartTests(BrowserFixture browser, ITestOutputHelper output)
{
    private const string Wasm = "/sqlite3.wasm";

    [Fact(Timeout = Limits.Test_ms)]
    public async Task SQLite_is_fetched_once_and_before_the_app_asks_for_it()
    {
        await using var server = await AppServer.StartAsync(new PublishedApp("", PlaygroundServer.Folder));
        await using var tabs = await browser.NewTabsAsync(output, server.Url);
        await tabs.OpenDatabaseAsync();
        var requests = server.Requests.ToList();
        Assert.Single(requests, path => path.EndsWith(Wasm, StringComparison.Ordinal));
        Assert.True(requests.FindIndex(path => path.EndsWith(Wasm, StringComparison.Ordinal)) < requests.IndexOf("/page.js")); // which the app's Main asks for
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task What_could_not_be_fetched_then_is_fetched_when_a_database_is_opened()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var asked = 0;
        await tabs.Context.RouteAsync("**" + Wasm, route => Interlocked.Increment(ref asked) == 1 ? route.AbortAsync() : route.ContinueAsync());
        var page = await tabs.OpenDatabaseAsync();
        await page.ExecuteAsync("CREATE TABLE t(v)");
        Assert.Equal(2, asked);
    }
}
