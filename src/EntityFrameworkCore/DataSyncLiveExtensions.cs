using DataSync.Vfs;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Storage;

namespace DataSync.EntityFrameworkCore;

/// <summary>Queries of EF Core that follow the database.</summary>
public static class DataSyncLiveExtensions
{
    /// <summary>
    /// Runs a query with a new context that does not track, and again with another one whenever a table that it reads was changed, by any tab; see
    /// <see cref="DataSyncDatabase.LiveAsync{T}"/>: <c>await contexts.LiveAsync(c => c.Todos.Where(todo => !todo.Done).OrderBy(todo => todo.Rank))</c>.
    /// </summary>
    /// <remarks>
    /// Rows are the same where all is the same that the query loaded: properties, owned types, and what it included. What the query captures is read anew by each run: to change a parameter
    /// change the variable, and call <see cref="LiveQuery{T}.RefreshAsync"/>.
    /// </remarks>
    /// <param name="contexts">Makes the contexts.</param>
    /// <param name="query">Makes the query of a context. It is called for each run, and must not keep the context.</param>
    /// <param name="key">What tells rows apart. Null: of entities with a key of one property that, otherwise none.</param>
    /// <param name="cancellationToken">Stops waiting for the first run.</param>
    /// <returns>The query after its first run. Dispose it; the database's end ends it, too.</returns>
    /// <exception cref="InvalidOperationException">The context does not use DataSync, or the query cannot be translated.</exception>
    /// <exception cref="DataSync.Storage.StorageException">The database cannot be opened, or has stopped.</exception>
    public static async Task<LiveQuery<T>> LiveAsync<TContext, T>(
        this IDbContextFactory<TContext> contexts, Func<TContext, IQueryable<T>> query, Func<T, object?>? key = null, CancellationToken cancellationToken = default)
        where TContext : DbContext
    {
        ArgumentNullException.ThrowIfNull(contexts);
        ArgumentNullException.ThrowIfNull(query);
        DataSyncDatabase database;
        var context = await contexts.CreateDbContextAsync(cancellationToken).ConfigureAwait(false);
        await using (context.ConfigureAwait(false))
        {
            var options = ConnectionOf(context).Options;
            database = await options.Factory.OpenAsync(options.Database, cancellationToken).ConfigureAwait(false);
            if (key is null && context.Model.FindEntityType(typeof(T))?.FindPrimaryKey()?.Properties is [{ } only] && !only.IsShadowProperty())
            {
                var getter = only.GetGetter();
                key = row => getter.GetClrValue(row!);
            }
        }

        return await database.StartLiveAsync(new LinqSource<TContext, T>(database, contexts, query), key, cancellationToken).ConfigureAwait(false);
    }

    private static DataSyncRelationalConnection ConnectionOf(DbContext context) => context.GetService<IRelationalConnection>() as DataSyncRelationalConnection
        ?? throw new InvalidOperationException("The context does not use DataSync: give its options UseDataSync.");

    private sealed class LinqSource<TContext, T>(DataSyncDatabase database, IDbContextFactory<TContext> contexts, Func<TContext, IQueryable<T>> query) : LiveSource<T>
        where TContext : DbContext
    {
        private readonly SameRows<T> _same = new();

        public override void SetParameters(object? parameters) =>
            throw new InvalidOperationException("A live query of LINQ has no parameters of its own: change the variables that it captures, and call RefreshAsync.");

        public override async Task<LiveRun<T>> RunAsync(LiveRun<T>? before, CancellationToken cancellationToken)
        {
            await database.WaitForCleanImageAsync(cancellationToken).ConfigureAwait(false); // where a large transaction is open, the schema cannot be read
            var context = await contexts.CreateDbContextAsync(cancellationToken).ConfigureAwait(false);
            await using (context.ConfigureAwait(false))
            {
                context.ChangeTracker.QueryTrackingBehavior = QueryTrackingBehavior.NoTracking;
                var texts = new HashSet<string>();
                var connection = ConnectionOf(context).DataSync;
                connection.CommandRuns = text => texts.Add(text);
                var rows = await query(context).ToListAsync(cancellationToken).ConfigureAwait(false);
                connection.CommandRuns = null;
                return _same.Join(before, [.. rows.Select(row => RowValues.Of(context.Model, row))], i => rows[i], TablesOf(texts), []);
            }
        }

        private HashSet<string>? TablesOf(HashSet<string> texts)
        {
            var all = new HashSet<string>();
            foreach (var text in texts)
            {
                if (database.Scout.TablesOf(text) is not { } tables) return null;
                all.UnionWith(tables);
            }

            return all;
        }
    }
}
