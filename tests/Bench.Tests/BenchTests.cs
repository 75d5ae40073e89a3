using System.Diagnostics;
using System.Reflection;
using System.Text.Json;
using Xunit;

namespace DataSync.Bench.Tests;

/// <summary>The bench still runs and its results have sense; how fast anything is does not matter here.</summary>
public sealed class BenchTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    [Fact]
    public async Task The_shortest_run_gives_plausible_results()
    {
        var folder = Directory.CreateTempSubdirectory("datasync-bench-test-").FullName;
        try
        {
            var (exitCode, output) = await RunAsync("--quick", "--only", "datasync,idb", "--workloads", "w1,w2", "--output", folder);
            Assert.True(exitCode == 0, output);
            using var results = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(folder, "results.json")));
            var metrics = results.RootElement.GetProperty("metrics").EnumerateArray().ToDictionary(metric => metric.GetProperty("id").GetString()!);
            AssertMeasured(metrics["w1"], "datasync", "idb");
            AssertMeasured(metrics["w2"], "datasync", "idb");
            AssertMeasured(metrics["w2.mds"], "datasync");
            var bars = results.RootElement.GetProperty("bars").EnumerateArray().Where(bar => bar.TryGetProperty("isMet", out _)).ToList();
            Assert.Single(bars);
            Assert.StartsWith("<svg", await File.ReadAllTextAsync(Path.Combine(folder, "results.svg")), StringComparison.Ordinal);
            Assert.Contains("### Bars", await File.ReadAllTextAsync(Path.Combine(folder, "results.md")), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task An_unknown_library_is_refused()
    {
        var (exitCode, output) = await RunAsync("--only", "nosuchlibrary");
        Assert.Equal(2, exitCode);
        Assert.Contains("nosuchlibrary", output, StringComparison.Ordinal);
    }

    private static void AssertMeasured(JsonElement metric, params string[] libraries)
    {
        var rows = metric.GetProperty("rows").EnumerateArray().ToDictionary(row => row.GetProperty("library").GetString()!);
        foreach (var library in libraries)
        {
            Assert.True(rows[library].TryGetProperty("statistic", out var statistic), $"{library}: {rows[library]}");
            var (p10, median, p90) = (Value("p10"), Value("median"), Value("p90"));
            Assert.True(Value("count") >= 1 && 0 < p10 && p10 <= median && median <= p90, $"{library}: {rows[library]}");

            double Value(string name) => statistic.GetProperty(name).GetDouble();
        }
    }

    private static async Task<(int ExitCode, string Output)> RunAsync(params string[] arguments)
    {
        var bench = typeof(BenchTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "DataSync.Bench").Value!;
        using var process = Process.Start(new ProcessStartInfo("dotnet", [bench, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        try
        {
            await process.WaitForExitAsync().WaitAsync(Limit);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        return (process.ExitCode, await output + await errors);
    }
}
