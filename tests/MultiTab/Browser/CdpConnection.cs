using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DataSync.MultiTab.Browser;

/// <summary>A bare connection to Chromium's devtools protocol: commands with answers, and events.</summary>
public sealed class CdpConnection : IAsyncDisposable
{
    private static readonly TimeSpan CommandLimit = Limits.Step;

    private readonly ClientWebSocket socket = new();
    private readonly SemaphoreSlim sending = new(1);
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode>> waiting = new();
    private Task reading = Task.CompletedTask;
    private int lastId;

    /// <summary>Session id ("" for the browser's own), method, parameters.</summary>
    public event Action<string, string, JsonNode>? Event;

    public static async Task<CdpConnection> ConnectAsync(Uri address)
    {
        var connection = new CdpConnection();
        using var limit = new CancellationTokenSource(CommandLimit);
        await connection.socket.ConnectAsync(address, limit.Token);
        connection.reading = connection.ReadAsync();
        return connection;
    }

    /// <summary>Sends a command and returns its result. Throws when the browser answers with an error, or does not answer within <see cref="Limits.Step"/>.</summary>
    public async Task<JsonNode> SendAsync(string method, object? parameters = null, string? sessionId = null)
    {
        var id = Interlocked.Increment(ref lastId);
        var answer = waiting[id] = new TaskCompletionSource<JsonNode>(TaskCreationOptions.RunContinuationsAsynchronously);
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = JsonSerializer.SerializeToNode(parameters ?? new { }) };
        if (sessionId is not null)
        {
            message["sessionId"] = sessionId;
        }

        await sending.WaitAsync();
        try
        {
            await socket.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);
        }
        finally
        {
            sending.Release();
        }

        try
        {
            return await answer.Task.WaitAsync(CommandLimit);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"Chromium did not answer {method} within {CommandLimit.TotalSeconds} s.");
        }
        finally
        {
            waiting.TryRemove(id, out _);
        }
    }

    public async ValueTask DisposeAsync()
    {
        socket.Abort();
        await reading;
        socket.Dispose();
        sending.Dispose();
    }

    private async Task ReadAsync()
    {
        try
        {
            while (await ReadMessageAsync() is { } message)
            {
                Dispatch(message);
            }
        }
        catch (Exception error) when (error is WebSocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The browser ended or the test did; whoever still waits is told below.
        }

        foreach (var answer in waiting.Values)
        {
            answer.TrySetException(new IOException("The connection to Chromium has ended."));
        }
    }

    private async Task<JsonNode?> ReadMessageAsync()
    {
        using var buffer = new MemoryStream();
        var chunk = new byte[64 * 1024];
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

    private void Dispatch(JsonNode message)
    {
        if (message["id"] is { } id && waiting.TryGetValue(id.GetValue<int>(), out var answer))
        {
            if (message["error"] is { } error)
            {
                answer.TrySetException(new InvalidOperationException($"Chromium refused: {error["message"]}"));
            }
            else
            {
                answer.TrySetResult(message["result"]!);
            }
        }
        else if (message["method"] is { } method)
        {
            Event?.Invoke(message["sessionId"]?.GetValue<string>() ?? "", method.GetValue<string>(), message["params"]!);
        }
    }
}
