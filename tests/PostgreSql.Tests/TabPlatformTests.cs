using System.Collections.Concurrent;
using DataSync.Coordination;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Xunit;

namespace DataSync.PostgreSql.Tests;

/// <summary>Processes as tabs: who is there, who leads, what they tell each other.</summary>
[Collection(PostgresCollection.Name)]
public sealed class TabPlatformTests(PostgresCluster cluster) : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly string _scope = $"tabs-{Guid.NewGuid():N}.db";
    private readonly List<Tab> _tabs = [];

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var tab in _tabs) await tab.DisposeAsync();
        await cluster.ExecuteAsync("DELETE FROM datasync.leases WHERE name = $1", _scope);
    }

    [Fact]
    public async Task The_lease_is_written_only_over_what_was_expected()
    {
        var (a, b) = (await OpenAsync(), await OpenAsync());
        Assert.Null(await a.Platform.ReadLeaseAsync(default));
        Assert.Equal("1", await a.Platform.CompareAndSetLeaseAsync(null, "1", null, default));
        Assert.Equal("1", await b.Platform.CompareAndSetLeaseAsync(null, "2", null, default));
        Assert.Equal("1", await b.Platform.CompareAndSetLeaseAsync("0", "2", null, default));
        Assert.Equal("2", await b.Platform.CompareAndSetLeaseAsync("1", "2", null, default));
        Assert.Equal("2", await a.Platform.ReadLeaseAsync(default));
        await a.WaitForAsync(signal => signal.Kind == TabSignalKind.LeaseChanged);
        var claims = await Task.WhenAll(Enumerable.Range(0, 10).Select(async i => await (i % 2 == 0 ? a : b).Platform.CompareAndSetLeaseAsync("2", $"claim {i}", null, default)));
        Assert.Single(claims.Distinct());
    }

    [Fact]
    public async Task Tabs_see_each_other_until_one_leaves()
    {
        var (a, b) = (await OpenAsync(), await OpenAsync());
        Assert.Equal([a.Id, b.Id], (await a.Platform.QueryTabsAsync(default)).Order());
        var exit = a.Platform.WaitForTabExitAsync(b.Id, default).AsTask();
        await b.Platform.CompareAndSetLeaseAsync(null, "held", "released", default);
        Assert.False(exit.IsCompleted);
        await b.DisposeAsync();
        await exit.WaitAsync(Patience);
        Assert.Equal([a.Id], await a.Platform.QueryTabsAsync(default));
        Assert.Equal("released", await a.Platform.ReadLeaseAsync(default));
        Assert.Equal("farewell", (await a.WaitForAsync(signal => signal.Kind == TabSignalKind.Message)).Data);
        await a.Platform.WaitForTabExitAsync(b.Id, default).AsTask().WaitAsync(Patience);
    }

    [Fact]
    public async Task A_crash_is_noticed_by_the_end_of_its_session_at_once_and_the_lease_stays_as_it_was()
    {
        var (a, b) = (await OpenAsync(), await OpenAsync(staleAfter: TimeSpan.FromMinutes(10)));
        await b.Platform.CompareAndSetLeaseAsync(null, "held", "released", default);
        var exit = a.Platform.WaitForTabExitAsync(b.Id, default).AsTask();
        await a.WaitForAsync(signal => signal.Kind == TabSignalKind.Tick);
        b.Proxy.Stall(); // a process that is gone does not come back
        await cluster.EndSessionsAsync(b.Application);
        await exit.WaitAsync(Patience);
        Assert.Equal([a.Id], await a.Platform.QueryTabsAsync(default));
        Assert.Equal("held", await a.Platform.ReadLeaseAsync(default));
    }

    [Fact]
    public async Task A_tab_whose_session_is_lost_is_suspended_and_comes_back_by_itself()
    {
        var (a, b) = (await OpenAsync(), await OpenAsync());
        await cluster.EndSessionsAsync(b.Application);
        await b.WaitForAsync(signal => signal.Kind == TabSignalKind.Suspended);
        await b.WaitForAsync(signal => signal.Kind == TabSignalKind.Resumed);
        Assert.Equal([a.Id, b.Id], (await a.Platform.QueryTabsAsync(default)).Order());
        await b.Platform.PostAsync("hello", default);
        Assert.Equal("hello", (await a.WaitForAsync(signal => signal.Kind == TabSignalKind.Message)).Data);
    }

    [Fact]
    public async Task A_tab_whose_network_is_silent_does_not_count_until_it_is_heard_again()
    {
        var (a, b) = (await OpenAsync(), await OpenAsync(staleAfter: TimeSpan.FromSeconds(1)));
        b.Proxy.Stall();
        await a.Platform.WaitForTabExitAsync(b.Id, default).AsTask().WaitAsync(Patience);
        Assert.Equal([a.Id], await a.Platform.QueryTabsAsync(default));
        await b.WaitForAsync(signal => signal.Kind == TabSignalKind.Suspended); // its heartbeat did not get through
        b.Proxy.Resume();
        await b.WaitForAsync(signal => signal.Kind == TabSignalKind.Resumed);
        Assert.Equal([a.Id, b.Id], (await a.Platform.QueryTabsAsync(default)).Order());
    }

    [Fact]
    public async Task A_former_session_of_the_tab_that_the_server_still_holds_is_ended()
    {
        var tab = new Tab(cluster, _scope, TimeSpan.FromSeconds(5));
        _tabs.Add(tab);
        await using var former = new NpgsqlConnection(cluster.ConnectionString);
        await former.OpenAsync();
        await using var command = new NpgsqlCommand("SELECT pg_advisory_lock($1)", former) { Parameters = { new() { Value = AdvisoryKey.Of("datasync", _scope, tab.Id.Value) } } };
        await command.ExecuteNonQueryAsync();
        await tab.OpenAsync().AsTask().WaitAsync(Patience);
        Assert.Equal([tab.Id], await tab.Platform.QueryTabsAsync(default));
    }

    [Fact]
    public async Task Tabs_of_another_scope_are_not_seen_nor_heard()
    {
        var (a, b) = (await OpenAsync(), await OpenAsync(scope: _scope + "2"));
        await b.Platform.PostAsync("not for a", default);
        await b.Platform.CompareAndSetLeaseAsync(null, "not a's", null, default);
        Assert.Null(await a.Platform.ReadLeaseAsync(default));
        Assert.Equal([a.Id], await a.Platform.QueryTabsAsync(default));
        await OpenAsync().ContinueWith(async opened => await (await opened).Platform.PostAsync("for a", default), TaskScheduler.Default).Unwrap();
        Assert.Equal("for a", (await a.WaitForAsync(signal => signal.Kind == TabSignalKind.Message)).Data);
        await cluster.ExecuteAsync("DELETE FROM datasync.leases WHERE name = $1", _scope + "2");
    }

    [Fact]
    public async Task A_platform_whose_server_is_not_there_says_so_and_can_be_opened_later()
    {
        var tab = new Tab(cluster, _scope, TimeSpan.FromSeconds(5));
        _tabs.Add(tab);
        tab.Proxy.Stall();
        tab.Proxy.Cut();
        var error = await Assert.ThrowsAsync<CoordinationException>(async () => await tab.OpenAsync());
        Assert.Contains("cannot be reached", error.Message, StringComparison.Ordinal);
        tab.Proxy.Resume();
        await tab.OpenAsync();
        Assert.Equal([tab.Id], await tab.Platform.QueryTabsAsync(default));
    }

    private async Task<Tab> OpenAsync(string? scope = null, TimeSpan? staleAfter = null)
    {
        var tab = new Tab(cluster, scope ?? _scope, staleAfter ?? TimeSpan.FromSeconds(5));
        _tabs.Add(tab);
        await tab.OpenAsync();
        return tab;
    }

    /// <summary>A platform with a pool of its own, over a proxy of its own: as a process.</summary>
    private sealed class Tab : IAsyncDisposable
    {
        private readonly PostgresSource _source;
        private readonly TabSession _session;
        private readonly ConcurrentQueue<TabSignal> _signals = new();
        private readonly SemaphoreSlim _arrived = new(0);

        public Tab(PostgresCluster cluster, string scope, TimeSpan staleAfter)
        {
            Proxy = new(cluster.Port);
            var connection = new NpgsqlConnectionStringBuilder(PostgresCluster.Connect(Proxy.Port)) { ApplicationName = Application, Timeout = 2, CancellationTimeout = -1 };
            _source = new(NpgsqlDataSource.Create(connection), isOwned: true, new(), TimeProvider.System, NullLogger.Instance);
            Platform = new(_source, new PostgresLink(_source, scope));
            _session = new(scope, Id, TimeSpan.FromMilliseconds(100), staleAfter, "farewell", signal =>
            {
                _signals.Enqueue(signal);
                _arrived.Release();
            });
        }

        public TabId Id { get; } = TabId.New(TimeProvider.System);

        public string Application { get; } = $"tab {Guid.NewGuid():N}";

        public PostgresProxy Proxy { get; }

        public PostgresTabPlatform Platform { get; }

        public ValueTask OpenAsync() => Platform.OpenAsync(_session, default);

        public async Task<TabSignal> WaitForAsync(Func<TabSignal, bool> isIt)
        {
            while (true)
            {
                Assert.True(await _arrived.WaitAsync(Patience), "The signal does not come.");
                if (_signals.TryDequeue(out var signal) && isIt(signal)) return signal;
            }
        }

        public async ValueTask DisposeAsync()
        {
            await Platform.DisposeAsync();
            await _source.DisposeAsync();
            await Proxy.DisposeAsync();
        }
    }
}
