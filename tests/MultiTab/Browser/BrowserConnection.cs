using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DataSync.MultiTab.Browser;

/// <summary>
/// A bare connection to a browser: commands with answers, and events. Chromium's devtools protocol, WebDriver BiDi, which was modelled on
/// it, and the tests' own host of WebKit have this form in common; what they differ in is how a message travels and what an error looks like.
/// </summary>
public sealed class BrowserConnection : IAsyncDisposable
{
    private readonly string browser;
    private readonly IMessageChannel channel;
    private readonly TimeSpan commandLimit;
    private readonly SemaphoreSlim sending = new(1);
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode>> waiting = new();
    private readonly Task reading;
    private int lastId;

    /// <param name="browser">Its name, for what goes wrong.</param>
    internal BrowserConnection(string browser, IMessageChannel channel, TimeSpan commandLimit)
    {
        (this.browser, this.channel, this.commandLimit) = (browser, channel, commandLimit);
        reading = ReadAsync();
    }

    /// <summary>Session id ("" for the browser's own, and where there are none), method, parameters.</summary>
    public event Action<string, string, JsonNode>? Event;

    /// <summary>Connects by a web socket.</summary>
    public static async Task<BrowserConnection> ConnectAsync(string browser, Uri address, TimeSpan commandLimit)
    {
        using var limit = new CancellationTokenSource(commandLimit);
        return new BrowserConnection(browser, await WebSocketChannel.ConnectAsync(address, limit.Token), commandLimit);
    }

    /// <summary>Sends a command and returns its result. Throws when the browser answers with an error, or does not answer in time.</summary>
    public async Task<JsonNode> SendAsync(string method, object? parameters = null, string? sessionId = null)
    {
        var id = Interlocked.Increment(ref lastId);
        var answer = waiting[id] = new TaskCompletionSource<JsonNode>(TaskCreationOptions.RunContinuationsAsynchronously);
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = JsonSerializer.SerializeToNode(parameters ?? new { }) };
        if (sessionId is not null)
        {
            message["sessionId"] = sessionId;
        }

        try
        {
            if (reading.IsCompleted) throw Ended();
            await sending.WaitAsync();
            try
            {
                await channel.SendAsync(JsonSerializer.SerializeToUtf8Bytes(message));
            }
            finally
            {
                sending.Release();
            }

            return await answer.Task.WaitAsync(commandLimit);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"{browser} did not answer {method} within {commandLimit.TotalSeconds} s.");
        }
        finally
        {
            waiting.TryRemove(id, out _);
        }
    }

    public async ValueTask DisposeAsync()
    {
        channel.Abort();
        await reading;
        channel.Dispose();
        sending.Dispose();
    }

    private async Task ReadAsync()
    {
        try
        {
            while (await channel.ReceiveAsync() is { } message)
            {
                Dispatch(message);
            }
        }
        catch (Exception error) when (error is WebSocketException or IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The browser ended or the test did; whoever still waits is told below.
        }

        foreach (var answer in waiting.Values)
        {
            answer.TrySetException(Ended());
        }
    }

    private IOException Ended() => new($"The connection to {browser} has ended.");

    private void Dispatch(JsonNode message)
    {
        if (message["id"] is { } id && waiting.TryGetValue(id.GetValue<int>(), out var answer))
        {
            if (message["error"] is { } error)
            {
                // BiDi's is a word, with the message beside it.
                answer.TrySetException(new InvalidOperationException($"{browser} refused: {(error is JsonObject ? error["message"] : $"{error}: {message["message"]}")}"));
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
