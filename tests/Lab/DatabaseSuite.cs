using DataSync.Contracts;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Lab;

/// <summary>A database of this tab's own, opened as an app opens it, deleted afterwards.</summary>
public abstract class DatabaseSuite : IAsyncLifetime
{
    protected DataSyncFactory Factory { get; private set; } = null!;

    protected DataSyncDatabase Database { get; private set; } = null!;

    protected virtual DataSyncOptions? Options => null;

    public virtual async Task InitializeAsync()
    {
        Factory = await LabPage.NewFactoryAsync(Options);
        Database = await Factory.OpenAsync($"suite-{Guid.NewGuid():N}.db");
    }

    public async Task DisposeAsync() => await Factory.DeleteAsync(Database.Name);

    /// <summary>A connection of the test's own.</summary>
    protected SqliteConnection Connect()
    {
        var connection = new SqliteConnection(Database.ConnectionString);
        connection.Open();
        return connection;
    }

    protected async Task<long> CountAsync(string table) => (await Database.QueryAsync<long>($"SELECT count(*) FROM {table}"))[0];

    protected static async Task<byte[]> ExportAsync(DataSyncDatabase database)
    {
        using var stream = new MemoryStream();
        await database.ExportAsync(stream);
        return stream.ToArray();
    }
}
