using System.Globalization;
using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Chaos;

/// <summary>
/// Tabs of a Chromium as users have it write and read while a seeded script does to them what users, systems and other pages do.
/// See docs/TESTING.md. DATASYNC_CHAOS_SEEDS, _FROM and _SECONDS say how much, _REPORT names a file for figures and logs.
/// </summary>
[Collection(ChaosCollection.Name)]
[Trait("Category", "Chaos")]
public sealed class ChaosTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>So many reach everything, also on a slow machine.</summary>
    private const int SeedsThatMeetAll = 12;

    private static readonly int Seeds = Setting("SEEDS", 2);
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
        Assert.True(sum.Acknowledged > 20 * Seeds, $"Only {sum.Acknowledged} writes were acknowledged.");
        Assert.True(Seeds < 2 || sum.Faults.Values.Sum() > 2 * Seeds, "Hardly anything went wrong.");

        // What a few seeds meet depends on how fast the machine is: a page that loads for half a minute meets little.
        var missed = FindMissed(sum).ToList();
        output.WriteLine(string.Join(" ", missed));
        if (Seeds >= SeedsThatMeetAll) Assert.Empty(missed);
    }

    private static IEnumerable<string> FindMissed(ChaosFigures sum)
    {
        foreach (var fault in Enum.GetValues<Fault>())
        {
            if (sum.Faults[fault] == 0) yield return $"Nobody met {fault}.";
        }

        if (sum.StoodStill == 0) yield return "No frozen page was seen to stand still.";
        if (sum.Errors.GetValueOrDefault("StorageQuotaException") == 0) yield return "No write was refused for want of room.";
        if (sum.Errors.GetValueOrDefault("StorageClosedException") == 0) yield return "No page met the deletion of its database.";
    }

    private static int Setting(string name, int usual) =>
        int.TryParse(Environment.GetEnvironmentVariable($"DATASYNC_CHAOS_{name}"), CultureInfo.InvariantCulture, out var value) ? value : usual;
}
