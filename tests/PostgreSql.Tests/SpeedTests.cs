using System.Globalization;
using DataSync.Contracts;
using DataSync.Storage;
using Npgsql;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.PostgreSql.Tests;

/// <summary>What an append and a write cost beside the least that PostgreSQL can do: figures for docs/SERVER.md, and no limits, since machines differ.</summary>
[Collection(PostgresCollection.Name)]
public sealed class SpeedTests(PostgresCluster cluster, ITestOutputHelper output) : StoreSuite
{
    private const int Rounds = 100;

    private readonly PostgresStoreSource _source = new(cluster);

    private protected override IStoreSource Source => _source;

    [Fact]
    public async Task An_append_is_one_round_trip()
    {
        var (store, fence) = await LeadAsync();
        var chain = new List<CommitRecord>();
        for (var end = Position.Start; chain.Count < Rounds; end = chain[^1].Position) chain.Add(Commit(fence, end, 0, 1));
        await using var data = NpgsqlDataSource.Create(cluster.ConnectionString);
        await using var connection = await data.OpenConnectionAsync();
        await cluster.ExecuteAsync("CREATE TABLE IF NOT EXISTS plain (id bigint PRIMARY KEY, bytes bytea)");
        await MeasureAsync("SELECT 1", async i =>
        {
            await using var command = new NpgsqlCommand("SELECT 1", connection);
            await command.ExecuteScalarAsync();
        });
        await MeasureAsync("plain INSERT of the same bytes", async i =>
        {
            await using var command = new NpgsqlCommand("INSERT INTO plain VALUES ($1, $2)", connection) { Parameters = { new() { Value = (long)i }, new() { Value = chain[i].Bytes } } };
            await command.ExecuteNonQueryAsync();
        });
        await MeasureAsync("append of two blocks", async i => await store.AppendAsync(fence, [chain[i]], None));
        await cluster.ExecuteAsync("DROP TABLE plain");
        Assert.Equal(Rounds, (await StoreContent.ReadAsync(store)).Log.Count);
    }

    [Fact]
    public async Task A_write_of_a_follower_and_of_the_leader()
    {
        await using var first = Sqlite.NewFactory(cluster.ConnectionString);
        await using var second = Sqlite.NewFactory(cluster.ConnectionString);
        var leader = await first.OpenAsync(_source.Name);
        await leader.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
        var follower = await second.OpenAsync(_source.Name);
        await MeasureAsync("write of the leader", i => leader.ExecuteAsync("INSERT INTO t(v) VALUES (1)"));
        await MeasureAsync("write of a follower", i => follower.ExecuteAsync("INSERT INTO t(v) VALUES (1)"));
        await MeasureAsync("write of both, in turn", i => (i % 2 == 0 ? follower : leader).ExecuteAsync("INSERT INTO t(v) VALUES (1)"));
        await MeasureAsync("read of a follower", i => follower.QueryAsync<long>("SELECT count(*) FROM t"));
    }

    private async Task MeasureAsync(string what, Func<int, Task> call)
    {
        var times = new List<double>();
        for (var i = 0; i < Rounds; i++)
        {
            var began = TimeProvider.System.GetTimestamp();
            await call(i);
            times.Add(TimeProvider.System.GetElapsedTime(began).TotalMilliseconds);
        }

        times.Sort();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}: {times[Rounds / 2]:0.00} ms, nine in ten below {times[Rounds * 9 / 10]:0.00} ms"));
    }
}
