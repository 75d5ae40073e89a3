using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;
using static Microsoft.Playwright.Assertions;

namespace DataSync.MultiTab.Hosting;

/// <summary>The playground's service worker: after the first visit no network is needed, and a new version comes when it is asked for.</summary>
[Collection(AppCollection.Name)]
public sealed class OfflineTests(BrowserFixture browser, ITestOutputHelper output)
{
    private const string IsKept = "navigator.serviceWorker.ready.then(registration => registration.active.state === 'activated')";
    private const string NewVersion = "meta[name=version]";

    [Fact(Timeout = Limits.Test_ms)]
    public async Task After_the_first_visit_two_tabs_work_without_a_network_and_nothing_is_lost_when_it_is_back()
    {
        var server = await AppServer.StartAsync(new PublishedApp("/app", PlaygroundServer.Folder));
        var url = server.Url;
        await using var tabs = await NewTabsAsync(url + "/app");
        var visit = await tabs.OpenDatabaseAsync("db=a.db");
        await visit.ExecuteAsync("CREATE TABLE t(v)");
        await visit.WaitUntilAsync(IsKept);
        await visit.CloseAsync();

        await tabs.Context.SetOfflineAsync(true);
        await server.DisposeAsync();
        var first = await tabs.OpenDatabaseAsync("db=a.db");
        var second = await tabs.OpenDatabaseAsync("db=a.db&durability=strict");
        await DataSyncPage.AgreeAsync(first, second);
        await first.ExecuteAsync("INSERT INTO t VALUES ('first')");
        await second.ExecuteAsync("INSERT INTO t VALUES ('second')");
        foreach (var page in new[] { first, second }) await HasRowsAsync(page, "first", "second");
        await second.ReloadAsync();
        await HasRowsAsync(second, "first", "second");
        await first.CloseAsync();
        await second.CloseAsync();

        await tabs.Context.SetOfflineAsync(false);
        await using var again = await AppServer.StartAsync(url, new PublishedApp("/app", PlaygroundServer.Folder));
        var third = await tabs.OpenDatabaseAsync("db=a.db");
        await third.ExecuteAsync("INSERT INTO t VALUES ('third')");
        await HasRowsAsync(third, "first", "second", "third");
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_new_version_waits_until_a_tab_asks_for_it_and_both_versions_share_the_database()
    {
        using var next = new PublishedCopy(PlaygroundServer.Folder);
        next.ChangeVersion(
            ("index.html", html => html.Replace("<head>", "<head><meta name=\"version\" content=\"new\">", StringComparison.Ordinal)),
            ("page.css", css => css + "/* new */"));
        var server = await AppServer.StartAsync(new PublishedApp("", PlaygroundServer.Folder));
        var url = server.Url;
        await using var tabs = await NewTabsAsync(url);
        var first = await tabs.OpenDatabaseAsync();
        await first.WaitUntilAsync(IsKept);
        await first.ExecuteAsync("CREATE TABLE t(v)");
        await server.DisposeAsync();

        // The new version is there. A tab that was open looks for it when its user comes back; one opened meanwhile has the old one.
        await using var updated = await AppServer.StartAsync(url, new PublishedApp("", next.Folder));
        await first.EvaluateAsync("document.dispatchEvent(new Event('visibilitychange'))");
        await Expect(first.Locator("#update")).ToBeVisibleAsync();
        var second = await tabs.OpenDatabaseAsync();
        await Expect(second.Locator("#update")).ToBeVisibleAsync();
        await Expect(second.Locator(NewVersion)).ToHaveCountAsync(0);
        Assert.Equal(["/index.html", "/page.css"], updated.Requests.Where(path => !path.StartsWith("/service-worker", StringComparison.Ordinal)).Distinct().Order());

        await second.ClickAsync("#reload");
        await Expect(second.Locator(NewVersion)).ToHaveCountAsync(1);
        await Expect(second.Locator("#role")).ToBeVisibleAsync();
        await Expect(second.Locator("#update")).ToBeHiddenAsync();

        // The other goes on, with the files of its own version.
        await Expect(first.Locator("#update")).ToContainTextAsync("Another tab has it");
        await Expect(first.Locator(NewVersion)).ToHaveCountAsync(0);
        await first.ExecuteAsync("INSERT INTO t VALUES ('old')");
        await second.ExecuteAsync("INSERT INTO t VALUES ('new')");
        foreach (var page in new[] { first, second }) await HasRowsAsync(page, "old", "new");
        Assert.False(await HasNewStyleAsync(first));
        Assert.True(await HasNewStyleAsync(second));

        await first.ClickAsync("#reload");
        await Expect(first.Locator(NewVersion)).ToHaveCountAsync(1);
        await HasRowsAsync(first, "old", "new");
        await Expect(first.Locator("#update")).ToBeHiddenAsync();
        Assert.True(await HasNewStyleAsync(first));

        static Task<bool> HasNewStyleAsync(IPage page) => page.CallAsync<bool>("fetch('page.css').then(response => response.text()).then(text => text.includes('/* new */'))");
    }

    [Theory(Timeout = Limits.Test_ms)]
    [InlineData("Object.defineProperty(Navigator.prototype, 'serviceWorker', { get: () => undefined });")]
    [InlineData("if (navigator.serviceWorker) ServiceWorkerContainer.prototype.register = () => Promise.reject(new DOMException('No.', 'SecurityError'));")]
    public async Task Where_there_is_no_service_worker_the_page_works_as_it_did(string lack)
    {
        await using var tabs = await NewTabsAsync(browser.Url);
        await tabs.Context.AddInitScriptAsync(lack);
        var errors = new List<string>();
        tabs.Context.WebError += (_, error) => errors.Add(error.Error);
        var page = await tabs.OpenDatabaseAsync();
        await page.ExecuteAsync("CREATE TABLE t AS SELECT 'first' AS v");
        await HasRowsAsync(page, "first");
        await page.EvaluateAsync("document.dispatchEvent(new Event('visibilitychange'))");
        await Expect(page.Locator("#update")).ToHaveCountAsync(0);
        Assert.Empty(errors);
    }

    private Task<TabGroup> NewTabsAsync(string url) => browser.NewTabsAsync(output, url, ServiceWorkerPolicy.Allow);

    private static async Task HasRowsAsync(IPage page, params string[] rows)
    {
        await page.WaitUntilAsync($"datasync.query('SELECT v FROM t').then(rows => rows.length >= {rows.Length})");
        Assert.Equal(rows, await page.CallAsync<string[]>("datasync.query('SELECT v FROM t ORDER BY rowid').then(rows => rows.map(row => row.v))"));
    }
}
