using DataSync.Vfs;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace DataSync.PostgreSql;

/// <summary>
/// Makes factories whose databases are kept in PostgreSQL: processes on any number of machines that name the same server, schema and database have the same SQLite
/// database. Each reads its own copy; one of them, elected, writes for all.
/// </summary>
public static class DataSyncPostgres
{
    /// <summary>Makes a factory with connections of its own, which it closes when it is disposed. One for each process is enough.</summary>
    /// <param name="connectionString">
    /// Npgsql's. Straight to the server: a pooler that gives each transaction another session breaks locks and notifications. With several hosts add
    /// <c>Target Session Attributes=primary</c>.
    /// </param>
    /// <param name="options">Null for the defaults. Directories are none of it.</param>
    /// <param name="postgres">Null for the defaults.</param>
    /// <param name="timeProvider">Null for the system's clock.</param>
    /// <param name="loggers">Null for none.</param>
    /// <exception cref="ArgumentException">The connection string or an option does not fit; the message says what to write instead.</exception>
    public static DataSyncFactory CreateFactory(
        string connectionString, DataSyncOptions? options = null, PostgresOptions? postgres = null, TimeProvider? timeProvider = null, ILoggerFactory? loggers = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(connectionString);
        var connection = new NpgsqlConnectionStringBuilder(connectionString);
        PostgresOptions.CheckConnection(connection);
        connection.ApplicationName ??= "DataSync";
        var builder = new NpgsqlDataSourceBuilder(PostgresOptions.Tune(connection).ConnectionString);
        if (loggers is not null) builder.UseLoggerFactory(loggers);
        return Create(builder.Build(), isOwned: true, options, postgres, timeProvider, loggers);
    }

    /// <summary>Makes a factory over connections of the app's own (TLS, passwords that change, tracing). They are not closed with it.</summary>
    /// <param name="dataSource">Npgsql's; straight to the server, without multiplexing. Dispose the factory before it.</param>
    /// <param name="options">Null for the defaults. Directories are none of it.</param>
    /// <param name="postgres">Null for the defaults.</param>
    /// <param name="timeProvider">Null for the system's clock.</param>
    /// <param name="loggers">Null for none.</param>
    /// <exception cref="ArgumentException">The connection string or an option does not fit; the message says what to write instead.</exception>
    public static DataSyncFactory CreateFactory(
        NpgsqlDataSource dataSource, DataSyncOptions? options = null, PostgresOptions? postgres = null, TimeProvider? timeProvider = null, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(dataSource);
        PostgresOptions.CheckConnection(new NpgsqlConnectionStringBuilder(dataSource.ConnectionString));
        return Create(dataSource, isOwned: false, options, postgres, timeProvider, loggers);
    }

    private static DataSyncFactory Create(
        NpgsqlDataSource data, bool isOwned, DataSyncOptions? options, PostgresOptions? postgres, TimeProvider? timeProvider, ILoggerFactory? loggers)
    {
        (options, postgres, timeProvider) = (options ?? new(), postgres ?? new(), timeProvider ?? TimeProvider.System);
        try
        {
            options.Validate();
            postgres.Validate();
            if (options.Directory is not null)
                throw new ArgumentException($"{nameof(DataSyncOptions)}.{nameof(DataSyncOptions.Directory)} is set: databases in PostgreSQL are in no directory. Leave it out, or use AddDataSync.");
        }
        catch when (isOwned)
        {
            data.Dispose();
            throw;
        }

        var logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("DataSync");
        return new DataSyncFactory(new PostgresPlace(new PostgresSource(data, isOwned, postgres, timeProvider, logger), options.Checksum), options, timeProvider, logger);
    }
}
