namespace DataSync.Bench;

/// <summary>A run's results with their ratios, as they are written to JSON.</summary>
internal sealed record RunReport(RunInfo Run, IReadOnlyList<Bar> Bars, IReadOnlyList<MetricBlock> Metrics)
{
    /// <summary>Whatever can have a row.</summary>
    public static IEnumerable<Library> Libraries => [.. Library.All, .. NativeBench.Stores, .. FirstUseBench.Apps, .. ClusterBench.Stores];

    public static RunReport Create(RunInfo info, Measurements results, BenchOptions options)
    {
        var libraries = Libraries.Where(library => options.Only.Count == 0 || options.Only.Contains(library.Id) || library.Id.StartsWith("native", StringComparison.Ordinal) || FirstUseBench.Apps.Contains(library) || ClusterBench.Stores.Contains(library)).ToList();
        var blocks = new List<MetricBlock>();
        foreach (var metric in Metric.All.Where(metric => options.Runs(metric.Workload)))
        {
            var limit = metric.Limit is null ? null : results.Find(metric.Limit, metric.LimitMetric ?? metric.Id)?.Median;
            var dataSync = results.Find(DataSyncOf(metric), metric.Id)?.Median;
            var rows = new List<MetricRow>();
            foreach (var library in libraries)
            {
                var value = results.Find(library.Id, metric.Id);
                var reason = results.Failures.GetValueOrDefault((library.Id, metric.Workload));
                if (value is null && (string.IsNullOrEmpty(reason) || !metric.IsForAll)) continue;
                rows.Add(new(library.Id, library.Title, value, value is null ? reason : null,
                    library.Id == metric.Limit && metric.LimitMetric is null ? null : Ratio(value, limit),
                    library.Id == DataSyncOf(metric) ? null : Ratio(value, dataSync)));
            }

            if (rows.Any(row => row.Statistic is not null)) blocks.Add(new(metric.Id, metric.Title, metric.Unit, metric.Limit, rows));
        }

        return new(info, Bar.Of(results), blocks);

        static string DataSyncOf(Metric metric) => metric.Workload switch
        {
            NativeBench.Id => NativeBench.DataSync,
            FirstUseBench.Id => FirstUseBench.WithDataSync,
            ClusterBench.Id => ClusterBench.DataSync,
            _ => Library.DataSyncId,
        };

        static double? Ratio(Statistic? value, double? to) => value is not null && to > 0 ? value.Median / to : null;
    }
}

/// <summary>When, where and how it was measured.</summary>
internal sealed record RunInfo(
    DateTimeOffset Start, double Minutes, int Rounds, bool IsQuick, string Browser, string Machine, string System, string DotNet, IReadOnlyDictionary<string, string> Versions);

/// <summary>One metric for all libraries.</summary>
internal sealed record MetricBlock(string Id, string Title, string Unit, string? Limit, IReadOnlyList<MetricRow> Rows);

/// <summary>One library's values of a metric, or the reason why there are none.</summary>
internal sealed record MetricRow(string Library, string Title, Statistic? Statistic, string? Reason, double? ToLimit, double? ToDataSync);
