using Microsoft.EntityFrameworkCore.Migrations;
using Microsoft.EntityFrameworkCore.Sqlite.Migrations.Internal;

namespace DataSync.EntityFrameworkCore;

/// <summary>
/// The history of migrations. Its lock is the write turn, which <see cref="DataSyncMigrator"/> holds: it ends with its tab, where a row in a table would stay.
/// </summary>
internal sealed class DataSyncHistoryRepository(HistoryRepositoryDependencies dependencies) : SqliteHistoryRepository(dependencies)
{
    /// <summary>The name of the table that it is kept in.</summary>
    public string Table => TableName;

    /// <summary>Selects the ids of the migrations that were applied, in order.</summary>
    public string ListText =>
        $"SELECT {SqlGenerationHelper.DelimitIdentifier(MigrationIdColumnName)} FROM {SqlGenerationHelper.DelimitIdentifier(TableName, TableSchema)} ORDER BY 1";

    public override IMigrationsDatabaseLock AcquireDatabaseLock() => new TurnLock(this);

    public override Task<IMigrationsDatabaseLock> AcquireDatabaseLockAsync(CancellationToken cancellationToken = default) =>
        Task.FromResult<IMigrationsDatabaseLock>(new TurnLock(this));

    private sealed class TurnLock(IHistoryRepository history) : IMigrationsDatabaseLock
    {
        public IHistoryRepository HistoryRepository => history;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
