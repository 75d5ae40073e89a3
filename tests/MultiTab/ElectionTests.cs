using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Who leads, seen from every tab.</summary>
[Collection(BrowserCollection.Name)]
public sealed class ElectionTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Fact(Timeout = Limits.Test_ms)]
    public async Task Four_tabs_agree_on_one_leader_on_its_epoch_and_on_each_other()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var pages = await tabs.OpenManyAsync(4);

        await DataSyncPage.AgreeAsync(pages);

        var statuses = await Task.WhenAll(pages.Select(page => page.StatusAsync()));
        Assert.Single(statuses, status => status.IsLeader);
        Assert.Equal(4, statuses.Select(status => status.Id).Distinct().Count());
        Assert.All(statuses, status =>
        {
            Assert.Equal(statuses.Select(other => other.Id).Order(), status.Members.Order());
            Assert.Equal((statuses[0].LeaderId, statuses[0].Epoch), (status.LeaderId, status.Epoch));
        });
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Another_browser_context_has_its_own_leader_and_none_of_the_data()
    {
        await using var here = await browser.NewTabsAsync(output);
        await using var elsewhere = await browser.NewTabsAsync(output);
        var first = await here.OpenAsync();
        await first.ExecuteAsync("CREATE TABLE secret(x)");
        await first.ExecuteAsync("INSERT INTO secret VALUES (42)");

        var stranger = await elsewhere.OpenAsync();
        await DataSyncPage.AgreeAsync(stranger);

        var (mine, theirs) = (await first.StatusAsync(), await stranger.StatusAsync());
        Assert.True(mine.IsLeader && theirs.IsLeader);
        Assert.Equal([theirs.Id], theirs.Members);
        Assert.Equal(0, await stranger.ScalarAsync<int>("SELECT count(*) FROM sqlite_master WHERE name = 'secret'"));
        Assert.Equal(42, await first.ScalarAsync<int>("SELECT x FROM secret"));
    }
}
