using System.Diagnostics;
using System.Globalization;
using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.PostgreSql.Tests;

/// <summary>
/// This assembly run as a process of its own, to be killed: it has the database open, writes a row after the other until it is told to stop, and says so before and
/// after each, by the machine's one monotonic clock.
/// </summary>
internal sealed class WriterProcess : IDisposable
{
    public const string Table = "CREATE TABLE IF NOT EXISTS entry(id INTEGER PRIMARY KEY AUTOINCREMENT, writer TEXT NOT NULL, number INTEGER NOT NULL)";

    private readonly Process _process;
    private readonly Lock _gate = new();
    private readonly Dictionary<long, HistoryWrite> _writes = [];
    private readonly List<(Func<bool> IsMet, TaskCompletionSource Met)> _waits = [];
    private readonly List<string> _complaints = [];
    private readonly Task _reading;
    private int _acknowledged;

    private WriterProcess(Process process, string name, PostgresProxy? proxy)
    {
        (_process, Name, Proxy) = (process, name, proxy);
        _reading = Task.Run(ReadAsync);
    }

    public string Name { get; }

    /// <summary>Between it and the server; null for none.</summary>
    public PostgresProxy? Proxy { get; }

    public int Id => _process.Id;

    public bool HasEnded => _process.HasExited;

    /// <summary>It has ended, and all that it said was heard.</summary>
    public Task Ended => _reading;

    /// <summary>Its tab, as the lease names it; default until it is open.</summary>
    public TabId Tab { get; private set; }

    public int Acknowledged
    {
        get
        {
            lock (_gate) return _acknowledged;
        }
    }

    public IReadOnlyList<HistoryWrite> Writes
    {
        get
        {
            lock (_gate) return [.. _writes.Values];
        }
    }

    public IReadOnlyList<string> Complaints
    {
        get
        {
            lock (_gate) return [.. _complaints];
        }
    }

    public static int Main(string[] args) => RunAsync(args).GetAwaiter().GetResult();

    /// <summary>Starts one.</summary>
    /// <param name="cluster">The server.</param>
    /// <param name="database">What it writes to.</param>
    /// <param name="name">Of the writer.</param>
    /// <param name="hasProxy">Whether something lies between it and the server.</param>
    /// <param name="killedAt">Likewise, and it is killed (SIGKILL) when that closes.</param>
    public static WriterProcess Start(PostgresCluster cluster, string database, string name, bool hasProxy = false, Trap? killedAt = null)
    {
        var proxy = hasProxy || killedAt is not null ? new PostgresProxy(cluster.Port) : null;
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet") { RedirectStandardOutput = true, RedirectStandardInput = true };
        foreach (var argument in new[] { typeof(WriterProcess).Assembly.Location, PostgresCluster.Connect(proxy?.Port ?? cluster.Port), database, name }) start.ArgumentList.Add(argument);
        var process = Process.Start(start)!;
        if (killedAt is not null)
        {
            proxy!.Sprung = process.Kill;
            proxy.Set(killedAt);
        }

        return new(process, name, proxy);
    }

    /// <summary>Returns when so many more of its writes were acknowledged than are now.</summary>
    public Task WriteAsync(int more)
    {
        int target;
        lock (_gate) target = _acknowledged + more;
        return WaitForAsync(() => _acknowledged >= target, $"{more} more writes of {Name}");
    }

    public Task WaitForOpenAsync() => WaitForAsync(() => Tab != default, $"{Name} to open");

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _reading;
    }

    /// <summary>SIGSTOP or SIGCONT.</summary>
    public void Signal(string signal)
    {
        using var kill = Process.Start("kill", ["-" + signal, Id.ToString(CultureInfo.InvariantCulture)])!;
        kill.WaitForExit();
    }

    /// <summary>It ends its write, closes the database, and ends.</summary>
    public async Task StopAsync(TimeSpan patience)
    {
        await _process.StandardInput.WriteLineAsync("stop");
        await _process.WaitForExitAsync().WaitAsync(patience);
        await _reading;
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
        if (Proxy is { } proxy) _ = proxy.DisposeAsync().AsTask();
    }

    private static async Task<int> RunAsync(string[] args)
    {
        var stop = Task.Run(() =>
        {
            if (Console.In.ReadLine() is null) Environment.Exit(3); // whoever started it is gone
        });
        await using var factory = Sqlite.NewFactory(args[0]);
        var database = await OpenAsync(factory, args[1]);
        await database.ExecuteAsync(Table);
        await SayAsync($"id {database.Coordinator.Id}");
        for (var number = 1L; !stop.IsCompleted; number++)
        {
            await SayAsync(string.Create(CultureInfo.InvariantCulture, $"b {number} {Now}"));
            var outcome = "a";
            try
            {
                await database.ExecuteAsync("INSERT INTO entry(writer, number) VALUES ($writer, $number)", new { writer = args[2], number });
            }
            catch (StorageException error)
            {
                outcome = error.IsTransient ? "r" : "u";
                await SayAsync($"! {number} {error.GetType().Name}: {error.Message}");
                if (error.Code is StorageErrorCode.Closed or StorageErrorCode.Replaced or StorageErrorCode.Unavailable) database = await OpenAsync(factory, args[1]);
            }

            await SayAsync(string.Create(CultureInfo.InvariantCulture, $"{outcome} {number} {Now}"));
            await Task.Delay(10); // others work on this machine, too
        }

        return 0;
    }

    private static async Task<DataSyncDatabase> OpenAsync(DataSyncFactory factory, string name)
    {
        while (true)
        {
            try
            {
                return await factory.OpenAsync(name);
            }
            catch (Exception error) when (error is StorageException or CoordinationException)
            {
                await SayAsync($"! 0 {error.GetType().Name}: {error.Message}");
                await Task.Delay(200);
            }
        }
    }

    private static double Now => Stopwatch.GetTimestamp() * 1000.0 / Stopwatch.Frequency;

    private static async Task SayAsync(string line)
    {
        await Console.Out.WriteAsync(line + ";\n");
        await Console.Out.FlushAsync();
    }

    private async Task WaitForAsync(Func<bool> isMet, string what)
    {
        var met = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (isMet()) return;
            _waits.Add((isMet, met));
        }

        try
        {
            await met.Task.WaitAsync(TimeSpan.FromSeconds(90));
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"Waited for {what}. It said: {string.Join(" | ", Complaints)}");
        }
    }

    private async Task ReadAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            if (!line.EndsWith(';')) continue; // cut off by a kill
            var words = line[..^1].Split(' ');
            lock (_gate)
            {
                if (words[0] == "id") Tab = TabId.Parse(words[1]);
                else if (words[0] == "!") _complaints.Add(line);
                else Note(words[0], long.Parse(words[1], CultureInfo.InvariantCulture), double.Parse(words[2], CultureInfo.InvariantCulture));
                foreach (var (_, met) in _waits.Where(wait => wait.IsMet())) met.TrySetResult();
                _waits.RemoveAll(wait => wait.Met.Task.IsCompleted);
            }
        }
    }

    private void Note(string what, long number, double at)
    {
        if (what == "b")
        {
            _writes.Add(number, new(Name, number, at, null, WriteOutcome.Unknown));
            return;
        }

        if (what == "a") _acknowledged++;
        var outcome = what switch
        {
            "a" => WriteOutcome.Acknowledged,
            "r" => WriteOutcome.Refused,
            _ => WriteOutcome.Unknown,
        };
        _writes[number] = _writes[number] with { EndedMs = outcome == WriteOutcome.Unknown ? null : at, Outcome = outcome };
    }
}
