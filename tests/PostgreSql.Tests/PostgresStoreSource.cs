using DataSync.Contracts;
using DataSync.Storage;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace DataSync.PostgreSql.Tests;

/// <summary>Gives a suite one database for each test, and reaches into its records past the store.</summary>
internal sealed class PostgresStoreSource(PostgresCluster cluster, PostgresOptions? options = null) : IStoreSource
{
    private readonly List<PostgresSource> _sources = [];

    public string Name { get; } = $"store-{Guid.NewGuid():N}.db";

    public string Schema => Options.Schema;

    public PostgresOptions Options { get; } = options ?? new();

    public PostgresBlockStore NewStore() => NewStore(NewSource());

    public PostgresBlockStore NewStore(PostgresSource source) => new(source, new PostgresLink(source, Name), Name, ChecksumKind.FastHash);

    IBlockStore IStoreSource.NewStore() => NewStore();

    /// <summary>As another process would: a pool of its own, whose sessions have a name by which they can be ended.</summary>
    public PostgresSource NewSource(string application = "test", TimeProvider? time = null)
    {
        var data = NpgsqlDataSource.Create(PostgresOptions.Tune(new(cluster.ConnectionString) { ApplicationName = application, MaxPoolSize = 10 }));
        _sources.Add(new(data, isOwned: true, Options, time ?? TimeProvider.System, NullLogger.Instance));
        return _sources[^1];
    }

    public async ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) => kind switch
    {
        StoreRecordKind.Log => await cluster.QueryAsync<byte[]?>($"SELECT string_agg(bytes, ''::bytea ORDER BY part) FROM {Schema}.log WHERE database = {Id} AND marker = $1", key),
        StoreRecordKind.Extent => await cluster.QueryAsync<byte[]?>($"SELECT bytes FROM {Schema}.extents WHERE database = {Id} AND index = $1", (int)key),
        _ => await cluster.QueryAsync<byte[]?>($"SELECT bytes FROM {TableOf(kind)} WHERE database = {Id}"),
    };

    public async ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes)
    {
        if (kind == StoreRecordKind.Log)
        {
            var id = await cluster.QueryAsync<Guid>($"SELECT id FROM {Schema}.log WHERE database = {Id} AND marker = $1 AND part = 0", key);
            await cluster.ExecuteAsync($"DELETE FROM {Schema}.log WHERE database = {Id} AND marker = $1", key);
            if (bytes is not null) await cluster.ExecuteAsync($"INSERT INTO {Schema}.log SELECT {Id}, $1, 0, $2, $3", key, id, bytes);
        }
        else if (kind == StoreRecordKind.Extent)
        {
            await cluster.ExecuteAsync($"DELETE FROM {Schema}.extents WHERE database = {Id} AND index = $1", (int)key);
            if (bytes is not null) await cluster.ExecuteAsync($"INSERT INTO {Schema}.extents SELECT {Id}, $1, $2", (int)key, bytes);
        }
        else
        {
            await cluster.ExecuteAsync($"DELETE FROM {TableOf(kind)} WHERE database = {Id}");
            if (bytes is not null) await cluster.ExecuteAsync($"INSERT INTO {TableOf(kind)} SELECT {Id}, $1", bytes);
        }
    }

    public async Task RemoveAsync()
    {
        await using (var eraser = NewStore()) await eraser.DeleteAsync(CancellationToken.None);
        foreach (var source in _sources) await source.DisposeAsync();
    }

    private string Id => $"(SELECT id FROM {Schema}.databases WHERE name = '{Name}')";

    private string TableOf(StoreRecordKind kind) => Schema + (kind == StoreRecordKind.Head ? ".heads" : ".head_copies");
}
