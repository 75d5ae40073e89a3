using System.Globalization;

namespace DataSync.Playground;

/// <summary>What the page's address asks for.</summary>
/// <param name="Database">From <c>?db=</c>; default app.db.</param>
/// <param name="IsStrict">From <c>?durability=strict</c>; default relaxed.</param>
/// <param name="IsDeferred">From <c>?sync=deferred</c>: a write returns before it is durable; default immediate.</param>
/// <param name="HoldSeconds">From <c>?hold=</c>: how long deferred writes are held, quiet or not; by default as the policy has it.</param>
/// <param name="IntervalSeconds">From <c>?interval=</c>: how long deferred writes are held at most; by default as the policy has it.</param>
/// <param name="WriteTimeoutSeconds">From <c>?timeout=</c>: how long a write may wait to become durable (30 to 600); by default as the pipeline has it.</param>
/// <param name="IsRepair">From <c>?recovery=repair</c>: what is damaged is dropped; by default a damaged store is not opened.</param>
public sealed record PageOptions(string Database, bool IsStrict, bool IsDeferred, double? HoldSeconds, double? IntervalSeconds, double? WriteTimeoutSeconds, bool IsRepair)
{
    public string Durability => IsStrict ? "strict" : "relaxed";

    /// <summary>The address, from the question mark on, that opens the same database and drops what is damaged.</summary>
    public string RepairQuery => $"?db={Uri.EscapeDataString(Database)}&durability={Durability}&recovery=repair{(IsDeferred ? "&sync=deferred" : "")}";

    /// <summary>Reads a query such as <c>?db=a.db&amp;durability=strict</c>.</summary>
    public static PageOptions FromQuery(string query)
    {
        var values = query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries)
            .Select(pair => pair.Split('=', 2))
            .Where(pair => pair.Length == 2)
            .ToLookup(pair => pair[0], pair => Uri.UnescapeDataString(pair[1].Replace('+', ' ')));
        var database = values["db"].FirstOrDefault();
        return new PageOptions(
            string.IsNullOrWhiteSpace(database) ? "app.db" : database,
            values["durability"].FirstOrDefault() == "strict",
            values["sync"].FirstOrDefault() == "deferred",
            Seconds(values["hold"]),
            Seconds(values["interval"]),
            Seconds(values["timeout"]),
            values["recovery"].FirstOrDefault() == "repair");
    }

    private static double? Seconds(IEnumerable<string> values) => double.TryParse(values.FirstOrDefault(), CultureInfo.InvariantCulture, out var seconds) ? seconds : null;
}
