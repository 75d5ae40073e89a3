using DataSync.Server;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers what serves databases to browsers.</summary>
public static class DataSyncServerServiceCollectionExtensions
{
    /// <summary>
    /// Adds what <c>MapDataSync</c> needs. The databases are those of the app's <c>DataSyncFactory</c>: add that with <c>AddDataSyncPostgres</c>, or with <c>AddDataSync</c> and a directory.
    /// </summary>
    /// <param name="services">The app's services.</param>
    /// <param name="configure">Says who may open which database, and sets limits.</param>
    /// <exception cref="ArgumentException">An option does not fit.</exception>
    public static IServiceCollection AddDataSyncServer(this IServiceCollection services, Action<DataSyncServerOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        var options = new DataSyncServerOptions();
        configure(options);
        options.Validate();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<DatabaseServer>(provider, options));
        return services;
    }

    /// <summary>
    /// Adds a health check of the databases that clients are connected with: healthy when each has a leader and its store answers; degraded while one of them has not (it is tried again); the
    /// failure status when one has stopped by itself, or could not be opened, and was not opened since. Which and why is in the result's data, by name.
    /// </summary>
    /// <param name="builder">Of <c>AddHealthChecks</c>; the services need <c>AddDataSyncServer</c>.</param>
    /// <param name="name">The check's name.</param>
    /// <param name="failureStatus">What a database that has stopped is reported as; null: unhealthy.</param>
    /// <param name="tags">Tags to choose checks by.</param>
    public static IHealthChecksBuilder AddDataSync(this IHealthChecksBuilder builder, string name = "datasync", HealthStatus? failureStatus = null, IEnumerable<string>? tags = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.Add(new HealthCheckRegistration(name, provider => new DataSyncHealthCheck(provider.GetRequiredService<DatabaseServer>()), failureStatus, tags));
    }
}
