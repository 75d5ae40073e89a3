using System.Text.Json;
using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>
/// Runs every suite of the lab in a fresh tab; while working on one, only those whose name contains what the environment variable
/// DATASYNC_LAB_SUITE says.
/// </summary>
[Collection(LongCollection.Name)]
public sealed class ContractTests(BrowserFixture browser, ITestOutputHelper output)
{
    private const string Seeds = "DATASYNC_SQL_SEEDS";

    [Fact(Timeout = Limits.LongTest_ms)]
    public async Task Contracts_hold_in_the_browser()
    {
        string[] suites;
        await using (var tabs = await browser.NewTabsAsync(output))
        {
            var page = await tabs.OpenPathAsync("/lab/");
            suites = await page.EvaluateAsync<string[]>("lab.classes()");
            var part = Environment.GetEnvironmentVariable("DATASYNC_LAB_SUITE") ?? "";
            suites = [.. suites.Where(suite => suite.Contains(part, StringComparison.Ordinal))];
        }

        Assert.NotEmpty(suites);
        var failures = new List<string>();
        foreach (var suite in suites)
        {
            failures.AddRange(await RunAsync(suite));
        }

        Assert.True(failures.Count == 0, string.Join("\n\n", failures));
    }

    private async Task<IEnumerable<string>> RunAsync(string suite)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenPathAsync("/lab/");
        if (Environment.GetEnvironmentVariable(Seeds) is { Length: > 0 } seeds) await page.EvaluateAsync("([name, value]) => lab.setVariable(name, value)", new[] { Seeds, seeds });
        var results = (await page.EvaluateAsync("name => lab.run(name)", suite))!.Value.EnumerateArray().ToArray();
        Assert.NotEmpty(results);
        output.WriteLine($"{suite}: {results.Count(IsOk)} of {results.Length} tests passed");
        return results.Where(result => !IsOk(result))
            .Select(result => $"{suite}.{result.GetProperty("test").GetString()}\n{result.GetProperty("error").GetString()}");

        static bool IsOk(JsonElement result) => result.GetProperty("ok").GetBoolean();
    }
}
