using System.Net.WebSockets;
using DataSync.Storage;

namespace DataSync.Remote;

/// <summary>How a server is connected with. Copied when a factory is made.</summary>
public sealed class DataSyncRemoteOptions
{
    /// <summary>Gives the token that goes as <c>access_token</c> with each new connection, since a browser's WebSocket has no headers. Null: none; cookies go by themselves.</summary>
    public Func<CancellationToken, ValueTask<string?>>? AccessTokenProvider { get; set; }

    /// <summary>Sets headers, certificates or a proxy of each new connection. Outside of the browser only: there most of it throws.</summary>
    public Action<ClientWebSocketOptions>? ConfigureWebSocket { get; set; }

    /// <summary>How long one attempt to connect may take.</summary>
    /// <value>10 s by default; 100 ms to 5 minutes.</value>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long nothing may be heard of the server, which says something each second, before the line counts as dead and is made anew.</summary>
    /// <value>10 s by default; 1 s to 5 minutes.</value>
    public TimeSpan SilenceTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>The longest pause between two attempts to connect. The first is a tenth of a second, and it doubles, give or take, so that clients do not come back in step.</summary>
    /// <value>10 s by default; 100 ms to 1 hour.</value>
    public TimeSpan MaxReconnectDelay { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// In the browser: whether the app's tabs share one connection, that of one of them, which speaks for the others as well. Elsewhere each factory has a connection of its own.
    /// </summary>
    /// <value>True by default.</value>
    public bool ShareConnection { get; set; } = true;

    /// <summary>
    /// Says for whom a database is opened, such as the user's id; asked each time one is. Tabs in which it is not the same share nothing: without it, a tab in which another user has signed in meanwhile goes
    /// over the connection that the first user's tab has made, with that one's rights.
    /// </summary>
    /// <value>Null by default: all tabs of the browser are one user's.</value>
    public Func<string?>? UserKey { get; set; }

    /// <summary>
    /// In the browser, with <see cref="ShareConnection"/> and <see cref="Residency.Full"/>: whether a copy of each database that is opened is kept in the browser's IndexedDB. From it the database opens at
    /// once, also while the server is out of reach, and then reads what it missed. Sign-out code deletes it by <see cref="DataSyncRemote.DeleteCopyAsync"/>; it is deleted, too, when the server does not let the user
    /// read the database any more. Set <see cref="UserKey"/> where people share a browser.
    /// </summary>
    /// <value>True by default.</value>
    public bool KeepCopy { get; set; } = true;

    internal DataSyncRemoteOptions Copy()
    {
        Check(ConnectTimeout, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(5), nameof(ConnectTimeout));
        Check(SilenceTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5), nameof(SilenceTimeout));
        Check(MaxReconnectDelay, TimeSpan.FromMilliseconds(100), TimeSpan.FromHours(1), nameof(MaxReconnectDelay));
        return (DataSyncRemoteOptions)MemberwiseClone();
    }

    private static void Check(TimeSpan value, TimeSpan least, TimeSpan most, string name)
    {
        if (value < least || value > most) throw new ArgumentException($"{name} is {value}; it must be from {least} to {most}.", name);
    }
}
