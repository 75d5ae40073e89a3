using DataSync.Vfs;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;
using Microsoft.EntityFrameworkCore.Storage;

namespace DataSync.EntityFrameworkCore;

/// <summary>What a context's database of DataSync can do besides.</summary>
public static class DataSyncDatabaseFacadeExtensions
{
    /// <summary>
    /// Tells when the database has migrations that this version of the app does not have: because another tab runs a newer one, or did before this one
    /// was opened. From then on what this tab reads and writes may fail or lack what the newer version expects: ask the user to reload.
    /// </summary>
    /// <remarks>
    /// Looks before it returns, and again after each commit of another tab. It outlives the context, so a context made for the call will do. Call it
    /// after <c>MigrateAsync</c> or before, in each tab.
    /// </remarks>
    /// <param name="database">A context's <see cref="DbContext.Database"/>.</param>
    /// <param name="migratedPast">
    /// Is given the ids of the migrations that are not known here, in order; never none, and again when there are others. In a component:
    /// <c>ids => InvokeAsync(…)</c>. What it throws at first is thrown to the caller, and later logged (event 3010).
    /// </param>
    /// <param name="cancellationToken">Cancels the opening and the first look.</param>
    /// <returns>Ends it when disposed; the database's disposal ends it, too.</returns>
    /// <exception cref="InvalidOperationException">The context does not use DataSync, or was made for design time.</exception>
    /// <exception cref="DataSync.Storage.StorageException">The database cannot be opened.</exception>
    public static async Task<IDisposable> WatchMigrationsAsync(
        this DatabaseFacade database, Func<IReadOnlyList<string>, Task> migratedPast, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(database);
        ArgumentNullException.ThrowIfNull(migratedPast);
        if (database.GetService<IRelationalConnection>() is not DataSyncRelationalConnection { Options: var options } || database.GetService<IHistoryRepository>() is not DataSyncHistoryRepository history)
            throw new InvalidOperationException("The context does not use DataSync: give its options UseDataSync.");
        var known = database.GetService<IMigrationsAssembly>().Migrations.Keys;
        var watch = new MigrationWatch(await options.Factory.OpenAsync(options.Database, cancellationToken).ConfigureAwait(false), history.Table, history.ListText, [.. known], migratedPast);
        return await watch.BeginAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Looks for migrations that are not known here.</summary>
    private sealed class MigrationWatch(DataSyncDatabase database, string table, string list, HashSet<string> known, Func<IReadOnlyList<string>, Task> migratedPast)
    {
        private string[] _told = [];
        private bool _isNews;

        public async Task<IDisposable> BeginAsync(CancellationToken cancellationToken)
        {
            // Heard of first, looked at then: a commit in between is seen by one or the other, and at most looked at twice.
            var first = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var subscription = database.Subscribe(async commit =>
            {
                await first.Task.ConfigureAwait(false);

                // The last one that has come may be this tab's own, behind one of another tab.
                _isNews |= !commit.IsLocal;
                if (!_isNews || commit.Position.Marker < database.Marker) return;
                _isNews = false;
                await LookAsync(CancellationToken.None).ConfigureAwait(false);
            });
            try
            {
                await LookAsync(cancellationToken).ConfigureAwait(false);
                first.SetResult();
                return subscription;
            }
            catch
            {
                subscription.Dispose();
                first.SetResult();
                throw;
            }
        }

        private async Task LookAsync(CancellationToken cancellationToken)
        {
            var tables = await database.QueryAsync<string>("SELECT name FROM sqlite_schema WHERE type = 'table' AND name = $table", new { table }, cancellationToken).ConfigureAwait(false);
            var applied = tables.Count == 0 ? [] : await database.QueryAsync<string>(list, cancellationToken: cancellationToken).ConfigureAwait(false);
            string[] unknown = [.. applied.Where(id => !known.Contains(id))];
            if (unknown.SequenceEqual(_told)) return;
            _told = unknown;
            if (unknown.Length > 0) await migratedPast(unknown).ConfigureAwait(false);
        }
    }
}
