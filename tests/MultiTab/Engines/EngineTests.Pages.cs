using System.Globalization;
using System.Text.Json;
using DataSync.MultiTab.Browser;
using Xunit;

namespace DataSync.MultiTab.Engines;

public abstract partial class EngineTests<TEngine>
{
    /// <summary>What the names of suites begin with.</summary>
    private static readonly string[] OfThePlatform = ["IndexedDb", "BrowserSql", "BrowserRuntime", "BrowserManyRuns", "BrowserConnectionPool", "TabPlatforms", "Database"];

    /// <summary>Notes whether a page came back from the browser's cache, with all that it had.</summary>
    private const string NoteReturn = "addEventListener('pageshow', event => { globalThis.cameBack = event.persisted; });";

    [EngineFact(ChromiumHas = nameof(NativeFileTests), Timeout = Limits.LongTest_ms)]
    public async Task A_database_file_of_5_MB_is_imported_seen_by_the_other_tab_and_exported()
    {
        var file = NativeFile.Create(4096);
        var pages = await OpenManyAsync(2);
        await EngineTab.AgreeAsync(pages);

        await pages[0].ImportAsync(file);
        await pages[1].WaitForMarkerAsync((await pages[0].StatusAsync()).Marker);

        var expected = NativeFile.Look(file, NativeFile.Answers);
        foreach (var (question, answer) in NativeFile.Questions.Zip(expected))
        {
            Assert.Equal(answer, (await pages[1].RowsAsync(question)).Select(PageJson.Normalize));
        }

        Assert.Equal(expected, NativeFile.Look(await pages[1].ExportAsync(), NativeFile.Answers));
    }

    [EngineFact(Timeout = Limits.LongTest_ms)]
    public async Task A_private_session_works_and_leaves_nothing()
    {
        await using (var session = await engine.Engine.StartAsync(null, output))
        {
            var pages = await OpenManyAsync(2, browser: session);
            await EngineTab.AgreeAsync(pages);
            using var history = await BeginHistoryAsync(pages[0]);
            await history.StartAsync(pages, count: 10);
            await history.FinishAsync(pages);
            await history.CheckAsync(pages);

            await pages[0].WaitUntilAsync("document.querySelector('[aria-labelledby=storage] .hint')");
            output.WriteLine(await pages[0].CallAsync<string>("return document.querySelector('[aria-labelledby=storage]').innerText.replaceAll(/\\s+/g, ' ');"));
            output.WriteLine(await pages[0].CallAsync<string>("return JSON.stringify({ persisted: await navigator.storage?.persisted?.(), ...await navigator.storage?.estimate?.() });"));
            Assert.Equal("The browser may evict it when the disk is full.", await pages[0].CallAsync<string>("return document.querySelector('[aria-labelledby=storage] .hint').innerText;"));
        }

        await using var next = await engine.Engine.StartAsync(null, output);
        var page = await OpenAsync(browser: next);
        Assert.Equal(0, await page.ScalarAsync<int>("SELECT count(*) FROM sqlite_master"));
    }

    /// <summary>Some browsers evict IndexedDB alone; the lease that a killed tab left says that it leads.</summary>
    [EngineFact(Timeout = Limits.LongTest_ms)]
    public async Task A_store_that_was_evicted_while_the_lease_stayed_is_begun_anew_also_without_navigator_storage()
    {
        var page = await OpenAsync();
        await page.ExecuteAsync("CREATE TABLE t(v)");
        await EngineTab.AgreeAsync(page);
        var before = await page.StatusAsync();
        var process = await page.FindProcessAsync();
        var other = await (await engine.SharedBrowserAsync()).OpenTabAsync(engine.Server.Url + "/lab/"); // has no database open
        tabs.Add(other);
        Lose(page);
        process.Kill();
        await other.CallAsync<object?>(
            "await new Promise((done, failed) => Object.assign(indexedDB.deleteDatabase(arg), { onsuccess: done, onerror: failed }));", "datasync:" + Database);
        Assert.Contains(before.Id, await other.CallAsync<string>($"return localStorage.getItem('datasync:{Database}:lease');"), StringComparison.Ordinal);

        var again = await OpenAsync(script: "Object.defineProperty(Navigator.prototype, 'storage', { get: () => undefined });");
        await EngineTab.AgreeAsync(again);
        Assert.Equal(0, await again.ScalarAsync<int>("SELECT count(*) FROM sqlite_master"));
        await again.ExecuteAsync("CREATE TABLE t(v)");
        Assert.True((await again.StatusAsync()).Epoch > before.Epoch, "It leads under an epoch that was another tab's.");
        await again.WaitUntilAsync("document.querySelector('[aria-labelledby=storage] .hint')");
    }

    [EngineFact(ChromiumHas = nameof(HiddenTabTests), Timeout = Limits.LongTest_ms)]
    public async Task A_tab_that_comes_back_from_another_page_goes_on_and_has_all_that_was_written()
    {
        var page = await OpenAsync(script: NoteReturn);
        await EngineTab.AgreeAsync(page);
        await page.ExecuteAsync("CREATE TABLE visit(n)");
        for (var i = 1; i <= 5; i++) await page.ExecuteAsync($"INSERT INTO visit VALUES ({i})");
        var before = await page.StatusAsync();

        // Of another site, as a link leads to; nobody else has the database open, or a message would end the page's stay in the cache.
        await page.NavigateAsync(engine.Server.Url.Replace("127.0.0.1", "localhost", StringComparison.Ordinal) + "/page.css");
        await page.BackAsync();
        await page.WaitUntilAsync("typeof datasync === 'object' && datasync.ready.then(() => true)");

        var after = await page.StatusAsync();
        var restored = await page.CallAsync<bool>("return cameBack;");
        output.WriteLine(restored ? "The page came back from the cache." : "The page was loaded anew.");
        Assert.Equal(restored, after.Id == before.Id);
        await page.ExecuteAsync("INSERT INTO visit VALUES (6)");
        Assert.Equal("1,2,3,4,5,6", await page.ScalarAsync<string>("SELECT group_concat(n) FROM (SELECT n FROM visit ORDER BY rowid)"));
        await EngineTab.AgreeAsync(page);
        var status = await page.StatusAsync();
        Assert.Equal(before.Marker + 1, status.Marker);
        Assert.True(status.Epoch > before.Epoch, "It led on as if it had not been away.");
    }

    /// <summary>
    /// Those of the lab that touch what a browser brings, but for the measures; fewer random scripts than in ContractTests. What is above them (live queries, undo, EF Core) is the same
    /// code on the same SQLite in each browser, and minutes of work for an interpreter.
    /// </summary>
    [EngineFact(ChromiumHas = nameof(ContractTests), Timeout = Limits.LongTest_ms)]
    public async Task The_contracts_of_stores_and_provider_hold()
    {
        var page = await (await engine.SharedBrowserAsync()).OpenTabAsync(engine.Server.Url + "/lab/");
        tabs.Add(page);
        await page.CallAsync<object?>("await lab.setVariable('DATASYNC_SQL_SEEDS', arg);", Environment.GetEnvironmentVariable("DATASYNC_SQL_SEEDS") is { Length: > 0 } seeds ? seeds : "1+3");
        var part = Environment.GetEnvironmentVariable("DATASYNC_LAB_SUITE") ?? "";
        var failures = new List<string>();
        var suites = (await page.CallAsync<string[]>("return lab.classes();")).Where(suite => suite.Contains(part, StringComparison.Ordinal) && !suite.Contains("Speed", StringComparison.Ordinal));
        foreach (var suite in EngineChoice.IsWhole || part.Length > 0 ? suites : suites.Where(suite => OfThePlatform.Any(begin => suite.StartsWith(begin, StringComparison.Ordinal))))
        {
            var start = TimeProvider.System.GetTimestamp();
            var results = await page.CallLongAsync<JsonElement[]>($"return lab.run('{suite}');", TimeSpan.FromMilliseconds(Limits.LongTest_ms));
            var failed = results.Where(result => !result.GetProperty("ok").GetBoolean()).ToArray();
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{suite}: {results.Length - failed.Length} of {results.Length} tests passed in {TimeProvider.System.GetElapsedTime(start).TotalSeconds:0.0} s"));
            failures.AddRange(failed.Select(result => $"{suite}.{result.GetProperty("test").GetString()}\n{result.GetProperty("error").GetString()}"));
        }

        Assert.True(failures.Count == 0, string.Join("\n\n", failures));
    }

    /// <summary>With pictures, when DATASYNC_SCREENSHOTS names a folder for them.</summary>
    [EngineFact(ChromiumHas = nameof(PlaygroundTests), Timeout = Limits.LongTest_ms)]
    public async Task The_playground_fits_into_narrow_and_wide_windows()
    {
        var page = await OpenAsync();
        await page.ExecuteAsync("CREATE TABLE shown(x)");
        foreach (var width in new[] { 360, 1280 })
        {
            var picture = await page.ScreenshotAsync(width);
            Assert.Equal(width, await page.CallAsync<int>("return innerWidth;"));
            var wide = await page.CallAsync<string>("""
                return [...document.querySelectorAll('body *')].filter(element => element.getBoundingClientRect().right > innerWidth + 1).map(element => element.tagName + '#' + element.id).join();
                """);
            Assert.True(await page.CallAsync<int>("return document.documentElement.scrollWidth;") <= width, $"At {width} pixels these are wider: {wide}");
            if (Environment.GetEnvironmentVariable("DATASYNC_SCREENSHOTS") is { Length: > 0 } folder)
            {
                Directory.CreateDirectory(folder);
                await File.WriteAllBytesAsync(Path.Combine(folder, $"{engine.Engine.Name}-{width}.png"), picture);
            }
        }
    }
}
