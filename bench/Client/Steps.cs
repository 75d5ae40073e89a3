using System.Diagnostics;
using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using DataSync.Vfs;

namespace DataSync.Bench.Client;

/// <summary>The steps of the workloads for DataSync: the same as in steps.js, with the same checks.</summary>
internal static partial class Steps
{
    private static DataSyncDatabase? database;
    private static Workloads? work;
    private static Writing? writing;

    private static Workloads Work => work ?? throw new InvalidOperationException("no database is open");

    /// <summary>Set when .NET has started.</summary>
    public static TaskCompletionSource<DataSyncFactory> Databases { get; } = new();

    /// <summary>Steps that one page alone has.</summary>
    public static Func<string, StepOptions, Task<StepResult>> Other { get; set; } = (name, _) => throw new ArgumentException($"there is no step {name}");

    /// <summary>The address's part from the question mark on.</summary>
    public static string Query { get; private set; } = "";

    public static async Task LoadAsync()
    {
        await JSHost.ImportAsync("bench-clock", "/bench/clock.js");
        Query = PageQuery();
    }

    [JSExport]
    internal static async Task<string> Run(string name, string json)
    {
        var options = JsonSerializer.Deserialize(json, StepJson.Default.StepOptions)!;
        var result = name switch
        {
            "open" => await OpenAsync(options),
            "close" => await CloseAsync(),
            "w1" => await W1Async(options),
            "w2" => await W2Async(options),
            "w3" => await W3Async(options),
            "w4" => await W4Async(options),
            "w11" => await W11Async(options),
            "fill" => await FillAsync(options),
            "openFirst" => await OpenFirstAsync(options),
            "warm" => await WarmAsync(options),
            "writes" => await WritesAsync(options),
            "watch" => await WatchAsync(options),
            "writesApart" => await WritesApartAsync(options),
            "seen" => await SeenAsync(options),
            "runs" => Runs(),
            "count" => Series("count", [await Work.CountAsync()]),
            "startWriting" => StartWriting(options),
            "stopWriting" => StopWriting(),
            "written" => Written(),
            _ => await Other(name, options),
        };
        return JsonSerializer.Serialize(result, StepJson.Default.StepResult);
    }

    private static StepResult Series(string metric, IReadOnlyList<double> times) => new(new() { [metric] = times });

    private static StepResult None() => new([]);

    private static async Task<StepResult> OpenAsync(StepOptions options)
    {
        database = await (await Databases.Task).OpenAsync(options.Database);
        work = new Workloads(database);
        await Work.CreateAsync();
        return None();
    }

    private static async Task<StepResult> CloseAsync()
    {
        if (database is not null) await database.DisposeAsync();
        (database, work) = (null, null);
        return None();
    }

    private static async Task<StepResult> W1Async(StepOptions options)
    {
        var id = await WarmUpAsync(1, options.Warm, options.Limit_ms);
        var times = new List<double>();
        var start = Stopwatch.GetTimestamp();
        while (times.Count < options.Count && (times.Count < 3 || Elapsed(start) < options.Limit_ms))
        {
            var row = Row.Make(++id);
            var begin = Stopwatch.GetTimestamp();
            await Work.InsertOneAsync(row);
            times.Add(Elapsed(begin));
        }

        Check(await Work.CountAsync() == id, "rows after single inserts");
        return Series("w1", times);
    }

    private static async Task<StepResult> W2Async(StepOptions options)
    {
        var rows = Row.Make(1, options.Rows);
        await WaitUntil(Clock() + 1);
        var series = new Dictionary<string, IReadOnlyList<double>>
        {
            ["w2"] = await SampleAsync(options, Work.ClearAsync, () => Work.InsertManyAsync(rows)),
        };

        // A delegate's own loop holds the page for as long as it likes, which is not what W9 asks.
        if (options.Observe.Length == 0) series["w2.mds"] = await SampleAsync(options, Work.ClearAsync, () => Work.InsertManyPreparedAsync(rows));
        Check(await Work.CountAsync() == options.Rows, "rows after a transaction");
        return new(series);
    }

    private static async Task<StepResult> W3Async(StepOptions options)
    {
        await EnsureAsync(options.Rows);
        var ids = Row.Keys(options.Rows, options.Count);
        List<Row> found = [];
        var series = new Dictionary<string, IReadOnlyList<double>>
        {
            ["w3"] = await SampleAsync(options, null, async () => found = await Work.PointsAsync(ids)),
        };
        CheckPoints();
        series["w3.mds"] = await SampleAsync(options, null, () => found = Work.PointsPrepared(ids));
        CheckPoints();
        return new(series);

        void CheckPoints() => Check(found.Count == ids.Length && found.Zip(ids).All(p => p.First.Id == p.Second && p.First.Payload.Length == 100), "points");
    }

    private static async Task<StepResult> W4Async(StepOptions options)
    {
        var series = new Dictionary<string, IReadOnlyList<double>>();
        foreach (var (name, rows) in new[] { ("10k", options.Rows), ("100k", options.ManyRows) })
        {
            await EnsureAsync(rows);
            IReadOnlyList<Row> found = [];
            series[$"w4.{name}"] = await SampleAsync(options, Forget, async () => found = await Work.ScanAsync());
            CheckScan();
            series[$"w4.{name}.mds"] = await SampleAsync(options, Forget, () => found = Work.ScanReader());
            CheckScan();

            Task Forget()
            {
                found = [];
                return Task.CompletedTask;
            }

            void CheckScan() => Check(found.Count == rows && found[^1].Value == rows * 0.5 && found[0].Payload.Length == 100, "scan");
        }

        var total = new Total(0, 0);
        series["w4.sum"] = await SampleAsync(options, null, async () => total = await Work.SumAsync());
        CheckSum();
        series["w4.sum.mds"] = await SampleAsync(options, null, () => total = Work.SumReader());
        CheckSum();
        return new(series);

        void CheckSum() => Check(total.Count == options.ManyRows && total.Sum == options.ManyRows * (options.ManyRows + 1.0) / 4, "sum");
    }

    private static async Task<StepResult> W11Async(StepOptions options)
    {
        await EnsureAsync(options.Rows);
        List<Row> found = [];
        var series = new Dictionary<string, IReadOnlyList<double>> { ["w11.reader"] = await SampleAsync(options, null, () => found = Work.ScanReader()) };
        Check(found.Count == options.Rows, "scan with a reader");
        series["w11.dapper"] = await SampleAsync(options, null, () => found = Work.ScanDapper());
        Check(found.Count == options.Rows, "scan with Dapper");
        return new(series);
    }

    private static async Task<StepResult> FillAsync(StepOptions options)
    {
        for (var first = 1; first <= options.Rows; first += options.Chunk)
            await Work.FillAsync(first, Math.Min(first + options.Chunk - 1, options.Rows));
        return None();
    }

    private static async Task<StepResult> OpenFirstAsync(StepOptions options)
    {
        var factory = await Databases.Task;
        var start = Stopwatch.GetTimestamp();
        database = await factory.OpenAsync(options.Database);
        work = new Workloads(database);
        var row = (await Work.PointsAsync([options.Rows]))[0];
        var time = Elapsed(start);
        Check(row.Id == options.Rows, "first answer");
        return Series(options.Metric, [time]);
    }

    /// <summary>Inserts that are not counted, not for long where they are slow; gives how many there were.</summary>
    private static async Task<long> WarmUpAsync(long firstId, int count, double limit_ms)
    {
        var start = Stopwatch.GetTimestamp();
        var done = 0;
        for (; done < count && (done == 0 || Elapsed(start) < limit_ms / 4); done++) await Work.InsertOneAsync(Row.Make(firstId + done));
        return done;
    }

    private static async Task EnsureAsync(int rows)
    {
        if (await Work.CountAsync() == rows) return;
        await Work.ClearAsync();
        for (var first = 1; first <= rows; first += 10_000) await Work.FillAsync(first, Math.Min(first + 9_999, rows));
    }

    private static Task<List<double>> SampleAsync(StepOptions options, Func<Task>? before, Action action) => SampleAsync(options, before, () =>
    {
        action();
        return Task.CompletedTask;
    });

    /// <summary>Several samples, as many as fit into the time; the first run is not counted.</summary>
    private static async Task<List<double>> SampleAsync(StepOptions options, Func<Task>? before, Func<Task> action)
    {
        var times = new List<double>();
        var start = Stopwatch.GetTimestamp();
        for (var i = -1; i < options.Samples && (times.Count == 0 || Elapsed(start) < options.Limit_ms); i++)
        {
            if (before is not null) await before();
            var begin = Stopwatch.GetTimestamp();
            await action();
            if (i >= 0) times.Add(Elapsed(begin));
        }

        return times;
    }

    private static double Elapsed(long start) => Stopwatch.GetElapsedTime(start).TotalMilliseconds;

    private static void Check(bool isTrue, string message)
    {
        if (!isTrue) throw new InvalidOperationException($"wrong answer: {message}");
    }

    [JSImport("query", "bench-clock")]
    private static partial string PageQuery();

    /// <summary>Milliseconds since 1970, finer than the clock of .NET in the browser and the same as the other libraries'.</summary>
    [JSImport("clock", "bench-clock")]
    private static partial double Clock();

    /// <summary>Waits in the page's own timer.</summary>
    [JSImport("waitUntil", "bench-clock")]
    private static partial Task WaitUntil(double time_ms);
}
