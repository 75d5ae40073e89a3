using System.Text.Json;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;

namespace DataSync.MultiTab.Histories;

/// <summary>A loop in a tab that writes one row after the other and tells of each outcome, until it is stopped or its tab is lost.</summary>
public sealed class HistoryWriter
{
    /// <summary>In the page, <c>historyOutcome</c> tells the test; the next row waits until it has, so that at most one outcome is lost with the page.</summary>
    internal const string Script = """
        ({ writer, count, pause_ms }) => {
          const state = globalThis.historyWriter = { isStopped: false, attempted: 0 };
          const tell = (n, outcome) => historyOutcome(JSON.stringify({ writer, n, at_ms: performance.timeOrigin + performance.now(), ...outcome }));
          state.ended = (async () => {
            while (!state.isStopped && (count === 0 || state.attempted < count)) {
              const n = ++state.attempted;
              let outcome;
              try {
                const { marker } = await datasync.execute('INSERT INTO history(writer, n, text) VALUES ($writer, $n, $text)', { writer, n, text: `${writer}/${n}` });
                outcome = { marker };
              } catch (error) {
                outcome = { error: `${error.name}: ${error.message}` };
              }
              await tell(n, outcome);
              if (pause_ms > 0) await new Promise(done => setTimeout(done, pause_ms));
            }
          })();
        }
        """;

    private HistoryWriter(string name, IPage page) => (Name, Page) = (name, page);

    public string Name { get; }

    public IPage Page { get; }

    /// <summary>How many rows it tried to write; null while it runs, and for ever when its tab was lost.</summary>
    public int? Attempted { get; private set; }

    internal static async Task<HistoryWriter> StartAsync(string name, IPage page, int count, int pause_ms)
    {
        await page.EvaluateAsync(Script, new { writer = name, count, pause_ms });
        return new HistoryWriter(name, page);
    }

    /// <summary>Waits until it has written all its rows, or lets it end after the row it is at.</summary>
    internal async Task EndAsync(bool stop, TimeSpan limit) =>
        Attempted = (await EndInPageAsync(stop).WaitAsync(limit)).GetProperty("attempted").GetInt32();

    private async Task<JsonElement> EndInPageAsync(bool stop) => (await Page.EvaluateAsync("""
        async stop => {
          historyWriter.isStopped ||= stop;
          await historyWriter.ended;
          return { attempted: historyWriter.attempted };
        }
        """, stop))!.Value;
}
