using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Server.Tests;

/// <summary>Clients of one server, and the server itself, have the same database.</summary>
public sealed class SharingTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private const string Table = Entries.Table;

    [Fact]
    public async Task Two_clients_and_the_server_see_each_others_rows()
    {
        await using var server = await TestServer.StartAsync();
        var a = await server.OpenAsync();
        var b = await server.OpenAsync();
        var here = await server.OpenHereAsync();
        await a.ExecuteAsync(Table);
        DataSyncDatabase[] all = [a, b, here];
        for (var i = 0; i < 3; i++) await all[i].ExecuteAsync("INSERT INTO entry (writer, number) VALUES (?, ?)", new object[] { "abc"[i].ToString(), i });
        foreach (var one in all) await Entries.SeeAsync(one, 3);
        Assert.Equal(TabRole.Leader, here.Coordinator.Role);
        Assert.All([a, b], client => Assert.Equal((TabRole.Follower, here.Coordinator.Id), (client.Coordinator.Role, client.Coordinator.LeaderId!.Value)));
        Assert.Equal([here.Coordinator.Id], here.Coordinator.Members);
    }

    [Fact]
    public async Task A_client_sees_what_the_server_alone_writes_and_what_was_there_before()
    {
        await using var server = await TestServer.StartAsync();
        var here = await server.OpenHereAsync();
        await here.ExecuteAsync(Table);
        await here.ExecuteAsync("CREATE TABLE large (bytes BLOB)");
        await here.ExecuteAsync("INSERT INTO large VALUES (randomblob(10000000))"); // a record and extents in several frames
        var client = await server.OpenAsync();
        Assert.Equal(await here.QueryAsync<string>("SELECT hex(substr(bytes, 5000000, 100)) FROM large"), await client.QueryAsync<string>("SELECT hex(substr(bytes, 5000000, 100)) FROM large"));
        for (var i = 1; i <= 3; i++)
        {
            var seen = Entries.WaitForAsync(client, i);
            await here.ExecuteAsync("INSERT INTO entry (writer, number) VALUES ('s', ?)", new object[] { i });
            await seen;
        }

        // And a commit that is too large for one part of a message, from the client.
        await client.ExecuteAsync("INSERT INTO large VALUES (randomblob(10000000))");
        Assert.Equal(20_000_000, (await here.QueryAsync<long>("SELECT sum(length(bytes)) FROM large")).Single());
    }

    [Fact]
    public async Task Statements_and_pages_both_travel()
    {
        await using var server = await TestServer.StartAsync();
        var here = await server.OpenHereAsync();
        var (a, b) = (await server.OpenAsync(), await server.OpenAsync());
        await a.ExecuteAsync(Table);
        await Task.WhenAll(new[] { a, b }.Select(async (client, who) =>
        {
            for (var i = 0; i < 50; i++) await client.ExecuteAsync("INSERT INTO entry (writer, number) VALUES (?, ?)", new object[] { who, i });
        }));
        await b.WriteAsync(connection => connection.ExecuteText("INSERT INTO entry (writer, number) VALUES ('pages', 1)"));
        foreach (var one in new[] { a, b, here }) await Entries.SeeAsync(one, 101);
        Assert.InRange(here.StatementRuns, 1, 100);
    }

    [Fact]
    public async Task Databases_are_apart()
    {
        await using var server = await TestServer.StartAsync();
        var client = server.NewClient();
        var (one, two) = (await client.OpenAsync("one.db"), await client.OpenAsync("two.db"));
        await one.ExecuteAsync(Table);
        await two.ExecuteAsync("CREATE TABLE other (id INTEGER)");
        Assert.Equal(["entry"], await one.QueryAsync<string>("SELECT name FROM sqlite_schema WHERE type = 'table'"));
        Assert.Equal(["other"], await two.QueryAsync<string>("SELECT name FROM sqlite_schema WHERE type = 'table'"));
    }

    [Fact]
    public async Task A_write_turn_whose_client_is_cut_off_goes_to_the_next()
    {
        await using var server = await TestServer.StartAsync();
        await using var proxy = new CutProxy(() => server.Port);
        var other = await server.OpenAsync();
        await other.ExecuteAsync(Table);
        var client = await server.OpenAsync(port: proxy.Port);
        var hasTurn = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        var held = client.WriteAsync(async connection =>
        {
            connection.ExecuteText("INSERT INTO entry (writer, number) VALUES ('cut', 1)");
            hasTurn.TrySetResult();
            await goOn.Task;
        });
        await hasTurn.Task;
        proxy.IsDown = true;
        proxy.Cut();

        // Long before the turn's deadline would tell.
        await other.WriteAsync(_ => Task.CompletedTask).WaitAsync(TestServer.Patience);
        await other.ExecuteAsync("INSERT INTO entry (writer, number) VALUES ('other', 1)").WaitAsync(TestServer.Patience);
        proxy.IsDown = false;
        goOn.SetResult();
        await held.WaitAsync(TestServer.Patience); // it is run again
        await Entries.SeeAsync(other, 2);
    }

    [Fact]
    public async Task While_it_is_cut_off_a_client_reads_and_its_writes_wait_and_give_up()
    {
        await using var server = await TestServer.StartAsync();
        await using var proxy = new CutProxy(() => server.Port);
        var client = await server.OpenAsync(port: proxy.Port, configure: o =>
        {
            o.Pipeline.TurnDeadline = TimeSpan.FromMilliseconds(500);
            o.Pipeline.ResendAfter = TimeSpan.FromMilliseconds(100);
            o.Pipeline.WriteTimeout = TimeSpan.FromSeconds(2);
        });
        await client.ExecuteAsync(Table);
        proxy.IsDown = true;
        proxy.Cut();
        Assert.Equal(0, (await client.QueryAsync<long>("SELECT count(*) FROM entry")).Single());
        await Assert.ThrowsAsync<NoLeaderException>(() => client.ExecuteAsync("INSERT INTO entry (writer, number) VALUES ('a', 1)").WaitAsync(TestServer.Patience));

        // And goes on when the network is back.
        proxy.IsDown = false;
        await client.ExecuteAsync("INSERT INTO entry (writer, number) VALUES ('a', 2)").WaitAsync(TestServer.Patience);
        var here = await server.OpenHereAsync();
        Assert.Contains(2, await here.QueryAsync<long>("SELECT number FROM entry"));
    }

    [Fact]
    public async Task Without_a_server_nothing_is_opened()
    {
        int port;
        await using (var server = await TestServer.StartAsync()) port = server.Port;
        await using var client = Remote.DataSyncRemote.CreateFactory(new Uri($"ws://127.0.0.1:{port}/datasync"));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => client.OpenAsync(TestServer.Database).WaitAsync(TestServer.Patience));
    }

    /// <summary>Whatever is cut in the middle of writes: nothing that was acknowledged is lost, and nothing is there twice.</summary>
    [Fact]
    public Task Nothing_is_lost_or_doubled_when_the_server_restarts() => WriteThroughAsync("restart");

    [Fact]
    public Task Nothing_is_lost_or_doubled_when_connections_are_cut() => WriteThroughAsync("cut");

    private async Task WriteThroughAsync(string what)
    {
        var log = new Rig.ListLogger();
        await using var server = await TestServer.StartAsync(log: log);
        await using var proxy = new CutProxy(() => server.Port);
        var clients = new List<Writer>();
        for (var i = 0; i < 3; i++) clients.Add(new($"w{i}", await server.OpenAsync(port: proxy.Port)));
        foreach (var client in clients) await client.Database.ExecuteAsync(Table); // in each: what another one made a moment ago a client need not see yet
        var stop = 0;
        var writers = clients.ConvertAll(client => client.WriteUntilAsync(() => Volatile.Read(ref stop) == 1));
        for (var round = 1; round <= (what == "cut" ? 8 : 3); round++)
        {
            var target = clients.Select(client => client.Acknowledged + 8).ToList();
            try
            {
                // What a write fails with is said at once, instead of waiting for one who has stopped.
                for (var i = 0; i < clients.Count; i++) await (await Task.WhenAny(clients[i].ReachAsync(target[i]), writers[i]).WaitAsync(TestServer.Patience));
            }
            catch (TimeoutException)
            {
                output.WriteLine(string.Join("\n", clients.Select(client => $"{client.Writes.Count} {client.Acknowledged} {client.Database.Coordinator.Id} leader {client.Database.Coordinator.LeaderId} usable {client.Database.IsUsable}")));
                output.WriteLine(string.Join("\n", log.Lines.Where(line => line.Id is not (6013)).Select(line => $"{line.Id} {line.Text}").TakeLast(60)));
                throw;
            }

            if (what == "cut") proxy.Cut();
            else await server.RestartAsync();
        }

        for (var i = 0; i < clients.Count; i++) await (await Task.WhenAny(clients[i].ReachAsync(clients[i].Acknowledged + 3), writers[i]).WaitAsync(TestServer.Patience));
        Volatile.Write(ref stop, 1);
        await Task.WhenAll(writers).WaitAsync(TestServer.Patience);
        var here = await server.OpenHereAsync();
        await Entries.AssertHistoryAsync(here, clients);
    }
}
