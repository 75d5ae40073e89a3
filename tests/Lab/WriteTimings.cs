using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using System.Text;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Lab;

/// <summary>Where the time of one small write goes; offered to the page as <c>lab.timeWrites()</c>.</summary>
internal static partial class WriteTimings
{
    private static readonly StringBuilder Text = new();

    [JSExport]
    internal static async Task<string> Run()
    {
        Text.Clear();
        await SqliteWasm.InitializeAsync();
        var name = $"timing-{Guid.NewGuid():N}";
        using var browser = new InMemoryBrowser();
        var coordinator = new TabCoordinator(browser.OpenTab(), new CoordinationOptions { Scope = name });
        await using var db = await DataSyncDatabase.OpenAsync(name, new IndexedDbBlockStore(name), new BroadcastCommitChannel(name), coordinator);
        await coordinator.WaitForLeadershipAsync();
        await db.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
        await MeasureAsync("ExecuteAsync", async () => await db.ExecuteAsync("INSERT INTO t(name) VALUES (?)", new object[] { "hello" }));
        await MeasureAsync("WriteAsync, empty", () => db.WriteAsync(_ => { }));
        await MeasureAsync("QueryAsync by key", () => db.QueryAsync<string>("SELECT name FROM t WHERE id = ?", new object[] { 5 }));
        using var memory = new SqliteConnection("Data Source=:memory:");
        memory.Open();
        using (var create = memory.CreateCommand())
        {
            create.CommandText = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)";
            create.ExecuteNonQuery();
        }

        using var insert = memory.CreateCommand();
        insert.CommandText = "INSERT INTO t(name) VALUES (?1)";
        Measure("insert in memory through Microsoft.Data.Sqlite", () =>
        {
            insert.Parameters.Clear();
            insert.Parameters.AddWithValue("?1", "hello");
            insert.ExecuteNonQuery();
        });
        var block = new byte[4096];
        Random.Shared.NextBytes(block);
        Measure("hash of a block", () => Checksum.Compute(ChecksumKind.FastHash, block));
        Measure("Guid.NewGuid", () => Guid.NewGuid());
        Measure("GetUtcNow", () => TimeProvider.System.GetUtcNow());
        Measure("GetTimestamp", () => TimeProvider.System.GetTimestamp());
        return Text.ToString();
    }

    private static async Task MeasureAsync(string what, Func<Task> work)
    {
        var times = new List<double>();
        for (var i = -200; i < 400; i++)
        {
            var start = TimeProvider.System.GetTimestamp();
            await work();
            if (i >= 0) times.Add(TimeProvider.System.GetElapsedTime(start).TotalMilliseconds);
        }

        times.Sort();
        Text.AppendLine(string.Create(CultureInfo.InvariantCulture, $"{what}: median {times[200]:0.000} ms, p10 {times[40]:0.000}, p90 {times[360]:0.000}"));
    }

    private static void Measure(string what, Action work)
    {
        for (var i = 0; i < 500; i++) work();
        var start = TimeProvider.System.GetTimestamp();
        for (var i = 0; i < 500; i++) work();
        Text.AppendLine(string.Create(CultureInfo.InvariantCulture, $"{what}: mean {TimeProvider.System.GetElapsedTime(start).TotalMilliseconds / 500:0.0000} ms"));
    }
}
