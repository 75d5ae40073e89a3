using System.Text.Json;
using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Engines;

/// <summary>What every browser must do with DataSync; BrowserSuites.cs has a class for each.</summary>
public abstract partial class EngineTests<TEngine>(EngineFixture<TEngine> engine, ITestOutputHelper output) : IAsyncLifetime
    where TEngine : IEngine, new()
{
    private readonly List<IEngineTab> tabs = [];

    /// <summary>How many rows each tab writes; fewer in a browser that is slow.</summary>
    protected virtual int RowsPerTab => 100;

    protected EngineFixture<TEngine> Engine => engine;

    protected ITestOutputHelper Output => output;

    /// <summary>Its name differs from test to test, so that they do not disturb one another in the same browser.</summary>
    protected string Database { get; private set; } = "";

    public Task InitializeAsync()
    {
        Database = $"test{engine.Begin(output)}.db";
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        foreach (var tab in tabs) await tab.CloseAsync();
        engine.End();
    }

    /// <summary>Opens this test's database in a tab of the shared browser, or of another.</summary>
    /// <param name="query">More of the address, such as "&amp;durability=strict".</param>
    protected async Task<IEngineTab> OpenAsync(string query = "", string script = "", IEngineBrowser? browser = null)
    {
        var tab = await (browser ?? await engine.SharedBrowserAsync()).OpenTabAsync($"{engine.Server.Url}/?db={Database}{query}", script);
        if (browser is null) tabs.Add(tab);
        await tab.WaitUntilAsync("typeof datasync === 'object' && datasync.ready.then(() => true)");
        return tab;
    }

    protected async Task<List<IEngineTab>> OpenManyAsync(int count, string query = "", string script = "", IEngineBrowser? browser = null)
    {
        var opened = new List<IEngineTab>();
        while (opened.Count < count) opened.Add(await OpenAsync(query, script, browser));
        return opened;
    }

    private protected Task<EngineHistory> BeginHistoryAsync(IEngineTab tab) => EngineHistory.BeginAsync(engine.Server, tab, Database, output);

    /// <summary>The processes of tabs, while they rest; each must have its own.</summary>
    protected static async Task<Dictionary<IEngineTab, RendererProcess>> FindProcessesAsync(IEnumerable<IEngineTab> of)
    {
        var processes = new Dictionary<IEngineTab, RendererProcess>();
        foreach (var tab in of) processes[tab] = await tab.FindProcessAsync();
        Assert.Equal(processes.Count, processes.Values.Select(process => process.Id).Distinct().Count());
        return processes;
    }

    /// <summary>Forgets a tab that the test has ended.</summary>
    protected void Lose(IEngineTab tab) => tabs.Remove(tab);

    [EngineFact(ChromiumHas = nameof(WritingTests), Timeout = Limits.LongTest_ms)]
    public async Task Four_tabs_agree_on_one_leader_and_each_row_that_they_write_at_once_is_kept_once_and_told_to_all_in_order()
    {
        var pages = await OpenManyAsync(4);
        await EngineTab.AgreeAsync(pages);
        var statuses = await Task.WhenAll(pages.Select(page => page.StatusAsync()));
        Assert.Single(statuses, status => status.IsLeader);
        Assert.All(statuses, status => Assert.Equal(statuses.Select(other => other.Id).Order(), status.Members.Order()));

        using var history = await BeginHistoryAsync(pages[0]);
        await Task.WhenAll(pages.Select(page => page.CallAsync<object?>("globalThis.seen = []; datasync.onCommit(commit => seen.push([commit.marker, commit.isLocal]));")));
        var before = (await pages[0].StatusAsync()).Marker;
        var start = TimeProvider.System.GetTimestamp();
        await history.StartAsync(pages, RowsPerTab);
        await history.FinishAsync(pages);
        output.WriteLine($"{4 * RowsPerTab} rows in {TimeProvider.System.GetElapsedTime(start).TotalSeconds:0.0} s");

        Assert.Equal(4 * RowsPerTab, history.AcknowledgedCount);
        await history.CheckAsync(pages);
        foreach (var page in pages)
        {
            Assert.Equal(before + 4 * RowsPerTab, (await page.StatusAsync()).Marker);
            var seen = await page.CallAsync<JsonElement[][]>("return seen;");
            // A tab may have heard of the table's commit late.
            var rows = seen.Where(commit => commit[0].GetInt64() > before).ToArray();
            Assert.Equal(Enumerable.Range(1, 4 * RowsPerTab).Select(i => before + i), rows.Select(commit => commit[0].GetInt64()));
            Assert.Equal(RowsPerTab, rows.Count(commit => commit[1].GetBoolean()));
        }
    }

    [EngineFact(ChromiumHas = nameof(LeaderLossTests), Timeout = Limits.LongTest_ms)]
    public async Task When_the_leader_is_stopped_then_killed_then_closed_the_others_go_on_and_no_row_is_lost_or_doubled()
    {
        var pages = await OpenManyAsync(4);
        await EngineTab.AgreeAsync(pages);
        var processes = await FindProcessesAsync(pages);
        using var history = await BeginHistoryAsync(pages[0]);
        await history.StartAsync(pages);
        var some = RowsPerTab / 4;

        // Longer than a lease.
        var leader = await LoseLeaderAsync(leader => StopAsync(processes[leader], TimeSpan.FromSeconds(8), pages.First(page => page != leader), () => history.WaitForMoreAsync(some, except: leader)));
        await EngineTab.AgreeAsync(pages);

        leader = await LoseLeaderAsync(leader =>
        {
            Lose(leader);
            processes[leader].Kill();
            return Task.CompletedTask;
        });
        pages.Remove(leader);

        leader = await LoseLeaderAsync(leader =>
        {
            Lose(leader);
            return leader.CloseAsync();
        });
        pages.Remove(leader);

        await history.StopAsync(pages);
        await EngineTab.AgreeAsync(pages);
        await history.CheckAsync(pages);

        async Task<IEngineTab> LoseLeaderAsync(Func<IEngineTab, Task> lose)
        {
            var leader = await EngineTab.AgreeAsync(pages);
            var epoch = (await leader.StatusAsync()).Epoch;
            await history.WaitForMoreAsync(some);
            var start = TimeProvider.System.GetTimestamp();
            await lose(leader);
            await history.WaitForMoreAsync(some, except: leader);
            output.WriteLine($"{some} rows more after {TimeProvider.System.GetElapsedTime(start).TotalSeconds:0.0} s");
            var other = pages.First(page => page != leader);
            await other.WaitUntilAsync($"(async () => (await datasync.status()).epoch > {epoch})()");
            return leader;
        }
    }

    [EngineFact(ChromiumHas = nameof(BrowserCrashTests), Timeout = Limits.LongTest_ms)]
    public Task A_browser_that_was_killed_while_tabs_write_has_every_acknowledged_row() => KillBrowserAsync("");

    [EngineFact(Timeout = Limits.LongTest_ms)]
    public Task A_browser_that_was_killed_while_tabs_write_strictly_has_every_acknowledged_row() => KillBrowserAsync("&durability=strict");

    [EngineFact(ChromiumHas = nameof(DegradedTests), Timeout = Limits.LongTest_ms)]
    public async Task Without_web_locks_a_killed_leader_is_replaced_and_no_row_is_lost_or_doubled()
    {
        var pages = await OpenManyAsync(4, script: "Object.defineProperty(Navigator.prototype, 'locks', { get: () => undefined });");
        Assert.True(await pages[0].CallAsync<bool>("return navigator.locks === undefined;"));
        await EngineTab.AgreeAsync(pages);
        var processes = await FindProcessesAsync(pages);
        using var history = await BeginHistoryAsync(pages[0]);
        var start = TimeProvider.System.GetTimestamp();
        await history.StartAsync(pages);
        await history.WaitForMoreAsync(RowsPerTab);
        output.WriteLine($"{RowsPerTab} rows in {TimeProvider.System.GetElapsedTime(start).TotalSeconds:0.0} s");

        var leader = await EngineTab.AgreeAsync(pages);
        Lose(leader);
        processes[leader].Kill();
        pages.Remove(leader);
        await history.WaitForMoreAsync(RowsPerTab / 4, except: leader);
        await history.StopAsync(pages);

        await EngineTab.AgreeAsync(pages);
        await history.CheckAsync(pages);
    }

    /// <summary>Stops a process outside of its transactions (<see cref="StoreProbe"/>) while others go on.</summary>
    private protected async Task StopAsync(RendererProcess process, TimeSpan time, IEngineTab other, Func<Task> goOn)
    {
        for (var attempt = 1; ; attempt++)
        {
            process.Stop();
            try
            {
                if (attempt == StoreProbe.Attempts || !await other.CallAsync<bool>(StoreProbe.IsHeld, Database))
                {
                    await Task.Delay(time, TimeProvider.System);
                    await goOn();
                    return;
                }
            }
            catch (OperationCanceledException)
            {
                output.WriteLine($"Another tab meanwhile: {await other.CallAsync<JsonElement>("return datasync.status();")}, store held: {await other.CallAsync<bool>(StoreProbe.IsHeld, Database)}, writes: {await other.CallAsync<JsonElement>("return historyWriter;")}");
                throw;
            }
            finally
            {
                process.Continue();
            }

            output.WriteLine("It was stopped in the middle of a transaction.");
            await goOn(); // so that the next time is at another moment
        }
    }

    private async Task KillBrowserAsync(string query)
    {
        using var profile = new TemporaryProfile();
        await using var before = await engine.Engine.StartAsync(profile.Folder, output);
        var pages = await OpenManyAsync(2, query, browser: before);
        await EngineTab.AgreeAsync(pages);
        using var history = await BeginHistoryAsync(pages[0]);
        await history.StartAsync(pages);
        await history.WaitForMoreAsync(RowsPerTab / 2);
        await before.KillAsync();

        await using var after = await engine.Engine.StartAsync(profile.Folder, output);
        var survivor = await OpenAsync(query, browser: after);
        await EngineTab.AgreeAsync(survivor);
        await history.CheckAsync([survivor]);
        await history.StartAsync([survivor], count: 10);
        await history.FinishAsync([survivor]);
        await history.CheckAsync([survivor]);
    }

    /// <summary>A folder for what a browser stores, as long as the test runs.</summary>
    private protected sealed class TemporaryProfile : IDisposable
    {
        public string Folder { get; } = Directory.CreateTempSubdirectory("datasync-profile-").FullName;

        public void Dispose() => TemporaryFolder.Delete(Folder);
    }
}
