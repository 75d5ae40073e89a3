using System.Diagnostics;
using System.Globalization;
using DataSync.PostgreSql.Tests;

namespace DataSync.Bench;

/// <summary>
/// W16: several processes on one database in PostgreSQL, beside what PostgreSQL itself does with as many connections; and clients of a server that read along while one of them writes; then
/// a server's clients in browsers (<see cref="ClusterBrowsers"/>). All on one machine.
/// </summary>
internal sealed class ClusterBench(BenchOptions options, Measurements results, Action<string> tell)
{
    public const string Id = "w16";
    public const string DataSync = "cluster-datasync";
    public const string Npgsql = "cluster-npgsql";

    private const string Unit = "writes/s";

    private static readonly int[] Processes = [1, 4, 16], Followers = [0, 50, 200];

    public static IReadOnlyList<Library> Stores { get; } =
    [
        new(DataSync, "DataSync over PostgreSQL", "PostgreSQL's commit, synchronous_commit=on", []),
        new(Npgsql, "PostgreSQL itself, an INSERT on a connection of its own", "the same", []),
        new(ClusterBrowsers.WebSocket, "A bare WebSocket to the same server", "nothing: a message there and back", []),
    ];

    public static IReadOnlyList<Metric> Metrics { get; } =
    [
        .. Processes.Select(count => new Metric($"w16.rate.{count}", Id, $"W16: writes a second of {Number(count, "process", "processes")}, each one after the other", Unit, Npgsql)),
        .. Processes.Select(count => new Metric($"w16.write.{count}", Id, $"W16: one of these writes, {Number(count, "process", "processes")}", Limit: Npgsql)),
        .. Followers.Select(count => new Metric($"w16.client.{count}", Id, $"W16: one write of a server's client, {count} others reading along", IsForAll: false)),
        .. Followers.Skip(1).Select(count => new Metric($"w16.lag.{count}", Id, $"W16: from there until all {count} show it", IsForAll: false)),
        .. ClusterBrowsers.Metrics,
    ];

    /// <summary>Of the browsers; empty where there were none.</summary>
    public string BrowserVersion { get; private set; } = "";

    private TimeSpan Time => TimeSpan.FromSeconds(options.IsQuick ? 1 : 5);

    public async Task RunAsync()
    {
        PostgresCluster cluster;
        try
        {
            cluster = new PostgresCluster();
        }
        catch (InvalidOperationException error)
        {
            foreach (var store in Stores) results.Fail(store.Id, Id, error.Message);
            tell($"W16: {error.Message}");
            return;
        }

        await cluster.InitializeAsync();
        try
        {
            await using var browsers = await ClusterBrowsers.StartAsync(options, results, tell);
            await cluster.ExecuteAsync("CREATE TABLE plain(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, writer text NOT NULL, number bigint NOT NULL)");
            for (var round = 1; round <= options.Rounds; round++)
            {
                foreach (var count in Processes)
                {
                    var name = $"round{round}-{count}.db";
                    await WriteAsync(DataSync, count, () => ClusterWorker.StartAsync("writer", cluster.ConnectionString, name));
                    await WriteAsync(Npgsql, count, () => ClusterWorker.StartAsync("npgsql", cluster.ConnectionString));
                }

                foreach (var count in Followers) await ServeAsync(cluster.ConnectionString, $"served{round}-{count}.db", count);
                if (browsers is not null)
                {
                    await browsers.RunAsync(cluster.ConnectionString, round);
                    BrowserVersion = browsers.Version;
                }

                tell($"round {round} of {options.Rounds}: W16");
            }
        }
        finally
        {
            await cluster.DisposeAsync();
        }
    }

    private async Task WriteAsync(string store, int count, Func<Task<ClusterWorker>> start)
    {
        var workers = new List<ClusterWorker>();
        try
        {
            while (workers.Count < count) workers.Add(await start());
            var begin = Stopwatch.GetTimestamp();
            var times = await Task.WhenAll(workers.Select(worker => worker.WriteForAsync(Time)));
            var seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
            results.Add(store, $"w16.rate.{count}", times.Sum(ms => ms.Length) / seconds);
            results.Add(store, $"w16.write.{count}", [.. times.SelectMany(ms => ms)]);
        }
        finally
        {
            workers.ForEach(worker => worker.Dispose());
        }
    }

    private async Task ServeAsync(string connection, string name, int count)
    {
        var (server, url) = await ClusterServer.StartAsync(connection);
        using var ending = server;
        var address = ClusterServer.DatabasesOf(url);
        using var writer = await ClusterWorker.StartAsync("writer", address, name);
        using var followers = count == 0 ? null : await ClusterWorker.StartAsync("followers", address, name, count.ToString(CultureInfo.InvariantCulture));
        results.Add(DataSync, $"w16.client.{count}", await writer.WriteForAsync(Time));
        for (var i = 0; followers is not null && i < options.Samples; i++)
        {
            var all = followers.AskAsync((await writer.MarkerAsync() + 1).ToString(CultureInfo.InvariantCulture));
            await writer.WriteForAsync(TimeSpan.Zero);
            var begin = Stopwatch.GetTimestamp();
            await all;
            results.Add(DataSync, $"w16.lag.{count}", Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
        }
    }

    private static string Number(int count, string one, string many) => count == 1 ? $"one {one}" : $"{count} {many}";
}
