using System.Diagnostics;
using System.Net.WebSockets;
using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;

namespace DataSync.Bench.Client;

/// <summary>W16's limit: a message to the server and back over a WebSocket of its own, by the page's script and by .NET in it.</summary>
internal static partial class RoundTrips
{
    private const string Module = "bench-echo";

    private static Uri address = null!;

    public static async Task LoadAsync(Uri echo)
    {
        address = new UriBuilder(echo) { Scheme = "ws" }.Uri;
        await JSHost.ImportAsync(Module, "/bench/echo.js");
    }

    public static async Task<StepResult> RunAsync(string name, StepOptions options) => name == "roundTrips"
        ? new(new() { [options.Metric] = await ByScriptAsync(options), [$"{options.Metric}.net"] = await ByDotNetAsync(options) })
        : throw new ArgumentException($"there is no step {name}");

    private static async Task<double[]> ByScriptAsync(StepOptions options) =>
        JsonSerializer.Deserialize(await Echo(address.ToString(), options.Warm, options.Count, options.Bytes), StepJson.Default.DoubleArray)!;

    private static async Task<List<double>> ByDotNetAsync(StepOptions options)
    {
        using var socket = new ClientWebSocket();
        await socket.ConnectAsync(address, CancellationToken.None);
        byte[] message = new byte[options.Bytes], answer = new byte[options.Bytes];
        var times = new List<double>();
        for (var i = -options.Warm; i < options.Count; i++)
        {
            var begin = Stopwatch.GetTimestamp();
            await socket.SendAsync(message, WebSocketMessageType.Binary, endOfMessage: true, CancellationToken.None);
            while (!(await socket.ReceiveAsync(answer, CancellationToken.None)).EndOfMessage) { }
            if (i >= 0) times.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
        }

        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        return times;
    }

    [JSImport("echo", Module)]
    private static partial Task<string> Echo(string url, int warm, int count, int bytes);
}
