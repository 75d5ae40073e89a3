using System.CommandLine;
using System.Runtime.InteropServices;
using DataSync.Bench;
using Spectre.Console;

var only = new Option<string[]>("--only") { Description = "These libraries only, by id, separated by commas; \"native\" is the part outside the browser.", AllowMultipleArgumentsPerToken = true };
var workloads = new Option<string[]>("--workloads") { Description = "These workloads only: w1 … w11, separated by commas.", AllowMultipleArgumentsPerToken = true };
var rounds = new Option<int>("--rounds") { Description = "How often each library has its turn.", DefaultValueFactory = _ => 5 };
var quick = new Option<bool>("--quick") { Description = "Smaller and one round: to see that it works, not how fast." };
var output = new Option<string>("--output") { Description = "Where results.json, results.md and results.svg go.", DefaultValueFactory = _ => Path.Combine(BenchHost.Repository, "artifacts", "bench") };
var readme = new Option<bool>("--readme") { Description = "Also put the results into bench/README.md and its chart." };
var root = new RootCommand("Measures DataSync beside other libraries and the limits. Libraries: " + string.Join(", ", Library.All.Select(library => library.Id)) + ", native.")
{
    only, workloads, rounds, quick, output, readme,
};
root.SetAction(async parsed =>
{
    var isQuick = parsed.GetValue(quick);
    var options = new BenchOptions(
        isQuick && parsed.GetResult(rounds) is null or { Implicit: true } && isQuick ? 1 : parsed.GetValue(rounds), isQuick,
        Names(parsed.GetValue(only)), Names(parsed.GetValue(workloads)), parsed.GetValue(output)!, parsed.GetValue(readme));
    var unknown = options.Only.Except(Library.All.Select(library => library.Id).Append("native"))
        .Concat(options.Workloads.Except(Runner.Workloads.Select(workload => workload.Id))).ToList();
    if (unknown.Count > 0 || options.Rounds < 1)
    {
        AnsiConsole.MarkupLineInterpolated($"[red]Unknown: {string.Join(", ", unknown)}[/]");
        return 2;
    }

    var results = new Measurements();
    var start = TimeProvider.System.GetUtcNow();
    var load = Machine.Load();
    var runner = new Runner(options, results, line => AnsiConsole.WriteLine(line));
    await runner.RunAsync();
    var info = new RunInfo(
        start, (TimeProvider.System.GetUtcNow() - start).TotalMinutes, options.Rounds, isQuick, $"Chromium {runner.BrowserVersion}",
        $"{Machine.Describe()}, load at the start {load}", RuntimeInformation.OSDescription, RuntimeInformation.FrameworkDescription, Machine.Packages());
    var report = RunReport.Create(info, results, options);
    ConsoleReport.Write(AnsiConsole.Console, report);
    Directory.CreateDirectory(options.OutputFolder);
    await File.WriteAllTextAsync(Path.Combine(options.OutputFolder, "results.json"), JsonReport.Create(report));
    return 0;
});
return await root.Parse(args).InvokeAsync();

static HashSet<string> Names(string[]? values) => [.. (values ?? []).SelectMany(value => value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];
