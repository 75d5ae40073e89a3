namespace DataSync.Coordination;

/// <summary>
/// Tells live tabs from dead ones where there are no Web Locks: a tab is live while its presence entry has changed
/// within the stale time, as this tab saw it. Stored times are never compared with a clock.
/// </summary>
internal sealed class TabPresence(TabId self, TimeSpan staleAfter, TimeProvider time)
{
    /// <summary>Entries silent for so many stale times are removed; a tab that thaws later writes its own anew.</summary>
    private const int ForgetAfter = 12;

    private const string Left = " left";

    private readonly Dictionary<TabId, (string Beat, long SeenAt)> _seen = [];

    /// <summary>
    /// Takes the entries ("id beat", or "id left" of a tab that closed) and returns who is live and whose entries can be
    /// removed. A tab whose entry is missing stays live for the stale time: the user may have cleared the storage.
    /// </summary>
    public (IReadOnlyList<TabId> Live, IReadOnlyList<TabId> Dead) Update(IEnumerable<string> entries)
    {
        var now = time.GetTimestamp();
        foreach (var entry in entries)
        {
            var space = entry.IndexOf(' ', StringComparison.Ordinal);
            if (space < 0 || !TabId.TryParse(entry[..space], out var tab))
                continue;
            if (!_seen.TryGetValue(tab, out var before) || before.Beat != entry[space..])
                _seen[tab] = (entry[space..], now);
        }

        var live = _seen.Where(tab => tab.Value.Beat != Left && time.GetElapsedTime(tab.Value.SeenAt, now) < staleAfter)
            .Select(tab => tab.Key).Append(self).Distinct();
        var dead = _seen.Where(tab => time.GetElapsedTime(tab.Value.SeenAt, now) >= staleAfter * ForgetAfter).Select(tab => tab.Key);
        var answer = (live.ToArray(), dead.Where(tab => tab != self).ToArray());
        foreach (var tab in answer.Item2)
            _seen.Remove(tab);
        return answer;
    }
}
