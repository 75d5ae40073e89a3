using System.Globalization;
using System.Text.Json;
using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Histories;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Engines;

/// <summary>Writes in many tabs of any engine, which tell the server of each outcome, and checks <see cref="HistoryRules">the promise of the whole</see>.</summary>
internal sealed class EngineHistory : IDisposable
{
    /// <summary>The network may be away for a while, as when the browser's network process was killed: a socket of that moment may never say anything.</summary>
    private const string Tell = $$"""
        {
          const patience_ms = 5000;
          const connect = () => new Promise((opened, failed) => {
            setTimeout(failed, patience_ms);
            const socket = new WebSocket(`ws://${location.host}{{AppServer.ToldPath}}`);
            socket.onopen = () => opened(socket);
            socket.onclose = failed;
          });
          let socket = null;
          globalThis.historyOutcome = async json => {
            for (;; await new Promise(done => setTimeout(done, 100))) {
              try {
                socket ??= await connect();
                await new Promise((told, lost) => {
                  setTimeout(lost, patience_ms);
                  socket.onmessage = told;
                  socket.onclose = lost;
                  socket.send(json);
                });
                return;
              } catch {
                socket?.close();
                socket = null;
              }
            }
          };
        }
        """;

    private readonly AppServer server;
    private readonly string database;
    private readonly ITestOutputHelper output;
    private readonly Lock changing = new();
    private readonly Dictionary<IEngineTab, string> writers = [];
    private readonly Dictionary<string, int?> attempted = [];
    private readonly Dictionary<(string Writer, int N), Outcome> outcomes = [];
    private TaskCompletionSource changed = new();

    private EngineHistory(AppServer server, string database, ITestOutputHelper output)
    {
        (this.server, this.database, this.output) = (server, database, output);
        server.Told += Add;
    }

    public int AcknowledgedCount => CountOf(null);

    /// <summary>Makes the table through one tab.</summary>
    public static async Task<EngineHistory> BeginAsync(AppServer server, IEngineTab tab, string database, ITestOutputHelper output)
    {
        var history = new EngineHistory(server, database, output);
        await tab.ExecuteAsync(HistoryRules.Table);
        return history;
    }

    /// <summary>Starts to write in each of the tabs; without a count until <see cref="StopAsync"/>.</summary>
    public async Task StartAsync(IReadOnlyCollection<IEngineTab> tabs, int count = 0)
    {
        foreach (var tab in tabs) await tab.WaitUntilAsync("datasync.query('SELECT n FROM history LIMIT 1').then(() => true, () => false)");
        foreach (var tab in tabs)
        {
            var writer = string.Create(CultureInfo.InvariantCulture, $"{database}-w{attempted.Count}");
            lock (changing) (writers[tab], attempted[writer]) = (writer, null);
            // No pause: in a hidden tab it would be a second.
            await tab.CallAsync<object?>($"{Tell} ({HistoryWriter.Script})(arg);", new { writer, count, pause_ms = 0 });
        }
    }

    /// <summary>Waits for a number of acknowledgements more, by tabs other than the given one.</summary>
    public async Task WaitForMoreAsync(int count, IEngineTab? except = null)
    {
        using var limit = new CancellationTokenSource(Limits.Step);
        for (var target = CountOf(except) + count; CountOf(except) < target;) await Next().WaitAsync(limit.Token);
    }

    /// <summary>Ends the writing in these tabs, each after the row that it is at; what the others have tried remains unknown.</summary>
    public Task StopAsync(IEnumerable<IEngineTab> tabs) => Task.WhenAll(tabs.Select(tab => EndAsync(tab, "historyWriter.isStopped = true;")));

    /// <summary>Waits until these tabs have written their count.</summary>
    public Task FinishAsync(IEnumerable<IEngineTab> tabs) => Task.WhenAll(tabs.Select(tab => EndAsync(tab, "")));

    /// <summary>Compares what was acknowledged with what tabs show, and looks at the database's own consistency.</summary>
    /// <param name="readers">The last one looks at the store past DataSync, too.</param>
    /// <param name="mayFail">Whether writes may have been refused with an exception.</param>
    public async Task CheckAsync(IReadOnlyList<IEngineTab> readers, bool mayFail = false)
    {
        Outcome[] known;
        lock (changing) known = [.. outcomes.Values];
        var failed = known.Where(outcome => outcome.Error is not null).ToArray();
        foreach (var failure in failed) output.WriteLine($"{failure.Writer}/{failure.N} failed: {failure.Error}");
        Assert.True(mayFail || failed.Length == 0, $"{failed.Length} writes failed, the first with {failed.FirstOrDefault()?.Error}");
        var acknowledged = known.Where(outcome => outcome.Marker is not null).ToArray();
        Assert.Equal(acknowledged.Length, acknowledged.Select(outcome => outcome.Marker).Distinct().Count());
        var last = known.Max(outcome => outcome.Marker)!.Value;
        foreach (var reader in readers)
        {
            await reader.WaitForMarkerAsync(last);
            var rows = await reader.QueryAsync<HistoryRow>(HistoryRules.Rows);
            HistoryRules.Check(rows, known, attempted);
            output.WriteLine($"{acknowledged.Length} acknowledged, {failed.Length} refused, {rows.Length - acknowledged.Length} without an answer; {rows.Length} rows");
            Assert.Equal("ok", await reader.ScalarAsync<string>("PRAGMA integrity_check"));
        }

        Assert.Equal(0, await readers[^1].CallAsync<int>($"return {HistoryRules.GapsInLog(database)};"));
    }

    public void Dispose() => server.Told -= Add;

    private async Task EndAsync(IEngineTab tab, string first)
    {
        await tab.CallAsync<object?>($"{first} globalThis.historyHasEnded = false; historyWriter.ended.then(() => {{ historyHasEnded = true; }});");
        await tab.WaitUntilAsync("historyHasEnded");
        var rows = await tab.CallAsync<int>("return historyWriter.attempted;");
        lock (changing) attempted[writers[tab]] = rows;
    }

    private int CountOf(IEngineTab? except)
    {
        lock (changing)
        {
            var left = except is null ? null : writers.GetValueOrDefault(except);
            return outcomes.Values.Count(outcome => outcome.Marker is not null && outcome.Writer != left);
        }
    }

    private Task Next()
    {
        lock (changing) return changed.Task;
    }

    private void Add(string json)
    {
        var outcome = JsonSerializer.Deserialize<Outcome>(json, JsonSerializerOptions.Web)!;
        TaskCompletionSource waiting;
        lock (changing)
        {
            if (!attempted.ContainsKey(outcome.Writer)) return; // of an earlier test, whose page is closing
            outcomes[(outcome.Writer, outcome.N)] = outcome; // told again when the answer was lost
            (waiting, changed) = (changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }

        waiting.TrySetResult();
    }
}
