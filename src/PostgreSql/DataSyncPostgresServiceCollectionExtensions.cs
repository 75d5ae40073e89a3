using DataSync.PostgreSql;
using DataSync.Vfs;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers DataSync on PostgreSQL.</summary>
public static class DataSyncPostgresServiceCollectionExtensions
{
    /// <summary>Adds the process's <see cref="DataSyncFactory"/>: inject it, and <c>await factory.OpenAsync()</c> where the database is needed.</summary>
    /// <param name="services">The app's services.</param>
    /// <param name="connectionString">Npgsql's, straight to the server.</param>
    /// <param name="configure">Sets the database's name and other options; null for the defaults.</param>
    /// <param name="configurePostgres">Sets the schema and times; null for the defaults.</param>
    /// <exception cref="ArgumentException">An option does not fit. (The connection string is looked at when the factory is made.)</exception>
    public static IServiceCollection AddDataSyncPostgres(
        this IServiceCollection services, string connectionString, Action<DataSyncOptions>? configure = null, Action<PostgresOptions>? configurePostgres = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(connectionString);
        return Add(services, configure, configurePostgres, (options, postgres, provider) => DataSyncPostgres.CreateFactory(
            connectionString, options, postgres, provider.GetRequiredService<TimeProvider>(), provider.GetService<ILoggerFactory>()));
    }

    /// <summary>The same over the <see cref="NpgsqlDataSource"/> that is registered.</summary>
    /// <inheritdoc cref="AddDataSyncPostgres(IServiceCollection, string, Action{DataSyncOptions}?, Action{PostgresOptions}?)"/>
    public static IServiceCollection AddDataSyncPostgres(
        this IServiceCollection services, Action<DataSyncOptions>? configure = null, Action<PostgresOptions>? configurePostgres = null) =>
        Add(services, configure, configurePostgres, (options, postgres, provider) => DataSyncPostgres.CreateFactory(
            provider.GetRequiredService<NpgsqlDataSource>(), options, postgres, provider.GetRequiredService<TimeProvider>(), provider.GetService<ILoggerFactory>()));

    private static IServiceCollection Add(
        IServiceCollection services, Action<DataSyncOptions>? configure, Action<PostgresOptions>? configurePostgres,
        Func<DataSyncOptions, PostgresOptions, IServiceProvider, DataSyncFactory> create)
    {
        ArgumentNullException.ThrowIfNull(services);
        var (options, postgres) = (new DataSyncOptions(), new PostgresOptions());
        configure?.Invoke(options);
        configurePostgres?.Invoke(postgres);
        options.Validate();
        postgres.Validate();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(options);

        // One for the process: each factory is a tab, with a copy and sessions of its own.
        services.AddSingleton(provider => create(options, postgres, provider));
        return services;
    }
}
