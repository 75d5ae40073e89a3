using System.Net.WebSockets;
using System.Security.Cryptography;
using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Storage;

namespace DataSync.Server.Tests;

/// <summary>A client that says what it is told to, in the protocol or not.</summary>
internal sealed class RawClient : IAsyncDisposable
{
    private readonly ClientWebSocket _socket = new();
    private readonly byte[] _buffer = new byte[16 << 20];

    public TabId Tab { get; set; } = TabId.New(TimeProvider.System);

    public byte[] Secret { get; } = RandomNumberGenerator.GetBytes(16);

    public Guid Incarnation { get; private set; }

    /// <summary>Who leads over there, as the last frame said.</summary>
    public (TabId? Leader, Epoch Epoch) Lease { get; private set; }

    public static async Task<RawClient> ConnectAsync(TestServer server, string? origin = null, string? user = null, int? port = null)
    {
        var client = new RawClient();
        if (origin is not null) client._socket.Options.SetRequestHeader("Origin", origin);
        if (user is not null) client._socket.Options.SetRequestHeader("user", user);
        await client._socket.ConnectAsync(new Uri($"ws://127.0.0.1:{port ?? server.Port}/datasync"), default);
        return client;
    }

    /// <summary>Greets, joins and opens the store, as a client does.</summary>
    public static async Task<RawClient> JoinAsync(TestServer server, string name = TestServer.Database, string? user = null, TabId? tab = null, byte[]? secret = null)
    {
        var client = await ConnectAsync(server, user: user);
        if (tab is { } id) client.Tab = id;
        await client.SendAsync(new(FrameKind.Hello, 0, default, Bodies.Hello(name)));
        Assert.Equal(FrameKind.Welcome, (await client.NextAsync()).Kind);
        await client.SendAsync(new(FrameKind.Join, 1, client.Tab, secret ?? client.Secret));
        await client.UntilAsync(frame => frame is { Kind: FrameKind.End, Request: 1 });
        await client.SendAsync(new(FrameKind.Open, 2, client.Tab));
        client.Incarnation = Bodies.ReadHead((await client.UntilAsync(frame => frame.Kind == FrameKind.Head)).Body).Head.Incarnation;
        await client.UntilAsync(frame => frame is { Kind: FrameKind.Lease } && client.Lease.Leader is not null);
        return client;
    }

    public Task SendAsync(Frame frame) => SendAsync(frame.Encode());

    public Task SendAsync(byte[] bytes, WebSocketMessageType type = WebSocketMessageType.Binary) => _socket.SendAsync(bytes, type, true, default);

    /// <summary>Says something in the name of a tab.</summary>
    public Task SayAsync(CommitMessageKind kind, Func<CommitMessage, CommitMessage>? fill = null) => SendAsync(new Frame(FrameKind.Message, 0, Tab, MakeMessage(kind, fill).Encode()));

    public CommitMessage MakeMessage(CommitMessageKind kind, Func<CommitMessage, CommitMessage>? fill = null)
    {
        var message = new CommitMessage { Kind = kind, Epoch = Lease.Epoch, Sender = Tab, To = Lease.Leader ?? default, Incarnation = Incarnation };
        return fill?.Invoke(message) ?? message;
    }

    public async Task<Frame> NextAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.Patience);
        var length = 0;
        while (true)
        {
            var received = await _socket.ReceiveAsync(_buffer.AsMemory(length), limit.Token);
            if (received.MessageType == WebSocketMessageType.Close) throw new ClosedException((int)_socket.CloseStatus!.Value);
            length += received.Count;
            if (received.EndOfMessage) break;
        }

        var frame = Frame.Parse(_buffer.AsSpan(0, length).ToArray());
        if (frame.Kind == FrameKind.Lease) Lease = Bodies.ReadLease(frame.Body.Span);
        return frame;
    }

    public async Task<Frame> UntilAsync(Predicate<Frame> found)
    {
        while (true)
        {
            var frame = await NextAsync();
            if (found(frame)) return frame;
        }
    }

    /// <summary>The next message for this tab of a kind.</summary>
    public async Task<CommitMessage> HearAsync(CommitMessageKind kind)
    {
        CommitMessage? heard = null;
        await UntilAsync(frame => frame.Kind == FrameKind.Message && (heard = CommitMessage.TryParse(frame.Body.Span))?.Kind == kind);
        return heard!;
    }

    /// <summary>The status with which the server ends this connection.</summary>
    public async Task<int> EndAsync()
    {
        try
        {
            while (true) await NextAsync();
        }
        catch (ClosedException closed)
        {
            return closed.Status;
        }
        catch (WebSocketException)
        {
            return 0; // without a word
        }
    }

    public ValueTask DisposeAsync()
    {
        _socket.Abort();
        _socket.Dispose();
        return default;
    }

    internal sealed class ClosedException(int status) : Exception
    {
        public int Status => status;
    }
}
