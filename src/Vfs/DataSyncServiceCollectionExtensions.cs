using DataSync.Vfs;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.JSInterop;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers DataSync.</summary>
public static class DataSyncServiceCollectionExtensions
{
    /// <summary>
    /// Adds a <see cref="DataSyncFactory"/>: inject it, and <c>await factory.OpenAsync()</c> where the database is needed.
    /// Outside the browser set <see cref="DataSyncOptions.Directory"/>.
    /// </summary>
    /// <param name="services">The app's services.</param>
    /// <param name="configure">Sets the database's name and other options; null for the defaults.</param>
    public static IServiceCollection AddDataSync(this IServiceCollection services, Action<DataSyncOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        var options = new DataSyncOptions();
        configure?.Invoke(options);
        options.Validate();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(options);
        services.AddScoped(provider => new DataSyncFactory(
            provider.GetService<IJSRuntime>(), options, provider.GetRequiredService<TimeProvider>(), provider.GetService<ILoggerFactory>()));
        return services;
    }
}
