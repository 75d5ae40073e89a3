namespace DataSync.Bench;

/// <summary>What is measured: one block of the results.</summary>
/// <param name="Id">As the steps name it.</param>
/// <param name="Workload">Whose failure is told in its place.</param>
/// <param name="Title">For people.</param>
/// <param name="Unit">ms, bytes, rows ….</param>
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
        new("w5.10k", "w5", "W5: open to first answer, 10,000 rows"),
        new("w5.50mb", "w5", "W5: open to first answer, 50 MB", Limit: Library.IndexedDbId),
        new("w6.total", "w6", "W6: four tabs × 100 inserts at once, total", Limit: Library.IndexedDbId),
        new("w6.op", "w6", "W6: one of these inserts", IsForAll: false),
        new("w6.p99", "w6", "W6: the 99th percentile of these inserts", IsForAll: false),
        new("w6.lost", "w6", "W6: rows lost", "rows", IsForAll: false),
        new("w7.killed", "w7", "W7: from the first tab's kill to the next acknowledged write"),
        new("w7.frozen", "w7", "W7: from the first tab's freeze to the next acknowledged write"),
        new("w8", "w8", "W8: one insert in the second tab, uncontended"),
        new("w8.roundtrip", "w8", "W8: one message of 4 KB to another tab and back (BroadcastChannel)", IsForAll: false),
        new("w9.block.w2", "w2", "W9: longest time in W2 in which the page did nothing else"),
        new("w9.block.w5", "w5", "W9: longest time in W5 (50 MB) in which the page did nothing else"),
        new("w9.memory", "w5", "W9: memory of a tab with 50 MB open", "bytes"),
        new("w10.raw", "w10", "W10: bytes to download beside the .NET runtime, as published", "bytes", IsForAll: false),
        new("w10.brotli", "w10", "W10: the same with brotli", "bytes", IsForAll: false),
        new("w11.reader", "w11", "W11: 10,000 rows through Microsoft.Data.Sqlite's reader", Limit: Library.MemoryId, LimitMetric: "w4.10k", IsForAll: false),
        new("w11.dapper", "w11", "W11: 10,000 rows through Dapper", Limit: Library.MemoryId, LimitMetric: "w4.10k", IsForAll: false),
        .. EntityFramework.Roles.SelectMany(role => new Metric[]
        {
            new($"w12.execute.{role}", "w12", $"W12, {role}: one insert with ExecuteAsync", IsForAll: false),
            new($"w12.save.{role}", "w12", $"W12, {role}: the same with SaveChangesAsync, a pooled context", Limit: Library.EntityFrameworkId, LimitMetric: $"w12.execute.{role}", IsForAll: false),
            new($"w12.memory.{role}", "w12", $"W12, {role}: the same, EF Core's provider in memory, a pooled context", Limit: Library.EntityFrameworkId, LimitMetric: $"w12.execute.{role}", IsForAll: false),
            new($"w12.ordinary.{role}", "w12", $"W12, {role}: the same with SaveChangesAsync, a new context", Limit: Library.EntityFrameworkId, LimitMetric: $"w12.execute.{role}", IsForAll: false),
            new($"w12.ordinaryMemory.{role}", "w12", $"W12, {role}: the same, EF Core's provider in memory, a new context", Limit: Library.EntityFrameworkId, LimitMetric: $"w12.execute.{role}", IsForAll: false),
            new($"w12.call.{role}", "w12", $"W12, {role}: SaveChangesAsync alone, a new context that was made before", Limit: Library.EntityFrameworkId, LimitMetric: $"w12.execute.{role}", IsForAll: false),
            new($"w12.memory1000.{role}", "w12", $"W12, {role}: SaveChangesAsync of 1,000 entities, EF Core's provider in memory", IsForAll: false),
            new($"w12.save1000.{role}", "w12", $"W12, {role}: SaveChangesAsync of 1,000 entities", Limit: Library.EntityFrameworkId, LimitMetric: $"w12.memory1000.{role}", IsForAll: false),
        }),
        new("w13", "w13", "W13: from an insert in another tab, begun, to its row on the page", IsForAll: false),
        new("w13.block", "w13", "W13: 1,000 inserts of another tab, 50 live queries: longest time in which the page did nothing else", IsForAll: false),
        new("w13.runs", "w13", "W13: runs of the query that is shown, meanwhile", "runs", IsForAll: false),
        new("w17.one", FirstUseBench.Id, "W17: from an empty cache to the first render (bare), to the first query's answer shown (DataSync)", Limit: FirstUseBench.Template),
        new("w17.render", FirstUseBench.Id, "W17: of that, to the first render", IsForAll: false),
        new("w17.after", FirstUseBench.Id, "W17: of that, from the first render to the first query's answer", IsForAll: false),
        new("w17.four", FirstUseBench.Id, "W17: the same, four tabs at once, until the last", Limit: FirstUseBench.Template),
        new("w17.lost", FirstUseBench.Id, "W17: leases lost meanwhile", "leases", IsForAll: false),
        new("w17.bytes", FirstUseBench.Id, "W17: bytes downloaded, brotli", "bytes", Limit: FirstUseBench.Template),
        .. ClusterBench.Metrics,
        new("native.commit", NativeBench.Id, "Native: commit of one row", Limit: NativeBench.Journal),
        new("native.transaction", NativeBench.Id, "Native: one transaction of 10,000 rows", Limit: NativeBench.Journal),
        new("native.points", NativeBench.Id, "Native: 1,000 selects by key", Limit: NativeBench.Journal),
        new("native.scan", NativeBench.Id, "Native: scan of 100,000 rows", Limit: NativeBench.Journal),
        new("native.open", NativeBench.Id, "Native: open 50 MB to first answer", Limit: NativeBench.Journal),
    ];
}
