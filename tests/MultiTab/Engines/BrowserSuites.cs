using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Engines;

[Collection(EnginesCollection.Name)]
public sealed class ChromiumTests(EngineFixture<ChromiumEngine> engine, ITestOutputHelper output) : EngineTests<ChromiumEngine>(engine, output);

[Collection(EnginesCollection.Name)]
public sealed class FirefoxTests(EngineFixture<FirefoxEngine> engine, ITestOutputHelper output) : EngineTests<FirefoxEngine>(engine, output);

/// <summary>And what only WebKit does: IndexedDB is in a process of its own there, and pages are suspended.</summary>
[Collection(WebKitCollection.Name)]
public sealed class WebKitTests(EngineFixture<WebKitEngine> engine, ITestOutputHelper output) : EngineTests<WebKitEngine>(engine, output)
{
    protected override int RowsPerTab => 40;

    [EngineFact(Timeout = Limits.LongTest_ms)]
    public async Task When_the_process_that_has_IndexedDB_is_killed_the_store_comes_back_and_every_acknowledged_row_is_there()
    {
        using var profile = new TemporaryProfile(); // in a private session that process is the store
        await using var browser = await Engine.Engine.StartAsync(profile.Folder, Output);
        var pages = await OpenManyAsync(2, browser: browser);
        await EngineTab.AgreeAsync(pages);
        using var history = await BeginHistoryAsync(pages[0]);
        await history.StartAsync(pages);
        await history.WaitForMoreAsync(RowsPerTab);

        ((WebKitBrowser)browser).FindNetworkProcess().Kill();
        foreach (var page in pages) await history.WaitForMoreAsync(RowsPerTab / 4, except: page);
        await history.StopAsync(pages);

        pages.Add(await OpenAsync(browser: browser));
        await EngineTab.AgreeAsync(pages);
        await history.CheckAsync(pages, mayFail: true);
    }

    [EngineFact(Timeout = Limits.LongTest_ms)]
    public async Task A_leader_that_was_suspended_for_a_minute_follows_and_has_what_the_others_wrote()
    {
        var pages = await OpenManyAsync(2);
        var leader = await EngineTab.AgreeAsync(pages);
        var processes = await FindProcessesAsync(pages);
        using var history = await BeginHistoryAsync(leader);
        await history.StartAsync(pages);
        await history.WaitForMoreAsync(RowsPerTab / 2);

        await StopAsync(processes[leader], TimeSpan.FromMinutes(1), pages.First(page => page != leader), () => history.WaitForMoreAsync(RowsPerTab, except: leader));

        await history.WaitForMoreAsync(RowsPerTab);
        await history.StopAsync(pages);
        await EngineTab.AgreeAsync(pages);
        await history.CheckAsync(pages);
    }
}
