using DataSync.EntityFrameworkCore;
using DataSync.Vfs;
using Microsoft.EntityFrameworkCore;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds contexts on DataSync to a service container.</summary>
public static class DataSyncDbContextServiceCollectionExtensions
{
    /// <summary>
    /// Adds an <see cref="IDbContextFactory{TContext}"/> whose contexts use a database of DataSync; call <c>AddDataSync</c> as well. Make a context for
    /// each unit of work, use its asynchronous methods, and dispose it.
    /// </summary>
    /// <typeparam name="TContext">The context; it has a constructor that takes <see cref="DbContextOptions{TContext}"/>.</typeparam>
    /// <param name="services">The container.</param>
    /// <param name="database">The database; null for <see cref="DataSyncOptions.DefaultDatabase"/>.</param>
    /// <param name="options">More options of the context.</param>
    public static IServiceCollection AddDataSyncDbContextFactory<TContext>(
        this IServiceCollection services, string? database = null, Action<DbContextOptionsBuilder>? options = null)
        where TContext : DbContext
    {
        ArgumentNullException.ThrowIfNull(services);
        return services.AddDbContextFactory<TContext>(
            (provider, builder) =>
            {
                builder.UseDataSync(provider.GetRequiredService<DataSyncFactory>(), database);
                options?.Invoke(builder);
            },
            ServiceLifetime.Scoped);
    }
}
