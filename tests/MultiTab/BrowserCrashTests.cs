using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Histories;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>The whole browser dies.</summary>
[Collection(BrowserCollection.Name)]
public sealed class BrowserCrashTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_browser_that_was_killed_in_the_middle_of_writing_has_every_acknowledged_row()
    {
        await using var persistent = browser.NewPersistentBrowser(output);
        var before = await persistent.StartAsync();
        var pages = await before.OpenManyAsync(4);
        await DataSyncPage.AgreeAsync(pages);
        var history = await History.BeginAsync(before, pages[0], output);
        await history.StartAsync(pages);
        await history.WaitForMoreAsync(200);

        await PersistentBrowser.KillAsync(before);

        await using var after = await persistent.StartAsync();
        var survivor = await after.OpenAsync();
        await DataSyncPage.AgreeAsync(survivor);
        await history.CheckAsync([survivor]);
        await history.ListenAsync(after);
        var acknowledged = history.AcknowledgedCount;
        await history.StartAsync([survivor], count: 20);
        await history.WaitForAsync(acknowledged + 20);
        await history.CheckAsync([survivor]);
    }
}
