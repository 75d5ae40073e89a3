using Dapper;
using DataSync.Contracts;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Lab;

/// <summary>Opening, closing, deleting, several at once, and connections of the app's own.</summary>
public sealed class DatabaseLives : DatabaseSuite
{
    private int configured;

    protected override DataSyncOptions Options => new()
    {
        ConfigureConnection = connection =>
        {
            configured++;
            connection.CreateFunction("twice", (long x) => 2 * x);
        },
    };

    [Fact]
    public async Task A_database_is_closed_and_opened_again_in_the_same_tab()
    {
        await Database.ExecuteAsync("CREATE TABLE t(v); INSERT INTO t VALUES (1)");
        Assert.Same(Database, await Factory.OpenAsync(Database.Name));
        var marker = Database.Marker;
        for (var round = 2; round < 6; round++)
        {
            var before = await Factory.OpenAsync(Database.Name);
            await before.DisposeAsync();
            await before.DisposeAsync();
            await Assert.ThrowsAsync<ObjectDisposedException>(() => before.ExecuteAsync("INSERT INTO t VALUES (0)"));
            await Assert.ThrowsAsync<ObjectDisposedException>(() => before.QueryAsync<long>("SELECT 1"));
            var again = await Factory.OpenAsync(Database.Name);
            Assert.NotSame(before, again);
            Assert.Equal(marker, again.Marker);
            await again.ExecuteAsync("INSERT INTO t VALUES ($round)", new { round });
            marker = again.Marker;
            Assert.Equal(round, (await again.QueryAsync<long>("SELECT count(*) FROM t"))[0]);
        }
    }

    [Fact]
    public async Task What_was_not_awaited_is_durable_when_it_is_closed()
    {
        await Database.ExecuteAsync("CREATE TABLE t(v)");
        var writes = Enumerable.Range(0, 20).Select(i => Database.ExecuteAsync("INSERT INTO t VALUES ($i)", new { i })).ToArray();
        await Database.DisposeAsync();
        var acknowledged = 0;
        foreach (var write in writes)
        {
            await ((Task)write).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (write.IsCompletedSuccessfully) acknowledged++;
        }

        var again = await Factory.OpenAsync(Database.Name);
        var count = (await again.QueryAsync<long>("SELECT count(*) FROM t"))[0];
        Assert.InRange(count, acknowledged, 20);
    }

    [Fact]
    public async Task Two_databases_are_open_at_once_and_can_be_attached()
    {
        var other = await Factory.OpenAsync("other-" + Database.Name);
        try
        {
            await Database.ExecuteAsync("CREATE TABLE a(v); INSERT INTO a VALUES (1), (2)");
            await other.ExecuteAsync("CREATE TABLE b(v, name); INSERT INTO b VALUES (2, 'two')");
            await Assert.ThrowsAsync<SqliteException>(() => other.QueryAsync("SELECT * FROM a"));
            using (var connection = Connect())
            {
                connection.Execute($"ATTACH '{other.Name}' AS other");
                Assert.Equal(["2|two"], connection.Rows("SELECT a.v, b.name FROM a JOIN other.b ON b.v = a.v"));
                connection.Execute("INSERT INTO other.b SELECT v, 'one' FROM a WHERE v = 1");
                connection.Execute("DETACH other");
            }

            await other.ForceSyncAsync();
            Assert.Equal(["one", "two"], await other.QueryAsync<string>("SELECT name FROM b ORDER BY v"));
            await other.DisposeAsync();
            other = await Factory.OpenAsync(other.Name);
            Assert.Equal(2, (await other.QueryAsync<long>("SELECT count(*) FROM b"))[0]);
            Assert.Equal(2, await CountAsync("a"));
        }
        finally
        {
            await Factory.DeleteAsync(other.Name);
        }
    }

    [Fact]
    public async Task A_connection_of_ones_own_writes_on_the_leader_and_is_durable_after_a_sync()
    {
        await Database.Coordinator.WaitForLeadershipAsync();
        using (var connection = Connect())
        {
            connection.Execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
            using (var transaction = connection.BeginTransaction())
            {
                SqlMapper.Execute(connection, "INSERT INTO t(name) VALUES ('a'), ('b')", null, transaction);
                transaction.Commit();
            }

            using (var transaction = connection.BeginTransaction())
            {
                SqlMapper.Execute(connection, "DELETE FROM t", null, transaction);
                transaction.Rollback();
            }

            Assert.Equal(["a", "b"], await Database.QueryAsync<string>("SELECT name FROM t ORDER BY id"));
        }

        await Database.ForceSyncAsync();
        await Database.DisposeAsync();
        var again = await Factory.OpenAsync(Database.Name);
        Assert.Equal(2, (await again.QueryAsync<long>("SELECT count(*) FROM t"))[0]);
    }

    [Fact]
    public async Task Dapper_works_on_a_connection_of_ones_own_and_in_a_delegate()
    {
        await Database.Coordinator.WaitForLeadershipAsync();
        await Database.WriteAsync(connection =>
        {
            SqlMapper.Execute(connection, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
            SqlMapper.Execute(connection, "INSERT INTO t(name) VALUES (@name)", new[] { new { name = "a" }, new { name = "b" } });
        });
        using var own = Connect();
        Assert.Equal(["a", "b"], own.Query<string>("SELECT name FROM t WHERE id > @id ORDER BY id", new { id = 0 }));
        await own.ExecuteAsync("UPDATE t SET name = @name WHERE id = @id", new { id = 1, name = "c" });
        await Database.ForceSyncAsync();
        Assert.Equal(["c", "b"], await Database.QueryAsync<string>("SELECT name FROM t ORDER BY id"));
    }

    [Fact]
    public async Task The_app_configures_each_connection()
    {
        Assert.Equal(2, configured);
        Assert.Equal([42L], await Database.QueryAsync<long>("SELECT twice(21)"));
        await Database.ExecuteAsync("CREATE TABLE t(v); INSERT INTO t VALUES (twice(4))");
        Assert.Equal([8L], await Database.QueryAsync<long>("SELECT v FROM t"));
    }

    [Fact]
    public async Task A_deleted_database_is_empty_when_it_is_opened_again_and_others_are_not()
    {
        await Database.ExecuteAsync("CREATE TABLE t(v)");
        await Factory.DeleteAsync(Database.Name);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Database.ExecuteAsync("INSERT INTO t VALUES (1)"));
        await Factory.DeleteAsync("never-there.db");
        var again = await Factory.OpenAsync(Database.Name);
        Assert.Equal(0, again.Marker);
        Assert.Empty(await again.QueryAsync<string>("SELECT name FROM sqlite_schema"));
    }

    [Fact]
    public async Task A_database_that_is_deleted_under_it_tells_so_once()
    {
        var told = new List<StorageException>();
        var faulted = new TaskCompletionSource();
        Database.Faulted += (_, e) =>
        {
            told.Add(e.Error);
            faulted.TrySetResult();
        };
        await Database.ExecuteAsync("CREATE TABLE t(v)");
        await IndexedDbSource.LoadAsync();
        await IndexedDbSource.RemoveAsync("datasync:" + Database.Name);
        await faulted.Task;
        Assert.IsType<StorageClosedException>(Assert.Single(told));
        await Assert.ThrowsAsync<StorageClosedException>(() => Database.ExecuteAsync("INSERT INTO t VALUES (1)"));
        await Assert.ThrowsAsync<StorageClosedException>(() => Database.QueryAsync<long>("SELECT 1"));
        var again = await Factory.OpenAsync(Database.Name);
        Assert.NotSame(Database, again);
        await again.ExecuteAsync("CREATE TABLE t(v)");
    }

    [Fact]
    public async Task An_export_tells_its_progress_and_comes_in_again_elsewhere()
    {
        await Database.ExecuteAsync("CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(1000000))");
        var told = new List<TransferProgress>();
        using var file = new MemoryStream();
        await Database.ExportAsync(file, new Collector(told));
        Assert.Equal(file.Length, told[^1].Done);
        Assert.All(told, p => Assert.Equal(file.Length, p.Total));
        Assert.Equal((file.Length + 262_143) / 262_144, told.Count);

        var other = await Factory.OpenAsync("other-" + Database.Name);
        file.Position = 0;
        told.Clear();
        await other.ImportAsync(file, new Collector(told));
        Assert.Equal(file.Length, told[^1].Done);
        Assert.Equal(await Database.QueryAsync<byte[]>("SELECT v FROM t"), await other.QueryAsync<byte[]>("SELECT v FROM t"));
        await Factory.DeleteAsync(other.Name);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("line\nbreak")]
    [InlineData(":memory:")]
    [InlineData("file:x?vfs=other")]
    [InlineData("FILE:x")]
    [InlineData("|DataDirectory|x")]
    public async Task An_impossible_name_is_refused(string name) =>
        await Assert.ThrowsAnyAsync<ArgumentException>(() => Factory.OpenAsync(name));

    [Fact]
    public async Task Names_of_any_letters_are_kept_apart()
    {
        string[] names = ["a/b?c#d.db", "ünï çødé 😀.db", "'; DROP TABLE t; --", new string('n', 100), "C:\\a.db", "/absolute.db", "profile:x"];
        foreach (var name in names)
        {
            var database = await Factory.OpenAsync(name);
            await database.ExecuteAsync("CREATE TABLE IF NOT EXISTS t(v); INSERT INTO t VALUES ($name)", new { name });
            using var connection = new SqliteConnection(database.ConnectionString);
            connection.Open();
            Assert.Equal(name, connection.Scalar<string>("SELECT v FROM t"));
            connection.Dispose();
            await database.DisposeAsync();
            var again = await Factory.OpenAsync(name);
            Assert.Equal([name], await again.QueryAsync<string>("SELECT v FROM t"));
            await Factory.DeleteAsync(name);
        }
    }

    private sealed class Collector(List<TransferProgress> told) : IProgress<TransferProgress>
    {
        public void Report(TransferProgress value) => told.Add(value);
    }
}
