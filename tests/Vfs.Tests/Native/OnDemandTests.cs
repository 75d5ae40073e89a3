using DataSync.Contracts;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>A database of 8 MB, of which a tab keeps little in memory: asynchronous members load what they need, and nobody sees it.</summary>
public sealed class OnDemandTests : IDisposable
{
    private const int Rows = 8000;
    private const long Least = Extent.MaxRecordSize;
    private readonly NativeTabs _tabs = new();
    private readonly MemoryBlockMedium _medium = new();

    public void Dispose() => _tabs.Dispose();

    [Fact]
    public async Task Queries_load_what_they_need_and_it_leaves_again()
    {
        await FillAsync();
        await using var database = await OpenAsync(4 * Least);
        Assert.True(database.ResidentBytes <= 8 * Least, $"{database.ResidentBytes} bytes were read to open it.");
        Assert.Equal(["value 7777"], await database.QueryAsync<string>("SELECT name FROM t WHERE id = 7777"));
        Assert.True(database.ResidentBytes < 20 * Least, $"{database.ResidentBytes} bytes were read for one row.");
        Assert.Equal(Sum, Assert.Single(await database.QueryAsync<long>("SELECT sum(id) FROM t WHERE length(filler) = 900")));
        Assert.Equal("ok", Assert.Single(await database.QueryAsync<string>("PRAGMA integrity_check")));
        Assert.InRange(database.ResidentBytes, Least, 4 * Least);
        var rows = await database.QueryAsync("SELECT id FROM t ORDER BY id");
        Assert.Equal(Enumerable.Range(1, Rows).Select(id => (object)(long)id), rows.Rows.Select(row => row[0]));
    }

    [Fact]
    public async Task Writes_load_what_they_need_and_are_run_again()
    {
        await FillAsync();
        await using var database = await OpenAsync(Least);
        Assert.Equal(1, (await database.ExecuteAsync("UPDATE t SET name = 'x' WHERE id = 4000")).Changes);
        Assert.Equal(3, (await database.ExecuteManyAsync("UPDATE t SET name = 'y' WHERE id = ?", [new object[] { 10 }, new object[] { 3000 }, new object[] { 7999 }])).Changes);
        await database.WriteAsync(connection => connection.ExecuteText("DELETE FROM t WHERE id % 1000 = 1"));
        await database.WriteAsync(async connection =>
        {
            await Task.Yield();
            connection.ExecuteText("INSERT INTO t SELECT id + 100000, name, filler FROM t WHERE id % 500 = 2");
        });
        Assert.Equal([4999L], await database.QueryAsync<long>("INSERT INTO t SELECT 200000, name, filler FROM t WHERE id = 5000 RETURNING (SELECT count(*) FROM t WHERE id <= 5005)"));
        Assert.Equal("ok", Assert.Single(await database.QueryAsync<string>("PRAGMA integrity_check")));
        Assert.Equal([4L], await database.QueryAsync<long>("SELECT count(*) FROM t WHERE name IN ('x', 'y')"));
        await using var again = await _tabs.OpenAsync(new MemoryBlockStore(_medium));
        Assert.Equal(Rows - 8 + 16 + 1L, Assert.Single(await again.QueryAsync<long>("SELECT count(*) FROM t")));
    }

    [Fact]
    public async Task A_leader_that_lacks_something_writes_nothing_for_others_that_comes_of_it()
    {
        await FillAsync();
        await using var leader = await OpenAsync(6 * Least);
        await leader.ExecuteAsync("CREATE TABLE found (text TEXT)");
        using var alike = new CachedConnection(leader.Name, null);
        var traits = ConnectionTraits.Of(alike, null);
        var body = StatementBody.Encode(traits.Hash, [new("INSERT INTO found SELECT integrity_check FROM pragma_integrity_check", null, IsMany: false)], value => value)!;
        Assert.NotEqual(StatementEnd.Committed, leader.RunForAnother(body).End); // it is no error of SQL, but a finding
        Assert.Empty(await leader.QueryAsync<string>("SELECT text FROM found"));
    }

    [Fact]
    public async Task Deferred_writes_load_what_they_need()
    {
        await FillAsync();
        await using var database = await OpenAsync(Least, new() { Durability = Durability.Deferred });
        for (var i = 0; i < 8; i++) await database.ExecuteAsync("UPDATE t SET name = 'deferred' WHERE id = ?", new object[] { i * 999 + 1 });
        await database.SyncAsync();
        Assert.Equal([8L], await database.QueryAsync<long>("SELECT count(*) FROM t WHERE name = 'deferred'"));
    }

    [Fact]
    public async Task What_one_database_misses_is_no_matter_of_the_work_of_another_that_asks_it()
    {
        await FillAsync();
        await using var partial = await OpenAsync(Least);
        using var others = new NativeTabs();
        await using var whole = await others.OpenAsync(new MemoryBlockStore(new MemoryBlockMedium()));
        await whole.ExecuteAsync("CREATE TABLE w(x)");
        Task<IReadOnlyList<string>>? asked = null;
        await whole.WriteAsync(connection =>
        {
            asked = partial.QueryAsync<string>("SELECT name FROM t WHERE id = 7777");
            connection.ExecuteText("INSERT INTO w VALUES (1)");
        });
        Assert.Equal(["value 7777"], await asked!);
        Assert.Equal([1L], await whole.QueryAsync<long>("SELECT count(*) FROM w"));
    }

    [Fact]
    public async Task What_a_virtual_table_has_in_memory_is_not_what_it_was_in_the_middle_of_a_miss()
    {
        await using var database = await _tabs.OpenAsync(new MemoryBlockStore(_medium), OnDemandDatabases.With(new()));
        await OnDemandDatabases.SpreadAsync(database);
        await database.ExecuteAsync("CREATE VIRTUAL TABLE words USING fts5(text, content='')");
        await database.ExecuteAsync("INSERT INTO words(rowid, text) VALUES (1, 'alpha beta'), (2, 'beta gamma')");
        await database.EvictAsync();
        var (before, told) = (database.Marker, new List<bool>());
        database.Committed += (_, e) =>
        {
            if (e.Position.Marker > before) told.Add(e.IsSchemaChanged);
        };
        await database.ExecuteAsync("INSERT INTO words(words, rowid, text) VALUES ('delete', 1, 'alpha beta')"); // reads how many rows there are, and counts down
        await database.EvictAsync();
        await database.ExecuteAsync("INSERT INTO words(rowid, text) VALUES (3, 'delta')");
        await database.EvictAsync();
        await database.ExecuteAsync("INSERT INTO words(words) VALUES ('integrity-check')");
        Assert.Equal([2L, 3L], await database.QueryAsync<long>("SELECT rowid FROM words WHERE words MATCH 'beta OR delta' ORDER BY rowid"));
        Assert.DoesNotContain(true, told.ToArray());
    }

    [Fact]
    public async Task What_an_attached_database_misses_is_told_and_not_tried_for_ever()
    {
        await FillAsync();
        await using var partial = await OpenAsync(Least);
        using var others = new NativeTabs();
        await using var whole = await others.OpenAsync(new MemoryBlockStore(new MemoryBlockMedium()));
        await whole.QueryAsync($"ATTACH '{partial.Name}' AS partial");
        var sum = () => whole.QueryAsync<long>("SELECT sum(id) FROM partial.t WHERE length(filler) = 900");
        Assert.Contains("LoadAsync", (await Assert.ThrowsAsync<NotResidentException>(sum)).Message, StringComparison.Ordinal);
        await partial.LoadAsync();
        Assert.Equal([Sum], await sum());
    }

    [Fact]
    public async Task Synchronous_calls_say_what_to_do_and_work_when_everything_is_loaded()
    {
        await FillAsync();
        await using var database = await OpenAsync(Least);
        await using (var connection = database.CreateConnection())
        {
            await connection.OpenAsync();
            await using var command = connection.CreateCommand();
            command.CommandText = "SELECT count(*) FROM t WHERE filler IS NOT NULL";
            var error = Assert.Throws<NotResidentException>(command.ExecuteScalar);
            Assert.True(error.IsTransient);
            Assert.Contains("LoadAsync", error.Message, StringComparison.Ordinal);
            Assert.Equal((long)Rows, await command.ExecuteScalarAsync());
        }

        using var own = new SqliteConnection(database.ConnectionString);
        own.Open();
        var plain = Assert.Throws<SqliteException>(() => own.ExecuteText("SELECT sum(length(filler)) FROM t"));
        Assert.Equal(VfsFailure.NotResident, plain.SqliteExtendedErrorCode);
        await database.LoadAsync();
        own.ExecuteText("SELECT sum(length(filler)) FROM t");
        Assert.False(database.IsPartial);
    }

    [Fact]
    public async Task Readers_of_connections_go_through_and_transactions_may_be_run_again()
    {
        await FillAsync();
        await using var database = await OpenAsync(Least);
        await using var connection = database.CreateConnection();
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT id FROM t ORDER BY id";
        await using (var reader = await command.ExecuteReaderAsync())
        {
            for (var id = 1; id <= Rows; id++)
            {
                Assert.True(await reader.ReadAsync());
                Assert.Equal(id, reader.GetInt64(0));
            }

            Assert.False(await reader.ReadAsync());
        }

        for (var attempt = 1; ; attempt++)
        {
            await using var transaction = await connection.BeginTransactionAsync();
            try
            {
                await using var update = connection.CreateCommand();
                update.CommandText = "UPDATE t SET name = name || '!' WHERE id % 2000 = 0";
                Assert.Equal(4, await update.ExecuteNonQueryAsync());
                await transaction.CommitAsync();
                break;
            }
            catch (NotResidentException error) when (attempt < 20)
            {
                Assert.True(error.IsTransient);
            }
        }

        Assert.Equal(["value 2000!", "value 4000!", "value 6000!", "value 8000!"], await database.QueryAsync<string>("SELECT name FROM t WHERE id % 2000 = 0 ORDER BY id"));
    }

    [Fact]
    public async Task Live_queries_row_changes_export_and_import_work()
    {
        await FillAsync();
        await using var database = await OpenAsync(Least);
        await using var live = await database.LiveAsync<long>("SELECT count(*) FROM t WHERE name = 'new' AND filler IS NOT NULL");
        await using var other = await OpenAsync(Least);
        var changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        live.Changed += (_, e) =>
        {
            if (e.Rows is [1]) changed.TrySetResult();
        };
        await other.ExecuteAsync("UPDATE t SET name = 'new' WHERE id = 6543");
        await changed.Task.WaitAsync(NativeTabs.Patience);

        using var file = new MemoryStream();
        await database.ExportAsync(file);
        file.Position = 0;
        await other.ExecuteAsync("DELETE FROM t WHERE id > 10");
        await other.ImportAsync(file);
        Assert.Equal(Sum, Assert.Single(await other.QueryAsync<long>("SELECT sum(id) FROM t WHERE length(filler) = 900")));
        Assert.Equal("ok", Assert.Single(await other.QueryAsync<string>("PRAGMA integrity_check")));
    }

    private static long Sum => Rows * (Rows + 1L) / 2;

    private async Task<DataSyncDatabase> OpenAsync(long maxBytes, DataSyncOptions? options = null)
    {
        options ??= new();
        options.Residency = Residency.OnDemand(maxBytes);
        options.Pipeline.CheckpointLogRecords = 1;
        return await _tabs.OpenAsync(new MemoryBlockStore(_medium), options);
    }

    private async Task FillAsync()
    {
        var options = new DataSyncOptions();
        options.Pipeline.CheckpointLogRecords = 1;
        await using var database = await _tabs.OpenAsync(new MemoryBlockStore(_medium), options);
        await database.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, filler BLOB)");
        await database.ExecuteAsync(
            $"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {Rows}) INSERT INTO t SELECT i, 'value ' || i, zeroblob(900) FROM n");
        await database.ForceSyncAsync();
        for (var i = 0; database.LogRecords > 0 && i < 1000; i++) await database.ExecuteAsync("UPDATE t SET id = 1 WHERE id = 1");
    }
}

internal static class OnDemandConnectionExtensions
{
    public static void ExecuteText(this SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // The tests' own text.
        command.CommandText = sql;
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }
}
