using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Metadata;
using Microsoft.EntityFrameworkCore.Migrations;
using Microsoft.EntityFrameworkCore.Migrations.Internal;
using Microsoft.EntityFrameworkCore.Storage;

namespace DataSync.EntityFrameworkCore;

/// <summary>
/// Migrates in one durable step, whatever transactions the migrations consist of, while no other tab writes. With nothing to do it writes nothing and waits for nobody.
/// </summary>
internal sealed class DataSyncMigrator(
    IMigrationsAssembly assembly, IHistoryRepository history, IDatabaseCreator creator, IMigrationsSqlGenerator generator, IRawSqlCommandBuilder commands,
    IMigrationCommandExecutor executor, IRelationalConnection connection, ISqlGenerationHelper sql, ICurrentDbContext context, IModelRuntimeInitializer initializer,
    IDiagnosticsLogger<DbLoggerCategory.Migrations> logger, IRelationalCommandDiagnosticsLogger commandLogger, IDatabaseProvider provider,
    IMigrationsModelDiffer differ, IDesignTimeModel model, IDbContextOptions options, IExecutionStrategy strategy)
    : Migrator(assembly, history, creator, generator, commands, executor, connection, sql, context, initializer, logger, commandLogger, provider, differ, model, options, strategy)
{
    private readonly IHistoryRepository _history = history;
    private readonly IMigrationsAssembly _assembly = assembly;
    private readonly IRelationalConnection _connection = connection;
    private readonly IExecutionStrategy _strategy = strategy;
    private readonly CoreOptionsExtension? _core = options.FindExtension<CoreOptionsExtension>();

    public override async Task MigrateAsync(string? targetMigration, CancellationToken cancellationToken = default)
    {
        // A transaction of the application's own holds the turn already.
        if (_connection.CurrentTransaction is not null)
        {
            await base.MigrateAsync(targetMigration, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (targetMigration is null && !HasSeeding && await IsUpToDateAsync(cancellationToken).ConfigureAwait(false) && !HasPendingModelChanges()) return;
        await HeldTurn.RunAsync(
            (DataSyncRelationalConnection)_connection,
            _strategy,
            async token =>
            {
                await base.MigrateAsync(targetMigration, token).ConfigureAwait(false);
                return true;
            },
            cancellationToken).ConfigureAwait(false);
    }

    private bool HasSeeding => (_core?.Seeder ?? (object?)_core?.AsyncSeeder) is not null;

    private async Task<bool> IsUpToDateAsync(CancellationToken cancellationToken)
    {
        await _connection.OpenAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (_assembly.Migrations.Count == 0 || !await _history.ExistsAsync(cancellationToken).ConfigureAwait(false)) return false;
            var applied = (await _history.GetAppliedMigrationsAsync(cancellationToken).ConfigureAwait(false)).Select(row => row.MigrationId).ToHashSet(StringComparer.OrdinalIgnoreCase);
            return _assembly.Migrations.Keys.All(applied.Contains);
        }
        finally
        {
            await _connection.CloseAsync().ConfigureAwait(false);
        }
    }
}
