using System.Net.WebSockets;

namespace DataSync.Remote;

/// <summary>The other side does what the protocol does not allow, or more than its limits: the socket is closed with a status that says so.</summary>
internal sealed class ProtocolException(WebSocketCloseStatus status, string message) : Exception(message)
{
    /// <summary>Something that is no frame, or no message of the tabs.</summary>
    public const WebSocketCloseStatus GarbageStatus = (WebSocketCloseStatus)4400;

    /// <summary>A right that the user does not have, or a name that is not the tab's own.</summary>
    public const WebSocketCloseStatus ForbiddenStatus = (WebSocketCloseStatus)4403;

    /// <summary>The client does not read.</summary>
    public const WebSocketCloseStatus TooSlowStatus = (WebSocketCloseStatus)4408;

    /// <summary>A frame or a message over its bound.</summary>
    public const WebSocketCloseStatus TooLargeStatus = (WebSocketCloseStatus)4413;

    /// <summary>More messages than are allowed within a second, or more requests than are answered at once.</summary>
    public const WebSocketCloseStatus TooFastStatus = (WebSocketCloseStatus)4429;

    /// <summary>No room for another connection, or the database is not open; later there may be.</summary>
    public const WebSocketCloseStatus BusyStatus = (WebSocketCloseStatus)4503;

    /// <summary>What the socket is closed with.</summary>
    public WebSocketCloseStatus Status { get; } = status;

    public DataSync.Storage.StorageException ToStorage() => new(Message, this);

    public static ProtocolException Garbage(string what) => new(GarbageStatus, $"What came is not {what} of this protocol.");

    public static ProtocolException Forbidden(string what) => new(ForbiddenStatus, what);

    public static ProtocolException TooLarge(long most) => new(TooLargeStatus, FormattableString.Invariant($"More than {most} bytes came in one."));
}
