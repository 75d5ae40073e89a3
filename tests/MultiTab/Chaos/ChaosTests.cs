using System.Globalization;
using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Chaos;

/// <summary>
/// Tabs of a Chromium as users have it write and read while a seeded script does to them what users, systems and other pages do.
/// See docs/TESTING.md. DATASYNC_CHAOS_SEEDS, _FROM and _SECONDS say how much, _REPORT names a file for figures and logs.
/// </summary>
[Collection(LongCollection.Name)]
[Trait("Category", "Chaos")]
public sealed class ChaosTests(BrowserFixture browser, ITestOutputHelper output)
{
    private static readonly int Seeds = Setting("SEEDS", 4);
    private static readonly int From = Setting("FROM", 0);
    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(Setting("SECONDS", 15));
    private static readonly string? Report = Environment.GetEnvironmentVariable("DATASYNC_CHAOS_REPORT");

    [Fact(Timeout = 4 * 60 * 60 * 1000)]
    public async Task Every_acknowledged_write_is_there_once_and_in_order_whatever_is_done_to_the_tabs()
    {
        var runs = new List<(int Seed, ChaosFigures Figures)>();
        var failures = new List<string>();
        var sum = new ChaosFigures();
        for (var seed = From; seed < From + Seeds; seed++)
        {
            var run = await ChaosRun.RunAsync(browser, ChaosScript.Create(seed, Duration));
            runs.Add((seed, run.Figures));
            sum.Add(run.Figures);
            if (Report is not null)
            {
                await File.WriteAllTextAsync(Report, ChaosFigures.Table(runs));
                await File.WriteAllTextAsync($"{Report}.{seed}.log", run.Log.ToString());
            }

            if (run.History.Violations.Count == 0) continue;
            output.WriteLine($"Seed {seed} failed:\n{string.Join('\n', run.History.Violations)}\n\n{run.Log}");
            failures.Add($"Seed {seed}: {run.History.Violations[0]}");
        }

        output.WriteLine(ChaosFigures.Table(runs));
        Assert.Empty(failures);
        Assert.True(sum.Acknowledged > 50 * Seeds, $"Only {sum.Acknowledged} writes were acknowledged.");

        // A few seeds reach everything; a single one, run again on its own, need not.
        if (Seeds < 4) return;
        Assert.All(Enum.GetValues<Fault>(), fault => Assert.True(sum.Faults[fault] > 0, $"Nobody met {fault}."));
        Assert.True(sum.StoodStill > 0, "No frozen page was seen to stand still.");
        Assert.True(sum.Errors.GetValueOrDefault("StorageQuotaException") > 0, "No write was refused for want of room.");
        Assert.True(sum.Errors.GetValueOrDefault("StorageClosedException") > 0, "No page met the deletion of its database.");
    }

    private static int Setting(string name, int usual) =>
        int.TryParse(Environment.GetEnvironmentVariable($"DATASYNC_CHAOS_{name}"), CultureInfo.InvariantCulture, out var value) ? value : usual;
}
