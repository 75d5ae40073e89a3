using DataSync.Coordination;
using DataSync.PostgreSql.Tests;
using DataSync.Vfs;
using Microsoft.Extensions.DependencyInjection;

namespace DataSync.Server.Tests;

/// <summary>Several servers over one PostgreSQL, each with clients of its own: all of them have the same database.</summary>
[Collection(PostgresCollection.Name)]
public sealed class PostgresTests(PostgresCluster cluster)
{
    private readonly string _database = $"served-{Guid.NewGuid():N}.db";

    [Fact]
    public async Task Clients_of_two_servers_see_each_others_rows()
    {
        await using var one = await StartAsync();
        await using var two = await StartAsync();
        var here = await one.OpenHereAsync(_database);
        var (a, b) = (await one.OpenAsync(_database), await two.OpenAsync(_database));
        await a.ExecuteAsync(Entries.Table);
        await b.ExecuteAsync(Entries.Table);
        DataSyncDatabase[] all = [a, b, here];
        for (var i = 0; i < 9; i++) await all[i % 3].ExecuteAsync("INSERT INTO entry (writer, number) VALUES (?, ?)", new object[] { "abc"[i % 3].ToString(), i });
        foreach (var database in all) await Entries.SeeAsync(database, 9);

        // What is larger than a notification, in both directions.
        await a.WriteAsync(connection => connection.ExecuteText("CREATE TABLE large AS SELECT randomblob(3000000) AS bytes"));
        await b.ExecuteAsync("INSERT INTO entry (writer, number) SELECT 'b', sum(length(bytes)) FROM large").WaitAsync(TestServer.Patience);
        await Entries.SeeAsync(a, 10);
        Assert.Equal(3_000_000, (await here.QueryAsync<long>("SELECT max(number) FROM entry")).Single());
        Assert.All([a, b], client => Assert.Equal(here.Coordinator.Id, client.Coordinator.LeaderId));
    }

    /// <summary>Its sockets and its sessions end without a word, and it is not heard of again.</summary>
    [Fact]
    public async Task Nothing_is_lost_or_doubled_when_a_server_is_gone_and_its_clients_come_back_to_another()
    {
        await using var toPostgres = new PostgresProxy(cluster.Port);
        var two = await StartAsync();
        await using var endOfTwo = two;
        var one = await StartAsync(toPostgres.Port);
        var target = one;
        await using var proxy = new CutProxy(() => target.Port);
        var first = await one.OpenHereAsync(_database);
        List<Writer> writers = [new("w0", await two.OpenAsync(_database, proxy.Port)), new("w1", await two.OpenAsync(_database, proxy.Port)), new("w2", await two.OpenAsync(_database))];
        foreach (var writer in writers) await writer.Database.ExecuteAsync(Entries.Table);
        Assert.Equal(TabRole.Leader, first.Coordinator.Role);
        await WriteThroughAsync(writers, async () =>
        {
            target = two;
            await toPostgres.DisposeAsync();
            proxy.Cut();
        });
        var here = await two.OpenHereAsync(_database);
        Assert.Equal(TabRole.Leader, here.Coordinator.Role);
        await Entries.AssertHistoryAsync(here, writers);
        await one.DisposeAsync();
    }

    [Fact]
    public async Task Nothing_is_lost_or_doubled_when_PostgreSQL_ends_and_comes_back()
    {
        await using var one = await StartAsync();
        await using var two = await StartAsync();
        List<Writer> writers = [new("w0", await one.OpenAsync(_database)), new("w1", await two.OpenAsync(_database)), new("w2", await two.OpenAsync(_database))];
        foreach (var writer in writers) await writer.Database.ExecuteAsync(Entries.Table);
        for (var round = 0; round < 2; round++) await WriteThroughAsync(writers, cluster.CrashAsync);
        await Entries.AssertHistoryAsync(await one.OpenHereAsync(_database), writers);
    }

    private Task<TestServer> StartAsync(int? port = null) =>
        TestServer.StartAsync(databases: services => services.AddDataSyncPostgres(PostgresCluster.Connect(port ?? cluster.Port)));

    /// <summary>All write, before, while and after something happens.</summary>
    private static async Task WriteThroughAsync(List<Writer> writers, Func<Task> happen)
    {
        var stop = 0;
        var writing = writers.ConvertAll(writer => writer.WriteUntilAsync(() => Volatile.Read(ref stop) == 1));
        await ReachAsync();
        await happen();
        await ReachAsync();
        Volatile.Write(ref stop, 1);
        await Task.WhenAll(writing).WaitAsync(TestServer.Patience);

        async Task ReachAsync()
        {
            for (var i = 0; i < writers.Count; i++) await (await Task.WhenAny(writers[i].ReachAsync(writers[i].Acknowledged + 8), writing[i]).WaitAsync(TestServer.Patience));
        }
    }
}
