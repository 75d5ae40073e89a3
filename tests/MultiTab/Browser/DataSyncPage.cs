using System.Text.Json;
using Microsoft.Playwright;
using Xunit;

namespace DataSync.MultiTab.Browser;

/// <summary>What <c>datasync.status()</c> says.</summary>
public sealed record TabStatus(string Id, string Role, string? LeaderId, long Epoch, long Marker, string[] Members)
{
    public bool IsLeader => Role == "leader";
}

/// <summary>The scripting object of a playground tab, with every wait bounded.</summary>
public static class DataSyncPage
{
    private static readonly TimeSpan StepLimit = Limits.Step;

    /// <summary>Evaluates an expression in the page, where <c>arg</c> is the argument, and reads its value, or its promise's, as JSON.</summary>
    public static async Task<T> CallAsync<T>(this IPage page, string expression, object? arg = null, TimeSpan? limit = null)
    {
        var json = await page.EvaluateAsync<string>($"async arg => JSON.stringify((await ({expression})) ?? null)", arg).WaitAsync(limit ?? StepLimit);
        return JsonSerializer.Deserialize<T>(json, JsonSerializerOptions.Web)!;
    }

    public static Task<TabStatus> StatusAsync(this IPage page) => page.CallAsync<TabStatus>("datasync.status()");

    public static Task<JsonElement> ExecuteAsync(this IPage page, string sql) => page.CallAsync<JsonElement>("datasync.execute(arg)", sql);

    public static Task<T[]> QueryAsync<T>(this IPage page, string sql) => page.CallAsync<T[]>("datasync.query(arg)", sql);

    /// <summary>The first column of the first row.</summary>
    public static Task<T> ScalarAsync<T>(this IPage page, string sql) => page.CallAsync<T>("datasync.query(arg).then(rows => Object.values(rows[0])[0])", sql);

    /// <summary>Waits until an expression, or the promise that it gives, holds in the page.</summary>
    /// <remarks>Playwright's own WaitForFunction takes a promise for true.</remarks>
    public static async Task WaitUntilAsync(this IPage page, string condition, int limit_ms = Limits.Step_ms)
    {
        var holds = await page.EvaluateAsync<bool>(
            $$"""
            async limit_ms => {
              for (const end = performance.now() + limit_ms; performance.now() < end; await new Promise(done => setTimeout(done, 20))) {
                if (await ({{condition}})) return true;
              }
              return false;
            }
            """,
            limit_ms).WaitAsync(StepLimit + TimeSpan.FromMilliseconds(limit_ms));
        Assert.True(holds, $"After {limit_ms} ms this does not hold: {condition}. The tab says: {await page.CallAsync<JsonElement>("datasync.status()")}");
    }

    /// <summary>Waits until a condition on the tab's status, called s, holds.</summary>
    public static Task WaitForStatusAsync(this IPage page, string condition, int limit_ms = Limits.Step_ms) =>
        page.WaitUntilAsync($"(async () => {{ const s = await datasync.status(); return {condition}; }})()", limit_ms);

    /// <summary>Waits until all these tabs agree on each other and on a leader; returns the leader's tab.</summary>
    public static async Task<IPage> AgreeAsync(params IReadOnlyList<IPage> pages)
    {
        // All at one time, and again while they do not: while an election settles, who leads can still change.
        using var patience = new CancellationTokenSource(Limits.Step);
        while (true)
        {
            await Task.WhenAll(pages.Select(page => page.WaitForStatusAsync($"s.members.length === {pages.Count} && s.leaderId !== null && s.members.includes(s.leaderId)")));
            var statuses = await Task.WhenAll(pages.Select(StatusAsync));
            var leader = Array.FindIndex(statuses, status => status.Id == statuses[0].LeaderId && status.IsLeader);
            if (leader >= 0 && Array.TrueForAll(statuses, status => status.LeaderId == statuses[0].LeaderId)) return pages[leader];
            await Task.Delay(50, patience.Token);
        }
    }

    /// <summary>Waits until the tab shows a marker, or a later one.</summary>
    public static Task WaitForMarkerAsync(this IPage page, long marker) => page.WaitForStatusAsync($"s.marker >= {marker}");
}
