using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Where the statements of deferred writes are kept until they are durable, over the end of a tab. Each tab of a device appends to a queue of its own. What a tab has left when it ended is given to
/// whoever opens next or, where nobody does, to one of those that are open, the heir; and when that ends, too, to the next.
/// </summary>
/// <remarks>
/// Nothing here is exact about what was run: an entry may be there although it was. The database itself says how far a queue has come, in the transactions that run its entries. Where a page has no
/// locks, nobody knows who is open: each tab that opens is given all there is, and the database alone keeps it exact.
/// </remarks>
internal interface IDeferredJournal : IAsyncDisposable
{
    /// <summary>Opens it. From now until it is disposed, or the tab ends, nobody else is given what is appended to this tab's queue.</summary>
    /// <param name="queue">This tab.</param>
    /// <param name="inherits">Whether it can run what others have left.</param>
    /// <param name="cancellationToken">Stops opening.</param>
    /// <returns>What others have left, unless somebody was given it who is open: the oldest queue first, each in its order.</returns>
    /// <exception cref="StorageException">It cannot be opened or read.</exception>
    ValueTask<IReadOnlyList<JournalEntry>> OpenAsync(TabId queue, bool inherits, CancellationToken cancellationToken);

    /// <summary>Waits until this tab is the heir and others have left something that nobody was given who is open. One call at a time.</summary>
    /// <returns>As they have left it; nothing once this is disposed.</returns>
    /// <exception cref="StorageException">It cannot be read; the next call tries again.</exception>
    ValueTask<IReadOnlyList<JournalEntry>> WaitForLeftAsync();

    /// <summary>Adds an entry; returns when it is durable.</summary>
    /// <exception cref="StorageException">It could not be added, for instance for lack of room.</exception>
    ValueTask AppendAsync(JournalEntry entry);

    /// <summary>Puts another body in the place of an entry's; returns when it is durable.</summary>
    /// <exception cref="StorageException">It could not be replaced.</exception>
    ValueTask ReplaceAsync(JournalEntry entry);

    /// <summary>Takes entries out; those that are not there are no error.</summary>
    /// <exception cref="StorageException">They may still be there.</exception>
    ValueTask RemoveAsync(IReadOnlyList<JournalEntry> entries);
}

/// <summary>One deferred write.</summary>
/// <param name="Queue">The tab in which it was made.</param>
/// <param name="Number">Its place in that tab's queue: rises, perhaps with gaps.</param>
/// <param name="Body">Its statements, as whoever appends it reads them.</param>
internal sealed record JournalEntry(TabId Queue, long Number, byte[] Body);
