using System.Globalization;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>
/// A page ends at the n-th thing that it asks of IndexedDB, n = 1, 2 … until the script is through: opening, taking over,
/// appends and a checkpoint. The next tab finds the last acknowledged state, or that plus the commit in flight.
/// </summary>
[Collection(CrashPointCollection.Name)]
public sealed class CrashPointTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>Contexts that work off the points side by side, each with its own storage.</summary>
    private static readonly int Workers = Math.Clamp(Environment.ProcessorCount, 2, 4);

    /// <summary>Every how many points a renderer crashes (a slow thing). DATASYNC_CRASH_STEP=1: at each.</summary>
    private static readonly int CrashStep = int.TryParse(Environment.GetEnvironmentVariable("DATASYNC_CRASH_STEP"), CultureInfo.InvariantCulture, out var step) ? step : 6;

    /// <summary>Every how many points a transaction is aborted.</summary>
    private static readonly int AbortStep = Math.Min(CrashStep, 4);

    /// <summary>More points than the script has.</summary>
    private const int MostPoints = 200;

    /// <summary>
    /// Counts what is asked of one database's writing transactions: each request before it is issued, the explicit commit before
    /// and after, and the complete event before the library hears of it. At the chosen one the page tells the other pages and then
    /// crashes (laying out elements nested too deep overflows the renderer's stack), or it aborts the transaction and goes on.
    /// </summary>
    private const string FaultPoints = """
        globalThis.fault = { db: '', at: 0, aborts: false, steps: [], appended: 0 };
        const channel = new BroadcastChannel('fault');
        const reach = (transaction, step) => {
          if (transaction.db.name !== fault.db || transaction.mode === 'readonly') return;
          fault.steps.push(step);
          if (fault.steps.length !== fault.at) return;
          channel.postMessage({ step, isAppend: isAppend(transaction), appended: fault.appended });
          if (!fault.aborts) crash();
          try { transaction.abort(); } catch { }
        };
        const crash = () => {
          let element = document.body;
          for (let depth = 0; depth < 20_000; depth++) element = element.appendChild(document.createElement('div'));
          void document.body.offsetHeight;
        };
        const isAppend = transaction => [...transaction.objectStoreNames].join() === 'head,log';
        for (const name of ['get', 'getKey', 'getAllKeys', 'count', 'add', 'put', 'delete']) {
          const issue = IDBObjectStore.prototype[name];
          IDBObjectStore.prototype[name] = function (...values) {
            reach(this.transaction, `${name} ${this.name}`);
            return issue.apply(this, values);
          };
        }
        const commit = IDBTransaction.prototype.commit;
        IDBTransaction.prototype.commit = function () {
          reach(this, 'commit');
          commit.call(this);
          reach(this, 'committed');
        };
        const begin = IDBDatabase.prototype.transaction;
        IDBDatabase.prototype.transaction = function (...values) {
          const transaction = begin.apply(this, values);
          transaction.addEventListener('complete', () => {
            if (isAppend(transaction) && transaction.mode === 'readwrite') fault.appended++;
            reach(transaction, 'complete');
          });
          return transaction;
        };
        """;

    [Theory(Timeout = Limits.LongTest_ms)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_page_that_ends_at_any_request_leaves_what_was_acknowledged_or_that_plus_the_commit_in_flight(bool aborts)
    {
        var states = await RunThroughAsync();
        var step = aborts ? AbortStep : CrashStep;
        var (next, end) = (0, 0);
        var points = new List<string>[Workers];
        await Task.WhenAll(Enumerable.Range(0, Workers).Select(async worker =>
        {
            await using var tabs = await browser.NewTabsAsync(output);
            await tabs.Context.AddInitScriptAsync(FaultPoints);
            await using var context = await CrashContext.OpenAsync(tabs, states, aborts);
            points[worker] = context.Steps;
            while (Volatile.Read(ref end) == 0 && Interlocked.Add(ref next, step) is var at && at < MostPoints)
            {
                var goesOn = false;
                try
                {
                    goesOn = await context.EndAtAsync(at);
                }
                finally
                {
                    if (!goesOn) Volatile.Write(ref end, at);
                }
            }
        }));

        var steps = points.SelectMany(list => list).ToList();
        output.WriteLine($"{steps.Count} points\n{string.Join('\n', steps.Order(StringComparer.Ordinal))}");
        Assert.InRange(end, steps.Count * step, (steps.Count + 1 + Workers) * step);
        if (step > 1) return;
        foreach (var kind in (string[])["add log", "put extents", "delete extents", "delete log", "put head", "add head", "commit", "committed", "complete"])
            Assert.Contains(steps, point => point.EndsWith(": " + kind, StringComparison.Ordinal));
    }

    /// <summary>What the database holds after each of the transactions, from none to all.</summary>
    private async Task<string[]> RunThroughAsync()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenPathAsync("/lab/");
        await page.EvaluateAsync("lab.script('Open', 'through', 2)");
        var states = new List<string> { await page.EvaluateAsync<string>("lab.script('Look')") };
        var count = await page.EvaluateAsync<int>("lab.script('Length')");
        for (var i = 0; i < count; i++)
        {
            await page.EvaluateAsync("i => lab.script('Write', i)", i);
            states.Add(await page.EvaluateAsync<string>("lab.script('Look')"));
        }

        Assert.Equal(Enumerable.Range(0, count + 1).Select(i => $"{i} ok"), states.Select(state => state[..state.LastIndexOf(' ')]));
        return [.. states];
    }
}
