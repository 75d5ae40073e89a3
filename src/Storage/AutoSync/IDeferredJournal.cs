using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Where the statements of deferred writes are kept until they are durable, over the end of a tab. Several tabs of one device may use it at once; each appends to a queue of its own.
/// </summary>
/// <remarks>
/// Nothing here is exact about what was run: an entry may be there although it was, and two tabs may run it. The database itself says how far a queue has come, in the transactions that run its
/// entries.
/// </remarks>
internal interface IDeferredJournal : IAsyncDisposable
{
    /// <summary>Opens it, and reads what earlier tabs have left: the oldest queue first, each in its order.</summary>
    /// <exception cref="StorageException">It cannot be opened or read.</exception>
    ValueTask<IReadOnlyList<JournalEntry>> OpenAsync(CancellationToken cancellationToken);

    /// <summary>Adds an entry; returns when it is durable.</summary>
    /// <exception cref="StorageException">It could not be added, for instance for lack of room.</exception>
    ValueTask AppendAsync(JournalEntry entry);

    /// <summary>Takes entries out; those that are not there are no error.</summary>
    /// <exception cref="StorageException">They may still be there.</exception>
    ValueTask RemoveAsync(IReadOnlyList<JournalEntry> entries);
}

/// <summary>One deferred write.</summary>
/// <param name="Queue">The tab in which it was made.</param>
/// <param name="Number">Its place in that tab's queue: rises, perhaps with gaps.</param>
/// <param name="Body">Its statements, as whoever appends it reads them.</param>
internal sealed record JournalEntry(TabId Queue, long Number, byte[] Body);

/// <summary>A journal in memory, for all tabs that share the object.</summary>
internal sealed class MemoryJournal : IDeferredJournal
{
    private readonly SortedDictionary<(TabId Queue, long Number), JournalEntry> _entries = [];

    /// <summary>How many entries there are.</summary>
    public int Count
    {
        get
        {
            lock (_entries) return _entries.Count;
        }
    }

    public ValueTask<IReadOnlyList<JournalEntry>> OpenAsync(CancellationToken cancellationToken)
    {
        lock (_entries) return new([.. _entries.Values]);
    }

    public ValueTask AppendAsync(JournalEntry entry)
    {
        lock (_entries) _entries.Add((entry.Queue, entry.Number), entry);
        return default;
    }

    public ValueTask RemoveAsync(IReadOnlyList<JournalEntry> entries)
    {
        lock (_entries) foreach (var entry in entries) _entries.Remove((entry.Queue, entry.Number));
        return default;
    }

    public ValueTask DisposeAsync() => default;
}
