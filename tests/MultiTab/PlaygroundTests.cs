using System.Text.RegularExpressions;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;
using static Microsoft.Playwright.Assertions;

namespace DataSync.MultiTab;

/// <summary>The playground's page, used as a person uses it.</summary>
[Collection(AppCollection.Name)]
public sealed class PlaygroundTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Fact(Timeout = Limits.Test_ms)]
    public async Task Two_tabs_run_in_two_processes_and_one_of_them_leads()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync();
        await Expect(first.Locator("#role")).ToHaveTextAsync("Leader");
        var second = await tabs.OpenAsync();

        await Expect(second.Locator("#role")).ToHaveTextAsync("Follower");
        await Expect(first.Locator("#members li")).ToHaveCountAsync(2);
        await Expect(second.Locator("#members li")).ToHaveCountAsync(2);
        await RendererProcess.OfEachAsync(first, second);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task The_buttons_open_tabs_that_a_crash_of_one_leaves_alone()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync();
        await Expect(first.Locator("#role")).ToHaveTextAsync("Leader");
        await first.ClickAsync("#open-one");
        await first.ClickAsync("#open-four");
        await Expect(first.Locator("#members li")).ToHaveCountAsync(6);
        await RendererProcess.OfEachAsync(tabs.Context.Pages);

        var crashed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        first.Crash += (_, _) => crashed.TrySetResult();
        // The click's own answer never comes, since the page that should send it is gone.
        var click = first.ClickAsync("#crash");
        await crashed.Task.WaitAsync(Limits.Step);
        await Assert.ThrowsAnyAsync<PlaywrightException>(() => click);

        var others = tabs.Context.Pages.Where(page => page != first).ToArray();
        Assert.Equal(5, others.Length);
        foreach (var other in others)
        {
            await Expect(other.Locator("#members li")).ToHaveCountAsync(5);
        }

        // A stale read of localStorage can make two tabs take over one after the other before one of them stays.
        var leader = await DataSyncPage.AgreeAsync(others);
        await Expect(leader.Locator("#role")).ToHaveTextAsync("Leader");
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task The_page_shows_the_meters_and_the_log_live()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenDatabaseAsync();
        await Expect(page.Locator("#role")).ToHaveTextAsync("Leader");
        var other = await tabs.OpenDatabaseAsync();
        await page.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY)");
        for (var i = 1; i <= 4; i++) await other.ExecuteAsync($"INSERT INTO t VALUES ({i})");
        await page.WaitForMarkerAsync(5);

        // Each counts what it shows; the log's length is told with the heartbeat.
        await Expect(Value(page, "datasync.commits")).ToHaveTextAsync("5");
        await Expect(Value(page, "datasync.log.records")).ToHaveTextAsync("5");
        await Expect(Value(page, "datasync.coordination.members")).ToHaveTextAsync("2");
        await Expect(page.Locator("[data-instrument='datasync.commit.duration'] .rate")).ToContainTextAsync("1×");
        await other.BringToFrontAsync();
        await Expect(other.Locator("[data-instrument='datasync.commit.duration'] .rate")).ToContainTextAsync("4×");
        await page.BringToFrontAsync();
        await Expect(page.Locator("#messages")).ToContainTextAsync("leads with epoch 1");
        await Expect(page.Locator("[data-instrument='datasync.commits'] .rate")).ToHaveTextAsync("0/s");

        static ILocator Value(IPage page, string instrument) => page.Locator($"[data-instrument='{instrument}'] b");
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_tab_that_asks_for_leadership_gets_it()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync();
        await Expect(first.Locator("#role")).ToHaveTextAsync("Leader");
        var second = await tabs.OpenAsync();

        await second.ClickAsync("#lead");

        await Expect(second.Locator("#role")).ToHaveTextAsync("Leader");
        await Expect(first.Locator("#role")).ToHaveTextAsync("Follower");
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task The_console_is_used_by_keyboard_and_shows_rows_and_errors()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenAsync();
        await page.Locator("#sql").FocusAsync();
        await page.Keyboard.PressAsync("ControlOrMeta+A");
        await page.Keyboard.TypeAsync("SELECT 'ä€😀' AS text, NULL AS missing, 41 + 1 AS number");
        await page.Keyboard.PressAsync("Control+Enter");
        await Expect(page.Locator("#sql-result th")).ToHaveTextAsync(["text", "missing", "number"]);
        await Expect(page.Locator("#sql-result td")).ToHaveTextAsync(["ä€😀", "NULL", "42"]);

        await page.FillAsync("#sql", "SELEC 1");
        await page.ClickAsync("#run");
        await Expect(page.Locator("#sql-error")).ToContainTextAsync("syntax error");
        await Expect(page.Locator("#sql-result")).ToHaveCountAsync(0);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_live_query_of_the_console_follows_another_tab_until_it_is_switched_off()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync();
        await Expect(first.Locator("#role")).ToHaveTextAsync("Leader");
        await first.EvaluateAsync("datasync.execute('CREATE TABLE t AS SELECT 1 AS v')");
        var second = await tabs.OpenAsync();
        await first.BringToFrontAsync();
        await first.FillAsync("#sql", "SELECT v FROM t ORDER BY v");
        await first.CheckAsync("#live");
        await Expect(first.Locator("#sql-result td")).ToHaveTextAsync(["1"]);
        await Expect(first.Locator("#sql-summary")).ToContainTextAsync("follows t");

        await second.EvaluateAsync("datasync.execute('INSERT INTO t VALUES (2)')");
        await Expect(first.Locator("#sql-result td")).ToHaveTextAsync(["1", "2"]);
        await second.EvaluateAsync("datasync.execute('ALTER TABLE t RENAME TO u')");
        await Expect(first.Locator("#sql-error")).ToContainTextAsync("no such table");
        await second.EvaluateAsync("datasync.execute('ALTER TABLE u RENAME TO t')");
        await Expect(first.Locator("#sql-error")).ToHaveCountAsync(0);

        await first.UncheckAsync("#live");
        await Expect(first.Locator("#sql-summary")).ToContainTextAsync("no longer live");
        await second.EvaluateAsync("datasync.execute('INSERT INTO t VALUES (3)')");
        await first.FillAsync("#todo-text", "Buy milk");
        await first.PressAsync("#todo-text", "Enter");
        await Expect(first.Locator("#todo-items li")).ToHaveClassAsync(new Regex("fresh"));
        await Expect(first.Locator("#sql-result td")).ToHaveTextAsync(["1", "2"]);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task An_item_added_in_one_tab_appears_in_the_other()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync();
        await Expect(first.Locator("#role")).ToHaveTextAsync("Leader");
        var second = await tabs.OpenAsync();

        await second.FillAsync("#todo-text", "Buy milk");
        await second.PressAsync("#todo-text", "Enter");
        await Expect(first.Locator("#todo-items li")).ToContainTextAsync("Buy milk");
        await first.CheckAsync("#todo-items input");
        await Expect(second.Locator("#todo-items input")).ToBeCheckedAsync();
        await first.ClickAsync("#todo-items button");
        await Expect(second.Locator("#todo-items li")).ToHaveCountAsync(0);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task An_exported_file_is_imported_in_another_context()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenAsync("db=source.db");
        await page.EvaluateAsync("datasync.execute('CREATE TABLE t AS SELECT 42 AS answer')");
        var download = await page.RunAndWaitForDownloadAsync(() => page.ClickAsync("#export"));
        Assert.Equal("source.db", download.SuggestedFilename);
        var file = await download.PathAsync();

        await using var others = await browser.NewTabsAsync(output);
        var other = await others.OpenAsync();
        await other.SetInputFilesAsync("#import", file!);
        await Expect(other.Locator("#transfer")).ToContainTextAsync("Imported");
        Assert.Equal(42, await other.EvaluateAsync<int>("datasync.query('SELECT answer FROM t').then(rows => rows[0].answer)"));

        await other.SetInputFilesAsync("#import", new FilePayload { Name = "no.db", MimeType = "text/plain", Buffer = new byte[5000] });
        await Expect(other.Locator("[aria-labelledby=storage] .error")).ToContainTextAsync("DatabaseImportException");
    }

    [Theory(Timeout = Limits.Test_ms)]
    [InlineData(360, ColorScheme.Light)]
    [InlineData(360, ColorScheme.Dark)]
    [InlineData(1280, ColorScheme.Light)]
    public async Task The_page_fits_its_width(int width, ColorScheme scheme)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenAsync();
        await page.EmulateMediaAsync(new() { ColorScheme = scheme });
        await page.SetViewportSizeAsync(width, 780);
        await page.FillAsync("#todo-text", new string('w', 120));
        await page.PressAsync("#todo-text", "Enter");
        await Expect(page.Locator("#todo-items li")).ToHaveCountAsync(1);
        await page.FillAsync("#sql", "SELECT *, * FROM sqlite_master");
        await page.ClickAsync("#run");
        await Expect(page.Locator("#sql-result")).ToBeVisibleAsync();

        Assert.Equal(0, await page.EvaluateAsync<int>("document.documentElement.scrollWidth - innerWidth"));
        var isDark = await page.EvaluateAsync<bool>("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(part => part < 60)");
        Assert.Equal(scheme == ColorScheme.Dark, isDark);
    }
}
