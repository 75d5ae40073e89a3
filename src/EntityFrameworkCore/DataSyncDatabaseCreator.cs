using System.Data.Common;
using DataSync.Coordination;
using Microsoft.EntityFrameworkCore.Sqlite.Storage.Internal;
using Microsoft.EntityFrameworkCore.Storage;

namespace DataSync.EntityFrameworkCore;

/// <summary>Creates tables and deletes databases, for every tab.</summary>
internal sealed class DataSyncDatabaseCreator(
    RelationalDatabaseCreatorDependencies dependencies, ISqliteRelationalConnection connection, IRawSqlCommandBuilder commands, IExecutionStrategy strategy)
    : SqliteDatabaseCreator(dependencies, connection, commands)
{
    private readonly DataSyncRelationalConnection _connection = (DataSyncRelationalConnection)connection;

    /// <summary>Opening makes it, so it always does.</summary>
    public override bool Exists() => true;

    public override Task<bool> ExistsAsync(CancellationToken cancellationToken = default) => Task.FromResult(true);

    public override void Create()
    {
    }

    public override Task CreateAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;

    /// <summary>Where the tab has opened the database already: opening takes time.</summary>
    public override bool CanConnect()
    {
        try
        {
            _connection.Open(errorsExpected: true);
        }
        catch (Exception error) when (error is DbException or CoordinationException or InvalidOperationException)
        {
            return false;
        }

        _connection.Close();
        return true;
    }

    public override async Task<bool> CanConnectAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            await _connection.OpenAsync(cancellationToken, errorsExpected: true).ConfigureAwait(false);
        }
        catch (Exception error) when (error is DbException or CoordinationException or InvalidOperationException)
        {
            return false;
        }

        await _connection.CloseAsync().ConfigureAwait(false);
        return true;
    }

    public override async Task<bool> EnsureCreatedAsync(CancellationToken cancellationToken = default)
    {
        if (_connection.CurrentTransaction is not null) return await base.EnsureCreatedAsync(cancellationToken).ConfigureAwait(false);
        return await HeldTurn.RunAsync(_connection, strategy, token => base.EnsureCreatedAsync(token), cancellationToken).ConfigureAwait(false);
    }

    public override void Delete() => throw new InvalidOperationException("A database of DataSync is deleted for every tab, which takes time: await EnsureDeletedAsync.");

    public override async Task DeleteAsync(CancellationToken cancellationToken = default)
    {
        var factory = _connection.Options.Factory;
        await _connection.DataSync.CloseAsync().ConfigureAwait(false);
        await factory.DeleteAsync(_connection.Options.Database, cancellationToken).ConfigureAwait(false);
    }
}
