using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace DataSync.PostgreSql.Tests;

/// <summary>
/// What lies between a process and its server: passes on whole messages of PostgreSQL's protocol, late where that is asked for, and at one that is chosen cuts the
/// connection, in the middle of it or not, or stops passing anything on, as a process that stands still does, or a network without a word.
/// </summary>
internal sealed class PostgresProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _gate = new();
    private readonly List<Socket> _sockets = [];
    private readonly int _target;
    private Trap? _trap;
    private TaskCompletionSource _open = Opened();

    public PostgresProxy(int target)
    {
        _target = target;
        _listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Messages passed on since the trap was set, or until it closed.</summary>
    public int Passed { get; private set; }

    /// <summary>Whether the trap has closed.</summary>
    public bool IsSprung { get; private set; }

    /// <summary>Called when the trap closes, before the connection is cut.</summary>
    public Action? Sprung { private get; set; }

    /// <summary>Each message waits for up to so long before it is passed on.</summary>
    public TimeSpan Lag { get; set; }

    /// <summary>Sets a trap: behind so many messages from the client, or before the message of that number from the server.</summary>
    public void Set(Trap trap)
    {
        lock (_gate) (_trap, Passed, IsSprung) = (trap, 0, false);
    }

    /// <summary>Takes the trap away.</summary>
    public void Disarm()
    {
        lock (_gate) _trap = null;
    }

    /// <summary>From now on nothing is passed on, in either direction, nor taken on.</summary>
    public void Stall()
    {
        lock (_gate) if (_open.Task.IsCompleted) _open = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>What was held goes on.</summary>
    public void Resume()
    {
        lock (_gate)
        {
            _trap = null;
            _open.TrySetResult();
        }
    }

    /// <summary>Cuts every connection.</summary>
    public void Cut()
    {
        Socket[] sockets;
        lock (_gate) sockets = [.. _sockets];
        foreach (var socket in sockets) Close(socket);
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        _listener.Stop();
        Resume();
        Cut();
    }

    private static TaskCompletionSource Opened()
    {
        var open = new TaskCompletionSource();
        open.SetResult();
        return open;
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _ = ServeAsync(await _listener.AcceptSocketAsync(_closing.Token));
        }
        catch (Exception error) when (error is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Over.
        }
    }

    private async Task ServeAsync(Socket client)
    {
        using var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        client.NoDelay = true;
        lock (_gate) _sockets.AddRange([client, server]);
        try
        {
            await OpenTask;
            await server.ConnectAsync(IPAddress.Loopback, _target);
            await Task.WhenAny(PumpAsync(client, server, isClient: true), PumpAsync(server, client, isClient: false));
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException or IOException)
        {
            // The server is not there.
        }

        // Where nothing is passed on the server does not hear either that its client has gone.
        Close(client);
        await OpenTask;
        Close(server);
        lock (_gate) _sockets.RemoveAll(socket => socket == client || socket == server);
    }

    private Task OpenTask
    {
        get
        {
            lock (_gate) return _open.Task;
        }
    }

    private async Task PumpAsync(Socket from, Socket to, bool isClient)
    {
        try
        {
            await using var source = new NetworkStream(from);
            await using var target = new NetworkStream(to);
            var head = new byte[5];
            for (var isFirst = isClient; ; isFirst = false)
            {
                // The first message of a client has no type.
                var at = isFirst ? 0 : 1;
                await source.ReadExactlyAsync(head.AsMemory(0, at + 4));
                var message = new byte[at + BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(at))];
                head.AsSpan(0, at + 4).CopyTo(message);
                await source.ReadExactlyAsync(message.AsMemory(at + 4));
                await OpenTask;
                if (Lag > TimeSpan.Zero) await Task.Delay(Lag * Random.Shared.NextDouble(), TimeProvider.System);
                var springs = Springs(isClient);
                if (springs && _trap is { Kind: TrapKind.Halve }) await target.WriteAsync(message.AsMemory(0, message.Length / 2));
                if (springs && (!isClient || _trap is { Kind: TrapKind.Halve })) await SpringAsync();
                await target.WriteAsync(message);
                if (springs && isClient) await SpringAsync();
            }
        }
        catch (Exception error) when (error is IOException or SocketException or ObjectDisposedException or EndOfStreamException)
        {
            // One end is gone, and takes the other with it.
        }
    }

    private bool Springs(bool isClient)
    {
        lock (_gate)
        {
            if (_trap is not { } trap || trap.IsClients != isClient || IsSprung) return false;
            Passed++;
            return IsSprung = Passed == trap.At;
        }
    }

    /// <summary>Whoever serves the connection closes both ends.</summary>
    private async Task SpringAsync()
    {
        Sprung?.Invoke();
        if (_trap is not { Kind: TrapKind.Stall }) throw new IOException("Cut.");
        Stall();
        await OpenTask;
    }

    private static void Close(Socket socket)
    {
        try
        {
            socket.LingerState = new(enable: true, seconds: 0); // at once, also for what is still on its way
            socket.Dispose();
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // It is closed.
        }
    }
}

/// <summary>Where a <see cref="PostgresProxy"/> stops.</summary>
/// <param name="IsClients">Behind a message of the client; otherwise before one of the server.</param>
/// <param name="At">Its number, from 1.</param>
/// <param name="Kind">What happens there.</param>
internal sealed record Trap(bool IsClients, int At, TrapKind Kind = TrapKind.Cut);

/// <summary>What a <see cref="PostgresProxy"/> does at its trap.</summary>
public enum TrapKind
{
    /// <summary>The connection is cut.</summary>
    Cut,

    /// <summary>Half of the message is passed on, then the connection is cut.</summary>
    Halve,

    /// <summary>Nothing is passed on any more.</summary>
    Stall,
}
