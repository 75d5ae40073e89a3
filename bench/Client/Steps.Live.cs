using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using DataSync.Vfs;

namespace DataSync.Bench.Client;

// W13: live queries.
internal static partial class Steps
{
    private const string Shown = "bench-shown";

    private static readonly List<LiveQuery<long>> Lives = [];
    private static int own;

    private static async Task<StepResult> WatchAsync(StepOptions options)
    {
        await JSHost.ImportAsync(Shown, "/bench/shown.js");
        await database!.ExecuteAsync("CREATE TABLE IF NOT EXISTS o(id INTEGER PRIMARY KEY)");
        var list = await database.LiveAsync<long>("SELECT id FROM t ORDER BY id DESC LIMIT 20");
        list.Changed += (_, e) => Show([.. e.Rows.Select(id => (double)id)]);
        Show([.. list.Current.Select(id => (double)id)]);
        Lives.Add(list);
        for (var i = 1; i < options.Own; i++) Lives.Add(await database.LiveAsync<long>($"SELECT count(*) FROM t WHERE id > {i}"));
        for (var i = 0; i < options.Others; i++) Lives.Add(await database.LiveAsync<long>($"SELECT count(*) FROM o WHERE id > {i}"));
        own = options.Own;
        return None();
    }

    private static async Task<StepResult> WritesApartAsync(StepOptions options)
    {
        var begins = new List<double>();
        for (var i = 0; i < options.Count; i++)
        {
            begins.Add(Clock());
            await Work.InsertOneAsync(Row.Make(options.FirstId + i));
            await WaitUntil(Clock() + options.Pause_ms);
        }

        return Series("begins", begins);
    }

    private static async Task<StepResult> SeenAsync(StepOptions options)
    {
        using var seen = JsonDocument.Parse(await Seen(options.FirstId, options.Limit_ms));
        return new(seen.RootElement.EnumerateObject().ToDictionary(series => series.Name, series => (IReadOnlyList<double>)[.. series.Value.EnumerateArray().Select(value => value.GetDouble())]));
    }

    private static StepResult Runs() => Series("runs", [Lives[0].Runs, Lives.Skip(own).Sum(live => live.Runs)]);

    [JSImport("show", Shown)]
    private static partial void Show([JSMarshalAs<JSType.Array<JSType.Number>>] double[] ids);

    [JSImport("seenJson", Shown)]
    private static partial Task<string> Seen(double id, double limit_ms);
}
