using DataSync.PostgreSql;
using DataSync.Storage;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace DataSync.Cli;

/// <summary>A store that the command line names, not opened: a directory, or a database in PostgreSQL.</summary>
/// <param name="Store">The store; disposed with the place.</param>
/// <param name="Description">Where it is, for people.</param>
/// <param name="ExistsAsync">Whether there is one; makes nothing.</param>
/// <param name="ListQuarantineAsync">What repairs kept aside, by name and size.</param>
/// <param name="Source">PostgreSQL's connections; null for a directory.</param>
internal sealed record StorePlace(
    IBlockStore Store, string Description, Func<CancellationToken, Task<bool>> ExistsAsync, Func<CancellationToken, Task<IReadOnlyList<QuarantinedResult>>> ListQuarantineAsync,
    PostgresSource? Source = null) : IAsyncDisposable
{
    /// <param name="place">A path, or a name below DATASYNC_FS_BASE.</param>
    public static StorePlace InDirectory(string place)
    {
        var isDirectory = place.Contains(Path.DirectorySeparatorChar) || place.Contains('/') || FileBlockStore.ExistsIn(place);
        var store = isDirectory ? FileBlockStore.InDirectory(place) : new FileBlockStore(place);
        return new(store, store.Directory, _ => Task.FromResult(FileBlockStore.ExistsIn(store.Directory)), _ => Task.FromResult(ListFiles(store.Directory)));
    }

    /// <param name="connectionString">Npgsql's.</param>
    /// <param name="schema">The schema that DataSync's tables are in.</param>
    /// <param name="name">The database's name, as the application opens it.</param>
    /// <exception cref="ArgumentException">The connection string or the schema does not fit.</exception>
    public static StorePlace InPostgres(string connectionString, string schema, string name)
    {
        var options = new PostgresOptions { Schema = schema };
        options.Validate();
        var connection = new NpgsqlConnectionStringBuilder(connectionString);
        PostgresOptions.CheckConnection(connection);
        connection.ApplicationName ??= "datasync";
        var data = NpgsqlDataSource.Create(PostgresOptions.Tune(connection));
        var source = new PostgresSource(data, isOwned: true, options, TimeProvider.System, NullLogger.Instance);
        var store = new PostgresBlockStore(source, new PostgresLink(source, name), name, ChecksumKind.FastHash);
        return new(store, $"{schema}.{name} in PostgreSQL ({connection.Host}, {connection.Database})", store.ExistsAsync, ListAsync, source);

        async Task<IReadOnlyList<QuarantinedResult>> ListAsync(CancellationToken cancellationToken) =>
            [.. (await store.ListQuarantineAsync(cancellationToken).ConfigureAwait(false)).Select(kept => new QuarantinedResult($"{kept.Kind} {kept.Key}", kept.Bytes))];
    }

    public async ValueTask DisposeAsync()
    {
        await Store.DisposeAsync().ConfigureAwait(false);
        if (Source is not null) await Source.DisposeAsync().ConfigureAwait(false);
    }

    private static IReadOnlyList<QuarantinedResult> ListFiles(string store)
    {
        var folder = new DirectoryInfo(Path.Combine(store, "quarantine"));
        return folder.Exists ? [.. folder.EnumerateFiles().OrderBy(file => file.Name, StringComparer.Ordinal).Select(file => new QuarantinedResult(file.Name, file.Length))] : [];
    }
}
