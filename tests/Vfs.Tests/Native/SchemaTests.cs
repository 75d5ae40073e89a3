using DataSync.Contracts;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>Statements that change the schema where the one that SQLite has in memory is not the database's any more.</summary>
public sealed class SchemaTests : IDisposable
{
    private readonly NativeTabs _tabs = new();
    private readonly MemoryBlockMedium _medium = new();

    [Theory]
    [InlineData("CREATE INDEX i ON t(a)", "DROP INDEX i")]
    [InlineData("CREATE TABLE u(a)", "DROP TABLE u")]
    [InlineData("ALTER TABLE t ADD COLUMN x", "ALTER TABLE t DROP COLUMN x")]
    [InlineData("CREATE VIEW v AS SELECT a FROM t", "DROP VIEW v")]
    [InlineData("CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END", "DROP TRIGGER g")]
    public async Task What_another_tab_dropped_can_be_created_anew(string create, string drop)
    {
        await using var one = await _tabs.OpenAsync(new MemoryBlockStore(_medium));
        await using var other = await _tabs.OpenAsync(new MemoryBlockStore(_medium));
        await RunAsync(one, "CREATE TABLE t(a)", other);
        for (var round = 0; round < 2; round++)
        {
            await RunAsync(one, create, other);
            await RunAsync(other, drop, one);
        }

        var result = await one.WriteAsync(connection => connection.Execute(create));
        await NativeTabs.WaitForAsync(other, result.Marker);
        await RunAsync(other, drop, one);
        result = await one.WriteAsync(connection =>
        {
            connection.Execute(create);
            return Task.CompletedTask;
        });
        await NativeTabs.WaitForAsync(other, result.Marker);
        await Assert.ThrowsAsync<SqliteException>(() => other.ExecuteAsync(create));
    }

    [Theory]
    [InlineData("CREATE INDEX i ON t(a)")]
    [InlineData("CREATE TABLE u(a)")]
    [InlineData("ALTER TABLE t ADD COLUMN x")]
    [InlineData("ALTER TABLE t RENAME COLUMN a TO b")]
    [InlineData("DROP TABLE t")]
    public async Task A_change_of_the_schema_that_the_store_refused_can_be_tried_again(string sql)
    {
        var store = new FaultyBlockStore(new MemoryBlockStore(_medium));
        await using var database = await _tabs.OpenAsync(store);
        await database.ExecuteAsync("CREATE TABLE t(a, c)");
        for (var round = 0; round < 2; round++)
        {
            store.FailAt(StoreOperation.Append, new StorageQuotaException());
            await Assert.ThrowsAsync<StorageQuotaException>(() => database.ExecuteAsync(sql));
        }

        await database.ExecuteAsync(sql);
        await Assert.ThrowsAsync<SqliteException>(() => database.ExecuteAsync(sql));
    }

    private static async Task RunAsync(DataSyncDatabase database, string sql, DataSyncDatabase other) =>
        await NativeTabs.WaitForAsync(other, (await database.ExecuteAsync(sql)).Marker);

    public void Dispose() => _tabs.Dispose();
}
