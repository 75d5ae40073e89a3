using System.Net;
using System.Net.WebSockets;
using System.Security.Claims;
using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Vfs;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace DataSync.Server.Tests;

/// <summary>A real server on a port of this machine, with databases in a temporary directory, and clients of it. Who connects says in a header or the query who he is.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    public const string Database = "app.db";

    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly string _directory = Directory.CreateTempSubdirectory("server-tests-").FullName;
    private readonly List<DataSyncFactory> _clients = [];
    private readonly Action<DataSyncServerOptions> _configure;
    private readonly Rig.ListLogger? _log;
    private readonly Action<IServiceCollection> _databases;
    private WebApplication _app = null!;

    private TestServer(Action<DataSyncServerOptions>? configure, Rig.ListLogger? log, Action<IServiceCollection>? databases)
    {
        (_configure, _log) = (configure ?? (o => o.AllowEverybody()), log);
        _databases = databases ?? (services => services.AddDataSync(o => o.Directory = _directory));
    }

    private int _connections, _allConnections;

    public int Port { get; private set; }

    /// <summary>How many clients are connected, over all servers at this address; one that was cut off may count for a moment.</summary>
    public int Connections => Volatile.Read(ref _connections);

    /// <summary>How many ever were.</summary>
    public int AllConnections => Volatile.Read(ref _allConnections);

    public Uri Address => new($"http://127.0.0.1:{Port}/datasync");

    public DatabaseServer Server => _app.Services.GetRequiredService<DatabaseServer>();

    /// <summary>Starts one.</summary>
    /// <param name="configure">Null: everybody may do everything.</param>
    /// <param name="log">Hears of server and clients.</param>
    /// <param name="databases">Adds the factory of its databases; null: in a directory of its own.</param>
    public static async Task<TestServer> StartAsync(Action<DataSyncServerOptions>? configure = null, Rig.ListLogger? log = null, Action<IServiceCollection>? databases = null)
    {
        var server = new TestServer(configure, log, databases);
        await server.StartAsync();
        return server;
    }

    public Task<Microsoft.Extensions.Diagnostics.HealthChecks.HealthReport> CheckHealthAsync() =>
        _app.Services.GetRequiredService<Microsoft.Extensions.Diagnostics.HealthChecks.HealthCheckService>().CheckHealthAsync();

    /// <summary>Opens the database in the server's own tab.</summary>
    public Task<DataSyncDatabase> OpenHereAsync(string name = Database) => Server.Factory.OpenAsync(name);

    /// <summary>Opens the database in a client, perhaps over a port of its own.</summary>
    public Task<DataSyncDatabase> OpenAsync(string name = Database, int? port = null, string? user = null, Action<DataSyncOptions>? configure = null) =>
        NewClient(port, user, configure).OpenAsync(name);

    public DataSyncFactory NewClient(int? port = null, string? user = null, Action<DataSyncOptions>? configure = null, Action<DataSyncRemoteOptions>? remote = null)
    {
        var options = new DataSyncOptions();
        configure?.Invoke(options);
        var remoteOptions = new DataSyncRemoteOptions { MaxReconnectDelay = TimeSpan.FromMilliseconds(500), ConfigureWebSocket = o => o.SetRequestHeader("user", user) };
        if (user is null) remoteOptions.ConfigureWebSocket = null;
        remote?.Invoke(remoteOptions);
        var client = DataSyncRemote.CreateFactory(new Uri($"http://127.0.0.1:{port ?? Port}/datasync"), options, remoteOptions, loggers: _log is null ? null : new OneLogger(_log));
        _clients.Add(client);
        return client;
    }

    /// <summary>Stops the server, and starts another one at the same address over the same directory.</summary>
    public async Task RestartAsync()
    {
        await StopAsync();
        await StartAsync();
    }

    public async Task StopAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients) await client.DisposeAsync();
        await StopAsync();
        Directory.Delete(_directory, recursive: true);
    }

    public async Task StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        if (_log is not null) builder.Services.AddSingleton<ILoggerFactory>(new OneLogger(_log));
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, Port));
        _databases(builder.Services);
        builder.Services.AddDataSyncServer(_configure);
        _app = builder.Build();
        _app.Use((context, next) =>
        {
            var user = context.Request.Headers["user"].ToString() is { Length: > 0 } name ? name : context.Request.Query["access_token"].ToString();
            if (user.Length > 0) context.User = new ClaimsPrincipal(new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, user)], "test"));
            return next(context);
        });
        _app.Use(async (context, next) =>
        {
            Interlocked.Increment(ref _connections);
            Interlocked.Increment(ref _allConnections);
            try
            {
                await next(context);
            }
            finally
            {
                Interlocked.Decrement(ref _connections);
            }
        });
        _app.MapDataSync();
        await _app.StartAsync();
        Port = new Uri(_app.Urls.Single()).Port;
    }

    private sealed class OneLogger(ILogger logger) : ILoggerFactory
    {
        public ILogger CreateLogger(string categoryName) => logger;

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public void Dispose()
        {
        }
    }
}
