using System.Diagnostics;
using System.Text.Json;
using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Engines;
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

    [Fact(Timeout = Limits.LongTest_ms)]
    public async Task Contracts_hold_in_the_browser()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenPathAsync("/lab/");
        var part = Environment.GetEnvironmentVariable("DATASYNC_LAB_SUITE") ?? "";
        var suites = (await page.EvaluateAsync<string[]>("lab.classes()")).Where(suite => suite.Contains(part, StringComparison.Ordinal)).ToArray();
        Assert.NotEmpty(suites);
        if ((Environment.GetEnvironmentVariable(Seeds) ?? (EngineChoice.IsWhole ? "" : UsualSeeds)) is { Length: > 0 } seeds)
            await page.EvaluateAsync("([name, value]) => lab.setVariable(name, value)", new[] { Seeds, seeds });

        var failures = new List<string>();
        foreach (var suite in suites)
        {
            var watch = Stopwatch.StartNew();
            var results = (await page.EvaluateAsync("name => lab.run(name)", suite))!.Value.EnumerateArray().ToArray();
            Assert.NotEmpty(results);
            output.WriteLine($"{suite}: {results.Count(IsOk)} of {results.Length} tests passed in {watch.Elapsed.TotalSeconds:0} s");
            failures.AddRange(results.Where(result => !IsOk(result)).Select(result => $"{suite}.{result.GetProperty("test").GetString()}\n{result.GetProperty("error").GetString()}"));
        }

        Assert.True(failures.Count == 0, string.Join("\n\n", failures));

        static bool IsOk(JsonElement result) => result.GetProperty("ok").GetBoolean();
    }
}
