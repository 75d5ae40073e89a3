using System.Diagnostics;
using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using DataSync.EntityFrameworkCore;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.Extensions.DependencyInjection;

namespace DataSync.Bench.Client;

/// <summary>W12, written as an application would write it.</summary>
internal static partial class Steps
{
    public const string Database = "w12";

    private static DataSyncDatabase? database;
    private static IDbContextFactory<RowContext>? pool;
    private static DbContextOptions<RowContext>? options;

    /// <summary>Set when .NET has started.</summary>
    public static TaskCompletionSource<IServiceProvider> Services { get; } = new();

    [JSExport]
    internal static async Task<string> Run(string name, string json)
    {
        var arguments = JsonSerializer.Deserialize(json, StepJson.Default.StepOptions)!;
        var result = name switch
        {
            "open" => await OpenAsync(),
            "saveOne" => await SaveOneAsync(arguments),
            "saveMany" => await SaveManyAsync(arguments),
            _ => throw new ArgumentException($"there is no step {name}"),
        };
        return JsonSerializer.Serialize(result, StepJson.Default.StepResult);
    }

    private static async Task<StepResult> OpenAsync()
    {
        var services = await Services.Task;
        var factory = services.GetRequiredService<DataSyncFactory>();
        pool = services.GetRequiredService<IDbContextFactory<RowContext>>();
        var builder = new DbContextOptionsBuilder<RowContext>();
        builder.UseDataSync(factory, Database);
        options = builder.Options;
        database = await factory.OpenAsync(Database);
        await database.ExecuteAsync(Row.Create);
        return new([]);
    }

    private static async Task<StepResult> SaveOneAsync(StepOptions arguments)
    {
        await using var memory = await OpenMemoryAsync();
        var inMemory = OptionsOf(memory);
        var poolInMemory = new PooledDbContextFactory<RowContext>(inMemory);

        // By turns, so that what changes meanwhile meets all.
        var id = arguments.FirstId;
        List<double> executed = [], saved = [], savedInMemory = [], ordinary = [], ordinaryInMemory = [], called = [];
        for (var i = -arguments.Warm; i < arguments.Count; i++)
        {
            var row = Row.Make(id++);
            Add(executed, i, await TimeAsync(() => database!.ExecuteAsync(Row.Insert, new { id = row.Id, name = row.Name, value = row.Value, payload = row.Payload })));
            row = Row.Make(id++);
            Add(saved, i, await TimeAsync(() => SaveAsync(pool!.CreateDbContext, row)));
            Add(savedInMemory, i, await TimeAsync(() => SaveAsync(poolInMemory.CreateDbContext, row)));
            row = Row.Make(id++);
            Add(ordinary, i, await TimeAsync(() => SaveAsync(() => new RowContext(options!), row)));
            Add(ordinaryInMemory, i, await TimeAsync(() => SaveAsync(() => new RowContext(inMemory), row)));
            await using var context = new RowContext(options!);
            context.Add(Row.Make(id++));
            Add(called, i, await TimeAsync(() => context.SaveChangesAsync()));
        }

        await CheckAsync(arguments.FirstId, id);
        return new(new()
        {
            [$"w12.execute.{arguments.Metric}"] = executed,
            [$"w12.save.{arguments.Metric}"] = saved,
            [$"w12.memory.{arguments.Metric}"] = savedInMemory,
            [$"w12.ordinary.{arguments.Metric}"] = ordinary,
            [$"w12.ordinaryMemory.{arguments.Metric}"] = ordinaryInMemory,
            [$"w12.call.{arguments.Metric}"] = called,
        });
    }

    private static async Task<StepResult> SaveManyAsync(StepOptions arguments)
    {
        await using var memory = await OpenMemoryAsync();
        var poolInMemory = new PooledDbContextFactory<RowContext>(OptionsOf(memory));
        var id = arguments.FirstId;
        List<double> many = [], manyInMemory = [];
        for (var i = -1; i < arguments.Samples; i++)
        {
            var rows = Row.Make(id, arguments.Rows);
            id += arguments.Rows;
            Add(manyInMemory, i, await TimeAsync(() => SaveAsync(poolInMemory.CreateDbContext, rows)));
            Add(many, i, await TimeAsync(() => SaveAsync(pool!.CreateDbContext, rows)));
        }

        await CheckAsync(arguments.FirstId, id);
        return new(new() { [$"w12.memory1000.{arguments.Metric}"] = manyInMemory, [$"w12.save1000.{arguments.Metric}"] = many });
    }

    private static async Task<SqliteConnection> OpenMemoryAsync()
    {
        var memory = new SqliteConnection("Data Source=:memory:");
        await memory.OpenAsync();
        await using var context = new RowContext(OptionsOf(memory));
        await context.Database.ExecuteSqlRawAsync(Row.Create);
        return memory;
    }

    private static DbContextOptions<RowContext> OptionsOf(SqliteConnection memory) => new DbContextOptionsBuilder<RowContext>().UseSqlite(memory).Options;

    private static async Task CheckAsync(long from, long to)
    {
        await using var context = await pool!.CreateDbContextAsync();
        var count = await context.Set<Row>().CountAsync(row => row.Id >= from && row.Id < to);
        if (count != to - from) throw new InvalidOperationException($"wrong answer: {count} rows of {to - from}");
    }

    private static async Task SaveAsync(Func<RowContext> create, params Row[] rows)
    {
        await using var context = create();
        context.AddRange(rows);
        await context.SaveChangesAsync();
    }

    private static async Task<double> TimeAsync(Func<Task> work)
    {
        var start = Stopwatch.GetTimestamp();
        await work();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    /// <summary>The first runs are not counted.</summary>
    private static void Add(List<double> times, int run, double time)
    {
        if (run >= 0) times.Add(time);
    }
}
