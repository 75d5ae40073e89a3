using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Histories;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>A leader that was stopped or hung, and goes on when another one leads.</summary>
[Collection(BrowserCollection.Name)]
public sealed class FencingTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>Longer than a lease (5 s), a heartbeat (1 s) and what the take-over itself needs.</summary>
    private const int Hold_ms = 12_000;

    /// <summary>
    /// Blocks the page's thread on request: just before the next append's transaction begins, that is after every check that
    /// .NET makes; or as soon as everything of the append is on its way to the browser.
    /// </summary>
    private const string HoldAppends = """
        globalThis.hold = { ms: 0, isBefore: true };
        globalThis.held = { until: 0, outcome: '' };
        const begin = IDBDatabase.prototype.transaction;
        const spin = ms => {
          for (const end = performance.now() + ms; performance.now() < end;);
          held.until = performance.timeOrigin + performance.now();
        };
        IDBDatabase.prototype.transaction = function (stores, mode, options) {
          if (hold.ms === 0 || mode !== 'readwrite' || stores.join() !== 'head,log') return begin.call(this, stores, mode, options);
          const { ms } = hold;
          hold.ms = 0;
          if (hold.isBefore) spin(ms);
          else Promise.resolve().then(() => spin(ms));
          const transaction = begin.call(this, stores, mode, options);
          for (const outcome of ['complete', 'abort']) transaction.addEventListener(outcome, () => { held.outcome = outcome; });
          return transaction;
        };
        """;

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_stopped_leader_is_replaced_and_follows_when_it_goes_on()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var pages = await tabs.OpenManyAsync(3);
        var processes = await RendererProcess.OfEachAsync(pages);
        var history = await History.BeginAsync(tabs, pages[0], output);
        await history.StartAsync(pages, pause_ms: 50);

        var (leader, before, moment) = await StopLeaderAsync(pages, processes, history);

        await leader.WaitForStatusAsync("s.role === 'follower' && s.leaderId !== null");
        await history.WaitForMoreAsync(100);
        await history.StopAsync();

        await CheckReplacedAsync(history, pages, leader, before, moment);
    }

    /// <summary>Stops the leader's process, outside of its transactions, until another tab leads and for longer than a lease.</summary>
    private async Task<(IPage Leader, TabStatus Before, DateTimeOffset Moment)> StopLeaderAsync(IPage[] pages, RendererProcess[] processes, History history)
    {
        for (var attempt = 1; ; attempt++)
        {
            await history.WaitForMoreAsync(100);
            var leader = await DataSyncPage.AgreeAsync(pages);
            var before = await leader.StatusAsync();
            var other = pages.First(page => page != leader);
            var process = processes[Array.IndexOf(pages, leader)];
            var moment = TimeProvider.System.GetUtcNow();
            process.Stop();
            try
            {
                if (attempt == StoreProbe.Attempts || !await other.EvaluateAsync<bool>($"async arg => {{ {StoreProbe.IsHeld} }}", "app.db"))
                {
                    await Task.WhenAll(
                        other.WaitForStatusAsync($"s.epoch > {before.Epoch} && s.leaderId !== null"),
                        other.EvaluateAsync("ms => new Promise(done => setTimeout(done, ms))", Hold_ms));
                    return (leader, before, moment);
                }
            }
            finally
            {
                process.Continue();
            }

            output.WriteLine("It was stopped in the middle of a transaction.");
        }
    }

    [Fact(Timeout = Limits.Test_ms)]
    public Task A_leader_that_hangs_between_its_own_check_and_the_flush_is_refused_by_the_store() => HangAsync(isBefore: true, "abort");

    [Fact(Timeout = Limits.Test_ms)]
    public Task A_leader_that_hangs_in_the_middle_of_a_flush_is_replaced_all_the_same() => HangAsync(isBefore: false, "complete");

    private async Task HangAsync(bool isBefore, string outcome)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        await tabs.Context.AddInitScriptAsync(HoldAppends);
        var pages = await tabs.OpenManyAsync(3);
        var leader = await DataSyncPage.AgreeAsync(pages);
        var before = await leader.StatusAsync();
        var history = await History.BeginAsync(tabs, leader, output);
        await history.StartAsync(pages);
        await history.WaitForMoreAsync(100);

        var moment = TimeProvider.System.GetUtcNow();
        await leader.EvaluateAsync("next => { Object.assign(hold, next); }", new { ms = Hold_ms, isBefore });
        await pages.First(page => page != leader).WaitForStatusAsync($"s.epoch > {before.Epoch}");
        var tookOver = TimeProvider.System.GetUtcNow();

        // The hang is still on: an append that comes out of it is one under the old epoch.
        await leader.WaitUntilAsync("held.outcome");
        var held = await leader.CallAsync<Held>("held");
        Assert.Equal(outcome, held.Outcome);
        Assert.True(held.Until > tookOver.ToUnixTimeMilliseconds(), "The leader went on before another one led, which proves nothing.");
        await leader.WaitForStatusAsync("s.role === 'follower' && s.leaderId !== null");
        await history.WaitForMoreAsync(100);
        await history.StopAsync();

        await CheckReplacedAsync(history, pages, leader, before, moment);
    }

    private static async Task CheckReplacedAsync(History history, IPage[] pages, IPage old, TabStatus before, DateTimeOffset moment)
    {
        var leader = await DataSyncPage.AgreeAsync(pages);
        Assert.NotSame(old, leader);
        Assert.True((await leader.StatusAsync()).Epoch > before.Epoch);
        await history.CheckAsync(pages);
        history.AssertPauseAfter(moment, old, TimeSpan.FromSeconds(6.5));
    }

    private sealed record Held(double Until, string Outcome);
}
