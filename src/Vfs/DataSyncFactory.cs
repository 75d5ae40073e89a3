using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.JSInterop;

namespace DataSync.Vfs;

/// <summary>Opens databases of this origin in the browser. One for each tab; from the service container after <c>AddDataSync</c>.</summary>
/// <param name="js">The page's JavaScript.</param>
/// <param name="options">Null for the defaults.</param>
/// <param name="timeProvider">Null for the system's clock.</param>
/// <param name="loggers">Null for none.</param>
public sealed class DataSyncFactory(IJSRuntime js, DataSyncOptions? options = null, TimeProvider? timeProvider = null, ILoggerFactory? loggers = null)
{
    private readonly DataSyncOptions _options = options ?? new();
    private readonly TimeProvider _time = timeProvider ?? TimeProvider.System;
    private readonly ILogger _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("DataSync");
    private readonly Dictionary<string, Task<DataSyncDatabase>> _open = [];

    /// <summary>Opens <see cref="DataSyncOptions.DefaultDatabase"/>; see <see cref="OpenAsync(string, CancellationToken)"/>.</summary>
    public Task<DataSyncDatabase> OpenAsync() => OpenAsync(_options.DefaultDatabase);

    /// <summary>
    /// Opens a database, creating it when there is none, and joins the tabs that have it open. While it is open in this tab,
    /// every call returns the same object; whoever disposes it closes it for all of them.
    /// </summary>
    /// <param name="name">1 to 255 bytes in UTF-8, no control characters, not beginning with <c>:</c>, <c>|</c> or <c>file:</c>.</param>
    /// <param name="cancellationToken">Stops opening.</param>
    /// <exception cref="StorageUnavailableException">There is no IndexedDB here, or it is refused. There is no fallback to memory.</exception>
    /// <exception cref="StoreFormatException">A newer version of DataSync wrote the store.</exception>
    /// <exception cref="CorruptStoreException">The store is damaged; nothing was changed.</exception>
    /// <exception cref="CoordinationException">localStorage is missing or refused.</exception>
    public async Task<DataSyncDatabase> OpenAsync(string name, CancellationToken cancellationToken = default)
    {
        DataSyncOptions.CheckName(name);
        if (_open.TryGetValue(name, out var present) && await IsUsableAsync(present).ConfigureAwait(false)) return await present.ConfigureAwait(false);
        var opening = OpenNewAsync(name, cancellationToken);
        _open[name] = opening;
        return await opening.ConfigureAwait(false);
    }

    /// <summary>
    /// Deletes a database for every tab; theirs stop with <see cref="StorageClosedException"/>. Also one that cannot be opened: damaged,
    /// of a newer version, or not DataSync's.
    /// </summary>
    /// <param name="name">The database's name. One that does not exist is no error.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="StorageException">Another tab did not let go of it in time.</exception>
    public async Task DeleteAsync(string name, CancellationToken cancellationToken = default)
    {
        DataSyncOptions.CheckName(name);
        if (_open.Remove(name, out var present) && await IsUsableAsync(present).ConfigureAwait(false))
            await (await present.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
        var store = new IndexedDbBlockStore(name, null, _time);
        await using var disposal = store.ConfigureAwait(false);
        await store.DeleteAsync(cancellationToken).ConfigureAwait(false);
    }

    private static async Task<bool> IsUsableAsync(Task<DataSyncDatabase> opening)
    {
        await ((Task)opening).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return opening.IsCompletedSuccessfully && opening.Result.IsUsable;
    }

    private async Task<DataSyncDatabase> OpenNewAsync(string name, CancellationToken cancellationToken)
    {
        // The name is free once the one before has closed, if it stopped by itself.
        if (_open.TryGetValue(name, out var stopped) && stopped.IsCompletedSuccessfully)
            await stopped.Result.DisposeAsync().ConfigureAwait(false);
        var sqlite = SqliteWasm.InitializeAsync(); // while the store is opened and read
        var store = new IndexedDbBlockStore(name, new() { Durability = _options.StorageDurability, Checksum = _options.Checksum }, _time);
        var coordination = _options.CoordinationFor(name);
        var coordinator = new TabCoordinator(new BrowserTabPlatform(js), coordination, _time, _logger);
        return await DataSyncDatabase.OpenAsync(
            name, store, new BroadcastCommitChannel(name), coordinator, _options, _time, _logger, sqlite, cancellationToken).ConfigureAwait(false);
    }
}
