using DataSync.EntityFrameworkCore;
using DataSync.Vfs;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.Extensions.DependencyInjection.Extensions;

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
        return services.AddDbContextFactory<TContext>((provider, builder) => Use(provider, builder, database, options), ServiceLifetime.Scoped);
    }

    /// <summary>
    /// As <see cref="AddDataSyncDbContextFactory"/>, with contexts that are reset and used again when they are disposed: making one, and saving a
    /// little with it, is about twice as fast. EF Core's rules for pooled contexts hold: the only constructor takes the options, and what the class
    /// keeps in fields of its own stays there.
    /// </summary>
    /// <typeparam name="TContext">The context; its only public constructor takes <see cref="DbContextOptions{TContext}"/>.</typeparam>
    /// <param name="services">The container.</param>
    /// <param name="database">The database; null for <see cref="DataSyncOptions.DefaultDatabase"/>.</param>
    /// <param name="options">More options of the context.</param>
    /// <param name="poolSize">How many contexts are kept at most.</param>
    public static IServiceCollection AddPooledDataSyncDbContextFactory<TContext>(
        this IServiceCollection services, string? database = null, Action<DbContextOptionsBuilder>? options = null, int poolSize = 32)
        where TContext : DbContext
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(poolSize);

        // EF Core's own registration is a singleton's, and a DataSyncFactory belongs to a scope: to the page, or to a visit of a server's.
        services.TryAddScoped<IDbContextFactory<TContext>>(provider =>
        {
            var builder = new DbContextOptionsBuilder<TContext>();
            builder.UseApplicationServiceProvider(provider);
            Use(provider, builder, database, options);
            return new PooledDbContextFactory<TContext>(builder.Options, poolSize);
        });
        services.TryAddScoped(provider => provider.GetRequiredService<IDbContextFactory<TContext>>().CreateDbContext());
        return services;
    }

    private static void Use(IServiceProvider provider, DbContextOptionsBuilder builder, string? database, Action<DbContextOptionsBuilder>? options)
    {
        builder.UseDataSync(provider.GetRequiredService<DataSyncFactory>(), database);
        options?.Invoke(builder);
    }
}
