using DataSync.Contracts;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>Writes from many threads at once, of each kind: all of them are there, once, and in order within a thread.</summary>
public sealed class ThreadTests : IDisposable
{
    private const int Threads = 6, Writes = 25, Busy = 5;
    private static readonly TimeSpan Patience = NativeTabs.Patience;
    private readonly NativeTabs _tabs = new();
    private readonly string _base = Directory.CreateTempSubdirectory("datasync-threads-").FullName;

    [Theory]
    [InlineData(1, Durability.Immediate)]
    [InlineData(3, Durability.Immediate)]
    [InlineData(1, Durability.Deferred)]
    [InlineData(3, Durability.Deferred)]
    public async Task Asynchronous_writes(int tabs, Durability durability)
    {
        var databases = await OpenAsync(tabs, durability);
        await WriteAsync(databases, (database, thread, i) => database.ExecuteAsync("INSERT INTO t VALUES ($thread, $i)", new { thread, i }));
        await AssertAllAsync(databases);
    }

    [Theory]
    [InlineData(Durability.Immediate)]
    [InlineData(Durability.Deferred)]
    public async Task Writes_of_every_kind(Durability durability)
    {
        var databases = await OpenAsync(2, durability);
        await WriteAsync(databases, (database, thread, i) => (i % 4) switch
        {
            0 => database.ExecuteAsync("INSERT INTO t VALUES ($thread, $i)", new { thread, i }),
            1 => database.ExecuteAsync([new SqlStatement("INSERT INTO t VALUES ($thread, -1)", new { thread }), new SqlStatement("UPDATE t SET i = $i WHERE thread = $thread AND i = -1", new { thread, i })]),
            2 => database.WriteAsync(connection => connection.Execute("INSERT INTO t VALUES ($0, $1)", thread, i)),
            _ => database.WriteAsync(async connection =>
            {
                await Task.Yield();
                connection.Execute("INSERT INTO t VALUES ($0, $1)", thread, i);
            }),
        });
        await AssertAllAsync(databases);
    }

    [Fact]
    public async Task Synchronous_writes_on_connections_of_their_own()
    {
        var databases = await OpenAsync(1, Durability.Immediate);
        var connectionString = databases[0].ConnectionString;
        await Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(() =>
        {
            using var connection = new SqliteConnection(connectionString + ";Default Timeout=30");
            connection.Open();
            for (var i = 0; i < Writes; i++)
            {
                using var transaction = connection.BeginTransaction();
                connection.Execute("INSERT INTO t VALUES ($0, $1)", thread, i);
                transaction.Commit();
            }
        }))).WaitAsync(Patience);
        await AssertAllAsync(databases);
    }

    [Fact]
    public async Task Deferred_writes_that_wait_for_room_all_get_it()
    {
        var options = Options(Durability.Deferred);
        (options.AutoSync.DirtyBytes, options.AutoSync.BackpressureBytes) = (64 << 10, 128 << 10);
        var store = new FaultyBlockStore(NewStore());
        var database = await _tabs.OpenAsync(store, options);
        using var raised = new SemaphoreSlim(0);
        var changes = new List<bool>();
        database.AutoSync.BackpressureChanged += (_, e) =>
        {
            changes.Add(e.IsOn);
            raised.Release();
        };
        await database.ExecuteAsync("CREATE TABLE t(thread INT, i INT); CREATE TABLE b(b)");
        await database.ForceSyncAsync();

        // A store that stands still until there is no room: else it depends on the machine whether anybody waits.
        var held = store.HoldAt(StoreOperation.Append);
        var writing = WriteAsync([database], (db, thread, i) => db.WriteAsync(connection =>
        {
            connection.Execute("INSERT INTO t VALUES ($0, $1)", thread, i);
            connection.Execute("INSERT INTO b VALUES (zeroblob(10000))");
        }));
        Assert.True(await raised.WaitAsync(NativeTabs.Patience));
        held.Release();
        await writing;
        await AssertAllAsync([database]);
        Assert.True(await raised.WaitAsync(NativeTabs.Patience));
        Assert.False(database.AutoSync.IsBackpressured);
        await database.DisposeAsync();
        Assert.All(changes.Select((isOn, i) => (isOn, i)), change => Assert.Equal(change.i % 2 == 0, change.isOn)); // told in the order in which it happened
    }

    public void Dispose()
    {
        _tabs.Dispose();
        Directory.Delete(_base, recursive: true);
    }

    private static DataSyncOptions Options(Durability durability)
    {
        var options = new DataSyncOptions { Durability = durability, MaxAttempts = 100 };
        options.Pipeline.CheckpointLogRecords = 20;
        return options;
    }

    private FileBlockStore NewStore() => new("app.db", new() { BaseDirectory = _base });

    private async Task<DataSyncDatabase[]> OpenAsync(int tabs, Durability durability)
    {
        var databases = new List<DataSyncDatabase>();
        for (var i = 0; i < tabs; i++) databases.Add(await _tabs.OpenAsync(NewStore(), Options(durability)));
        await databases[0].ExecuteAsync("CREATE TABLE t(thread INT, i INT)");
        await databases[0].ForceSyncAsync();
        foreach (var database in databases) await NativeTabs.WaitForAsync(database, 1);
        return [.. databases];
    }

    private static async Task WriteAsync(DataSyncDatabase[] databases, Func<DataSyncDatabase, int, int, Task> write) =>
        await Task.WhenAll(Enumerable.Range(0, Threads).Select(thread => Task.Run(async () =>
        {
            for (var i = 0; i < Writes; i++) await write(databases[thread % databases.Length], thread, i);
        }))).WaitAsync(Patience);

    /// <summary>What is in the store when all have closed, read by itself.</summary>
    private async Task AssertAllAsync(DataSyncDatabase[] databases)
    {
        foreach (var database in databases) await database.ForceSyncAsync().WaitAsync(Patience);
        foreach (var database in databases) await database.DisposeAsync().AsTask().WaitAsync(Patience);
        await using var store = NewStore();
        var recovered = await Recovery.LoadAsync(store, await store.OpenAsync(default), new(), default);
        using var local = new LocalDatabase(recovered.Image);
        using var connection = local.Open("");
        Assert.Equal("ok", connection.Scalar<string>("PRAGMA integrity_check"));
        for (var thread = 0; thread < Threads; thread++)
        {
            var seen = connection.Rows("SELECT i FROM t WHERE thread = $0 ORDER BY rowid", thread);
            Assert.Equal(Enumerable.Range(0, Writes).Select(i => i.ToString(System.Globalization.CultureInfo.InvariantCulture)), seen);
        }
    }
}
