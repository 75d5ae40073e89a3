using DataSync.Server;
using Microsoft.Extensions.DependencyInjection.Extensions;

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
}
