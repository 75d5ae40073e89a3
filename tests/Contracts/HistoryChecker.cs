namespace DataSync.Contracts;

/// <summary>What an application was told of one of its writes.</summary>
public enum WriteOutcome
{
    /// <summary>It was not told, or told that nobody knows: it is there once or not at all.</summary>
    Unknown,

    /// <summary>It is durable: it is there exactly once.</summary>
    Acknowledged,

    /// <summary>It failed: it is not there and never will be.</summary>
    Refused,
}

/// <summary>One write of one tab's application.</summary>
/// <param name="Writer">Which tab.</param>
/// <param name="Number">Which of its writes.</param>
/// <param name="BeganMs">When the application asked for it.</param>
/// <param name="EndedMs">When the application was told; null when it never was.</param>
/// <param name="Outcome">What it was told.</param>
public sealed record HistoryWrite(string Writer, long Number, double BeganMs, double? EndedMs, WriteOutcome Outcome);

/// <summary>
/// Compares what applications were told with the order in which a database holds their writes: each acknowledged write
/// exactly once, each unknown one at most once, no refused one and none that nobody asked for; in one order in which each
/// tab's writes, where one ended before the next began, and all tabs' acknowledged writes, likewise, keep their order.
/// Times must come from one clock.
/// </summary>
public static class HistoryChecker
{
    /// <returns>Null when everything holds; otherwise the first thing that does not.</returns>
    public static string? FindViolation(IEnumerable<HistoryWrite> writes, IReadOnlyList<(string Writer, long Number)> history)
    {
        var known = writes.ToDictionary(w => (w.Writer, w.Number));
        var placed = new List<HistoryWrite>(history.Count);
        var seen = new HashSet<(string, long)>();
        foreach (var entry in history)
        {
            if (!known.TryGetValue(entry, out var write)) return $"{entry.Writer}/{entry.Number} is there, and nobody asked for it.";
            if (!seen.Add(entry)) return $"{entry.Writer}/{entry.Number} is there twice.";
            if (write.Outcome == WriteOutcome.Refused) return $"{entry.Writer}/{entry.Number} was refused and is there.";
            placed.Add(write);
        }

        foreach (var write in known.Values)
        {
            if (write.Outcome == WriteOutcome.Acknowledged && !seen.Contains((write.Writer, write.Number)))
                return $"{write.Writer}/{write.Number} was acknowledged and is not there.";
        }

        return FindDisorder(placed);
    }

    // From the end: whatever comes later in the history must not have ended before this one began.
    private static string? FindDisorder(List<HistoryWrite> placed)
    {
        HistoryWrite? earliest = null;
        var earliestOf = new Dictionary<string, HistoryWrite>();
        for (var i = placed.Count - 1; i >= 0; i--)
        {
            var write = placed[i];
            var own = earliestOf.GetValueOrDefault(write.Writer);
            if ((own?.EndedMs < write.BeganMs ? own : earliest?.EndedMs < write.BeganMs ? earliest : null) is { } later)
                return $"{later.Writer}/{later.Number} ended before {write.Writer}/{write.Number} began, and stands behind it.";
            if (write.EndedMs is not { } ended) continue;
            if (own is null || ended < own.EndedMs) earliestOf[write.Writer] = write;
            if (write.Outcome == WriteOutcome.Acknowledged && (earliest is null || ended < earliest.EndedMs)) earliest = write;
        }

        return null;
    }
}
