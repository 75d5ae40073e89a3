using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>What the browser itself does to a store: a full disk, data cleared by the user.</summary>
[Collection(AppCollection.Name)]
public sealed class StoreFailureTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_full_quota_refuses_the_commit_and_keeps_those_before()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenPathAsync("/lab/");

        // Before the first write: afterwards Chromium goes for some time by the room that it found then.
        var session = await page.Context.NewCDPSessionAsync(page);
        await session.SendAsync("Storage.overrideQuotaForOrigin", new() { ["origin"] = browser.Url, ["quotaSize"] = 5_000_000 });
        await page.EvaluateAsync("lab.probe('Open')");
        var result = await page.EvaluateAsync<string>("lab.probe('Fill')");
        output.WriteLine(result);
        var words = result.Split(' ');
        Assert.Equal(["StorageQuotaException", "QuotaExceededError"], words[..2]);
        Assert.Equal(words[2], words[3]);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Site_data_that_is_cleared_closes_the_store()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenPathAsync("/lab/");
        await page.EvaluateAsync("lab.probe('Open')");
        var session = await page.Context.NewCDPSessionAsync(page);
        await session.SendAsync("Storage.clearDataForOrigin", new() { ["origin"] = browser.Url, ["storageTypes"] = "indexeddb" });
        Assert.EndsWith(" StorageClosedException", await page.EvaluateAsync<string>("lab.probe('Try')"), StringComparison.Ordinal);
        var reopened = await page.EvaluateAsync<string>("(async () => { await lab.probe('Open'); return await lab.probe('Try'); })()");
        Assert.Equal(" appended", reopened);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_database_that_another_tab_deletes_is_closed_here()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenPathAsync("/lab/");
        await page.EvaluateAsync("lab.probe('Open')");
        var other = await tabs.OpenPathAsync("/lab/");
        await other.EvaluateAsync(
            "new Promise((resolve, reject) => Object.assign(indexedDB.deleteDatabase('datasync:probe'), { onsuccess: resolve, onerror: reject }))");
        Assert.Equal("Deleted StorageClosedException", await page.EvaluateAsync<string>("lab.probe('Try')"));
    }
}
