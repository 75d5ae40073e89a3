namespace DataSync.Bench;

/// <summary>What is measured: one block of the results.</summary>
/// <param name="Id">As the steps name it.</param>
/// <param name="Workload">Whose failure is told in its place.</param>
/// <param name="Title">For people.</param>
/// <param name="Unit">ms, bytes or rows.</param>
/// <param name="Limit">The library whose value the others' is a multiple of, where there is such a limit.</param>
/// <param name="LimitMetric">That library's metric, where it is another one.</param>
/// <param name="IsForAll">Whether a library without a value is named with its reason.</param>
internal sealed record Metric(string Id, string Workload, string Title, string Unit = "ms", string? Limit = null, string? LimitMetric = null, bool IsForAll = true)
{
    /// <summary>In the order of the results.</summary>
    public static IReadOnlyList<Metric> All { get; } =
    [
        new("w1", "w1", "W1: one insert, awaited durable", Limit: Library.IndexedDbId),
        new("w2", "w2", "W2: one transaction of 10,000 inserts", Limit: Library.MemoryId),
        new("w2.mds", "w2", "W2 through Microsoft.Data.Sqlite, a prepared command", Limit: Library.MemoryId, LimitMetric: "w2", IsForAll: false),
        new("w3", "w3", "W3: 1,000 selects by key", Limit: Library.MemoryId),
        new("w3.mds", "w3", "W3 through Microsoft.Data.Sqlite, a prepared command", Limit: Library.MemoryId, LimitMetric: "w3", IsForAll: false),
        new("w4.10k", "w4", "W4: scan of 10,000 rows into objects", Limit: Library.MemoryId),
        new("w4.10k.mds", "w4", "W4, 10,000 rows, through Microsoft.Data.Sqlite's reader", Limit: Library.MemoryId, LimitMetric: "w4.10k", IsForAll: false),
        new("w4.100k", "w4", "W4: scan of 100,000 rows into objects", Limit: Library.MemoryId),
        new("w4.100k.mds", "w4", "W4, 100,000 rows, through Microsoft.Data.Sqlite's reader", Limit: Library.MemoryId, LimitMetric: "w4.100k", IsForAll: false),
        new("w4.sum", "w4", "W4: count and sum of 100,000 rows", Limit: Library.MemoryId),
        new("w4.sum.mds", "w4", "W4, count and sum, through Microsoft.Data.Sqlite", Limit: Library.MemoryId, LimitMetric: "w4.sum", IsForAll: false),
        new("w9.block.w2", "w2", "W9: longest time in W2 in which the page did nothing else"),
        new("w11.reader", "w11", "W11: 10,000 rows through Microsoft.Data.Sqlite's reader", Limit: Library.MemoryId, LimitMetric: "w4.10k", IsForAll: false),
        new("w11.dapper", "w11", "W11: 10,000 rows through Dapper", Limit: Library.MemoryId, LimitMetric: "w4.10k", IsForAll: false),
    ];
}
