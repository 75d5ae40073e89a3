namespace DataSync.Vfs;

/// <summary>A row and where it stands.</summary>
/// <param name="Index">Its place, from 0: of an added row in the new list, of a removed one in the old.</param>
/// <param name="Row">The row.</param>
public readonly record struct LiveRow<T>(int Index, T Row);

/// <summary>A row that stands in another order to its neighbours.</summary>
/// <param name="From">Its place in the old list.</param>
/// <param name="To">Its place in the new list.</param>
/// <param name="Row">The row as it is now.</param>
public readonly record struct LiveMove<T>(int From, int To, T Row);

/// <summary>A row whose values changed.</summary>
/// <param name="Index">Its place in the new list.</param>
/// <param name="Before">The row as it was.</param>
/// <param name="Row">The row as it is now.</param>
public readonly record struct LiveUpdate<T>(int Index, T Before, T Row);

/// <summary>How one outcome of a live query differs from the one before, by the rows' keys.</summary>
/// <remarks>
/// Taking the removed rows out of the old list (from its end), then the moved ones, putting the moved and added ones in at their new places (from the beginning), and replacing the
/// changed ones gives the new list. A row that only made room for others is in none of the lists; one that moved and changed is in both.
/// </remarks>
public sealed class LiveDiff<T>
{
    private LiveDiff(List<LiveRow<T>> added, List<LiveRow<T>> removed, List<LiveMove<T>> moved, List<LiveUpdate<T>> changed) =>
        (Added, Removed, Moved, Changed) = (added, removed, moved, changed);

    /// <summary>Rows whose keys are new, by their places.</summary>
    public IReadOnlyList<LiveRow<T>> Added { get; }

    /// <summary>Rows whose keys are gone, by their old places.</summary>
    public IReadOnlyList<LiveRow<T>> Removed { get; }

    /// <summary>The fewest rows whose moving explains the new order, by their new places.</summary>
    public IReadOnlyList<LiveMove<T>> Moved { get; }

    /// <summary>Rows whose keys stayed and whose values did not, by their new places.</summary>
    public IReadOnlyList<LiveUpdate<T>> Changed { get; }

    /// <exception cref="InvalidOperationException">Two rows have the same key, or one has none.</exception>
    internal static LiveDiff<T> Of(IReadOnlyList<T> before, IReadOnlyList<T> now, Func<T, object?> key, Func<T, T, bool> isSame)
    {
        var oldPlaces = Places(before, key);
        var newPlaces = Places(now, key);
        List<LiveRow<T>> added = [], removed = [];
        List<LiveUpdate<T>> changed = [];
        var kept = new List<(int From, int To)>();
        for (var i = 0; i < before.Count; i++)
        {
            if (!newPlaces.ContainsKey(key(before[i])!)) removed.Add(new(i, before[i]));
        }

        for (var i = 0; i < now.Count; i++)
        {
            if (!oldPlaces.TryGetValue(key(now[i])!, out var from))
            {
                added.Add(new(i, now[i]));
                continue;
            }

            kept.Add((from, i));
            if (!isSame(before[from], now[i])) changed.Add(new(i, before[from], now[i]));
        }

        var staying = LongestRising(kept);
        return new(added, removed, [.. kept.Where((_, i) => !staying[i]).Select(move => new LiveMove<T>(move.From, move.To, now[move.To]))], changed);
    }

    private static Dictionary<object, int> Places(IReadOnlyList<T> rows, Func<T, object?> key)
    {
        var places = new Dictionary<object, int>(rows.Count);
        for (var i = 0; i < rows.Count; i++)
        {
            var value = key(rows[i]) ?? throw new InvalidOperationException($"Row {i} of the live query has no key (null).");
            if (!places.TryAdd(value, i)) throw new InvalidOperationException($"Two rows of the live query have the key '{value}'. Use as key what is different for each row, such as the table's primary key.");
        }

        return places;
    }

    // Which of the rows can stay where they are while the others move around them: the longest rising sequence of old places.
    private static bool[] LongestRising(List<(int From, int To)> kept)
    {
        var ends = new List<int>(); // of the sequences of each length, the one that ends lowest: its last row
        var earlier = new int[kept.Count];
        for (var i = 0; i < kept.Count; i++)
        {
            var (low, high) = (0, ends.Count);
            while (low < high)
            {
                var middle = (low + high) / 2;
                if (kept[ends[middle]].From < kept[i].From) low = middle + 1;
                else high = middle;
            }

            earlier[i] = low > 0 ? ends[low - 1] : -1;
            if (low == ends.Count) ends.Add(i);
            else ends[low] = i;
        }

        var staying = new bool[kept.Count];
        for (var i = ends.Count > 0 ? ends[^1] : -1; i >= 0; i = earlier[i]) staying[i] = true;
        return staying;
    }
}
