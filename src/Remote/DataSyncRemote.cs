using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Remote;

/// <summary>
/// Makes factories whose databases are a server's (<c>DataSync.Server</c>): each is a copy in memory that is read locally and follows; what is written the server makes durable. In
/// the browser and elsewhere.
/// </summary>
public static class DataSyncRemote
{
    /// <summary>Makes a factory; it connects when a database is opened. Any thread may call.</summary>
    /// <param name="address">Of the server's endpoint: <c>wss://app.example.org/datasync</c>, or the same with <c>https</c>.</param>
    /// <param name="options">Null for the defaults. Directories and what concerns the browser's storage are none of it.</param>
    /// <param name="remote">Null for the defaults.</param>
    /// <param name="timeProvider">Null for the system's clock.</param>
    /// <param name="loggers">Null for none.</param>
    /// <exception cref="ArgumentException">The address or an option does not fit.</exception>
    public static DataSyncFactory CreateFactory(
        Uri address, DataSyncOptions? options = null, DataSyncRemoteOptions? remote = null, TimeProvider? timeProvider = null, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(address);
        (options, timeProvider) = (options ?? new(), timeProvider ?? TimeProvider.System);
        options.Validate();
        if (options.Directory is not null)
            throw new ArgumentException($"{nameof(DataSyncOptions)}.{nameof(DataSyncOptions.Directory)} is set: a server's databases are in no directory here. Leave it out, or use AddDataSync.");
        var logger = (loggers ?? NullLoggerFactory.Instance).CreateLogger("DataSync");
        SqliteWasm.Provide();
        remote = (remote ?? new()).Copy();
        remote.KeepCopy &= remote.ShareConnection && options.Residency.MaxBytes is null;
        var place = OperatingSystem.IsBrowser()
            ? new RemotePlace(
                ToWebSocket(address), remote, timeProvider, logger, remote.ShareConnection ? JoinBrowser : null, scope => new IndexedDbBlockStore(scope, time: timeProvider), scope => new IndexedDbJournal(scope, timeProvider))
            : new RemotePlace(ToWebSocket(address), remote, timeProvider, logger);
        return new DataSyncFactory(place, options, timeProvider, logger);
    }

    /// <summary>
    /// Deletes what this browser keeps of one of the server's databases (<see cref="DataSyncRemoteOptions.KeepCopy"/>), for the user that <see cref="DataSyncRemoteOptions.UserKey"/> names now: when one signs out,
    /// say. The server's database is not touched, and deferred writes that wait for it stay kept. Tabs that have it open go on, without a copy until they open it anew; close it before where nothing shall be shown any more. None is no error.
    /// </summary>
    /// <param name="factory">One of <see cref="CreateFactory"/> or <c>AddDataSyncRemote</c>.</param>
    /// <param name="name">The database's name.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="InvalidOperationException">The factory's databases are not a server's.</exception>
    /// <exception cref="StorageException">Another tab did not let go of it in time.</exception>
    public static Task DeleteCopyAsync(this DataSyncFactory factory, string name, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(factory);
        DataSyncOptions.CheckName(name);
        return factory.Place is RemotePlace place
            ? place.DeleteCopyAsync(name, cancellationToken)
            : throw new InvalidOperationException("This factory's databases are not a server's, so there is no copy of one; DeleteAsync deletes a database.");
    }

    private static (ITabPlatform Platform, ICommitChannel Channel) JoinBrowser(string scope) => (new BrowserTabPlatform(null!), new BroadcastCommitChannel(scope)); // .NET is in the page itself: no runtime is asked

    private static Uri ToWebSocket(Uri address)
    {
        if (!address.IsAbsoluteUri) throw new ArgumentException($"'{address}' is not absolute. In a Blazor app: new Uri(new Uri(builder.HostEnvironment.BaseAddress), \"datasync\").", nameof(address));
        var scheme = address.Scheme switch
        {
            "ws" or "http" => "ws",
            "wss" or "https" => "wss",
            _ => throw new ArgumentException($"'{address}' is no address of a WebSocket: it begins with wss, ws, https or http.", nameof(address)),
        };
        return new UriBuilder(address) { Scheme = scheme, Port = address.IsDefaultPort ? -1 : address.Port }.Uri;
    }
}
