using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Histories;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>How a leader goes.</summary>
public enum Loss
{
    Killed,
    Closed,
    NavigatedAway,
    Reloaded,
}

/// <summary>All tabs write when the leader goes; the others go on.</summary>
[Collection(BrowserCollection.Name)]
public sealed class LeaderLossTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>Far below the 5 s after which a lease ends by itself: the loss itself must have been noticed.</summary>
    private static readonly TimeSpan PauseLimit = TimeSpan.FromSeconds(3);

    [Theory(Timeout = Limits.Test_ms)]
    [InlineData(Loss.Killed)]
    [InlineData(Loss.Closed)]
    [InlineData(Loss.NavigatedAway)]
    [InlineData(Loss.Reloaded)]
    public async Task The_others_go_on_and_no_row_is_lost_or_doubled(Loss loss)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var pages = await tabs.OpenManyAsync(4);
        var leader = await DataSyncPage.AgreeAsync(pages);
        var epoch = (await leader.StatusAsync()).Epoch;
        var others = pages.Where(page => page != leader).ToArray();
        var process = (await RendererProcess.OfEachAsync([leader, .. others]))[0];
        var history = await History.BeginAsync(tabs, leader, output);
        await history.StartAsync(pages);
        await history.WaitForMoreAsync(100);

        var moment = TimeProvider.System.GetUtcNow();
        await LoseAsync(leader, process, loss);
        await history.WaitForMoreAsync(100, except: leader);
        await history.StopAsync(lost: leader);

        IPage[] present = loss == Loss.Reloaded ? pages : others;
        await DataSyncPage.AgreeAsync(present);
        await history.CheckAsync(present);
        Assert.True((await others[0].StatusAsync()).Epoch > epoch);
        history.AssertPauseAfter(moment, leader, PauseLimit);
    }

    private static async Task LoseAsync(IPage leader, RendererProcess process, Loss loss)
    {
        switch (loss)
        {
            case Loss.Killed:
                process.Kill();
                break;
            case Loss.Closed:
                await leader.CloseAsync();
                break;
            case Loss.NavigatedAway:
                await leader.GotoAsync("about:blank");
                break;
            default:
                await leader.ReloadAsync();
                break;
        }
    }
}
