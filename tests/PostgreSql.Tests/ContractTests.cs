using DataSync.Contracts;
using DataSync.Vfs;
using Xunit;

namespace DataSync.PostgreSql.Tests;

// The contracts of stores, and of databases that two tabs have open, on PostgreSQL.
[Collection(PostgresCollection.Name)]
public sealed class PostgresBlockStoreTests(PostgresCluster cluster) : BlockStoreContract
{
    private protected override IStoreSource Source { get; } = new PostgresStoreSource(cluster);
}

[Collection(PostgresCollection.Name)]
public sealed class PostgresCheckpointTests(PostgresCluster cluster) : CheckpointContract
{
    private protected override IStoreSource Source { get; } = new PostgresStoreSource(cluster);
}

[Collection(PostgresCollection.Name)]
public sealed class PostgresRecoveryTests(PostgresCluster cluster) : RecoveryContract
{
    private protected override IStoreSource Source { get; } = new PostgresStoreSource(cluster);
}

[Collection(PostgresCollection.Name)]
public sealed class PostgresHeadTests(PostgresCluster cluster) : HeadContract
{
    private protected override IStoreSource Source { get; } = new PostgresStoreSource(cluster);
}

[Collection(PostgresCollection.Name)]
public sealed class PostgresStatementsTests(PostgresCluster cluster) : StatementsContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => Task.FromResult(Sqlite.NewFactory(cluster.ConnectionString, options));
}

[Collection(PostgresCollection.Name)]
public sealed class PostgresDapperTests(PostgresCluster cluster) : DapperContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => Task.FromResult(Sqlite.NewFactory(cluster.ConnectionString, options));
}

internal static class Sqlite
{
    public static DataSyncFactory NewFactory(string connectionString, DataSyncOptions? options = null, PostgresOptions? postgres = null)
    {
        SQLitePCL.Batteries_V2.Init();
        return DataSyncPostgres.CreateFactory(connectionString, options, postgres);
    }
}
