using System.Net.WebSockets;
using System.Security.Claims;
using DataSync.Remote;
using DataSync.Vfs;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace DataSync.Server;

/// <summary>The endpoint: lets connections in, and keeps the databases that somebody is connected with open. Any thread may call.</summary>
internal sealed class DatabaseServer : IAsyncDisposable
{
    /// <summary>Within which the other side answers the WebSocket's pings; browsers do so by themselves.</summary>
    private static readonly TimeSpan KeepAliveInterval = TimeSpan.FromSeconds(5), KeepAliveTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Of databases that are told of by name, whoever names them.</summary>
    private const int MaxFaults = 100;

    private readonly AsyncServiceScope _scope;
    private readonly CancellationToken _stopping;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ServedDatabase> _databases = [];
    private readonly Dictionary<string, int> _users = [];
    private readonly Dictionary<string, string> _faults = [];

    public DatabaseServer(DataSyncServerOptions options, IServiceScopeFactory scopes, TimeProvider time, ILoggerFactory loggers, IHostApplicationLifetime lifetime)
    {
        // A factory that is scoped, as that of AddDataSync, is the server's own tab, for as long as the server lives.
        _scope = scopes.CreateAsyncScope();
        (Options, Time, Logger, _stopping) = (options, time, loggers.CreateLogger("DataSync"), lifetime.ApplicationStopping);
        Factory = _scope.ServiceProvider.GetService<DataSyncFactory>()
            ?? throw new InvalidOperationException("There is no DataSyncFactory. Call builder.Services.AddDataSyncPostgres(…), or AddDataSync(o => o.Directory = …).");
        Reads = new(options.MaxConcurrentReads, options.MaxConcurrentReads);
    }

    public DataSyncServerOptions Options { get; }

    public DataSyncFactory Factory { get; }

    public TimeProvider Time { get; }

    public ILogger Logger { get; }

    /// <summary>Leave to read a whole database.</summary>
    public SemaphoreSlim Reads { get; }

    /// <summary>The databases that are served now.</summary>
    public IReadOnlyList<ServedDatabase> Databases
    {
        get
        {
            lock (_gate) return [.. _databases.Values];
        }
    }

    /// <summary>Databases that have stopped by themselves or could not be opened, and why, until they are served again.</summary>
    public IReadOnlyDictionary<string, string> Faults
    {
        get
        {
            lock (_gate) return new Dictionary<string, string>(_faults);
        }
    }

    /// <summary>A database has stopped, or could not be opened; null: it is served.</summary>
    public void Note(string name, string? fault)
    {
        lock (_gate)
        {
            if (fault is null) _faults.Remove(name);
            else if (_faults.Count < MaxFaults || _faults.ContainsKey(name)) _faults[name] = fault;
        }
    }

    /// <summary>Serves one connection to its end.</summary>
    public async Task ServeAsync(HttpContext context)
    {
        if (!context.WebSockets.IsWebSocketRequest)
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            await context.Response.WriteAsync("This is DataSync's endpoint: connect with a WebSocket (package DataSync.Remote).", context.RequestAborted).ConfigureAwait(false);
            return;
        }

        if (!IsOriginAllowed(context.Request))
        {
            Log.ForeignOrigin(Logger, context.Request.Headers.Origin.ToString());
            ServerMetrics.OnRefused("?", "origin");
            context.Response.StatusCode = StatusCodes.Status403Forbidden;
            return;
        }

        var user = UserOf(context);
        if (!TryCountIn(user))
        {
            ServerMetrics.OnRefused("?", "user_limit");
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return;
        }

        try
        {
            using var socket = await context.WebSockets.AcceptWebSocketAsync(
                new WebSocketAcceptContext { KeepAliveInterval = KeepAliveInterval, KeepAliveTimeout = KeepAliveTimeout }).ConfigureAwait(false);
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, _stopping);
            using var session = new ClientSession(this, context, user, socket, stop.Token);
            await session.RunAsync().ConfigureAwait(false);
        }
        finally
        {
            CountOut(user);
        }
    }

    /// <summary>Opens a database for a session, or joins those that have it open.</summary>
    /// <exception cref="ProtocolException">It has too many connections.</exception>
    public async Task<ServedDatabase> EnterAsync(string name, ClientSession session, CancellationToken cancellationToken)
    {
        while (true)
        {
            ServedDatabase served;
            lock (_gate)
            {
                if (!_databases.TryGetValue(name, out served!)) _databases.Add(name, served = new(this, name));
                if (!served.TryAdd(session)) throw new ProtocolException(ProtocolException.BusyStatus, "Too many are connected with this database. Try again later.");
            }

            try
            {
                if (await served.OpenAsync(cancellationToken).ConfigureAwait(false)) return served;
            }
            catch
            {
                Leave(served, session);
                throw;
            }

            Leave(served, session);
            Forget(served);
        }
    }

    /// <summary>A session is over; the database is closed a while after the last one.</summary>
    public static void Leave(ServedDatabase served, ClientSession session)
    {
        if (served.Remove(session) == 0) served.CloseLater();
    }

    /// <summary>The database is not served any more: closed, or stopped by itself. The next connection opens it anew.</summary>
    public void Forget(ServedDatabase served)
    {
        lock (_gate) if (_databases.GetValueOrDefault(served.Name) == served) _databases.Remove(served.Name);
        served.Stop();
    }

    /// <summary>Closes a database if nobody is connected with it.</summary>
    public async Task CloseIdleAsync(ServedDatabase served)
    {
        lock (_gate)
        {
            if (!served.IsIdle) return;
            if (_databases.GetValueOrDefault(served.Name) == served) _databases.Remove(served.Name);
        }

        served.Stop();
        Log.Idle(Logger, served.Name);
        try
        {
            await Factory.CloseServedAsync(served.Name).ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // The server ends, and closes everything.
        }
    }

    public async ValueTask DisposeAsync()
    {
        ServedDatabase[] all;
        lock (_gate) all = [.. _databases.Values];
        foreach (var served in all) Forget(served);
        await _scope.DisposeAsync().ConfigureAwait(false);
        Reads.Dispose();
    }

    // A page of any origin may open a WebSocket, and the browser sends its user's cookies along: only this check keeps it out. Other clients send no origin.
    private bool IsOriginAllowed(HttpRequest request)
    {
        if (request.Headers.Origin.ToString() is not { Length: > 0 } origin) return true;
        return Options.AllowedOrigins.Contains(origin) || Options.AllowedOrigins.Contains("*")
            || string.Equals(origin, $"{request.Scheme}://{request.Host}", StringComparison.OrdinalIgnoreCase);
    }

    private static string UserOf(HttpContext context) => context.User is { Identity.IsAuthenticated: true } user
        ? "user " + (user.FindFirstValue(ClaimTypes.NameIdentifier) ?? user.Identity.Name)
        : "address " + context.Connection.RemoteIpAddress;

    private bool TryCountIn(string user)
    {
        lock (_gate)
        {
            var count = _users.GetValueOrDefault(user);
            if (count >= Options.MaxSocketsPerUser) return false;
            _users[user] = count + 1;
            return true;
        }
    }

    private void CountOut(string user)
    {
        lock (_gate) if (--_users[user] == 0) _users.Remove(user);
    }
}
