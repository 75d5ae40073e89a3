using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Hosting;

/// <summary>The published playground on hosts of different kinds (docs/HOSTING.md).</summary>
[Collection(AppCollection.Name)]
public sealed class HostingTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Theory(Timeout = Limits.Test_ms)]
    [InlineData("")]
    [InlineData("/app")]
    [InlineData("/some/deeper/path")]
    public async Task It_runs_at_any_path_without_a_change(string path)
    {
        await using var server = await AppServer.StartAsync(new PublishedApp(path, PlaygroundServer.Folder));
        await using var tabs = await browser.NewTabsAsync(output, server.Url + path);
        await UseInTwoTabsAsync(tabs);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task It_runs_on_a_host_that_keeps_only_the_compressed_files()
    {
        using var copy = new PublishedCopy(PlaygroundServer.Folder);
        copy.KeepCompressedOnly();
        await using var server = await AppServer.StartAsync(new PublishedApp("", copy.Folder));
        await using var tabs = await browser.NewTabsAsync(output, server.Url);
        var encodings = new List<string>();
        tabs.Context.Response += (_, response) =>
        {
            if (!response.Headers.TryGetValue("content-encoding", out var encoding)) return;
            lock (encodings) encodings.Add(encoding);
        };
        await UseInTwoTabsAsync(tabs);
        lock (encodings) Assert.Equal(["br"], encodings.Distinct());
    }

    /// <summary>No header asks for isolation, and no memory is shared between threads: nothing needs it.</summary>
    [Fact(Timeout = Limits.Test_ms)]
    public async Task It_runs_in_a_page_that_is_not_isolated()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await UseInTwoTabsAsync(tabs);
        Assert.False(await page.CallAsync<bool>("crossOriginIsolated"));
    }

    private static async Task<IPage> UseInTwoTabsAsync(TabGroup tabs)
    {
        var first = await tabs.OpenDatabaseAsync("db=hosted.db");
        var second = await tabs.OpenDatabaseAsync("db=hosted.db");
        await first.ExecuteAsync("CREATE TABLE t(v)");
        await second.ExecuteAsync("INSERT INTO t VALUES ('second')");
        await first.ExecuteAsync("INSERT INTO t VALUES ('first')");
        await second.WaitUntilAsync("datasync.query('SELECT v FROM t').then(rows => rows.length === 2)");
        Assert.Equal(["second", "first"], await first.CallAsync<string[]>("datasync.query('SELECT v FROM t').then(rows => rows.map(row => row.v))"));
        return first;
    }
}
