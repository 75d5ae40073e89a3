namespace DataSync.Bench;

/// <summary>All samples of a run, and what could not be measured.</summary>
internal sealed class Measurements
{
    private readonly Dictionary<(string Library, string Metric), List<double>> samples = [];
    private readonly Dictionary<(string Library, string Workload), string> failures = [];

    public IReadOnlyDictionary<(string Library, string Workload), string> Failures => failures;

    public IEnumerable<(string Library, string Metric)> Keys => samples.Keys;

    public void Add(string library, StepResult result)
    {
        foreach (var (metric, values) in result.Series) Add(library, metric, values);
    }

    public void Add(string library, string metric, params ReadOnlySpan<double> values)
    {
        if (!samples.TryGetValue((library, metric), out var list)) samples[(library, metric)] = list = [];
        list.AddRange(values);
    }

    /// <summary>The first reason stays.</summary>
    public void Fail(string library, string workload, string reason) => failures.TryAdd((library, workload), reason);

    public bool HasFailed(string library, string workload) => failures.ContainsKey((library, workload));

    public Statistic? Find(string library, string metric) =>
        samples.TryGetValue((library, metric), out var list) && list.Count > 0 ? Statistic.Of(list) : null;
}

/// <summary>Some numbers in short.</summary>
internal sealed record Statistic(int Count, double Min, double P10, double Median, double P90, double P99, double Max)
{
    public static Statistic Of(IReadOnlyCollection<double> values)
    {
        double[] sorted = [.. values.Order()];
        return new(sorted.Length, sorted[0], At(0.1), At(0.5), At(0.9), At(0.99), sorted[^1]);

        double At(double share)
        {
            var place = share * (sorted.Length - 1);
            var below = (int)place;
            return below + 1 < sorted.Length ? sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]) : sorted[below];
        }
    }
}
