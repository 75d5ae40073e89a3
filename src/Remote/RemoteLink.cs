using System.Net.WebSockets;
using DataSync.Storage;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;

namespace DataSync.Remote;

/// <summary>
/// The way to one database of the server: a connection that is made when the first member joins, made again whenever it is lost, and closed when the last one leaves. What the server
/// refuses for good ends it.
/// </summary>
/// <param name="address">Of the server.</param>
/// <param name="name">The database.</param>
/// <param name="options">Times and tokens.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
/// <param name="makeTabs">Makes what joins the other tabs of the browser, which share one connection; null where each has its own.</param>
internal sealed class RemoteLink(Uri address, string name, DataSyncRemoteOptions options, TimeProvider time, ILogger logger, Func<BrowserTabs>? makeTabs = null)
{
    /// <summary>Of what waits to be sent; what is more is lost, and repeated by whoever needs it.</summary>
    private const long MaxQueued = 64 << 20;

    /// <summary>Within which a tab that is the gateway says at least that it is there. One that does not hangs; another connection than its costs little.</summary>
    private static readonly TimeSpan GatewayPatience = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan FirstRetryDelay = TimeSpan.FromMilliseconds(100);

    private readonly Lock _gate = new();
    private readonly List<IRemoteMember> _members = [];
    private readonly List<(TaskCompletionSource<RemoteConnection> Done, bool IsPatient)> _waiters = [];
    private RemoteConnection? _connection;
    private BrowserTabs? _tabs;
    private CancellationTokenSource? _attempt;
    private bool _isGateway;
    private Task _running = Task.CompletedTask;

    /// <summary>The copy that this browser keeps of the database that is open or opens; null: none.</summary>
    public RemoteCopy? Copy { get; set; }

    /// <summary>Whether this tab is the one of the browser's that others go over, or is alone.</summary>
    public bool IsGateway => makeTabs is null || _tabs is { IsGateway: true };

    public TimeProvider Time => time;

    public ILogger Logger => logger;

    /// <summary>The connection, if there is one now.</summary>
    public RemoteConnection? Connection
    {
        get
        {
            lock (_gate) return _connection;
        }
    }

    /// <summary>Ends the loop that connects; null while none runs.</summary>
    private CancellationTokenSource? Stop { get; set; }

    private IRemoteMember[] Members
    {
        get
        {
            lock (_gate) return [.. _members];
        }
    }

    /// <summary>Adds a member, and returns when there is a connection that it has entered.</summary>
    /// <param name="member">Again: no effect but the wait.</param>
    /// <param name="isPatient">Waits for as long as it takes; else the next attempt to connect decides.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="StorageException">There is no connection, or the server refuses.</exception>
    public async Task<RemoteConnection> JoinAsync(IRemoteMember member, bool isPatient, CancellationToken cancellationToken)
    {
        Enlist(member);
        var connection = await WaitAsync(isPatient, cancellationToken).ConfigureAwait(false);
        await member.EnterAsync(connection, cancellationToken).ConfigureAwait(false);
        return connection;
    }

    /// <summary>As <see cref="JoinAsync"/>, but where there is a copy to open from without the wait: the member enters whenever there is a connection.</summary>
    public async Task JoinOrEnlistAsync(IRemoteMember member, CancellationToken cancellationToken)
    {
        if (Copy is not { } copy || await copy.FindAsync().WaitAsync(cancellationToken).ConfigureAwait(false) is null)
        {
            await JoinAsync(member, isPatient: false, cancellationToken).ConfigureAwait(false);
            return;
        }

        Enlist(member);
        _ = EnterAsync();

        // Those who are members before a connection is made enter it anyway; this one may come in between.
        async Task EnterAsync()
        {
            await ((Task)JoinAsync(member, isPatient: true, CancellationToken.None)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Adds a member; that is all.</summary>
    public void Enlist(IRemoteMember member)
    {
        lock (_gate)
        {
            if (!_members.Contains(member)) _members.Add(member);
            if (Stop is not null) return;
            Stop = new();
            _running = RunAsync(_running, Stop);
        }
    }

    /// <summary>Takes a member out; behind the last one the connection is closed.</summary>
    public async Task LeaveAsync(IRemoteMember member)
    {
        CancellationTokenSource? stop = null;
        lock (_gate)
        {
            if (_members.Remove(member) && _members.Count == 0) (stop, Stop) = (Stop, null);
        }

        if (stop is null) return;
        stop.Cancel(); // CancelAsync hops to the thread pool, which in the browser is a timer
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task<RemoteConnection> WaitAsync(bool isPatient, CancellationToken cancellationToken)
    {
        TaskCompletionSource<RemoteConnection> done;
        lock (_gate)
        {
            if (_connection is { } present) return present;
            done = new(OperatingSystem.IsBrowser() ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Add((done, isPatient));
        }

        return await done.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private async Task RunAsync(Task before, CancellationTokenSource stop)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!OperatingSystem.IsBrowser()) await Task.Yield(); // outside of the lock
        if (makeTabs is null)
        {
            await ServeAsync(null, stop).ConfigureAwait(false);
            return;
        }

        var tabs = makeTabs();
        await using var end = tabs.ConfigureAwait(false);
        lock (_gate) _tabs = tabs;
        tabs.WayChanged += OnWayChanged;
        await tabs.JoinAsync(stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await ServeAsync(tabs, stop).ConfigureAwait(false);
    }

    /// <summary>Connects again and again, until it is stopped or the server refuses for good.</summary>
    private async Task ServeAsync(BrowserTabs? tabs, CancellationTokenSource stop)
    {
        for (var isFirst = true; ; isFirst = false)
        {
            RemoteConnection connection;
            try
            {
                connection = await ConnectPatientlyAsync(stop.Token).ConfigureAwait(false);
            }
            catch (Exception error)
            {
                End(stop, error as StorageException ?? new StorageClosedException(StoreClosedReason.Lost));
                return;
            }

            if (!isFirst) Log.Restored(logger, name);
            RemoteMetrics.OnConnected(name, isFirst);
            Publish(connection);
            foreach (var member in Members) member.OnRestored();
            if (_isGateway) tabs?.Guests.OnConnected(connection);
            var stopped = new TaskCompletionSource();
            using (stop.Token.Register(stopped.SetResult)) await Task.WhenAny(connection.Ended, stopped.Task).ConfigureAwait(false);
            lock (_gate) (_connection, _isGateway) = (null, false);
            RemoteMetrics.OnDisconnected(name);
            tabs?.Guests.End();
            await connection.DisposeAsync().ConfigureAwait(false);
            if (stop.IsCancellationRequested)
            {
                End(stop, new StorageClosedException(StoreClosedReason.Lost));
                return;
            }

            Log.Lost(logger, name, await connection.Ended.ConfigureAwait(false));
            foreach (var member in Members) member.OnLost();
        }
    }

    /// <summary>Connects, as often as it takes; at once, whenever there is another way.</summary>
    private async Task<RemoteConnection> ConnectPatientlyAsync(CancellationToken cancellationToken)
    {
        var policy = MakePolicy();
        while (true)
        {
            using var attempt = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            lock (_gate) _attempt = attempt;
            try
            {
                return await policy.ExecuteAsync(async token => await ConnectAsync(token).ConfigureAwait(false), attempt.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // Anew.
            }
            finally
            {
                lock (_gate) _attempt = null;
            }
        }
    }

    private async Task<RemoteConnection> ConnectAsync(CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(options.ConnectTimeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            var connection = _tabs is null ? null : await ConnectOverGatewayAsync(_tabs, cancellationToken).ConfigureAwait(false);
            if (connection is null)
            {
                limit.CancelAfter(options.ConnectTimeout); // from here on
                _tabs?.Guests.OnConnecting();
                var line = await OpenSocketAsync(both.Token).ConfigureAwait(false);
                lock (_gate) _isGateway = _tabs?.IsGateway == true;
                connection = await RemoteConnection.OpenAsync(line, name, options.SilenceTimeout, time, OnFrame).ConfigureAwait(false);
            }

            try
            {
                foreach (var member in Members) await member.EnterAsync(connection, both.Token).ConfigureAwait(false);
                return connection;
            }
            catch
            {
                await connection.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }
        catch (StorageException)
        {
            throw;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
#pragma warning disable CA1031 // The platform's sockets fail in many ways, each of which may pass.
        catch (Exception error)
#pragma warning restore CA1031
        {
            throw Unavailable(error);
        }
    }

    /// <returns>Null: this tab is to have a connection of its own.</returns>
    private async Task<RemoteConnection?> ConnectOverGatewayAsync(BrowserTabs tabs, CancellationToken cancellationToken)
    {
        if (await tabs.FindLineAsync(cancellationToken).ConfigureAwait(false) is not { } line) return null;
        using var patience = new CancellationTokenSource(GatewayPatience, time);
        using var end = patience.Token.Register(() => tabs.Distrust(line));
        try
        {
            return await RemoteConnection.OpenAsync(line, name, options.SilenceTimeout, time, OnFrame).ConfigureAwait(false);
        }
        catch (Exception error) when (error is StorageException or OperationCanceledException && tabs.IsDistrusted(line) && !cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    private async Task<IFrameLine> OpenSocketAsync(CancellationToken cancellationToken)
    {
        var socket = new ClientWebSocket();
        try
        {
            options.ConfigureWebSocket?.Invoke(socket.Options);
            await socket.ConnectAsync(await AddressAsync(cancellationToken).ConfigureAwait(false), cancellationToken).ConfigureAwait(false);
            return new FrameSocket(socket, MaxQueued, options.SilenceTimeout * 3, time);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Another tab is the gateway now, or has a connection.</summary>
    private void OnWayChanged()
    {
        CancellationTokenSource? attempt;
        RemoteConnection? former;
        lock (_gate)
        {
            attempt = _attempt;
            former = _isGateway && _tabs is { IsGateway: false } ? _connection : null;
        }

        former?.Abort();
        try
        {
            attempt?.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has just ended.
        }
    }

    private async ValueTask<Uri> AddressAsync(CancellationToken cancellationToken)
    {
        if (options.AccessTokenProvider is not { } provider || await provider(cancellationToken).ConfigureAwait(false) is not { Length: > 0 } token) return address;
        var builder = new UriBuilder(address);
        builder.Query = (builder.Query is { Length: > 1 } query ? query[1..] + "&" : "") + "access_token=" + Uri.EscapeDataString(token);
        return builder.Uri;
    }

    private StorageUnavailableException Unavailable(Exception error) => new(
        $"The server at {address.GetLeftPart(UriPartial.Path)} cannot be reached, or does not let this client connect ({error.Message}). Check the network, the address, and whether the user is signed in.", error);

    private ResiliencePipeline MakePolicy() => new ResiliencePipelineBuilder { TimeProvider = time }.AddRetry(new RetryStrategyOptions
    {
        MaxRetryAttempts = int.MaxValue,
        BackoffType = DelayBackoffType.Exponential,
        UseJitter = true,
        Delay = FirstRetryDelay,
        MaxDelay = options.MaxReconnectDelay,
        ShouldHandle = new PredicateBuilder().Handle<StorageException>(IsPassing),
        OnRetry = retry =>
        {
            var error = (StorageException)retry.Outcome.Exception!;
            Log.NotConnected(logger, name, error.Message);
            RemoteMetrics.OnFailed(name);
            Fail(error, alsoPatient: false);
            if (_tabs is { IsGateway: true } tabs) tabs.Guests.OnFailed(error);
            return default;
        },
    }).Build();

    /// <summary>Whether another attempt may succeed. What the user may not do, and another version, stay.</summary>
    private static bool IsPassing(StorageException error) => error.Code is not (StorageErrorCode.Denied or StorageErrorCode.Format);

    private void OnFrame(Frame frame)
    {
        if (_isGateway) _tabs?.Guests.OnFrame(frame);
        foreach (var member in Members) member.OnFrame(frame);
    }

    private void Publish(RemoteConnection connection)
    {
        TaskCompletionSource<RemoteConnection>[] waiters;
        lock (_gate)
        {
            _connection = connection;
            waiters = [.. _waiters.Select(waiter => waiter.Done)];
            _waiters.Clear();
        }

        foreach (var waiter in waiters) waiter.TrySetResult(connection);
    }

    private void Fail(StorageException error, bool alsoPatient)
    {
        TaskCompletionSource<RemoteConnection>[] failed;
        lock (_gate)
        {
            failed = [.. _waiters.Where(waiter => alsoPatient || !waiter.IsPatient).Select(waiter => waiter.Done)];
            _waiters.RemoveAll(waiter => alsoPatient || !waiter.IsPatient);
        }

        foreach (var waiter in failed) waiter.TrySetException(error);
    }

    private void End(CancellationTokenSource stop, StorageException error)
    {
        lock (_gate)
        {
            if (Stop == stop) Stop = null; // whoever joins now begins anew
        }

        Fail(error, alsoPatient: true);
        if (!stop.IsCancellationRequested) foreach (var member in Members) member.OnLost(); // those who wait for nothing
        stop.Dispose();
    }
}
