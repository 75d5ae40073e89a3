using System.CommandLine;
using System.Runtime.InteropServices;
using DataSync.Bench;
using Spectre.Console;

if (ClusterWorker.Is(args)) return await ClusterWorker.RunAsync(args);

var only = new Option<string[]>("--only") { Description = "These libraries only, by id, separated by commas; \"native\" is the part outside the browser.", AllowMultipleArgumentsPerToken = true };
var workloads = new Option<string[]>("--workloads") { Description = "These workloads only: w1 … w13, w16, w17, separated by commas.", AllowMultipleArgumentsPerToken = true };
var rounds = new Option<int>("--rounds") { Description = "How often each library has its turn.", DefaultValueFactory = _ => 5 };
var minutes = new Option<double>("--minutes") { Description = "No further round is begun that would probably end later than this.", DefaultValueFactory = _ => 25 };
var quick = new Option<bool>("--quick") { Description = "Smaller and one round: to see that it works, not how fast." };
var output = new Option<string>("--output") { Description = "Where results.json, results.md and results.svg go.", DefaultValueFactory = _ => Path.Combine(BenchHost.Repository, "artifacts", "bench") };
var readme = new Option<bool>("--readme") { Description = "Also write the results into bench/README.md, and bench/results.svg." };
var root = new RootCommand("Measures DataSync beside other libraries and the limits. Libraries: " + string.Join(", ", Library.All.Select(library => library.Id)) + ", native, template, cluster-datasync.")
{
    only, workloads, rounds, minutes, quick, output, readme,
};
root.SetAction(async parsed =>
{
    var isQuick = parsed.GetValue(quick);
    var options = new BenchOptions(
        isQuick && parsed.GetResult(rounds) is null or { Implicit: true } ? 1 : parsed.GetValue(rounds), TimeSpan.FromMinutes(parsed.GetValue(minutes)), isQuick,
        Names(parsed.GetValue(only)), Names(parsed.GetValue(workloads)), parsed.GetValue(output)!, parsed.GetValue(readme));
    var unknown = options.Only.Except(Library.All.Select(library => library.Id).Append(NativeBench.Id).Append(FirstUseBench.Template).Append(ClusterBench.DataSync))
        .Concat(options.Workloads.Except(Runner.Workloads.Select(workload => workload.Id).Append("w10").Append(FirstUseBench.Id).Append(NativeBench.Id).Append(ClusterBench.Id))).ToList();
    if (unknown.Count > 0 || options.Rounds < 1)
    {
        AnsiConsole.MarkupLineInterpolated($"[red]Unknown: {string.Join(", ", unknown)}[/]");
        return 2;
    }

    var results = new Measurements();
    var start = TimeProvider.System.GetUtcNow();
    var load = Machine.Load();
    void tell(string line) => AnsiConsole.WriteLine(line);
    var runner = new Runner(options, results, tell);
    await runner.RunAsync();
    if (options.Runs(NativeBench.Id) && (options.Only.Count == 0 || options.Only.Contains(NativeBench.Id))) await new NativeBench(options, results, tell).RunAsync();
    if (options.Runs(FirstUseBench.Id) && (options.Only.Count == 0 || options.Only.Contains(FirstUseBench.Template))) await new FirstUseBench(options, results, tell).RunAsync();
    var cluster = new ClusterBench(options, results, tell);
    if (options.Runs(ClusterBench.Id) && (options.Only.Count == 0 || options.Only.Contains(ClusterBench.DataSync))) await cluster.RunAsync();
    var browser = runner.BrowserVersion.Length > 0 ? runner.BrowserVersion : cluster.BrowserVersion;
    var info = new RunInfo(
        start, (TimeProvider.System.GetUtcNow() - start).TotalMinutes, runner.RoundsDone ?? options.Rounds, isQuick, browser.Length > 0 ? $"Chromium {browser}" : "no browser",
        $"{Machine.Describe()}, load at the start {load}", RuntimeInformation.OSDescription, RuntimeInformation.FrameworkDescription, Machine.Packages());
    var report = RunReport.Create(info, results, options);
    ConsoleReport.Write(AnsiConsole.Console, report);
    Directory.CreateDirectory(options.OutputFolder);
    var chart = SvgChart.Create(report);
    var libraries = RunReport.Libraries.Where(library => report.Metrics.Any(block => block.Rows.Any(row => row.Library == library.Id))).ToList();
    var markdown = MarkdownReport.Create(report, libraries, "results.svg");
    await WriteAsync(options.OutputFolder, "results.json", JsonReport.Create(report));
    await WriteAsync(options.OutputFolder, "results.md", markdown);
    await WriteAsync(options.OutputFolder, "results.svg", chart);
    if (!options.WritesReadme) return 0;
    var document = await File.ReadAllTextAsync(Path.Combine(BenchHost.Folder, "README.md"));
    await WriteAsync(BenchHost.Folder, "README.md", MarkdownReport.Insert(document, markdown));
    await WriteAsync(BenchHost.Folder, "results.svg", chart);
    return 0;
});
return await root.Parse(args).InvokeAsync();

static Task WriteAsync(string folder, string name, string text) => File.WriteAllTextAsync(Path.Combine(folder, name), text.ReplaceLineEndings("\n"));

static HashSet<string> Names(string[]? values) => [.. (values ?? []).SelectMany(value => value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];
