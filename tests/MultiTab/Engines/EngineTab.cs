using System.Text.Json;
using DataSync.MultiTab.Browser;

namespace DataSync.MultiTab.Engines;

/// <summary>What a page of any engine threw.</summary>
public sealed class PageException(string message) : Exception(message);

/// <summary>JavaScript in a tab of any engine, and the playground's scripting object, with every wait bounded.</summary>
public static class EngineTab
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);

    /// <summary>A question that came while a page was being replaced may have no answer (seen in WebKit).</summary>
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(30);

    /// <summary>Runs the body of an async function, whose argument is called <c>arg</c>, and reads what it returns as JSON.</summary>
    public static async Task<T> CallAsync<T>(this IEngineTab tab, string body, object? arg = null)
    {
        var json = await tab.EvaluateAsync(
            $$"""
            (async () => {
              try {
                return JSON.stringify({ value: (await (async arg => { {{body}} })({{JsonSerializer.Serialize(arg)}})) ?? null });
              } catch (error) {
                return JSON.stringify({ error: `${error?.name}: ${error?.message}` });
              }
            })()
            """);
        using var answer = JsonDocument.Parse(json);
        return answer.RootElement.TryGetProperty("error", out var error)
            ? throw new PageException(error.GetString()!)
            : answer.RootElement.GetProperty("value").Deserialize<T>(JsonSerializerOptions.Web)!;
    }

    /// <summary>The same for a body that takes longer than one command may.</summary>
    public static async Task<T> CallLongAsync<T>(this IEngineTab tab, string body, TimeSpan limit)
    {
        await tab.CallAsync<object?>($$"""
            const call = globalThis.longCall = {};
            (async () => { {{body}} })().then(value => { call.value = value ?? null; }, error => { call.error = `${error?.name}: ${error?.message}`; });
            """);
        await tab.WaitUntilAsync("'value' in longCall || 'error' in longCall", limit);
        return await tab.CallAsync<T>("if ('error' in longCall) throw new Error(longCall.error); return longCall.value;");
    }

    public static Task<TabStatus> StatusAsync(this IEngineTab tab) => tab.CallAsync<TabStatus>("return datasync.status();");

    public static Task<JsonElement> ExecuteAsync(this IEngineTab tab, string sql) => tab.CallAsync<JsonElement>("return datasync.execute(arg);", sql);

    public static Task<T[]> QueryAsync<T>(this IEngineTab tab, string sql) => tab.CallAsync<T[]>("return datasync.query(arg);", sql);

    /// <summary>The first column of the first row.</summary>
    public static Task<T> ScalarAsync<T>(this IEngineTab tab, string sql) => tab.CallAsync<T>("return Object.values((await datasync.query(arg))[0])[0];", sql);

    /// <summary>Waits until an expression, or the promise that it gives, holds in the page. The test asks, since timers of hidden tabs are slow.</summary>
    public static async Task WaitUntilAsync(this IEngineTab tab, string condition, TimeSpan? limit = null)
    {
        var time = TimeProvider.System;
        for (var start = time.GetTimestamp(); ; await Task.Delay(Poll, time))
        {
            try
            {
                if (await tab.CallAsync<bool>($"return !!(await ({condition}));").WaitAsync(AskAgain, time)) return;
                if (time.GetElapsedTime(start) > (limit ?? Limits.Step)) throw new TimeoutException($"This does not hold: {condition}");
            }
            catch (Exception error) when (error is PageException or InvalidOperationException or TimeoutException && time.GetElapsedTime(start) < (limit ?? Limits.Step))
            {
                // While a page is being replaced there may be nothing to ask.
            }
        }
    }

    /// <summary>Waits until the tab shows a marker, or a later one.</summary>
    public static Task WaitForMarkerAsync(this IEngineTab tab, long marker) => tab.WaitUntilAsync($"(async () => (await datasync.status()).marker >= {marker})()");

    /// <summary>Waits until all these tabs agree on each other and on a leader; returns the leader's tab.</summary>
    public static async Task<IEngineTab> AgreeAsync(params IReadOnlyList<IEngineTab> tabs)
    {
        var time = TimeProvider.System;
        for (var start = time.GetTimestamp(); ; await Task.Delay(Poll, time))
        {
            var statuses = await Task.WhenAll(tabs.Select(StatusAsync));
            var leader = Array.FindIndex(statuses, status => status.IsLeader);
            if (leader >= 0 && Array.TrueForAll(statuses, status => status.LeaderId == statuses[leader].Id && status.Epoch == statuses[leader].Epoch && status.Members.Length == tabs.Count))
            {
                return tabs[leader];
            }

            if (time.GetElapsedTime(start) > Limits.Step) throw new TimeoutException($"They do not agree: {JsonSerializer.Serialize(statuses)}");
        }
    }

    /// <summary>Every row as JSON text; blobs as the list of their bytes.</summary>
    public static Task<string[]> RowsAsync(this IEngineTab tab, string sql) => tab.CallAsync<string[]>(
        "return (await datasync.query(arg)).map(row => JSON.stringify(Object.values(row), (key, value) => value instanceof Uint8Array ? [...value] : value));", sql);

    /// <summary>Replaces the tab's database by a file.</summary>
    public static Task ImportAsync(this IEngineTab tab, byte[] file) =>
        tab.CallAsync<object?>("await datasync.import(Uint8Array.from(atob(arg), character => character.charCodeAt(0)));", Convert.ToBase64String(file));

    /// <summary>The tab's database as a file.</summary>
    public static async Task<byte[]> ExportAsync(this IEngineTab tab)
    {
        return DatabasePage.ReadExport(await tab.CallAsync<string>(DatabasePage.ExportBody));
    }
}
