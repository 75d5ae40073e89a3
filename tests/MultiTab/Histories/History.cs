using System.Globalization;
using System.Text.Json;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Histories;

/// <summary>Writes in many tabs, and checks <see cref="HistoryRules">the promise of the whole</see>.</summary>
public sealed class History
{
    private readonly ITestOutputHelper output;
    private readonly Lock changing = new();
    private readonly List<HistoryWriter> writers = [];
    private readonly List<Outcome> outcomes = [];
    private TaskCompletionSource changed = new();

    private History(ITestOutputHelper output) => this.output = output;

    /// <summary>Makes the table through one tab and lets all tabs of the group tell what they wrote.</summary>
    public static async Task<History> BeginAsync(TabGroup tabs, IPage page, ITestOutputHelper output)
    {
        var history = new History(output);
        await history.ListenAsync(tabs);
        await page.ExecuteAsync(HistoryRules.Table);
        return history;
    }

    /// <summary>Lets the tabs of a further group, such as those of a restarted browser, tell too.</summary>
    public Task ListenAsync(TabGroup tabs) => tabs.Context.ExposeFunctionAsync<string>("historyOutcome", Add);

    /// <summary>Starts to write in each of the tabs; without a count until <see cref="StopAsync"/>.</summary>
    public async Task StartAsync(IReadOnlyList<IPage> pages, int count = 0, int pause_ms = 10)
    {
        foreach (var page in pages) await page.WaitUntilAsync("datasync.query('SELECT n FROM history LIMIT 1').then(() => true, () => false)");
        writers.AddRange(await Task.WhenAll(pages.Select((page, i) =>
            HistoryWriter.StartAsync(string.Create(CultureInfo.InvariantCulture, $"w{writers.Count + i}"), page, count, pause_ms))));
    }

    /// <summary>Ends the writing in all tabs but the lost ones, each after the row that it is at.</summary>
    public Task StopAsync(params IPage[] lost) => EndAsync(stop: true, Limits.Step, lost);

    /// <summary>Waits until every writer has written its count.</summary>
    public Task FinishAsync(TimeSpan limit) => EndAsync(stop: false, limit, []);

    /// <summary>Waits for a number of acknowledgements more, by tabs other than the given one.</summary>
    public Task WaitForMoreAsync(int count, IPage? except = null) => WaitForAsync(CountOf(except) + count, except);

    /// <summary>Waits until there is a number of acknowledgements in all, by tabs other than the given one.</summary>
    public async Task WaitForAsync(int target, IPage? except = null)
    {
        using var limit = new CancellationTokenSource(Limits.Step);
        while (CountOf(except) < target)
        {
            await Next().WaitAsync(limit.Token);
        }
    }

    public int AcknowledgedCount => CountOf(null);

    /// <summary>The longest time after a moment in which no other tab's write was acknowledged. The time to the next one, when that moment stopped the writing.</summary>
    private TimeSpan LongestPauseAfter(DateTimeOffset moment, IPage except)
    {
        var from = moment.ToUnixTimeMilliseconds();
        lock (changing)
        {
            var times = outcomes.Where(o => o.Marker is not null && PageOf(o.Writer) != except && o.At_ms > from).Select(o => o.At_ms).Order().Prepend(from).ToArray();
            return TimeSpan.FromMilliseconds(times.Zip(times.Skip(1), (a, b) => b - a).Max());
        }
    }

    /// <summary>
    /// Asserts that the others went on soon after a moment. On top of the limit comes what this machine is slower by: ten times the
    /// longest time that passed between two acknowledgements before it.
    /// </summary>
    public void AssertPauseAfter(DateTimeOffset moment, IPage except, TimeSpan limit)
    {
        var pause = LongestPauseAfter(moment, except);
        var usual = LongestPauseBefore(moment);
        output.WriteLine($"{pause.TotalMilliseconds:0} ms to the next acknowledged write, at most {usual.TotalMilliseconds:0} ms between two before");
        Assert.InRange(pause, TimeSpan.Zero, limit + 10 * usual);
    }

    private TimeSpan LongestPauseBefore(DateTimeOffset moment)
    {
        var until = moment.ToUnixTimeMilliseconds();
        lock (changing)
        {
            var times = outcomes.Where(o => o.Marker is not null && o.At_ms <= until).Select(o => o.At_ms).Order().ToArray();
            return TimeSpan.FromMilliseconds(times.Zip(times.Skip(1), (a, b) => b - a).DefaultIfEmpty().Max());
        }
    }

    /// <summary>Compares what was acknowledged with what tabs read, and looks at the database's own consistency.</summary>
    /// <param name="readers">Tabs that must all show the same; each is waited for until it shows the last acknowledged commit.</param>
    /// <param name="mayFail">Whether writes may have been refused with an exception.</param>
    public async Task CheckAsync(IReadOnlyList<IPage> readers, bool mayFail = false)
    {
        Outcome[] known;
        lock (changing) known = [.. outcomes];
        var acknowledged = known.Where(o => o.Marker is not null).ToArray();
        var failed = known.Where(o => o.Error is not null).ToArray();
        foreach (var failure in failed) output.WriteLine($"{failure.Writer}/{failure.N} failed: {failure.Error}");
        Assert.True(mayFail || failed.Length == 0, $"{failed.Length} writes failed, the first with {failed.FirstOrDefault()?.Error}");
        Assert.Equal(acknowledged.Length, acknowledged.Select(o => o.Marker).Distinct().Count());

        var last = acknowledged.Max(o => o.Marker)!.Value;
        foreach (var reader in readers)
        {
            await reader.WaitForMarkerAsync(last);
            var rows = await reader.QueryAsync<HistoryRow>(HistoryRules.Rows);
            HistoryRules.Check(rows, known, writers.ToDictionary(writer => writer.Name, writer => writer.Attempted));
            output.WriteLine($"{acknowledged.Length} acknowledged, {failed.Length} refused, {rows.Length - acknowledged.Length} without an answer; {rows.Length} rows");
            Assert.Equal("ok", await reader.ScalarAsync<string>("PRAGMA integrity_check"));
            Assert.Equal(0, await reader.CallAsync<int>(HistoryRules.GapsInLog("app.db")));
        }
    }

    private async Task EndAsync(bool stop, TimeSpan limit, IPage[] lost)
    {
        await Task.WhenAll(writers.Where(writer => writer.Attempted is null && !lost.Contains(writer.Page)).Select(writer => writer.EndAsync(stop, limit)));
        // The pages' messages come in order, and these are the last ones; one may still be on its way.
        using var rest = new CancellationTokenSource(Limits.Step);
        while (writers.Exists(writer => writer.Attempted is { } attempted && OutcomesOf(writer) < attempted)) await Next().WaitAsync(rest.Token);
    }

    private int OutcomesOf(HistoryWriter writer)
    {
        lock (changing) return outcomes.Count(o => o.Writer == writer.Name);
    }

    private int CountOf(IPage? except)
    {
        lock (changing) return outcomes.Count(o => o.Marker is not null && (except is null || PageOf(o.Writer) != except));
    }

    private IPage? PageOf(string writer) => writers.Find(w => w.Name == writer)?.Page;

    private Task Next()
    {
        lock (changing) return changed.Task;
    }

    private void Add(string json)
    {
        TaskCompletionSource waiting;
        lock (changing)
        {
            outcomes.Add(JsonSerializer.Deserialize<Outcome>(json, JsonSerializerOptions.Web)!);
            (waiting, changed) = (changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        }

        waiting.TrySetResult();
    }
}
