namespace DataSync.Bench;

/// <summary>One of W1 … W13 for one library, in a browser that has just been started or has run other workloads of the same library.</summary>
/// <param name="Id">For <c>--workloads</c>.</param>
/// <param name="Title">For people.</param>
/// <param name="Run">Does it once, for one round.</param>
/// <param name="Inapplicable">Why it says nothing about a library, null where it does; "" leaves the library out of its tables.</param>
internal sealed record Workload(string Id, string Title, Func<WorkloadRun, Task> Run, Func<Library, string?> Inapplicable);

/// <summary>What a workload works with.</summary>
internal sealed record WorkloadRun(BenchBrowser Browser, BenchOptions Options, Measurements Results, BenchHost Host)
{
    public Library Library => Browser.Library;

    public void Add(StepResult result) => Results.Add(Library.Id, result);
}
