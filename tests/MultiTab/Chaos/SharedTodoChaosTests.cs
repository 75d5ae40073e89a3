using System.Diagnostics;
using System.Globalization;
using System.Text;
using DataSync.Contracts;
using DataSync.MultiTab.Browser;
using DataSync.PostgreSql.Tests;
using DataSync.Server.Tests;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;
using static Microsoft.Playwright.Assertions;

namespace DataSync.MultiTab.Chaos;

/// <summary>
/// samples/SharedTodo, published, as two processes over one PostgreSQL: two tabs of each of three browsers write, by the page's own form, while tabs, servers and the network are ended. Runs only where
/// DATASYNC_SHARED_CHAOS says for how many seconds; DATASYNC_CHAOS_FROM is the seed.
/// </summary>
[Collection(ChaosCollection.Name)]
[Trait("Category", "Chaos")]
#pragma warning disable CA1001 // It is disposed where xunit says that the test is over.
public sealed class SharedTodoChaosTests(BrowserFixture browser, ITestOutputHelper output) : IAsyncLifetime
#pragma warning restore CA1001
{
    private const int Profiles = 3, TabsOfEach = 2;

    private readonly PostgresCluster _cluster = new();
    private readonly List<SharedTodoServer> _servers = [];
    private readonly List<Tab> _tabs = [];
    private readonly StringBuilder _log = new();
    private readonly long _began = Stopwatch.GetTimestamp();
    private CutProxy? _proxy;
    private int _target, _lastWriter;

    private enum Fault
    {
        TabKilled,
        TabClosed,
        TabReloaded,
        NetworkCut,
        NetworkAwayForSeconds,
        NetworkAwayForLong,
        ServerKilled,
        OtherServer,
    }

    private double NowMs => Stopwatch.GetElapsedTime(_began).TotalMilliseconds;

    public Task InitializeAsync() => SharedChaosFactAttribute.Seconds > 0 ? _cluster.InitializeAsync() : Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (SharedChaosFactAttribute.Seconds == 0) return;
        foreach (var tab in _tabs) await tab.Group.DisposeAsync();
        if (_proxy is not null) await _proxy.DisposeAsync();
        foreach (var server in Enumerable.Reverse(_servers)) await server.DisposeAsync();
        await _cluster.DisposeAsync();
        output.WriteLine(_log.ToString());
    }

    [SharedChaosFact(Timeout = 4 * 60 * 60 * 1000)]
    public async Task Every_acknowledged_entry_is_there_once_and_in_order_whatever_is_done_to_tabs_servers_and_network()
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("DATASYNC_CHAOS_FROM"), CultureInfo.InvariantCulture, out var from) ? from : 0;
        var random = new Random(seed);
        _servers.Add(await SharedTodoServer.StartNewAsync(_cluster.ConnectionString));
        _servers.Add(await SharedTodoServer.StartNewAsync(_cluster.ConnectionString, _servers[0]));
        _proxy = new CutProxy(() => _servers[Volatile.Read(ref _target)].Port);
        for (var profile = 0; profile < Profiles; profile++)
        {
            var group = await browser.NewTabsAsync(output, $"http://127.0.0.1:{_proxy.Port}");
            for (var i = 0; i < TabsOfEach; i++)
            {
                var tab = new Tab(group, $"profile {profile}, tab {i}");
                _tabs.Add(tab);
                await OpenAsync(tab);
            }
        }

        var faults = new Dictionary<Fault, int>();
        while (NowMs < SharedChaosFactAttribute.Seconds * 1000.0)
        {
            await Task.Delay(random.Next(1000, 4000));
            var fault = (Fault)random.Next(Enum.GetValues<Fault>().Length);
            faults[fault] = faults.GetValueOrDefault(fault) + 1;
            await CommitAsync(fault, _tabs[random.Next(_tabs.Count)], random);
        }

        foreach (var tab in _tabs) tab.IsStopping = true;
        await Task.WhenAll(_tabs.Select(tab => tab.Writing)).WaitAsync(Limits.Step * 2);
        var writes = _tabs.SelectMany(tab => tab.Writes).ToList();
        var rows = await AgreeAsync();
        Note($"{rows.Count} entries; {writes.Count(w => w.Outcome == WriteOutcome.Acknowledged)} acknowledged, {writes.Count(w => w.Outcome == WriteOutcome.Unknown)} without an answer; "
            + $"faults {string.Join(", ", faults.OrderBy(f => f.Key).Select(f => $"{f.Key} {f.Value}"))}; seed {seed}");
        if (HistoryChecker.FindViolation(writes, rows) is { } violation) Assert.Fail(violation);
        Assert.True(writes.Count(w => w.Outcome == WriteOutcome.Acknowledged) >= SharedChaosFactAttribute.Seconds / 2, "Hardly anything was acknowledged.");
    }

    private async Task CommitAsync(Fault fault, Tab tab, Random random)
    {
        Note($"{fault} ({tab.Name}; {_tabs.Sum(t => t.Writes.Count)} writes so far)");
        switch (fault)
        {
            case Fault.TabKilled:
                tab.Leave();
                tab.Process!.Kill();
                await tab.Page!.CloseAsync();
                await OpenAsync(tab);
                break;
            case Fault.TabClosed:
                tab.Leave();
                await tab.Page!.CloseAsync();
                await OpenAsync(tab);
                break;
            case Fault.TabReloaded:
                tab.Leave();
                await tab.Page!.ReloadAsync();
                await BeginAsync(tab);
                break;
            case Fault.NetworkCut:
                _proxy!.Cut();
                break;
            case Fault.NetworkAwayForSeconds or Fault.NetworkAwayForLong:
                _proxy!.IsDown = true;
                _proxy!.Cut();
                await Task.Delay(fault == Fault.NetworkAwayForLong ? random.Next(31_000, 45_000) : random.Next(500, 8000)); // longer than writes wait, or not
                _proxy.IsDown = false;
                break;
            case Fault.ServerKilled:
                var killed = _servers[_target];
                await killed.KillAsync();
                if (random.Next(2) == 0) SwitchServer();
                await Task.Delay(random.Next(0, 5000));
                await killed.StartAsync();
                break;
            case Fault.OtherServer:
                SwitchServer();
                _proxy!.Cut();
                break;
        }
    }

    private void SwitchServer() => Volatile.Write(ref _target, 1 - _target);

    private async Task OpenAsync(Tab tab)
    {
        tab.Page = await tab.Group.OpenPathAsync("/");
        var name = tab.Page.GetByLabel("Your name");
        await Expect(name.Or(tab.Page.Locator("#online"))).ToBeVisibleAsync();
        if (await name.IsVisibleAsync())
        {
            await name.FillAsync(tab.Name);
            await name.PressAsync("Enter");
        }

        await BeginAsync(tab);
    }

    private async Task BeginAsync(Tab tab)
    {
        await Expect(tab.Page!.Locator("#online")).ToBeVisibleAsync();
        tab.Process = await RendererProcess.OfAsync(tab.Page!);
        tab.Writing = WriteAsync(tab, tab.Page!, $"w{++_lastWriter}", ++tab.Life);
    }

    private async Task WriteAsync(Tab tab, IPage page, string writer, int life)
    {
        var input = page.GetByLabel("What is to be done");
        for (var number = 1; !tab.IsStopping && tab.Life == life; number++)
        {
            var write = new HistoryWrite(writer, number, NowMs, null, WriteOutcome.Unknown);
            var at = tab.Add(write);
            try
            {
                await input.FillAsync($"{writer}/{number}");
                await input.PressAsync("Enter");
                await Expect(input).ToHaveValueAsync("");
                await Expect(page.Locator("#waiting")).ToHaveCountAsync(0);
                var problems = await page.Locator("form ~ p[role=alert]").AllTextContentsAsync();
                if (tab.Life != life) return; // that was said by the page behind this one, which does not know of this write yet
                if (problems.Count == 0) tab.Set(at, write with { EndedMs = NowMs, Outcome = WriteOutcome.Acknowledged });
                else Note($"{writer}/{number}: {problems[0]}");
                await Task.Delay(200);
            }
            catch (Exception error) when (tab.Life != life && error is PlaywrightException or TimeoutException)
            {
                return; // its page is gone, and with it the answer
            }
        }
    }

    /// <summary>The entries, in their order, once all tabs show the same.</summary>
    private async Task<List<(string Writer, long Number)>> AgreeAsync()
    {
        for (var start = Stopwatch.GetTimestamp(); ; await Task.Delay(200))
        {
            var shown = await Task.WhenAll(_tabs.Select(tab => tab.Page!.Locator("li span").AllTextContentsAsync()));
            if (shown.All(rows => rows.SequenceEqual(shown[0])))
                return [.. shown[0].Select(text => text.Split('/')).Select(parts => (parts[0], long.Parse(parts[1], CultureInfo.InvariantCulture)))];
            if (Stopwatch.GetElapsedTime(start) > Limits.Step) Assert.Fail($"The tabs show different lists: {string.Join(", ", shown.Select(rows => rows.Count))} entries.");
        }
    }

    private void Note(string what)
    {
        lock (_log) _log.AppendLine(CultureInfo.InvariantCulture, $"{NowMs / 1000,7:0.0} s  {what}");
    }

    private sealed class Tab(TabGroup group, string name)
    {
        private readonly List<HistoryWrite> _writes = [];

        public TabGroup Group => group;

        public string Name => name;

        public IPage? Page { get; set; }

        public RendererProcess? Process { get; set; }

        public Task Writing { get; set; } = Task.CompletedTask;

        public bool IsStopping { get; set; }

        /// <summary>Which page it has: what an earlier one writes is without an answer.</summary>
        public int Life { get; set; }

        public IReadOnlyList<HistoryWrite> Writes
        {
            get
            {
                lock (_writes) return [.. _writes];
            }
        }

        public void Leave() => Life++;

        public int Add(HistoryWrite write)
        {
            lock (_writes) _writes.Add(write);
            return _writes.Count - 1;
        }

        public void Set(int at, HistoryWrite write)
        {
            lock (_writes) _writes[at] = write;
        }
    }

    /// <summary>Runs where DATASYNC_SHARED_CHAOS says for how many seconds.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    private sealed class SharedChaosFactAttribute : FactAttribute
    {
        public SharedChaosFactAttribute() => Skip = Seconds > 0 ? null : "Takes minutes: say in DATASYNC_SHARED_CHAOS for how many seconds.";

        public static int Seconds { get; } = int.TryParse(Environment.GetEnvironmentVariable("DATASYNC_SHARED_CHAOS"), CultureInfo.InvariantCulture, out var seconds) ? seconds : 0;
    }
}
