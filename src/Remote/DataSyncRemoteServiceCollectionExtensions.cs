using DataSync.Remote;
using DataSync.Vfs;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers DataSync over a server.</summary>
public static class DataSyncRemoteServiceCollectionExtensions
{
    /// <summary>Adds the app's <see cref="DataSyncFactory"/>: inject it, and <c>await factory.OpenAsync()</c> where the database is needed.</summary>
    /// <param name="services">The app's services.</param>
    /// <param name="address">Of the server's endpoint; see <see cref="DataSyncRemote.CreateFactory"/>.</param>
    /// <param name="configure">Sets the database's name and other options; null for the defaults.</param>
    /// <param name="configureRemote">Sets tokens and times; null for the defaults.</param>
    /// <exception cref="ArgumentException">An option does not fit. (The address is looked at when the factory is made.)</exception>
    public static IServiceCollection AddDataSyncRemote(
        this IServiceCollection services, Uri address, Action<DataSyncOptions>? configure = null, Action<DataSyncRemoteOptions>? configureRemote = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(address);
        var (options, remote) = (new DataSyncOptions(), new DataSyncRemoteOptions());
        configure?.Invoke(options);
        configureRemote?.Invoke(remote);
        options.Validate();
        remote = remote.Copy();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(options);

        // One for the app: each factory is a tab, with a copy and sockets of its own.
        services.AddSingleton(provider => DataSyncRemote.CreateFactory(
            address, options, remote, provider.GetRequiredService<TimeProvider>(), provider.GetService<ILoggerFactory>()));
        return services;
    }
}
