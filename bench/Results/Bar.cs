using System.Globalization;

namespace DataSync.Bench;

/// <summary>What DataSync has to reach in one run.</summary>
/// <param name="Title">The bar in words.</param>
/// <param name="Value">What was measured, as text.</param>
/// <param name="IsMet">Null when the run does not tell.</param>
internal sealed record Bar(string Title, string Value, bool? IsMet)
{
    private static readonly string[] OnIndexedDb = ["wa-idb-batch", "wa-idb-mirror", "absurd-sql", "pglite", "pglite-tabs", "absurder", "absurder-queued"];

    /// <summary>Those that read the whole database into memory when they open it.</summary>
    private static readonly string[] InMemory = ["wa-idb-mirror", "pglite", "pglite-tabs"];

    public static IReadOnlyList<Bar> Of(Measurements results)
    {
        var w1 = Median(Library.DataSyncId, "w1");
        var roundTrip = Median(Library.IndexedDbId, "w8.roundtrip");
        return
        [
            AtMost("W1 relaxed: at most 2 × IndexedDB's one-record transaction", w1, Median(Library.IndexedDbId, "w1"), 2),
            Fastest("W1 relaxed: faster than every library on IndexedDB", "w1", OnIndexedDb),
            AtMost("W2: at most 1.3 × the official build in memory", Best("w2", "w2.mds"), Median(Library.MemoryId, "w2"), 1.3),
            AtMost("W3: at most 1.2 × the official build in memory", Best("w3", "w3.mds"), Median(Library.MemoryId, "w3"), 1.2),
            AtMost("W4, 10,000 rows: at most 1.2 × the official build in memory", Best("w4.10k", "w4.10k.mds"), Median(Library.MemoryId, "w4.10k"), 1.2),
            AtMost("W4, 100,000 rows: at most 1.2 × the official build in memory", Best("w4.100k", "w4.100k.mds"), Median(Library.MemoryId, "w4.100k"), 1.2),
            AtMost("W4, count and sum: at most 1.2 × the official build in memory", Best("w4.sum", "w4.sum.mds"), Median(Library.MemoryId, "w4.sum"), 1.2),
            AtMost("W5, 50 MB: at most 1.5 × reading the same bytes from IndexedDB", Median(Library.DataSyncId, "w5.50mb"), Median(Library.IndexedDbId, "w5.50mb"), 1.5),
            Fastest("W5, 50 MB: sooner than every library that loads the database into memory", "w5.50mb", InMemory),
            AtMost("W6: at most 2.5 × IndexedDB's total for the same writes", Median(Library.DataSyncId, "w6.total"), Median(Library.IndexedDbId, "w6.total"), 2.5),
            Below("W6: no row lost", results.Find(Library.DataSyncId, "w6.lost")?.Max, 0, "rows"),
            Fastest("W6: faster than every other library", "w6.total", [.. Library.All.Where(library => !library.IsDataSync && !library.IsLimit).Select(library => library.Id)]),
            Below("W7, killed: at most 50 ms", Median(Library.DataSyncId, "w7.killed"), 50, "ms"),
            Below("W7, frozen: at most 5.5 s", Median(Library.DataSyncId, "w7.frozen"), 5500, "ms"),
            Below("W8: at most one message round trip + 1.5 × W1", Median(Library.DataSyncId, "w8"), roundTrip + 1.5 * w1, "ms"),
            .. EntityFramework.Roles.SelectMany(role => new[]
            {
                AtMost($"W12, {role}: SaveChangesAsync of one entity at most 2 × ExecuteAsync of the same insert",
                    Median(Library.EntityFrameworkId, $"w12.save.{role}"), Median(Library.EntityFrameworkId, $"w12.execute.{role}"), 2),
                AtMost($"W12, {role}: SaveChangesAsync of 1,000 entities at most 1.3 × EF Core in memory",
                    Median(Library.EntityFrameworkId, $"w12.save1000.{role}"), Median(Library.EntityFrameworkId, $"w12.memory1000.{role}"), 1.3),
            }),
            Below("W17: the database ready at most 0.35 s after the first render", Median(FirstUseBench.WithDataSync, "w17.after"), 350, "ms"),
            AtMost("W17, four tabs at once: at most 1.15 × the bare template", Median(FirstUseBench.WithDataSync, "w17.four"), Median(FirstUseBench.Template, "w17.four"), 1.15),
            Below("W17: no lease lost", results.Find(FirstUseBench.WithDataSync, "w17.lost")?.Max, 0, "leases"),
            AtMost("Native commit: at most 1.2 × SQLite's rollback journal, synchronous=FULL",
                Median(NativeBench.DataSync, "native.commit"), Median(NativeBench.Journal, "native.commit"), 1.2),
            AtMost("Native transaction of 10,000 rows: at most 1.2 × the same",
                Median(NativeBench.DataSync, "native.transaction"), Median(NativeBench.Journal, "native.transaction"), 1.2),
        ];

        double? Median(string library, string metric) => results.Find(library, metric)?.Median;

        double? Best(params string[] metrics) => metrics.Select(metric => Median(Library.DataSyncId, metric)).Min();

        Bar Fastest(string title, string metric, string[] others)
        {
            var best = others.Select(id => (Id: id, Value: Median(id, metric))).Where(other => other.Value is not null).OrderBy(other => other.Value).FirstOrDefault();
            if (Median(Library.DataSyncId, metric) is not { } own || best.Value is not { } other) return Untold(title);
            return new(title, $"{Number.Format(own, "ms")}; the next is {Library.All.Single(library => library.Id == best.Id).Title} with {Number.Format(other, "ms")}", own < other);
        }
    }

    private static Bar Untold(string title) => new(title, "not in this run", null);

    private static Bar AtMost(string title, double? value, double? limit, double factor) => value / limit is { } ratio
        ? new(title, string.Create(CultureInfo.InvariantCulture, $"{ratio:0.00} ×"), ratio <= factor)
        : Untold(title);

    private static Bar Below(string title, double? value, double? limit, string unit) => value is { } number && limit is { } most
        ? new(title, $"{Number.Format(number, unit)}; the bar is {Number.Format(most, unit)}", number <= most)
        : Untold(title);
}
