using System.Text.Json.Nodes;

namespace DataSync.MultiTab.Browser;

// Of tabs that Playwright does not drive.
public sealed partial class RendererProcess
{
    /// <summary>The same for tabs of a browser without Playwright, all with one trace. No renderer may be stopped meanwhile.</summary>
    public static async Task<RendererProcess[]> OfEachAsync(BrowserConnection connection, IReadOnlyList<RawTab> tabs)
    {
        var mark = $"datasync-renderer-{Interlocked.Increment(ref markCount)}-";
        var ids = new int[tabs.Count];
        var complete = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void OnEvent(string session, string method, JsonNode parameters)
        {
            if (method == "Tracing.tracingComplete") complete.TrySetResult();
            if (method != "Tracing.dataCollected") return;
            foreach (var entry in parameters["value"]!.AsArray())
            {
                if (entry!["name"]?.GetValue<string>() is { } name && name.StartsWith(mark, StringComparison.Ordinal))
                {
                    ids[int.Parse(name[mark.Length..], null)] = entry["pid"]!.GetValue<int>();
                }
            }
        }

        connection.Event += OnEvent;
        try
        {
            await connection.SendAsync("Tracing.start", new { transferMode = "ReportEvents", traceConfig = new { includedCategories = TraceCategories } });
            await Task.WhenAll(tabs.Select((tab, i) => tab.EvaluateAsync($"void performance.mark('{mark}{i}')")));
            await connection.SendAsync("Tracing.end");
            await complete.Task.WaitAsync(Limits.Step);
        }
        finally
        {
            connection.Event -= OnEvent;
        }

        return ids.Contains(0) || ids.Distinct().Count() != ids.Length
            ? throw new InvalidOperationException($"Tabs share a renderer process or have none, which would spoil the test: {string.Join(", ", ids)}.")
            : [.. ids.Select(id => new RendererProcess(id))];
    }
}
