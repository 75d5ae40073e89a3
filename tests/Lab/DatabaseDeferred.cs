using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Lab;

/// <summary>Deferred durability with <see cref="DataSyncDatabase"/>, held so long that only the test makes anything durable.</summary>
public sealed class DatabaseDeferred : DatabaseSuite
{
    protected override DataSyncOptions Options
    {
        get
        {
            var options = new DataSyncOptions { Durability = Durability.Deferred };
            options.AutoSync.Interval = options.AutoSync.Debounce = TimeSpan.FromMinutes(5);
            return options;
        }
    }

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await Database.Coordinator.WaitForLeadershipAsync();
        await Database.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE)");
        await Database.ForceSyncAsync();
    }

    [Fact]
    public async Task A_write_is_shown_at_once_and_durable_after_a_sync()
    {
        var marker = Database.Marker;
        var result = await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('a'), ('b')");
        Assert.Equal(new ExecuteResult(2, 2, marker + 1), result);
        Assert.Equal(["c"], await Database.QueryAsync<string>("INSERT INTO t(v) VALUES ('c') RETURNING v"));
        await Database.WriteAsync(connection => { });
        Assert.Equal(3, await CountAsync("t"));
        Assert.Equal((marker, 2), (Database.Marker, Database.AutoSync.DirtyCommits));
        await Database.SyncAsync();
        Assert.Equal((marker + 2, 0), (Database.Marker, Database.AutoSync.DirtyCommits));
        await Database.SyncAsync();
    }

    [Fact]
    public async Task A_statement_that_fails_leaves_nothing_and_holds_up_nobody()
    {
        await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('a')");
        await Assert.ThrowsAsync<SqliteException>(() => Database.ExecuteAsync("INSERT INTO t(v) VALUES ('b'), ('a')"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Database.WriteAsync(_ => throw new InvalidOperationException()));
        await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('c')");
        await Database.ForceSyncAsync();
        Assert.Equal(["a", "c"], await Database.QueryAsync<string>("SELECT v FROM t ORDER BY id"));
    }

    [Fact]
    public async Task Asynchronous_work_a_connection_of_ones_own_and_an_export_go_behind_what_is_held()
    {
        await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('a')");
        await Database.WriteAsync(async connection =>
        {
            await Task.Yield();
            using var command = connection.CreateCommand();
            command.CommandText = "INSERT INTO t(v) SELECT v || '2' FROM t";
            await command.ExecuteNonQueryAsync();
        });
        Assert.Equal(0, Database.AutoSync.DirtyCommits);
        await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('b')");
        using (var connection = Connect())
        using (var command = connection.CreateCommand())
        {
            command.CommandText = "INSERT INTO t(v) VALUES ('c')";
            command.ExecuteNonQuery();
        }

        await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('d')");
        var file = await ExportAsync(Database);
        Assert.Equal(0, Database.AutoSync.DirtyCommits);
        await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('e')");
        using var stream = new MemoryStream(file);
        await Database.ImportAsync(stream);
        Assert.Equal(["a", "a2", "b", "c", "d"], await Database.QueryAsync<string>("SELECT v FROM t ORDER BY id"));
    }

    [Fact]
    public async Task Closing_makes_durable_what_is_held_and_a_shutdown_takes_no_more()
    {
        await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('a')");
        await Database.DisposeAsync();
        var again = await Factory.OpenAsync(Database.Name);
        Assert.Equal(1, (await again.QueryAsync<long>("SELECT count(*) FROM t"))[0]);
        await again.ExecuteAsync("INSERT INTO t(v) VALUES ('b')");
        var marker = again.Marker;
        await again.DrainAndShutdownAsync();
        Assert.Equal(marker + 1, again.Marker);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => again.ExecuteAsync("INSERT INTO t(v) VALUES ('c')"));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => again.WriteAsync(_ => Task.CompletedTask));
        Assert.Equal(2, (await again.QueryAsync<long>("SELECT count(*) FROM t"))[0]);
    }
}
