using DataSync.Vfs;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;
using Microsoft.EntityFrameworkCore.Sqlite.Storage.Internal;
using Microsoft.EntityFrameworkCore.Storage;

namespace DataSync.EntityFrameworkCore;

/// <summary>Makes a <see cref="DbContext"/> use a database of DataSync.</summary>
public static class DataSyncDbContextOptionsExtensions
{
    /// <summary>
    /// Uses a database of DataSync, with EF Core's SQLite provider. In every tab: asynchronous calls wait for leave to write, and return when what they
    /// wrote is durable; a write that another tab's came before is run again with the same tracked entities; of several tabs that migrate at once one
    /// does it, in one durable step, and the others wait.
    /// </summary>
    /// <param name="options">The context's options.</param>
    /// <param name="factory">Opens the database in this tab, at the context's first use.</param>
    /// <param name="database">The database; null for <see cref="DataSyncOptions.DefaultDatabase"/>.</param>
    /// <param name="sqlite">More settings of the SQLite provider.</param>
    public static DbContextOptionsBuilder UseDataSync(
        this DbContextOptionsBuilder options, DataSyncFactory factory, string? database = null, Action<SqliteDbContextOptionsBuilder>? sqlite = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(factory);
        return Use(options, new DataSyncOptionsExtension(factory, database), sqlite);
    }

    /// <summary>
    /// For design time (<c>dotnet ef migrations add</c>), where there is no database: models and migrations are made, and nothing can be opened. Call it
    /// from an <c>IDesignTimeDbContextFactory</c>.
    /// </summary>
    /// <param name="options">The context's options.</param>
    /// <param name="sqlite">More settings of the SQLite provider.</param>
    public static DbContextOptionsBuilder UseDataSync(this DbContextOptionsBuilder options, Action<SqliteDbContextOptionsBuilder>? sqlite = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        SqliteWasm.ProvideVersion();
        return Use(options, new DataSyncOptionsExtension(null, null), sqlite);
    }

    private static DbContextOptionsBuilder Use(DbContextOptionsBuilder options, DataSyncOptionsExtension extension, Action<SqliteDbContextOptionsBuilder>? sqlite)
    {
        ((IDbContextOptionsBuilderInfrastructure)options).AddOrUpdateExtension(extension);
        return options
            .UseSqlite(extension.ConnectionString, sqlite)
            .ReplaceService<ISqliteRelationalConnection, DataSyncRelationalConnection>()
            .ReplaceService<IRelationalDatabaseCreator, DataSyncDatabaseCreator>()
            .ReplaceService<IHistoryRepository, DataSyncHistoryRepository>()
            .ReplaceService<IMigrator, DataSyncMigrator>()
            .ReplaceService<IExecutionStrategyFactory, DataSyncExecutionStrategyFactory>();
    }
}
