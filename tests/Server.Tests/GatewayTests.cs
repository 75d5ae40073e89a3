using System.Collections.Concurrent;
using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Server.Tests;

/// <summary>The tabs of a browser have one connection with the server: that of one of them.</summary>
public sealed class GatewayTests
{
    private const string Table = "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, writer TEXT NOT NULL, number INTEGER NOT NULL)";
    private const string Insert = "INSERT INTO entry (writer, number) VALUES (?, ?)";

    [Fact]
    public async Task Four_tabs_write_and_read_over_one_connection()
    {
        await using var server = await TestServer.StartAsync();
        await using var browser = new TestBrowser();
        for (var i = 0; i < 4; i++) await browser.OpenAsync(server.Port);
        Assert.Equal(1, server.Connections);
        foreach (var tab in browser.Tabs) await tab.Database.ExecuteAsync(Table); // each knows of it then
        await Task.WhenAll(browser.Tabs.Select(async (tab, who) =>
        {
            for (var i = 0; i < 20; i++) await tab.Database.ExecuteAsync(Insert, new object[] { who, i });
        }));
        await browser.Tabs[2].Database.WriteAsync(connection => connection.ExecuteText("INSERT INTO entry (writer, number) VALUES ('pages', 1)"));
        foreach (var tab in browser.Tabs) await SeeAsync(tab.Database, 81);
        Assert.Equal((1, 1), (server.Connections, server.AllConnections));
        Assert.All(browser.Tabs, tab => Assert.Equal(TabRole.Follower, tab.Database.Coordinator.Role));
    }

    [Fact]
    public async Task What_is_large_goes_over_another_tab_too()
    {
        await using var server = await TestServer.StartAsync();
        await using var browser = new TestBrowser();
        await browser.OpenAsync(server.Port);
        var (a, b) = ((await browser.OpenAsync(server.Port)).Database, (await browser.OpenAsync(server.Port)).Database);
        await a.ExecuteAsync("CREATE TABLE large (bytes BLOB)");
        await Task.WhenAll(a.ExecuteAsync("INSERT INTO large VALUES (randomblob(20000000))"), b.ExecuteAsync("INSERT INTO large VALUES (randomblob(20000000))"));
        var later = await Task.WhenAll(browser.OpenAsync(server.Port), browser.OpenAsync(server.Port));
        foreach (var tab in later) Assert.Equal(40_000_000, (await tab.Database.QueryAsync<long>("SELECT sum(length(bytes)) FROM large")).Single());
        Assert.Equal((1, 1), (server.Connections, server.AllConnections));
    }

    [Theory]
    [InlineData("close")]
    [InlineData("cut")]
    [InlineData("restart")]
    public async Task Nothing_is_lost_or_doubled_when_the_gateway(string what)
    {
        await using var server = await TestServer.StartAsync();
        await using var proxy = new CutProxy(() => server.Port);
        await using var browser = new TestBrowser();
        for (var i = 0; i < 4; i++) await browser.OpenAsync(proxy.Port);
        foreach (var tab in browser.Tabs) await tab.Database.ExecuteAsync(Table);
        var acknowledged = new ConcurrentBag<(string, long)>();
        var stop = false;
        var writers = browser.Tabs.Select((tab, who) => Task.Run(async () =>
        {
            for (var number = 0L; !Volatile.Read(ref stop); number++)
            {
                try
                {
                    await tab.Database.ExecuteAsync(Insert, new object[] { $"w{who}", number });
                    acknowledged.Add(($"w{who}", number));
                }
                catch (ObjectDisposedException)
                {
                    return; // its tab was closed
                }
                catch (StorageException) when (what == "close" && who == 0)
                {
                    return;
                }
            }
        })).ToList();
        await ReachAsync(acknowledged, 40);
        if (what == "close") await browser.Tabs[0].Factory.DisposeAsync();
        else if (what == "cut") proxy.Cut();
        else await server.RestartAsync();
        await ReachAsync(acknowledged, acknowledged.Count + 60);
        Volatile.Write(ref stop, true);
        await Task.WhenAll(writers).WaitAsync(TestServer.Patience);
        var here = await server.OpenHereAsync();
        var rows = (await here.QueryAsync<Entry>("SELECT writer, number FROM entry ORDER BY id")).Select(entry => (entry.Writer, entry.Number)).ToList();
        Assert.Equal(rows.Count, rows.Distinct().Count());
        Assert.Empty(acknowledged.Except(rows));
        foreach (var writer in rows.GroupBy(row => row.Writer)) Assert.Equal(writer.Select(row => row.Number).Order(), writer.Select(row => row.Number));
        foreach (var tab in browser.Tabs.Skip(what == "close" ? 1 : 0)) await SeeAsync(tab.Database, rows.Count);
        Assert.Equal(1, server.Connections);
    }

    [Fact]
    public async Task A_gateway_that_does_not_answer_is_gone_round()
    {
        await using var server = await TestServer.StartAsync();
        await using var browser = new TestBrowser();
        var first = await browser.OpenAsync(server.Port);
        var scope = first.Scope;
        await first.Factory.DisposeAsync();
        await using var silent = new TabCoordinator(browser.NewPlatform(), new() { Scope = scope });
        await silent.JoinAsync();
        await silent.WaitForLeadershipAsync();
        var tab = await browser.OpenAsync(server.Port).WaitAsync(TestServer.Patience);
        await tab.Database.ExecuteAsync(Table).WaitAsync(TestServer.Patience);
        Assert.Equal(1, server.Connections);
    }

    [Fact]
    public async Task A_write_turn_of_a_tab_that_crashed_goes_to_the_next()
    {
        await using var server = await TestServer.StartAsync();
        await using var browser = new TestBrowser();
        for (var i = 0; i < 3; i++) await browser.OpenAsync(server.Port);
        await browser.Tabs[0].Database.ExecuteAsync(Table);
        var (hasTurn, goOn) = (new TaskCompletionSource(), new TaskCompletionSource());
        var held = browser.Tabs[1].Database.WriteAsync(async connection =>
        {
            connection.ExecuteText("INSERT INTO entry (writer, number) VALUES ('crashed', 1)");
            hasTurn.TrySetResult();
            await goOn.Task;
        });
        await hasTurn.Task;
        browser.Tabs[1].Platform.Crash();
        await browser.Tabs[2].Database.WriteAsync(_ => Task.CompletedTask).WaitAsync(TestServer.Patience);
        goOn.SetResult();
        await held.ContinueWith(_ => { }).WaitAsync(TestServer.Patience); // it has no tab any more, or is run again: either is fine
    }

    [Fact]
    public async Task More_tabs_than_a_connection_takes_have_a_second_one()
    {
        await using var server = await TestServer.StartAsync();
        await using var browser = new TestBrowser();
        for (var i = 0; i < 17; i++) await browser.OpenAsync(server.Port);
        Assert.Equal(2, server.Connections);
        await browser.Tabs[16].Database.ExecuteAsync(Table);
        await browser.Tabs[7].Database.ExecuteAsync(Table);
        await browser.Tabs[7].Database.ExecuteAsync(Insert, new object[] { "w7", 1 });
        foreach (var tab in browser.Tabs) await SeeAsync(tab.Database, 1);
    }

    [Fact]
    public async Task Tabs_of_two_users_share_nothing()
    {
        await using var server = await TestServer.StartAsync();
        await using var browser = new TestBrowser();
        await browser.OpenAsync(server.Port, o => o.UserKey = () => "anna");
        await browser.OpenAsync(server.Port, o => o.UserKey = () => "ben");
        await browser.OpenAsync(server.Port, o => o.UserKey = () => "anna");
        Assert.Equal(2, server.Connections);
        Assert.Equal(2, browser.Tabs.Select(tab => tab.Scope).Distinct().Count());
    }

    [Fact]
    public async Task Without_a_server_no_tab_opens_and_each_says_so()
    {
        int port;
        await using (var server = await TestServer.StartAsync()) port = server.Port;
        await using var browser = new TestBrowser();
        for (var i = 0; i < 3; i++) await Assert.ThrowsAsync<StorageUnavailableException>(() => browser.OpenAsync(port).WaitAsync(TestServer.Patience));
    }

    [Fact]
    public async Task What_the_user_may_not_do_every_tab_is_told()
    {
        await using var server = await TestServer.StartAsync(o => o.Authorize = (_, _) => new(DatabaseAccess.Read));
        await using var browser = new TestBrowser();
        for (var i = 0; i < 2; i++) await browser.OpenAsync(server.Port);
        foreach (var tab in browser.Tabs) await Assert.ThrowsAsync<AccessDeniedException>(() => tab.Database.ExecuteAsync(Table).WaitAsync(TestServer.Patience));
        Assert.Equal(1, server.Connections);
    }

    [Fact]
    public async Task Garbage_from_another_page_of_the_origin_does_nothing()
    {
        await using var server = await TestServer.StartAsync();
        await using var browser = new TestBrowser();
        for (var i = 0; i < 2; i++) await browser.OpenAsync(server.Port);
        await using var channel = browser.NewChannel(browser.Tabs[0].Scope);
        var stranger = TabId.New(TimeProvider.System);
        await channel.OpenAsync(stranger, CancellationToken.None);
        var random = new Random(1);
        for (var i = 0; i < 2_000; i++)
        {
            var bytes = new byte[random.Next(120)];
            random.NextBytes(bytes);
            if (i % 2 == 0) bytes = new TabLetter((TabLetterKind)random.Next(1, 5), stranger, default, (uint)random.Next(3), bytes).Encode();
            channel.Post(bytes, default);
        }

        await browser.Tabs[1].Database.ExecuteAsync(Table);
        await browser.Tabs[0].Database.ExecuteAsync(Insert, new object[] { "a", 1 });
        await SeeAsync(browser.Tabs[1].Database, 1);
        Assert.Equal((1, 1), (server.Connections, server.AllConnections));
    }

    [Fact]
    public void Letters_are_read_as_they_were_written()
    {
        var (from, to) = (TabId.New(TimeProvider.System), TabId.New(TimeProvider.System));
        var letter = TabLetter.TryParse(new TabLetter(TabLetterKind.Frame, from, to, 7, new byte[] { 1, 2, 3 }).Encode())!.Value;
        Assert.Equal((TabLetterKind.Frame, from, to, 7u), (letter.Kind, letter.Sender, letter.To, letter.Line));
        Assert.Equal([1, 2, 3], letter.Body.ToArray());
        Assert.Null(TabLetter.TryParse([]));
        Assert.Null(TabLetter.TryParse(new byte[44]));
    }

    private static async Task ReachAsync(ConcurrentBag<(string, long)> acknowledged, int count)
    {
        for (var start = TimeProvider.System.GetTimestamp(); acknowledged.Count < count;)
        {
            if (TimeProvider.System.GetElapsedTime(start) > TestServer.Patience) throw new TimeoutException($"Only {acknowledged.Count} of {count} writes were acknowledged.");
            await Task.Delay(20);
        }
    }

    private static async Task SeeAsync(DataSyncDatabase database, int rows)
    {
        await using var live = await database.LiveAsync<long>("SELECT count(*) FROM entry");
        using var limit = new CancellationTokenSource(TestServer.Patience);
        await foreach (var result in live.WithCancellation(limit.Token)) if (result.Single() == rows) return;
    }

    private sealed record Entry(string Writer, long Number);
}
