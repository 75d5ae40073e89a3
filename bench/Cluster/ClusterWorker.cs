using System.Diagnostics;
using System.Globalization;
using DataSync.PostgreSql;
using DataSync.Remote;
using DataSync.Vfs;
using Npgsql;

namespace DataSync.Bench;

/// <summary>
/// This program as one of W16's processes: it says "ready", and then does what each line of its input says, and answers with one line. It ends when the input does.
/// </summary>
internal sealed class ClusterWorker : IDisposable
{
    private const string Word = "cluster-worker";
    private const string Insert = "INSERT INTO t(writer, number) VALUES ('w', 1)";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly Process _process;

    private ClusterWorker(Process process) => _process = process;

    /// <summary>Starts one; returns when it is ready.</summary>
    /// <param name="what">server, writer, npgsql or followers.</param>
    /// <param name="arguments">Where, and the database's name; how many followers.</param>
    public static async Task<ClusterWorker> StartAsync(string what, params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet") { RedirectStandardOutput = true, RedirectStandardInput = true };
        foreach (var argument in (string[])[typeof(ClusterWorker).Assembly.Location, Word, what, .. arguments]) start.ArgumentList.Add(argument);
        var worker = new ClusterWorker(Process.Start(start)!);
        await worker.HearAsync("ready");
        return worker;
    }

    /// <summary>Whether the program was started as one.</summary>
    public static bool Is(string[] args) => args is [Word, ..];

    public static async Task<int> RunAsync(string[] args)
    {
        await (args[1] switch
        {
            "server" => ClusterServer.RunAsync(args[2]),
            "writer" => WriteAsync(args[2], args[3]),
            "npgsql" => WritePlainlyAsync(args[2]),
            "followers" => FollowAsync(args[2], args[3], int.Parse(args[4], CultureInfo.InvariantCulture)),
            _ => throw new ArgumentException($"{args[1]} is nothing that a worker does."),
        });
        return 0;
    }

    /// <summary>One line to whoever started this worker.</summary>
    public static void Say(string line)
    {
        Console.Out.WriteLine(line);
        Console.Out.Flush();
    }

    /// <summary>Says something, and hears the answer.</summary>
    public async Task<string> AskAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        return await HearAsync();
    }

    /// <summary>Which commit a writer shows.</summary>
    public async Task<long> MarkerAsync() => long.Parse(await AskAsync("marker"), CultureInfo.InvariantCulture);

    /// <summary>Writes one after the other for so long; one at least.</summary>
    /// <returns>How long each took, in milliseconds.</returns>
    public async Task<double[]> WriteForAsync(TimeSpan time) =>
        [.. (await AskAsync(time.TotalSeconds.ToString(CultureInfo.InvariantCulture))).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(ms => double.Parse(ms, CultureInfo.InvariantCulture))];

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(TimeSpan.FromSeconds(20))) _process.Kill();
        _process.Dispose();
    }

    private async Task<string> HearAsync(string? expected = null)
    {
        var line = await _process.StandardOutput.ReadLineAsync().WaitAsync(Patience) ?? throw new InvalidOperationException("A worker has ended.");
        return expected is null || line == expected ? line : throw new InvalidOperationException($"A worker says: {line}");
    }

    private static async Task WriteAsync(string connection, string name)
    {
        await using var factory = connection.StartsWith("http", StringComparison.Ordinal) ? DataSyncRemote.CreateFactory(new Uri(connection)) : DataSyncPostgres.CreateFactory(connection);
        var database = await factory.OpenAsync(name);
        await database.ExecuteAsync("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, writer TEXT NOT NULL, number INTEGER NOT NULL)");
        for (var i = 0; i < 20; i++) await database.ExecuteAsync(Insert);
        await ObeyAsync(() => database.ExecuteAsync(Insert), () => database.Marker);
    }

    private static async Task WritePlainlyAsync(string connection)
    {
        await using var data = NpgsqlDataSource.Create(connection);
        await using var open = await data.OpenConnectionAsync();
        await using var insert = new NpgsqlCommand("INSERT INTO plain(writer, number) VALUES ('w', 1)", open);
        await insert.PrepareAsync();
        for (var i = 0; i < 20; i++) await insert.ExecuteNonQueryAsync();
        await ObeyAsync(() => insert.ExecuteNonQueryAsync(), () => 0);
    }

    private static async Task ObeyAsync(Func<Task> write, Func<long> marker)
    {
        Say("ready");
        while (Console.In.ReadLine() is { } line)
        {
            if (line == "marker")
            {
                Say(marker().ToString(CultureInfo.InvariantCulture));
                continue;
            }

            var (time, times) = (TimeSpan.FromSeconds(double.Parse(line, CultureInfo.InvariantCulture)), new List<double>());
            var begin = Stopwatch.GetTimestamp();
            do
            {
                var start = Stopwatch.GetTimestamp();
                await write();
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
            while (Stopwatch.GetElapsedTime(begin) < time);

            Say(string.Join(' ', times.Select(ms => ms.ToString("0.000", CultureInfo.InvariantCulture))));
        }
    }

    /// <summary>Clients that read along: of each line, a marker, it says when all show it.</summary>
    private static async Task FollowAsync(string address, string name, int count)
    {
        await using var clients = new Stack(count, () => DataSyncRemote.CreateFactory(new Uri(address)));
        var databases = await Task.WhenAll(clients.Factories.Select(client => client.OpenAsync(name)));
        Say("ready");
        while (Console.In.ReadLine() is { } line)
        {
            var marker = long.Parse(line, CultureInfo.InvariantCulture);
            while (databases.Any(database => database.Marker < marker)) await Task.Delay(1);
            Say("all");
        }
    }

    /// <summary>Factories that are disposed together.</summary>
    private sealed class Stack(int count, Func<DataSyncFactory> make) : IAsyncDisposable
    {
        public IReadOnlyList<DataSyncFactory> Factories { get; } = [.. Enumerable.Range(0, count).Select(_ => make())];

        public async ValueTask DisposeAsync()
        {
            foreach (var factory in Factories) await factory.DisposeAsync();
        }
    }
}
