using System.Net.WebSockets;
using System.Text;
using System.Text.Json.Nodes;

namespace DataSync.MultiTab.Browser;

/// <summary>How messages of JSON travel to a browser and back.</summary>
internal interface IMessageChannel : IDisposable
{
    /// <summary>Sends one message; never called again before it has ended.</summary>
    Task SendAsync(ReadOnlyMemory<byte> message);

    /// <summary>The next message; null at the end.</summary>
    Task<JsonNode?> ReceiveAsync();

    /// <summary>Ends what is under way.</summary>
    void Abort();
}

internal sealed class WebSocketChannel : IMessageChannel
{
    private readonly ClientWebSocket socket = new();
    private readonly byte[] chunk = new byte[64 * 1024];

    private WebSocketChannel()
    {
    }

    public static async Task<WebSocketChannel> ConnectAsync(Uri address, CancellationToken cancellation)
    {
        var channel = new WebSocketChannel();
        await channel.socket.ConnectAsync(address, cancellation);
        return channel;
    }

    public Task SendAsync(ReadOnlyMemory<byte> message) =>
        socket.SendAsync(message, WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None).AsTask();

    public async Task<JsonNode?> ReceiveAsync()
    {
        using var buffer = new MemoryStream();
        while (true)
        {
            var read = await socket.ReceiveAsync(chunk, CancellationToken.None);
            if (read.MessageType == WebSocketMessageType.Close)
            {
                return null;
            }

            buffer.Write(chunk, 0, read.Count);
            if (read.EndOfMessage)
            {
                return JsonNode.Parse(buffer.GetBuffer().AsSpan(0, (int)buffer.Length));
            }
        }
    }

    public void Abort() => socket.Abort();

    public void Dispose() => socket.Dispose();
}

/// <summary>
/// A program's standard input and output, a message a line. Its own messages begin with a record separator, as JSON text sequences do
/// (RFC 7464): whatever else the program or its children print is for the log.
/// </summary>
internal sealed class LineChannel(Stream input, StreamReader output, Action<string> log) : IMessageChannel
{
    private const char RecordSeparator = '\u001e';

    private static readonly byte[] LineEnd = [(byte)'\n'];

    public async Task SendAsync(ReadOnlyMemory<byte> message)
    {
        await input.WriteAsync(message);
        await input.WriteAsync(LineEnd);
        await input.FlushAsync();
    }

    public async Task<JsonNode?> ReceiveAsync()
    {
        while (await output.ReadLineAsync() is { } line)
        {
            var start = line.LastIndexOf(RecordSeparator);
            if (start >= 0) return JsonNode.Parse(Encoding.UTF8.GetBytes(line[(start + 1)..]));
            if (line.Length > 0) log(line);
        }

        return null;
    }

    /// <summary>The end of its input ends the program, and so its output.</summary>
    public void Abort() => input.Dispose();

    public void Dispose() => output.Dispose();
}
