using System.Diagnostics.Metrics;
using System.Reflection;
using System.Runtime.CompilerServices;
using DataSync.Remote;
using DataSync.Rig;
using DataSync.Storage;
using DataSync.Vfs;
using DataSync.Vfs.Native;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Server.Tests;

/// <summary>What server and client tell of themselves.</summary>
public sealed class ObservabilityTests : IDisposable
{
    private readonly string _name = $"seen-{Guid.NewGuid():N}.db";
    private readonly Dictionary<string, double> _sums = [];
    private readonly MeterListener _listener = new();

    public ObservabilityTests()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name is ServerMetrics.MeterName or RemoteMetrics.MeterName) listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, 1, tags));
        _listener.Start();
    }

    public void Dispose() => _listener.Dispose();

    [Theory]
    [InlineData(ServerMetrics.MeterName, typeof(ServerMetrics))]
    [InlineData(RemoteMetrics.MeterName, typeof(RemoteMetrics))]
    public void Every_instrument_is_listed_in_the_documentation(string meter, Type type)
    {
        RuntimeHelpers.RunClassConstructor(type.TypeHandle);
        var instruments = type.GetFields(BindingFlags.Static | BindingFlags.NonPublic).Select(field => field.GetValue(null)).OfType<Instrument>().ToList();
        Assert.NotEmpty(instruments);
        var document = File.ReadAllLines(Path.Combine(Here(), "..", "..", "docs", "SERVER.md"));
        var listed = document.SkipWhile(line => line != $"### Meter {meter}").Skip(1).TakeWhile(line => !line.StartsWith('#')).Where(line => line.StartsWith("| `", StringComparison.Ordinal));
        Assert.Equal(
            instruments.Select(one => $"| `{one.Name}` | {one.GetType().Name.Split('`')[0]} | {one.Unit} | {one.Description} |").Order(StringComparer.Ordinal),
            listed.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Connections_frames_reads_and_refusals_are_counted()
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().StatementFilter = (_, _, sql) => !sql.Contains("evil", StringComparison.Ordinal));
        await using var proxy = new CutProxy(() => server.Port);
        var here = await server.OpenHereAsync(_name);
        var client = await server.OpenAsync(_name, proxy.Port);
        await client.ExecuteAsync(Entries.Table);
        Assert.Equal((1, 1, 1, 0), (Sum("datasync.server.databases"), Sum("datasync.server.connections"), Sum("datasync.remote.connected"), Sum("datasync.remote.reconnects")));
        Assert.Equal(1, Sum("datasync.server.read.duration extents=True")); // when it opened
        Assert.Equal(0, Sum("datasync.server.reads.waiting"));
        Assert.All(["in", "out"], direction => Assert.InRange(Sum($"datasync.server.bytes direction={direction}"), 24 * Sum($"datasync.server.frames direction={direction}"), 10_000_000));

        proxy.Cut();
        await here.ExecuteAsync("INSERT INTO entry (writer, number) VALUES ('here', 1)");
        await client.ExecuteAsync("INSERT INTO entry (writer, number) VALUES ('there', 1)").WaitAsync(TestServer.Patience);
        Assert.Equal((1, 1), (Sum("datasync.remote.connected"), Sum("datasync.remote.reconnects")));

        await using var raw = await RawClient.JoinAsync(server, _name);
        var sql = StatementBody.Encode(0, [new TravellingStatement("evil", null, IsMany: false)], value => value)!;
        await raw.SayAsync(CommitMessageKind.Statements, m => m with { Records = [[.. Guid.NewGuid().ToByteArray(), .. sql]] });
        await raw.HearAsync(CommitMessageKind.Refused);
        await raw.SendAsync(new Frame(FrameKind.Lease, 0, default, new byte[24]));
        Assert.Equal(4400, await raw.EndAsync());
        Assert.Equal((1, 1), (Sum("datasync.server.refusals reason=statement"), Sum("datasync.server.refusals reason=4400")));
    }

    [Fact]
    public async Task Health_is_that_of_the_worst_database()
    {
        var directory = Directory.CreateTempSubdirectory("server-tests-").FullName;
        var place = new OddPlace(new DirectoryPlace(new FileStoreOptions { BaseDirectory = directory }, TimeProvider.System, NullLogger.Instance));
        var stores = new List<FaultyBlockStore>();
        place.OnStore = stores.Add;
        await using (var server = await TestServer.StartAsync(databases: services =>
        {
            services.AddSingleton(new DataSyncFactory(place, new DataSyncOptions()));
            services.AddHealthChecks().AddDataSync();
        }))
        {
            Assert.Equal(HealthStatus.Healthy, (await server.CheckHealthAsync()).Status); // nobody is connected
            var client = await server.OpenAsync(_name);
            await client.ExecuteAsync(Entries.Table);
            Assert.Equal(HealthStatus.Healthy, (await server.CheckHealthAsync()).Status);

            stores[0].FailAt(StoreOperation.Read, new StorageUnavailableException("It does not answer."));
            var degraded = (await server.CheckHealthAsync()).Entries["datasync"];
            Assert.Equal((HealthStatus.Degraded, "It does not answer."), (degraded.Status, degraded.Data[_name]));
            Assert.Equal(HealthStatus.Healthy, (await server.CheckHealthAsync()).Status);

            // It stops, and nobody can open it again.
            place.OnStore = store => store.FailAt(StoreOperation.Open, new CorruptStoreException(null, "It is damaged."));
            var stopped = new TaskCompletionSource();
            (await server.OpenHereAsync(_name)).Faulted += (_, _) => stopped.SetResult();
            stores[0].FailAt(StoreOperation.Append, new StoreReplacedException());
            await Assert.ThrowsAnyAsync<StorageException>(() => server.Server.Factory.OpenAsync(_name).Result.ExecuteAsync("INSERT INTO entry (writer, number) VALUES ('a', 1)").WaitAsync(TestServer.Patience));
            await stopped.Task.WaitAsync(TestServer.Patience);
            var failed = (await server.CheckHealthAsync()).Entries["datasync"];
            Assert.Equal(HealthStatus.Unhealthy, failed.Status);
            Assert.Contains(_name, failed.Data.Keys);
        }

        Directory.Delete(directory, recursive: true);
    }

    private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        string? scope = null;
        var rest = "";
        foreach (var (key, tag) in tags)
        {
            if (key == "datasync.scope") scope = tag as string;
            else rest += $" {key}={tag}";
        }

        if (scope != _name) return;
        lock (_sums) _sums[instrument.Name + rest] = _sums.GetValueOrDefault(instrument.Name + rest) + value;
    }

    private double Sum(string name)
    {
        lock (_sums) return _sums.GetValueOrDefault(name);
    }

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
