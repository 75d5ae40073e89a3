using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>The browser takes the store away from under open tabs.</summary>
[Collection(AppCollection.Name)]
public sealed class LostStoreTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Fact(Timeout = Limits.Test_ms)]
    public async Task What_was_cleared_with_the_sites_data_is_restored_by_the_tabs_that_hold_it()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var pages = new[] { await tabs.OpenDatabaseAsync(), await tabs.OpenDatabaseAsync() };
        await DataSyncPage.AgreeAsync(pages);
        await pages[0].EvaluateAsync("datasync.execute('CREATE TABLE kept(text)')");
        await pages[1].EvaluateAsync("datasync.execute('INSERT INTO kept VALUES (?)', ['row'])");
        await pages[0].WaitUntilAsync("datasync.query('SELECT * FROM kept').then(rows => rows.length === 1)");
        var session = await tabs.Context.NewCDPSessionAsync(pages[0]);
        await session.SendAsync("Storage.clearDataForOrigin", new() { ["origin"] = browser.Url, ["storageTypes"] = "indexeddb" });

        foreach (var page in pages)
        {
            await page.Locator("#restore").WaitForAsync();
            Assert.Equal(["[\"row\"]"], await page.RowsAsync("SELECT * FROM kept"));
            Assert.StartsWith("SQLite format 3", System.Text.Encoding.Latin1.GetString(await page.ExportAsync()), StringComparison.Ordinal);
            Assert.Equal("StoreReplacedException", (await page.FailureOfAsync("datasync.execute('INSERT INTO kept VALUES (1)')")).Name);
        }

        await pages[0].Locator("#restore").ClickAsync();
        await pages[0].Locator("#restore").WaitForAsync(new() { State = WaitForSelectorState.Detached });
        await pages[1].EvaluateAsync("datasync.restore()");
        await DataSyncPage.AgreeAsync(pages);
        await pages[1].EvaluateAsync("datasync.execute('INSERT INTO kept VALUES (?)', ['more'])");
        var fresh = await tabs.OpenDatabaseAsync();
        Assert.Equal(["[\"row\"]", "[\"more\"]"], await fresh.RowsAsync("SELECT * FROM kept ORDER BY rowid"));
        await pages[0].WaitUntilAsync("datasync.query('SELECT * FROM kept').then(rows => rows.length === 2)");
    }

    [SmallDiskFact(Timeout = Limits.Test_ms)]
    public async Task A_disk_that_is_really_full_loses_nothing_that_was_acknowledged()
    {
        await using var disk = await SmallDisk.CreateAsync(400);
        await using var persistent = browser.NewPersistentBrowser(output, disk.Folder);
        await using var tabs = await persistent.StartAsync();
        var pages = new[] { await tabs.OpenDatabaseAsync(), await tabs.OpenDatabaseAsync() };
        await DataSyncPage.AgreeAsync(pages);
        await pages[0].EvaluateAsync("datasync.execute('CREATE TABLE kept(tab INTEGER, number INTEGER, bytes BLOB)')");
        await disk.LeaveAsync(25);

        // Each tab writes until the disk refuses it three times; what it was told is what it must be true of.
        var told = await Task.WhenAll(pages.Select((page, tab) => page.EvaluateAsync<string[]>("""
            async tab => {
              const told = [];
              for (let number = 0, failures = 0; number < 60 && failures < 3; number++) {
                try {
                  await datasync.execute('INSERT INTO kept VALUES (?, ?, randomblob(1000000))', [tab, number]);
                  told.push(`ok ${number}`);
                } catch (error) {
                  failures++;
                  told.push(`${error.name} ${number}: ${error.message}`);
                }
              }
              return told;
            }
            """, tab)));
        foreach (var line in told.SelectMany((lines, tab) => lines.Select(line => $"tab {tab}: {line}"))) output.WriteLine(line);
        var acknowledged = told.SelectMany((lines, tab) => lines.Where(line => line.StartsWith("ok ", StringComparison.Ordinal)).Select(line => $"[{tab},{line[3..]}]")).Order(StringComparer.Ordinal).ToArray();
        var failures = told.SelectMany(lines => lines.Where(line => !line.StartsWith("ok ", StringComparison.Ordinal))).ToArray();
        Assert.NotEmpty(failures);
        Assert.All(failures, failure => Assert.Matches("^(StorageQuotaException|StoreReplacedException|StorageClosedException) ", failure));

        // Whatever the browser did to the store: each tab still shows what it was told of its own writes, and can save it. A tab that was stopped before it heard of the other's last ones shows those
        // before; that one has them all.
        var shown = new List<HashSet<string>>();
        for (var tab = 0; tab < pages.Length; tab++)
        {
            shown.Add([.. await pages[tab].RowsAsync("SELECT tab, number FROM kept")]);
            output.WriteLine($"tab {tab} shows {shown[tab].Count} of {acknowledged.Length} acknowledged, without {string.Join(' ', acknowledged.Except(shown[tab]))}");
            Assert.Superset(acknowledged.Where(row => row.StartsWith($"[{tab},", StringComparison.Ordinal)).ToHashSet(), shown[tab]);
            Assert.True((await pages[tab].ExportAsync()).Length > shown[tab].Count * 1_000_000);
        }

        Assert.Superset(acknowledged.ToHashSet(), shown.MaxBy(rows => rows.Count)!);

        // With room again the database goes on, restored where its store was taken away.
        disk.MakeRoom();
        foreach (var page in pages)
        {
            var isLost = await page.Locator("#restore").CountAsync() > 0;
            output.WriteLine(isLost ? "the store was lost" : "the store is still there");
            if (isLost) await page.EvaluateAsync("datasync.restore()");
        }

        await WriteWhenThereIsRoomAsync(pages[1]);
        var fresh = await tabs.OpenDatabaseAsync();
        Assert.Superset(acknowledged.ToHashSet(), (await fresh.RowsAsync("SELECT tab, number FROM kept")).ToHashSet());
        Assert.Equal(["[\"ok\"]"], await fresh.RowsAsync("PRAGMA integrity_check"));
    }

    // Chromium goes for some time by the room that it found last.
    private static Task WriteWhenThereIsRoomAsync(IPage page) => page.WaitUntilAsync("""
        datasync.execute('INSERT INTO kept VALUES (9, 9, NULL)').then(() => true, error => {
          if (error.name !== 'StorageQuotaException') throw error;
          return false;
        })
        """);
}
