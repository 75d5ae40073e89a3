using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs.Browser;
using DataSync.Vfs.Native;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.JSInterop;

namespace DataSync.Vfs;

/// <summary>
/// Opens databases: of this origin in the browser, of <see cref="DataSyncOptions.Directory"/> elsewhere. One for each tab; from
/// the service container after <c>AddDataSync</c>. Any thread may call.
/// </summary>
public sealed class DataSyncFactory : IAsyncDisposable, IDisposable
{
    private readonly DataSyncOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly IDatabasePlace? _place;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, DatabaseSlot> _slots = [];
    private bool _isDisposed;

    /// <summary>Makes a factory that has nothing open yet.</summary>
    /// <param name="js">The page's JavaScript; null outside the browser.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="timeProvider">Null for the system's clock.</param>
    /// <param name="loggers">Null for none.</param>
    public DataSyncFactory(IJSRuntime? js = null, DataSyncOptions? options = null, TimeProvider? timeProvider = null, ILoggerFactory? loggers = null)
    {
        (_options, _time) = (options ?? new(), timeProvider ?? TimeProvider.System);
        _logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("DataSync");
        SqliteWasm.Provide();
        if (OperatingSystem.IsBrowser()) _place = new BrowserPlace(js ?? throw new ArgumentNullException(nameof(js)), _options, _time);
        else if (_options.Files is { } files) _place = new DirectoryPlace(files, _time, _logger);
    }

    /// <summary>A factory of another place, which is disposed with it.</summary>
    internal DataSyncFactory(IDatabasePlace place, DataSyncOptions options, TimeProvider? timeProvider = null, ILogger? logger = null) =>
        (_place, _options, _time, _logger) = (place, options, timeProvider ?? TimeProvider.System, logger ?? NullLogger.Instance);

    /// <summary>The database that <see cref="OpenAsync()"/> opens.</summary>
    internal string DefaultDatabase => _options.DefaultDatabase;

    internal TimeProvider Time => _time;

    /// <summary>Opens <see cref="DataSyncOptions.DefaultDatabase"/>; see <see cref="OpenAsync(string, CancellationToken)"/>.</summary>
    public Task<DataSyncDatabase> OpenAsync() => OpenAsync(_options.DefaultDatabase);

    /// <summary>
    /// Opens a database, creating it when there is none, and joins the tabs that have it open. While it opens or is open in this
    /// tab, every call returns the same object, or the same error; whoever disposes it closes it for all of them.
    /// After an error the next call opens anew.
    /// </summary>
    /// <param name="name">1 to 255 bytes in UTF-8, no control characters, not beginning with <c>:</c>, <c>|</c> or <c>file:</c>.</param>
    /// <param name="cancellationToken">Stops waiting, and opening when nobody else waits for it.</param>
    /// <exception cref="StorageUnavailableException">
    /// There is no storage here, or it is refused: no browser and no <see cref="DataSyncOptions.Directory"/> (a component that a
    /// server prerenders), or a browser that does not allow IndexedDB. There is no fallback to memory.
    /// </exception>
    /// <exception cref="StoreInUseException">Another process has the directory open.</exception>
    /// <exception cref="StoreFormatException">A newer version of DataSync wrote the store.</exception>
    /// <exception cref="CorruptStoreException">The store is damaged; nothing was changed.</exception>
    /// <exception cref="CoordinationException">localStorage is missing or refused.</exception>
    /// <exception cref="ObjectDisposedException">The factory was disposed.</exception>
    public async Task<DataSyncDatabase> OpenAsync(string name, CancellationToken cancellationToken = default) =>
        await SlotOf(name).OpenAsync(cancellationToken).ConfigureAwait(false);

    /// <summary>As <see cref="OpenAsync(string, CancellationToken)"/>, for one who serves it to others; <see cref="CloseServedAsync"/> closes it when nobody else wants it.</summary>
    internal Task<DataSyncDatabase> OpenServedAsync(string name, CancellationToken cancellationToken) => SlotOf(name).OpenAsync(cancellationToken, isByTheWay: true);

    /// <summary>Closes a database that was opened only to be served; one that the app has asked for itself stays open.</summary>
    internal Task CloseServedAsync(string name) => SlotOf(name).CloseUnlessWantedAsync();

    /// <summary>The database, where it is open in this tab and works; null otherwise.</summary>
    internal DataSyncDatabase? FindOpen(string name) => SlotOf(name).Open;

    /// <summary>
    /// Deletes a database for every tab; theirs stop with <see cref="StorageClosedException"/>. In this tab it is closed first;
    /// calls of <see cref="OpenAsync(string, CancellationToken)"/> meanwhile open a new one afterwards.
    /// Also one that cannot be opened: damaged, of a newer version, or not DataSync's.
    /// </summary>
    /// <param name="name">The database's name. One that does not exist is no error.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="StorageException">Another tab did not let go of it in time.</exception>
    /// <exception cref="ObjectDisposedException">The factory was disposed.</exception>
    public async Task DeleteAsync(string name, CancellationToken cancellationToken = default)
    {
        var slot = SlotOf(name);
        await slot.DeleteAsync(() => DeleteStoreAsync(name, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// After the store of a database was lost while this tab had it open (<see cref="StoreReplacedException"/>: evicted by the browser,
    /// cleared with the site's data, or its disk was full): opens the database again, with what this tab still holds, and closes the lost
    /// one. Several tabs may do this, at the same time or one after the other: the newest of their images wins, and all go on with it.
    /// Not done by itself, because a page cannot tell a browser that needs room from a user who wants the data gone.
    /// </summary>
    /// <param name="lost">What <see cref="OpenAsync(string, CancellationToken)"/> returned. Its own transactions must have ended.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>The database, open and durable again.</returns>
    /// <exception cref="InvalidOperationException">Its store was not lost, it was closed, or a transaction of it is still open.</exception>
    /// <exception cref="StoreReplacedException">
    /// The new store was written to already, so nothing was restored. <paramref name="lost"/> can still be read and exported, as after
    /// every other error of this.
    /// </exception>
    /// <exception cref="StorageQuotaException">There is no room yet; try again later.</exception>
    /// <exception cref="CommitTooLargeException">It has more than fits into one commit (120 MiB in the browser): export it.</exception>
    public async Task<DataSyncDatabase> RestoreAsync(DataSyncDatabase lost, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(lost);
        if (!lost.IsLost) throw new InvalidOperationException("This database works, or was closed: only one whose store was lost (its Faulted event brings a StoreReplacedException) can be restored.");
        var database = await SlotOf(lost.Coordinator.Scope).OpenAsync(cancellationToken, kept: lost).ConfigureAwait(false);
        await database.RestoreFromAsync(lost, cancellationToken).ConfigureAwait(false);
        await lost.DisposeAsync().ConfigureAwait(false);
        return database;
    }

    /// <summary>Closes what is open, as <see cref="DataSyncDatabase.DisposeAsync"/> does, and ends what opens.</summary>
    public async ValueTask DisposeAsync()
    {
        DatabaseSlot[] slots;
        lock (_gate)
        {
            _isDisposed = true;
            slots = [.. _slots.Values];
        }

        await Task.WhenAll(slots.Select(slot => slot.DisposeAsync())).ConfigureAwait(false);
        if (_place is IAsyncDisposable owned) await owned.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Begins with it and does not wait: for containers that are disposed synchronously.</summary>
    public void Dispose() => _ = DisposeAsync().AsTask();

    private DatabaseSlot SlotOf(string name)
    {
        DataSyncOptions.CheckName(name);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            if (!_slots.TryGetValue(name, out var slot)) _slots.Add(name, slot = new(async stop => await OpenNewAsync(name, stop).ConfigureAwait(false)));
            return slot;
        }
    }

    private async Task<DataSyncDatabase> OpenNewAsync(string name, CancellationToken cancellationToken)
    {
        var place = Place;
        _options.Validate();
        var sqlite = place.StartSqliteAsync(); // while the store is opened and read
        var (platform, channel) = place.CreateTab(name);
        var coordinator = new TabCoordinator(platform, _options.CoordinationFor(name), _time, _logger);
        var database = await DataSyncDatabase.OpenAsync(
            name, place.CreateStore(name), channel, coordinator, _options, _time, _logger, sqlite, _options.Durability == Durability.Deferred ? place.CreateJournal(name) : null, cancellationToken).ConfigureAwait(false);
        try
        {
            await database.WaitForLeaderAsync(cancellationToken).ConfigureAwait(false);
            await database.WaitForKeptAsync(cancellationToken).ConfigureAwait(false);
            return database;
        }
        catch
        {
            await database.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private async Task DeleteStoreAsync(string name, CancellationToken cancellationToken)
    {
        var store = Place.CreateStore(name);
        await using var disposal = store.ConfigureAwait(false);
        await store.DeleteAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <exception cref="StorageUnavailableException">There is none here.</exception>
    internal IDatabasePlace Place => _place ?? throw new StorageUnavailableException(
        "There is no browser here, so no storage: this runs on a server or in a native app. A component that is prerendered and then runs in the browser opens its database in "
        + "OnAfterRenderAsync, or switches prerendering off (prerender: false). For databases in a directory on this machine set DataSyncOptions.Directory.");
}
