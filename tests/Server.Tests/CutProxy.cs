using System.Net;
using System.Net.Sockets;

namespace DataSync.Server.Tests;

/// <summary>A network between clients and their server that can be cut, and stand still.</summary>
internal sealed class CutProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Lock _gate = new();
    private readonly List<Socket> _sockets = [];
    private readonly Func<int> _target;
    private long _bytesBack;

    public CutProxy(Func<int> target)
    {
        _target = target;
        _listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>While it is so nobody comes through.</summary>
    public bool IsDown { get; set; }

    /// <summary>How many bytes came back from the server.</summary>
    public long BytesBack => Volatile.Read(ref _bytesBack);

    /// <summary>Ends every connection, without a word of the protocol.</summary>
    public void Cut()
    {
        Socket[] sockets;
        lock (_gate) sockets = [.. _sockets];
        foreach (var socket in sockets) socket.Close(0);
    }

    public ValueTask DisposeAsync()
    {
        _listener.Stop();
        Cut();
        return default;
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _ = ServeAsync(await _listener.AcceptSocketAsync());
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // Over.
        }
    }

    private async Task ServeAsync(Socket client)
    {
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        lock (_gate) _sockets.AddRange([client, server]);
        try
        {
            if (!IsDown)
            {
                await server.ConnectAsync(IPAddress.Loopback, _target());
                await Task.WhenAny(PumpAsync(client, server, _ => { }), PumpAsync(server, client, count => Interlocked.Add(ref _bytesBack, count)));
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // Nobody is there.
        }

        client.Close(0);
        lock (_gate) _sockets.RemoveAll(socket => socket == client || socket == server);
    }

    private static async Task PumpAsync(Socket from, Socket to, Action<int> passed)
    {
        var buffer = new byte[64 << 10];
        try
        {
            while (await from.ReceiveAsync(buffer) is > 0 and var count)
            {
                passed(count);
                await to.SendAsync(buffer.AsMemory(0, count));
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // Cut.
        }
    }
}
