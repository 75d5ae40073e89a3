using System.Globalization;
using System.Net.WebSockets;
using System.Threading.Channels;
using System.Threading.RateLimiting;
using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Storage;
using Microsoft.AspNetCore.Http;

namespace DataSync.Server;

/// <summary>
/// One connection of a client, from its greeting to its end. Nothing that comes in is believed: what is no frame, over a limit, for a tab that did not join here, or not
/// for a follower to say, ends the connection.
/// </summary>
internal sealed class ClientSession(DatabaseServer server, HttpContext context, string user, WebSocket webSocket, CancellationToken stopping) : IDisposable
{
    private const int MaxTabs = 16, MaxRequests = 16;

    private static readonly TimeSpan HelloTimeout = TimeSpan.FromSeconds(10), CloseTimeout = TimeSpan.FromSeconds(2);

    private readonly FrameSocket _socket = new(webSocket, server.Options.MaxQueuedBytes, server.Options.SendTimeout, server.Time);
    private readonly CancellationTokenSource _end = CancellationTokenSource.CreateLinkedTokenSource(stopping);
    private readonly Dictionary<TabId, ClientTab> _tabs = [];
    private readonly MessageFragments _fragments = new(server.Options.MaxMessageBytes);
    private readonly Channel<Frame> _requests = Channel.CreateBounded<Frame>(new BoundedChannelOptions(MaxRequests) { SingleReader = true });
    private ServedDatabase? _served;

    /// <summary>The tab whose channel is listened to for what is said to all.</summary>
    private ClientTab? _listener;

    private bool _isWelcome, _isRefused;
    private string? _why;

    public HttpContext Context => context;

    public DataSyncServerOptions Options => server.Options;

    public string Database { get; private set; } = "?";

    public DatabaseAccess Access { get; private set; }

    /// <summary>Serves the connection. Does not throw.</summary>
    public async Task RunAsync()
    {
        _socket.Sent = bytes => ServerMetrics.OnFrame(Database, isIn: false, bytes);
        _socket.Received = bytes => ServerMetrics.OnFrame(Database, isIn: true, bytes);
        var sending = _socket.SendLoopAsync();
        try
        {
            await GreetAsync().ConfigureAwait(false);
            var answering = AnswerOrEndAsync();
            var reauthorizing = server.Options is { ReauthorizeEvery: { } every, Authorize: { } authorize } ? ReauthorizeAsync(authorize, every) : Task.CompletedTask;
            try
            {
                await ListenAsync().ConfigureAwait(false);
            }
            finally
            {
                _requests.Writer.TryComplete();
                await _end.CancelAsync().ConfigureAwait(false);
                await LeaveAsync().ConfigureAwait(false);
                await Task.WhenAll(answering, reauthorizing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }

            _socket.Close(WebSocketCloseStatus.NormalClosure, "");
            Log.Disconnected(server.Logger, Database, user, "it said goodbye");
        }
        catch (ProtocolException refusal)
        {
            OnRefused(refusal.Status, refusal.Message);
            _socket.Close(refusal.Status, refusal.Message);
        }
        catch (StorageException error)
        {
            var status = error is AccessDeniedException ? ProtocolException.ForbiddenStatus : ProtocolException.BusyStatus;
            OnRefused(status, error.Message);
            _socket.TrySend(new(FrameKind.Error, 0, default, Bodies.Error(error)));
            _socket.Close(status, error.Message);
        }
        catch (Exception error) when (FrameSocket.IsEnd(error))
        {
            if (!_isRefused) Log.Disconnected(server.Logger, Database, user, _why ?? error.Message);
            _socket.Close(WebSocketCloseStatus.EndpointUnavailable, _why ?? "The server stops.");
        }
#pragma warning disable CA1031 // One connection, whatever its hooks throw, must not be the server's end.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Log.Failed(server.Logger, error, Database);
            _socket.Close(WebSocketCloseStatus.InternalServerError, "The server failed.");
        }

        if (_isWelcome) ServerMetrics.OnConnection(Database, isOn: false);

        // Ended before the client has read why, the connection would be reset, and the reason with it.
        using var limit = new CancellationTokenSource(CloseTimeout, server.Time);
        await sending.WaitAsync(CloseTimeout, server.Time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _socket.DrainAsync(limit.Token).ConfigureAwait(false);
        _socket.Abort();
        await sending.ConfigureAwait(false);
    }

    public void Dispose()
    {
        _socket.Dispose();
        _end.Dispose();
    }

    public bool IsListener(ClientTab tab) => Volatile.Read(ref _listener) == tab;

    /// <summary>Passes a message on; default: to all tabs of the connection. Where too much waits it is lost: the tabs find out by a later one, and read the log at their own pace.</summary>
    public void TellTab(TabId tab, byte[] message)
    {
        if (_isWelcome && !_socket.TrySendMessage(tab, message)) ServerMetrics.OnDropped(Database);
    }

    /// <summary>Sends something that is not waited for; a client that leaves too much of it unread is disconnected.</summary>
    public void Tell(Frame frame)
    {
        if (!_isWelcome || _socket.TrySend(frame)) return;
        if (_end.IsCancellationRequested) return;
        OnRefused(ProtocolException.TooSlowStatus, "It does not read so fast.");
        _why = "The client does not read so fast.";
        _socket.Abort(); // behind what it does not read it would not hear of a reason either
        EndQuietly();
    }

    /// <summary>Ends the connection from this side; the client may connect again.</summary>
    public void End(string why)
    {
        _why = why;
        EndQuietly();
    }

    /// <summary>Answers a commit or statements in the leader's place: the leader that the client named refuses them.</summary>
    public void Refuse(CommitMessage refused, Position position, StorageErrorCode code, string text)
    {
        ServerMetrics.OnRefused(Database, code == StorageErrorCode.TooLarge ? "size" : refused.Kind == CommitMessageKind.Commit ? "commit" : "statement");
        Tell(new(FrameKind.Message, 0, refused.Sender, new CommitMessage
        {
            Kind = CommitMessageKind.Refused,
            Epoch = refused.Epoch,
            Sender = refused.To,
            To = refused.Sender,
            Incarnation = refused.Incarnation,
            Position = position,
            Code = code,
            Text = text,
        }.Encode()));
    }

    private void OnRefused(WebSocketCloseStatus status, string why)
    {
        _isRefused = true;
        Log.Refused(server.Logger, Database, user, (int)status, why);
        ServerMetrics.OnRefused(Database, ((int)status).ToString(CultureInfo.InvariantCulture));
    }

    private void EndQuietly()
    {
        try
        {
            _end.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has just ended by itself.
        }
    }

    private async Task GreetAsync()
    {
        using var limit = new CancellationTokenSource(HelloTimeout, server.Time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _end.Token);
        if (await _socket.ReceiveAsync(Bodies.MaxHello, both.Token).ConfigureAwait(false) is not { Kind: FrameKind.Hello } hello) throw ProtocolException.Garbage("a greeting");
        var (name, isKnown) = Bodies.ReadHello(hello.Body.Span);
        if (!isKnown) throw new StoreFormatException(0, "The server speaks another version of DataSync's protocol. Update the app (reload the page), or the server.");
        try
        {
            Vfs.DataSyncOptions.CheckName(name);
        }
        catch (ArgumentException error)
        {
            throw new AccessDeniedException(error.Message);
        }

        Database = name;
        if (server.Options.Authorize is { } authorize) Access = await authorize(context, name).ConfigureAwait(false);
        if (Access is not (DatabaseAccess.Read or DatabaseAccess.Write)) throw new AccessDeniedException("The server does not let this user open the database.");
        _served = await server.EnterAsync(name, this, _end.Token).ConfigureAwait(false);
        _socket.TrySend(new(FrameKind.Welcome, 0, default, Bodies.Welcome(Access == DatabaseAccess.Write, server.Options.AllowPages)));
        _isWelcome = true;
        ServerMetrics.OnConnection(name, isOn: true);
        Tell(_served.MakeLease());
        Log.Connected(server.Logger, name, user, Access);
    }

    private async Task ListenAsync()
    {
        using var messages = MakeLimiter(server.Options.MessagesPerSecond);
        using var bytes = MakeLimiter(server.Options.BytesPerSecond);
        while (await _socket.ReceiveAsync(Bodies.MaxFrame, _end.Token).ConfigureAwait(false) is { } frame)
        {
            if (!messages.AttemptAcquire().IsAcquired) throw new ProtocolException(ProtocolException.TooFastStatus, "Too many messages came within a second.");
            for (var left = frame.Size; left > 0; left -= server.Options.BytesPerSecond)
                (await bytes.AcquireAsync(Math.Min(left, server.Options.BytesPerSecond), _end.Token).ConfigureAwait(false)).Dispose();
            await TakeAsync(frame).ConfigureAwait(false);
        }
    }

    private async ValueTask TakeAsync(Frame frame)
    {
        switch (frame.Kind)
        {
            case FrameKind.Join:
                await JoinAsync(frame).ConfigureAwait(false);
                break;
            case FrameKind.Leave:
                if (!_tabs.Remove(frame.Tab, out var left)) break;
                if (IsListener(left)) Volatile.Write(ref _listener, _tabs.Values.FirstOrDefault());
                await EndAsync(left).ConfigureAwait(false);
                break;
            case FrameKind.Message:
                if (!_tabs.TryGetValue(frame.Tab, out var tab)) throw ProtocolException.Forbidden("A message came for a tab that has not joined here.");
                if (MessageFragments.TryBegin(frame.Body) is { } begun && begun.Length > server.Options.MaxMessageBytes) tab.RefuseTooLarge(begun.Beginning.Span);
                else if (_fragments.Add(frame.Body.ToArray()) is { } message) tab.Take(message);
                break;
            case FrameKind.Open or FrameKind.Read when frame.Request != 0:
                if (frame.Kind == FrameKind.Read) Bodies.ReadRead(frame.Body.Span, ReadResult.None);
                if (!_requests.Writer.TryWrite(frame with { Body = frame.Body.ToArray() })) throw new ProtocolException(ProtocolException.TooFastStatus, "Too many requests wait for their answer.");
                break;
            default:
                throw ProtocolException.Garbage("something for a client to say");
        }
    }

    private async Task JoinAsync(Frame frame)
    {
        if (frame.Tab == default || frame.Request == 0 || frame.Body.Length != 16) throw ProtocolException.Garbage("a tab that joins");
        if (!_tabs.ContainsKey(frame.Tab))
        {
            if (_tabs.Count == MaxTabs) throw new ProtocolException(ProtocolException.TooFastStatus, "Too many tabs have joined.");
            var tab = new ClientTab(this, frame.Tab, server.Factory.Place.CreateChannel(Database));
            if (!_served!.TryClaim(frame.Tab, frame.Body.ToArray(), tab, out var isFree)) throw ProtocolException.Forbidden("That is another one's tab.");
            _tabs.Add(frame.Tab, tab); // first: what is opened in part is ended, too
            await isFree.WaitAsync(_end.Token).ConfigureAwait(false);
            await tab.OpenAsync(_end.Token).ConfigureAwait(false);
            _listener ??= tab;
        }

        Tell(new(FrameKind.End, frame.Request, frame.Tab));
    }

    private async Task LeaveAsync()
    {
        foreach (var tab in _tabs.Values) await EndAsync(tab).ConfigureAwait(false);
        _tabs.Clear();
        if (_served is { } served) DatabaseServer.Leave(served, this);
    }

    private async Task EndAsync(ClientTab tab)
    {
        try
        {
            await tab.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            _served!.Release(tab.Id, tab); // behind it: whoever takes the tab over before that waits for it
        }
    }

    /// <summary>Ends the connection when the user may do something else than at its beginning.</summary>
    private async Task ReauthorizeAsync(Func<HttpContext, string, ValueTask<DatabaseAccess>> authorize, TimeSpan every)
    {
        try
        {
            using var timer = new PeriodicTimer(every, server.Time);
            while (await timer.WaitForNextTickAsync(_end.Token).ConfigureAwait(false))
            {
                if (await authorize(context, Database).ConfigureAwait(false) != Access) break;
            }

            End("What the user may do has changed.");
        }
#pragma warning disable CA1031 // Who cannot be asked may do nothing.
        catch (Exception error)
#pragma warning restore CA1031
        {
            if (_end.IsCancellationRequested) return;
            Log.Failed(server.Logger, error, Database);
            End("What the user may do could not be found out.");
        }
    }

    /// <summary>As long as the connection lives its requests are answered: a client waits for the answer without a limit, and would for ever.</summary>
    private async Task AnswerOrEndAsync()
    {
        try
        {
            await AnswerAsync().ConfigureAwait(false);
        }
#pragma warning disable CA1031 // Whatever the store throws that is not its own error: another connection may fare better.
        catch (Exception error)
#pragma warning restore CA1031
        {
            if (_end.IsCancellationRequested) return;
            if (error is not OperationCanceledException) Log.Failed(server.Logger, error, Database); // then the socket is closing
            End("A request could not be answered.");
        }
    }

    /// <summary>Reads of the store, one after the other.</summary>
    private async Task AnswerAsync()
    {
        var store = server.Factory.Place.CreateStore(Database);
        await using var end = store.ConfigureAwait(false);
        store.Closed += reason => Tell(new(FrameKind.Closed, 0, default, Bodies.Closed(reason)));
        await foreach (var request in _requests.Reader.ReadAllAsync(_end.Token).ConfigureAwait(false))
        {
            try
            {
                if (request.Kind == FrameKind.Open)
                    await AnswerAsync(request, FrameKind.Head, Bodies.Head(await store.OpenAsync(_end.Token).ConfigureAwait(false), 0, 0)).ConfigureAwait(false);
                else
                    await ReadAsync(store, request).ConfigureAwait(false);
                await AnswerAsync(request, FrameKind.End, []).ConfigureAwait(false);
            }
            catch (StorageException error)
            {
                await AnswerAsync(request, FrameKind.Error, Bodies.Error(error)).ConfigureAwait(false);
            }
        }
    }

    private async Task ReadAsync(IBlockStore store, Frame request)
    {
        using var read = new ReadResult();
        var asked = Bodies.ReadRead(request.Body.Span, read);
        if (asked.IncludeExtents) await WaitForTurnAsync().ConfigureAwait(false);
        var began = server.Time.GetTimestamp();
        try
        {
            // First from the store, which others wait for, then to the client, which may be slow.
            await store.ReadAsync(asked, _end.Token).ConfigureAwait(false);
            foreach (var (kind, body) in read.TakeFrames())
            {
                _end.Token.ThrowIfCancellationRequested();
                await AnswerAsync(request, kind, body).ConfigureAwait(false);
            }

            ServerMetrics.OnRead(Database, asked.IncludeExtents, server.Time.GetElapsedTime(began));
        }
        finally
        {
            if (asked.IncludeExtents) server.Reads.Release();
        }
    }

    private async Task WaitForTurnAsync()
    {
        ServerMetrics.OnWaiting(Database, isOn: true);
        try
        {
            await server.Reads.WaitAsync(_end.Token).ConfigureAwait(false);
        }
        finally
        {
            ServerMetrics.OnWaiting(Database, isOn: false);
        }
    }

    private async Task AnswerAsync(Frame request, FrameKind kind, byte[] body)
    {
        if (!await _socket.SendAsync(new(kind, request.Request, request.Tab, body)).ConfigureAwait(false)) throw new OperationCanceledException("The connection is over.");
    }

    private static TokenBucketRateLimiter MakeLimiter(int perSecond) => new(new()
    {
        TokenLimit = (int)Math.Min(int.MaxValue, perSecond * 10L),
        TokensPerPeriod = perSecond,
        ReplenishmentPeriod = TimeSpan.FromSeconds(1),
        QueueLimit = int.MaxValue,
        AutoReplenishment = true,
    });
}
