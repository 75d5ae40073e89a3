using System.Net.WebSockets;

namespace DataSync.Remote;

/// <summary>Carries a client's frames to the server and back: a WebSocket of its own, or that of another tab of the browser. Receiving is one call at a time.</summary>
internal interface IFrameLine : IDisposable
{
    /// <summary>The status with which the other side closed; null before, or where it gave none.</summary>
    WebSocketCloseStatus? CloseStatus { get; }

    /// <summary>Why it closed, in its words.</summary>
    string? CloseDescription { get; }

    /// <summary>Sends what was taken until the line is over; does not throw.</summary>
    Task SendLoopAsync();

    /// <summary>Sends a frame, soon. False: too much waits already, or the line is over; it is not sent.</summary>
    bool TrySend(Frame frame);

    /// <summary>The next frame; null when the other side closed in an orderly way. Its body is valid until the next call.</summary>
    /// <param name="maxSize">The largest frame that is taken, in bytes.</param>
    /// <param name="cancellationToken">Ends the wait, and with it the line.</param>
    /// <exception cref="ProtocolException">It is no frame, or too large.</exception>
    ValueTask<Frame?> ReceiveAsync(int maxSize, CancellationToken cancellationToken);

    /// <summary>Says why, behind what waits, and sends nothing more.</summary>
    void Close(WebSocketCloseStatus status, string description);

    /// <summary>Ends it at once, without a word.</summary>
    void Abort();
}
