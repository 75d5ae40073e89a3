using DataSync.Coordination;
using Xunit;

namespace DataSync.Lab;

/// <summary>Two tabs of one page, over each way of calling JavaScript.</summary>
public sealed class TabPlatforms
{
    /// <summary>The way that a server and a native app take; the module is the same.</summary>
    private const string OverRuntime = "./_content/DataSync.Coordination/coordination.js";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Tabs_elect_one_see_each_other_and_hand_over(bool isOverRuntime)
    {
        var scope = $"platforms-{Guid.NewGuid():N}";
        await using var first = await JoinAsync(scope, isOverRuntime);
        var lease = await first.WaitForLeadershipAsync();
        var second = await JoinAsync(scope, isOverRuntime);
        Assert.Equal(first.Id, await second.WaitForLeaderAsync());
        Assert.Equal([first.Id, second.Id], second.Members);
        await first.ResignAsync();
        var next = await second.WaitForLeadershipAsync();
        Assert.True(next.Epoch > lease.Epoch);
        Assert.False(lease.IsHeld);
        await second.DisposeAsync();
        Assert.True((await first.WaitForLeadershipAsync()).Epoch > next.Epoch);
        Assert.Equal([first.Id], first.Members);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_the_page_refuses_is_a_typed_error(bool isOverRuntime)
    {
        await using var platform = await NewPlatformAsync(isOverRuntime);
        await Assert.ThrowsAsync<CoordinationException>(async () => await platform.ReadLeaseAsync(default));
        var session = NewSession($"refused-{Guid.NewGuid():N}");
        await platform.OpenAsync(session, default);
        Assert.Null(await platform.ReadLeaseAsync(default));
        Assert.Equal("next", await platform.CompareAndSetLeaseAsync(null, "next", null, default));
        Assert.Equal("next", await platform.CompareAndSetLeaseAsync("other", "third", null, default));
        var large = new string('x', 11 << 20); // above what localStorage holds
        await Assert.ThrowsAsync<CoordinationException>(async () => await platform.CompareAndSetLeaseAsync("next", large, null, default));
        Assert.Equal([session.Self], await platform.QueryTabsAsync(default));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_tab_that_is_closed_while_it_opens_leaves_nothing_behind(bool isOverRuntime)
    {
        var scope = $"closing-{Guid.NewGuid():N}";
        var closed = await NewPlatformAsync(isOverRuntime);
        var opening = closed.OpenAsync(NewSession(scope), default).AsTask();
        await closed.DisposeAsync();
        await opening.ContinueWith(_ => { }, TaskScheduler.Default); // however it ends
        await using var other = await NewPlatformAsync(isOverRuntime);
        var session = NewSession(scope);
        await other.OpenAsync(session, default);
        Assert.Equal([session.Self], await other.QueryTabsAsync(default));
    }

    private static TabSession NewSession(string scope) => new(scope, TabId.New(TimeProvider.System), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5), "", _ => { });

    private static async Task<BrowserTabPlatform> NewPlatformAsync(bool isOverRuntime) => new(await LabPage.Runtime.Task, isOverRuntime ? OverRuntime : null);

    private static async Task<TabCoordinator> JoinAsync(string scope, bool isOverRuntime)
    {
        var coordinator = new TabCoordinator(await NewPlatformAsync(isOverRuntime), new CoordinationOptions { Scope = scope });
        await coordinator.JoinAsync();
        return coordinator;
    }
}
