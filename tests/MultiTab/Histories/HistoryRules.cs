using Xunit;

namespace DataSync.MultiTab.Histories;

/// <summary>What a writer was told of its row number <paramref name="N"/>.</summary>
/// <param name="At_ms">When, since the beginning of 1970.</param>
/// <param name="Marker">The commit's; null when the write was refused.</param>
internal sealed record Outcome(string Writer, int N, double At_ms, long? Marker, string? Error);

/// <summary>A row as a tab shows it, and how often.</summary>
internal sealed record HistoryRow(string Writer, int N, string Text, int Copies);

/// <summary>The promise of the whole, and the table on which it is tried.</summary>
internal static class HistoryRules
{
    /// <summary>No constraint on (writer, n): a row that was written twice must be seen, not refused.</summary>
    public const string Table = "CREATE TABLE history(id INTEGER PRIMARY KEY, writer TEXT NOT NULL, n INTEGER NOT NULL, text TEXT NOT NULL)";

    public const string Rows = "SELECT writer, n, text, count(*) AS copies FROM history GROUP BY writer, n, text";

    /// <summary>An acknowledged row is there exactly once, one without an answer at most once, a refused one not at all, and no row is there that nobody wrote.</summary>
    /// <param name="attempted">How many rows each writer tried to write; null where that is not known.</param>
    public static void Check(IReadOnlyList<HistoryRow> rows, IReadOnlyList<Outcome> outcomes, IReadOnlyDictionary<string, int?> attempted)
    {
        Assert.All(rows, row => Assert.Equal(($"{row.Writer}/{row.N}", 1), (row.Text, row.Copies)));
        var present = rows.Select(row => (row.Writer, row.N)).ToHashSet();
        var (acknowledged, failed) = (outcomes.Where(o => o.Marker is not null), outcomes.Where(o => o.Error is not null).ToArray());
        Assert.Empty(acknowledged.Where(o => !present.Contains((o.Writer, o.N))).Select(o => $"{o.Writer}/{o.N} at marker {o.Marker} was acknowledged and is missing"));
        Assert.Empty(failed.Where(o => present.Contains((o.Writer, o.N)) && !o.Error!.Contains("outcome of the write is unknown", StringComparison.Ordinal)).Select(o => $"{o.Writer}/{o.N} was refused and is there: {o.Error}"));
        Assert.Empty(present.Select(row => row.Writer).Distinct().Except(attempted.Keys));
        foreach (var (writer, tried) in attempted)
        {
            var numbers = present.Where(row => row.Writer == writer).Select(row => row.N).Order().ToArray();
            var holes = failed.Count(o => o.Writer == writer);
            // A writer begins a row when the one before has ended, so its rows have no holes but for the refused ones.
            Assert.True(numbers.Length == 0 || numbers[^1] <= numbers.Length + holes, $"{writer} wrote {numbers.Length} rows up to number {numbers.LastOrDefault()}.");
            Assert.True(tried is null || numbers.LastOrDefault() <= tried, $"{writer} tried {tried} rows and has {numbers.LastOrDefault()}.");
        }
    }

    /// <summary>Reads the store past DataSync: how many markers between the checkpoint and the last record have no record.</summary>
    public static string GapsInLog(string database) => $$"""
        new Promise((resolve, reject) => {
          const open = indexedDB.open('datasync:{{database}}');
          open.onerror = () => reject(open.error);
          open.onsuccess = () => {
            const read = open.result.transaction(['head', 'log']);
            const head = read.objectStore('head').get('head');
            const keys = read.objectStore('log').getAllKeys();
            read.onabort = () => reject(read.error);
            read.oncomplete = () => {
              open.result.close();
              resolve((keys.result.at(-1) ?? head.result.marker) - head.result.marker - keys.result.length);
            };
          };
        })
        """;
}
