using System.Data.Common;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Sqlite.Infrastructure.Internal;
using Microsoft.EntityFrameworkCore.Sqlite.Storage.Internal;
using Microsoft.EntityFrameworkCore.Storage;

namespace DataSync.EntityFrameworkCore;

/// <summary>A context's connection, which waits where it has to.</summary>
internal sealed class DataSyncRelationalConnection(
    RelationalConnectionDependencies dependencies, IRawSqlCommandBuilder commands, IDiagnosticsLogger<DbLoggerCategory.Infrastructure> logger)
    : SqliteRelationalConnection(dependencies, commands, logger)
{
    private readonly RelationalConnectionDependencies _dependencies = dependencies;
    private readonly IRawSqlCommandBuilder _commands = commands;
    private readonly IDiagnosticsLogger<DbLoggerCategory.Infrastructure> _logger = logger;

    /// <summary>The connection, as what it is.</summary>
    public DataSyncConnection DataSync => (DataSyncConnection)DbConnection;

    public DataSyncOptionsExtension Options => _dependencies.ContextOptions.FindExtension<DataSyncOptionsExtension>()!;

    protected override DbConnection CreateDbConnection()
    {
        var connection = new DataSyncConnection(Options.Factory, Options.Database, hasFunctions: true);

        // Set by the application before there was a connection: it says so when the string names another database.
        if (ConnectionString is { Length: > 0 } text && text != Options.ConnectionString)
            connection.ConnectionString = new SqliteConnectionStringBuilder(connection.ConnectionString) { DataSource = new SqliteConnectionStringBuilder(text).DataSource }.ToString();

        // Registers EF Core's functions and collations on it: the provider does so with a connection that it is given.
        _ = new SqliteRelationalConnection(_dependencies with { ContextOptions = new OptionsOf(connection) }, _commands, _logger);
        if (CommandTimeout is { } timeout) connection.DefaultTimeout = timeout;
        return connection;
    }

    /// <summary>Options of which only the connection matters. Made for each context, so without the ado of a builder.</summary>
    private sealed class OptionsOf(DbConnection connection) : IDbContextOptions
    {
        private readonly IDbContextOptionsExtension _extension = new SqliteOptionsExtension().WithConnection(connection);

        public IEnumerable<IDbContextOptionsExtension> Extensions => [_extension];

        public TExtension? FindExtension<TExtension>()
            where TExtension : class, IDbContextOptionsExtension => _extension as TExtension;
    }
}
