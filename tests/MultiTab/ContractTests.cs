using System.Diagnostics;
using System.Text.Json;
using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Engines;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>
/// Runs every suite of the lab in one tab, which takes seconds to open; while working on one, only those whose name contains what the environment variable
/// DATASYNC_LAB_SUITE says.
/// </summary>
[Collection(ContractCollection.Name)]
public sealed class ContractTests(BrowserFixture browser, ITestOutputHelper output)
{
    private const string Seeds = "DATASYNC_SQL_SEEDS";

    /// <summary>Of random scripts; what is found by more of them is found natively.</summary>
    private const string UsualSeeds = "1+40";

    /// <summary>On databases of which next to nothing stays in memory, of each layer one; which others, the environment variable says, as DATASYNC_LAB_SUITE does.</summary>
    private const string OnDemandPart = "DATASYNC_LAB_ON_DEMAND";

    private static readonly string[] UsualOnDemand = ["BrowserDapper", "BrowserEntityFrameworkUndo", "BrowserUndoOfTables"];

    [Fact(Timeout = Limits.LongTest_ms)]
    public async Task Contracts_hold_in_the_browser()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenPathAsync("/lab/");
        var part = Environment.GetEnvironmentVariable("DATASYNC_LAB_SUITE") ?? "";
        if ((Environment.GetEnvironmentVariable(Seeds) ?? (EngineChoice.IsWhole ? "" : UsualSeeds)) is { Length: > 0 } seeds) await SetVariableAsync(page, Seeds, seeds);
        await RunAsync(page, (await page.EvaluateAsync<string[]>("lab.classes()")).Where(suite => suite.Contains(part, StringComparison.Ordinal)));
    }

    [Fact(Timeout = Limits.LongTest_ms)]
    public async Task Contracts_hold_where_next_to_nothing_stays_in_memory()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenPathAsync("/lab/");
        await SetVariableAsync(page, "DATASYNC_ON_DEMAND", "1");
        var suites = await page.EvaluateAsync<string[]>("lab.onDemandClasses()");
        await RunAsync(page, Environment.GetEnvironmentVariable(OnDemandPart) is { Length: > 0 } part ? suites.Where(suite => suite.Contains(part, StringComparison.Ordinal)) : suites.Intersect(UsualOnDemand));
    }

    private static async Task SetVariableAsync(IPage page, string name, string value) => await page.EvaluateAsync("([name, value]) => lab.setVariable(name, value)", new[] { name, value });

    private async Task RunAsync(IPage page, IEnumerable<string> suites)
    {
        var failures = new List<string>();
        var count = 0;
        foreach (var suite in suites)
        {
            count++;
            var watch = Stopwatch.StartNew();
            var results = (await page.EvaluateAsync("name => lab.run(name)", suite))!.Value.EnumerateArray().ToArray();
            Assert.NotEmpty(results);
            output.WriteLine($"{suite}: {results.Count(IsOk)} of {results.Length} tests passed in {watch.Elapsed.TotalSeconds:0} s");
            failures.AddRange(results.Where(result => !IsOk(result)).Select(result => $"{suite}.{result.GetProperty("test").GetString()}\n{result.GetProperty("error").GetString()}"));
        }

        Assert.NotEqual(0, count);
        Assert.True(failures.Count == 0, string.Join("\n\n", failures));

        static bool IsOk(JsonElement result) => result.GetProperty("ok").GetBoolean();
    }
}
