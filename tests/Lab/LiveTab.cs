using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using DataSync.Vfs;

namespace DataSync.Lab;

/// <summary>Live queries in a real tab, step by step, for tests in which another tab writes; offered to the page as <c>lab.live(step, …)</c>.</summary>
internal static partial class LiveTab
{
    private static readonly List<string> Diffs = [];
    private static readonly List<Watched> Lives = [];
    private static DataSyncDatabase? database;
    private static LiveQuery<Item>? list;
    private static double shortestPause_ms = double.MaxValue;

    [JSExport]
    internal static async Task Open(string name) => database = await (await Transactions.Databases.Task).OpenAsync(name);

    /// <summary>Runs statements as one write; returns its marker.</summary>
    [JSExport]
    internal static async Task<int> Execute(string sql) => (int)(await database!.ExecuteAsync(sql)).Marker;

    /// <summary>Adds rows to a table, one in each commit, several commits at a time; returns the last one's marker.</summary>
    [JSExport]
    internal static async Task<int> Insert(string table, int count)
    {
        const int AtOnce = 10;
        var left = count;
        await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(async _ =>
        {
            while (left-- > 0) await database!.ExecuteAsync($"INSERT INTO {table} DEFAULT VALUES");
        }));
        return (int)database!.Marker;
    }

    /// <summary>Begins live queries that give whole numbers, one a line.</summary>
    [JSExport]
    internal static async Task Watch(string queries)
    {
        foreach (var sql in queries.Split('\n'))
        {
            var query = await database!.LiveAsync<long?>(sql);
            Lives.Add(new(sql, query));
            long? before = null;
            query.Changed += (_, _) =>
            {
                var now = TimeProvider.System.GetTimestamp();
                if (before is { } last) shortestPause_ms = Math.Min(shortestPause_ms, TimeProvider.System.GetElapsedTime(last, now).TotalMilliseconds);
                before = now;
            };
        }
    }

    /// <summary>The shortest time between two outcomes of one of them after another, in milliseconds.</summary>
    [JSExport]
    internal static double ShortestPause() => shortestPause_ms;

    /// <summary>
    /// When the tab shows a marker and its live queries rest: how often each has run since it was begun, in their order, as a JSON list; -1 for one that does not show what it would give now.
    /// </summary>
    [JSExport]
    internal static async Task<string> Runs(int marker)
    {
        await ShowsAsync(database!, marker);
        var runs = new List<int>();
        foreach (var (sql, query) in Lives) runs.Add(query.Current.SequenceEqual(await database!.QueryAsync<long?>(sql)) ? query.Runs - 1 : -1);
        return JsonSerializer.Serialize([.. runs], LabJson.Default.Int32Array);
    }

    /// <summary>Begins a live query whose rows have an id and a text, and notes each change of it.</summary>
    [JSExport]
    internal static async Task Follow(string sql)
    {
        list = await database!.LiveAsync<Item>(sql, key: item => item.Id);
        list.Changed += (_, e) => Diffs.Add(e.Error?.Message ?? Describe(e.Diff!));
    }

    /// <summary>The rows that it shows, and then what it was told to become of them, one change after the other.</summary>
    [JSExport]
    internal static string Followed() => $"{string.Join(' ', list!.Current.Select(item => item.Text))} | {string.Join(", ", Diffs)}";

    /// <summary>Waits until a tab shows a marker, and all its live queries do.</summary>
    internal static async Task ShowsAsync(DataSyncDatabase tab, long marker)
    {
        var shown = new TaskCompletionSource();
        using var subscription = tab.Subscribe(commit =>
        {
            if (commit.Position.Marker >= marker) shown.TrySetResult();
            return Task.CompletedTask;
        });
        if (tab.Marker < marker) await shown.Task;
        await tab.Live.WhenIdleAsync();
    }

    private static string Describe(LiveDiff<Item> diff) => string.Join(' ', (string[])[
        .. diff.Added.Select(row => string.Create(CultureInfo.InvariantCulture, $"+{row.Row.Text}@{row.Index}")),
        .. diff.Removed.Select(row => string.Create(CultureInfo.InvariantCulture, $"-{row.Row.Text}@{row.Index}")),
        .. diff.Moved.Select(row => string.Create(CultureInfo.InvariantCulture, $"{row.Row.Text}@{row.From}>{row.To}")),
        .. diff.Changed.Select(row => string.Create(CultureInfo.InvariantCulture, $"{row.Before.Text}={row.Row.Text}@{row.Index}"))]);

    private sealed record Watched(string Sql, LiveQuery<long?> Query);

    private sealed record Item(long Id, string Text);
}
