using System.Buffers;
using System.Net.WebSockets;
using System.Threading.Channels;
using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Remote;

/// <summary>
/// A WebSocket whose frames go out one at a time, in order, by a loop of their own, so that nobody who posts waits; what waits is bounded. Receiving is one call
/// at a time.
/// </summary>
/// <param name="socket">Connected.</param>
/// <param name="maxQueued">Bytes of messages that may wait to be sent, and as many of other frames. One may always.</param>
/// <param name="sendTimeout">How long one frame may take, before the line counts as dead.</param>
/// <param name="time">The clock.</param>
internal sealed class FrameSocket(WebSocket socket, long maxQueued, TimeSpan sendTimeout, TimeProvider time) : IFrameLine
{
    private const int FirstBuffer = 16 << 10;

    private readonly Channel<Outgoing> _out = Channel.CreateUnbounded<Outgoing>(
        new() { SingleReader = true, AllowSynchronousContinuations = OperatingSystem.IsBrowser() }); // there a hop to the thread pool is a throttled timer
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(FirstBuffer);
    private long _queued, _queuedMessages;

    /// <summary>Told of each frame that has gone, in bytes.</summary>
    public Action<int>? Sent { private get; set; }

    /// <summary>Told of each frame that came, in bytes.</summary>
    public Action<int>? Received { private get; set; }

    /// <inheritdoc/>
    public WebSocketCloseStatus? CloseStatus => socket.CloseStatus;

    /// <inheritdoc/>
    public string? CloseDescription => socket.CloseStatusDescription;

    /// <inheritdoc/>
    public bool TrySend(Frame frame)
    {
        var size = frame.Size;
        if (Interlocked.Add(ref _queued, size) is var queued && (queued <= maxQueued || queued == size) && _out.Writer.TryWrite(new(frame.Encode(), null, null, null))) return true;
        Interlocked.Add(ref _queued, -size);
        return false;
    }

    /// <summary>Sends a message for tabs, as every message may be lost: whole, or not at all where too much waits already.</summary>
    public bool TrySendMessage(TabId tab, byte[] message)
    {
        var frames = MessageFragments.Split(message).Select(part => new Frame(FrameKind.Message, 0, tab, part)).ToList();
        var size = frames.Sum(frame => (long)frame.Size);
        if (Interlocked.Add(ref _queuedMessages, size) is var queued && queued > maxQueued && queued != size)
        {
            Interlocked.Add(ref _queuedMessages, -size);
            return false;
        }

        return frames.TrueForAll(frame => _out.Writer.TryWrite(new(frame.Encode(), null, null, null) { IsMessage = true }));
    }

    /// <summary>Sends a frame and returns when it has gone: at the pace of who reads.</summary>
    /// <returns>False when the socket is closing.</returns>
    public Task<bool> SendAsync(Frame frame)
    {
        var sent = new TaskCompletionSource<bool>(OperatingSystem.IsBrowser() ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);
        if (!_out.Writer.TryWrite(new(frame.Encode(), sent, null, null))) sent.SetResult(false);
        return sent.Task;
    }

    /// <inheritdoc/>
    public void Close(WebSocketCloseStatus status, string description)
    {
        // A close frame has room for 123 bytes.
        _out.Writer.TryWrite(new([], null, status, description.Length > 100 ? description[..100] : description));
        _out.Writer.TryComplete();
    }

    /// <inheritdoc/>
    public void Abort()
    {
        _out.Writer.TryComplete();
        socket.Abort();
    }

    /// <inheritdoc/>
    public async Task SendLoopAsync()
    {
        try
        {
            await foreach (var next in _out.Reader.ReadAllAsync().ConfigureAwait(false)) await SendAsync(next).ConfigureAwait(false);
        }
        catch (Exception error) when (IsEnd(error))
        {
            Abort();
        }

        _out.Writer.TryComplete();
        while (_out.Reader.TryRead(out var left)) left.Sent?.TrySetResult(false);
    }

    /// <inheritdoc/>
    /// <exception cref="WebSocketException">The line broke.</exception>
    public async ValueTask<Frame?> ReceiveAsync(int maxSize, CancellationToken cancellationToken)
    {
        var length = 0;
        while (true)
        {
            if (length == _buffer.Length) Grow(Math.Min(_buffer.Length * 2, maxSize + 1));
            var received = await socket.ReceiveAsync(_buffer.AsMemory(length), cancellationToken).ConfigureAwait(false);
            if (received.MessageType == WebSocketMessageType.Close) return null;
            if (received.MessageType != WebSocketMessageType.Binary) throw ProtocolException.Garbage("a frame");
            length += received.Count;
            if (length > maxSize) throw ProtocolException.TooLarge(maxSize);
            if (!received.EndOfMessage) continue;
            Received?.Invoke(length);
            return Frame.Parse(_buffer.AsMemory(0, length));
        }
    }

    /// <summary>Drops what still comes until the other side closes as well; does not throw.</summary>
    public async ValueTask DrainAsync(CancellationToken cancellationToken)
    {
        try
        {
            while ((await socket.ReceiveAsync(_buffer.AsMemory(), cancellationToken).ConfigureAwait(false)).MessageType != WebSocketMessageType.Close)
            {
                // Whatever it is.
            }
        }
        catch (Exception error) when (IsEnd(error))
        {
            // It went without a word.
        }
    }

    /// <summary>Whether an exception only says that the line is over.</summary>
    public static bool IsEnd(Exception error) => error is WebSocketException or OperationCanceledException or ObjectDisposedException or IOException or InvalidOperationException;

    public void Dispose()
    {
        _out.Writer.TryComplete();
        socket.Dispose();
    }

    private async ValueTask SendAsync(Outgoing next)
    {
        using var limit = new CancellationTokenSource(sendTimeout, time);
        try
        {
            if (next.Status is { } status) await socket.CloseOutputAsync(status, next.Description, limit.Token).ConfigureAwait(false);
            else await socket.SendAsync(next.Bytes, WebSocketMessageType.Binary, endOfMessage: true, limit.Token).ConfigureAwait(false);
            if (next.IsMessage) Interlocked.Add(ref _queuedMessages, -next.Bytes.Length);
            else if (next.Sent is null) Interlocked.Add(ref _queued, -next.Bytes.Length);
            if (next.Status is null) Sent?.Invoke(next.Bytes.Length);
            next.Sent?.TrySetResult(true);
        }
        catch
        {
            next.Sent?.TrySetResult(false);
            throw;
        }
    }

    private void Grow(int size)
    {
        // Not given back to the pool by Dispose: a receive that was cut off may still write into it.
        var larger = ArrayPool<byte>.Shared.Rent(size);
        _buffer.CopyTo(larger, 0);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = larger;
    }

    private sealed record Outgoing(byte[] Bytes, TaskCompletionSource<bool>? Sent, WebSocketCloseStatus? Status, string? Description)
    {
        public bool IsMessage { get; init; }
    }
}
