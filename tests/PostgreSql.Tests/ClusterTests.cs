using System.Globalization;
using System.Text.Json;
using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Npgsql;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.PostgreSql.Tests;

/// <summary>Several that have one database open, and what happens to them: nothing that was acknowledged is lost, nothing is doubled, and writes go on.</summary>
[Collection(PostgresCollection.Name)]
public sealed class ClusterTests(PostgresCluster cluster, ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _database = $"cluster-{Guid.NewGuid():N}.db";

    [Fact]
    public async Task Three_factories_write_while_one_is_disposed_and_one_loses_its_connections()
    {
        var tabs = new List<LocalWriter>();
        foreach (var name in new[] { "a", "b", "c" })
        {
            var connection = new NpgsqlConnectionStringBuilder(cluster.ConnectionString) { ApplicationName = _database + name }.ConnectionString;
            var factory = Sqlite.NewFactory(connection);
            var database = await factory.OpenAsync(_database);
            await database.ExecuteAsync(WriterProcess.Table);
            tabs.Add(new(name, factory, database));
        }

        await Task.WhenAll(tabs.Select(tab => tab.WriteAsync(20)));
        var leader = tabs.Single(tab => tab.Database.Coordinator.Role == TabRole.Leader);
        Assert.Equal(3, (await cluster.QueryAsync<long>($"SELECT count(DISTINCT application_name) FROM pg_stat_activity WHERE application_name LIKE '{_database}%'")));

        // The leader's sessions end, all of them, in the middle of what it does: another one leads, and it comes back.
        var writing = tabs.Select(tab => tab.WriteAsync(25)).ToList();
        Assert.True(await cluster.EndSessionsAsync(_database + leader.Name) > 0);
        await Task.WhenAll(writing);

        // The one that leads now leaves.
        leader = tabs.Single(tab => tab.Database.Coordinator.Role == TabRole.Leader);
        writing = [.. tabs.Where(tab => tab != leader).Select(tab => tab.WriteAsync(25))];
        await leader.Factory.DisposeAsync();
        await Task.WhenAll(writing);

        var last = tabs.First(tab => tab != leader);
        await AssertHistoryAsync(last.Database, tabs.SelectMany(tab => tab.Writes));
        foreach (var tab in tabs) await tab.Factory.DisposeAsync();
        await using var eraser = Sqlite.NewFactory(cluster.ConnectionString);
        await eraser.DeleteAsync(_database);
        Assert.Equal(0, await cluster.QueryAsync<long>("SELECT count(*) FROM datasync.tabs WHERE name = $1", _database)); // who leaves says so
    }

    [Fact]
    public async Task Three_processes_write_while_the_leader_is_killed_and_the_server_crashes()
    {
        await using var factory = Sqlite.NewFactory(cluster.ConnectionString);
        await using (var first = await factory.OpenAsync(_database)) await first.ExecuteAsync(WriterProcess.Table);
        var processes = new List<WriterProcess>();
        try
        {
            foreach (var name in new[] { "a", "b", "c" }) processes.Add(WriterProcess.Start(cluster, _database, name));
            await Task.WhenAll(processes.Select(process => process.WriteAsync(10)));
            var alive = processes.ToList();

            var killed = await FindLeaderAsync(alive);
            var began = TimeProvider.System.GetTimestamp();
            await killed.KillAsync();
            alive.Remove(killed);
            await Task.WhenAll(alive.Select(process => process.WriteAsync(1)));
            output.WriteLine($"After the leader was killed both others had written again within {TimeProvider.System.GetElapsedTime(began).TotalMilliseconds:0} ms.");
            await Task.WhenAll(alive.Select(process => process.WriteAsync(10)));

            processes.Add(WriterProcess.Start(cluster, _database, "d"));
            alive.Add(processes[^1]);
            await processes[^1].WriteAsync(5);
            await cluster.StopAsync();
            began = TimeProvider.System.GetTimestamp();
            await cluster.StartAsync();
            await Task.WhenAll(alive.Select(process => process.WriteAsync(10)));
            output.WriteLine($"After the server was started again all three had written 10 rows within {TimeProvider.System.GetElapsedTime(began).TotalMilliseconds:0} ms.");
            foreach (var process in alive) await process.StopAsync(Patience);

            await AssertHistoryAsync(await factory.OpenAsync(_database), processes.SelectMany(process => process.Writes));
            foreach (var complaint in processes.SelectMany(process => process.Complaints)) output.WriteLine(complaint);
        }
        finally
        {
            foreach (var process in processes) process.Dispose();
            await factory.DeleteAsync(_database);
        }
    }

    /// <summary>
    /// Four processes, each behind a network of its own, and for as many minutes as are asked for one thing after the other that goes wrong.
    /// </summary>
    [ChaosFact]
    public async Task Chaos_loses_and_doubles_nothing()
    {
        var random = new Random(ChaosFactAttribute.Seed);
        var counts = new SortedDictionary<string, int>();
        await using var factory = Sqlite.NewFactory(cluster.ConnectionString);
        await using (var first = await factory.OpenAsync(_database)) await first.ExecuteAsync(WriterProcess.Table);
        var (processes, alive, began, names) = (new List<WriterProcess>(), new List<WriterProcess>(), TimeProvider.System.GetTimestamp(), 0);
        try
        {
            for (var i = 0; i < 4; i++) Start();
            await Task.WhenAll(alive.Select(process => process.WriteAsync(5)));
            while (TimeProvider.System.GetElapsedTime(began) < ChaosFactAttribute.Duration)
            {
                var victim = random.Next(2) == 0 ? await FindLeaderAsync(alive) : alive[random.Next(alive.Count)];
                await HappenAsync(victim, random.Next(7), TimeSpan.FromMilliseconds(random.Next(500, 9_000)));

                // After each of them writes go on in every process (L1).
                await Task.WhenAll(alive.Select(process => process.WriteAsync(3)));
            }

            foreach (var process in alive) await process.StopAsync(Patience);
            output.WriteLine(string.Join(", ", counts.Select(count => $"{count.Key} {count.Value}")));
            await AssertHistoryAsync(await factory.OpenAsync(_database), processes.SelectMany(process => process.Writes));
        }
        finally
        {
            output.WriteLine(string.Join("\n", processes.SelectMany(process => process.Complaints.Select(complaint => $"{process.Name} {complaint}"))));
            foreach (var process in processes) process.Dispose();
            await factory.DeleteAsync(_database);
        }

        void Start()
        {
            processes.Add(WriterProcess.Start(cluster, _database, $"p{++names}", hasProxy: true));
            alive.Add(processes[^1]);
        }

        async Task HappenAsync(WriterProcess victim, int what, TimeSpan time)
        {
            var name = new[] { "killed", "stopped", "server crashed", "cut", "cut at a message", "slow", "silent" }[what];
            counts[name] = counts.GetValueOrDefault(name) + 1;
            switch (what)
            {
                case 0:
                    await victim.KillAsync();
                    alive.Remove(victim);
                    Start();
                    break;
                case 1:
                    victim.Signal("STOP");
                    await Task.Delay(time);
                    victim.Signal("CONT");
                    break;
                case 2:
                    await cluster.StopAsync();
                    await Task.Delay(time / 3);
                    await cluster.StartAsync();
                    cluster.Admin.Clear();
                    break;
                case 3:
                    victim.Proxy!.Cut();
                    break;
                case 4:
                    victim.Proxy!.Set(new(random.Next(2) == 0, random.Next(1, 60), random.Next(2) == 0 ? TrapKind.Cut : TrapKind.Halve));
                    await Task.Delay(time / 5);
                    victim.Proxy.Disarm();
                    break;
                case 5:
                    victim.Proxy!.Lag = TimeSpan.FromMilliseconds(random.Next(10, 500)); // each way, each message
                    await Task.Delay(time);
                    victim.Proxy.Lag = default;
                    break;
                default:
                    victim.Proxy!.Stall();
                    await Task.Delay(time);
                    victim.Proxy.Resume();
                    break;
            }
        }
    }

    private async Task<WriterProcess> FindLeaderAsync(List<WriterProcess> processes)
    {
        while (true)
        {
            await Task.Yield();
            var lease = await cluster.QueryAsync<string>("SELECT record FROM datasync.leases WHERE name = $1", _database);
            using var json = JsonDocument.Parse(lease);
            if (json.RootElement.TryGetProperty("holder", out var holder) && processes.Find(process => process.Tab.Value == holder.GetString()) is { } leader) return leader;
        }
    }

    private async Task AssertHistoryAsync(DataSyncDatabase database, IEnumerable<HistoryWrite> writes)
    {
        var history = (await database.QueryAsync<Entry>("SELECT writer, number FROM entry ORDER BY id")).Select(entry => (entry.Writer, entry.Number)).ToList();
        var all = writes.ToList();
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{history.Count} rows; acknowledged {all.Count(w => w.Outcome == WriteOutcome.Acknowledged)}, unknown {all.Count(w => w.Outcome == WriteOutcome.Unknown)}, refused {all.Count(w => w.Outcome == WriteOutcome.Refused)}"));
        Assert.Null(HistoryChecker.FindViolation(all, history));
        Assert.False((await database.VerifyAsync()).IsCorrupt);
    }

    private sealed record Entry(string Writer, long Number);

    /// <summary>A factory of this process with one writer.</summary>
    private sealed class LocalWriter(string name, DataSyncFactory factory, DataSyncDatabase database)
    {
        private long _number;

        public string Name => name;

        public DataSyncFactory Factory => factory;

        public DataSyncDatabase Database => database;

        public List<HistoryWrite> Writes { get; } = [];

        public async Task WriteAsync(int count)
        {
            for (; count > 0; count--)
            {
                var (number, began) = (++_number, Now);
                try
                {
                    await database.ExecuteAsync("INSERT INTO entry(writer, number) VALUES ($writer, $number)", new { writer = name, number });
                    Writes.Add(new(name, number, began, Now, WriteOutcome.Acknowledged));
                }
                catch (StorageException error)
                {
                    Writes.Add(new(name, number, began, null, error.IsTransient ? WriteOutcome.Refused : WriteOutcome.Unknown));
                    throw;
                }
            }
        }

        private static double Now => TimeProvider.System.GetTimestamp() * 1000.0 / TimeProvider.System.TimestampFrequency;
    }
}

/// <summary>Skipped, and reported so, unless <c>DATASYNC_POSTGRES_CHAOS</c> says how many minutes it may take; <c>DATASYNC_POSTGRES_SEED</c> repeats one.</summary>
public sealed class ChaosFactAttribute : FactAttribute
{
    private const string Variable = "DATASYNC_POSTGRES_CHAOS";

    public ChaosFactAttribute()
    {
        if (Duration == default) Skip = $"It takes as many minutes as {Variable} says.";
    }

    public static TimeSpan Duration =>
        double.TryParse(Environment.GetEnvironmentVariable(Variable), CultureInfo.InvariantCulture, out var minutes) ? TimeSpan.FromMinutes(minutes) : default;

    public static int Seed => int.TryParse(Environment.GetEnvironmentVariable("DATASYNC_POSTGRES_SEED"), CultureInfo.InvariantCulture, out var seed) ? seed : 1;
}
