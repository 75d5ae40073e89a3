using System.Net.WebSockets;
using DataSync.PostgreSql;
using DataSync.Server;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace DataSync.Bench;

/// <summary>W16's server, a worker: databases of PostgreSQL, the page of a client, and beside them the bare limit, an echo. Of each line of its input it says where it is.</summary>
internal static class ClusterServer
{
    private const string Served = "/served", Echo = "/echo";

    /// <summary>Starts one.</summary>
    /// <param name="connection">Of PostgreSQL.</param>
    /// <returns>The worker, and its address without a slash at the end.</returns>
    public static async Task<(ClusterWorker Worker, string Url)> StartAsync(string connection)
    {
        var worker = await ClusterWorker.StartAsync("server", connection);
        return (worker, await worker.AskAsync("url"));
    }

    /// <summary>Where its databases are.</summary>
    public static string DatabasesOf(string url) => url + Served;

    public static async Task RunAsync(string connection)
    {
        await using var host = await BenchHost.StartAsync(
            builder =>
            {
                builder.Services.AddDataSyncPostgres(connection);
                builder.Services.AddDataSyncServer(o => o.AllowEverybody().MaxSocketsPerUser = 1000);
            },
            app =>
            {
                app.MapDataSync(Served);
                app.UseWebSockets();
                app.Map(Echo, EchoAsync);
            });
        ClusterWorker.Say("ready");
        while (await Console.In.ReadLineAsync() is not null) ClusterWorker.Say(host.Url);
    }

    private static async Task EchoAsync(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var buffer = new byte[4096];
        while (await socket.ReceiveAsync(buffer, context.RequestAborted) is { MessageType: not WebSocketMessageType.Close } message)
            await socket.SendAsync(buffer.AsMemory(0, message.Count), message.MessageType, message.EndOfMessage, context.RequestAborted);
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, context.RequestAborted);
    }
}
