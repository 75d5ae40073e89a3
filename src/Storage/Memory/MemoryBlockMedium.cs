namespace DataSync.Storage;

/// <summary>Which kind of record of a store.</summary>
public enum StoreRecordKind
{
    /// <summary>The head; its key is 0.</summary>
    Head,

    /// <summary>A commit; its key is the marker.</summary>
    Log,

    /// <summary>An extent; its key is the index.</summary>
    Extent,

    /// <summary>The head's copy; its key is 0.</summary>
    HeadCopy,
}

/// <summary>
/// What a <see cref="MemoryBlockStore"/> keeps its records in. Several stores on one medium are like several tabs on one
/// IndexedDB database. Lives as long as it is referenced. Callable from any thread.
/// </summary>
internal sealed class MemoryBlockMedium
{
    private readonly List<MemoryBlockStore> _openers = [];

    internal Lock Lock { get; } = new();

    internal byte[]? HeadRecord { get; set; }

    internal byte[]? HeadCopy { get; set; }

    internal SortedDictionary<long, (CommitId Id, byte[] Bytes)> Log { get; set; } = [];

    internal SortedDictionary<int, byte[]> Extents { get; set; } = [];

    /// <summary>
    /// Whether the last log record counts as one that a crash may have cut short, as on a file system without order;
    /// false by default, as on IndexedDB.
    /// </summary>
    public bool CanTear { get; set; }

    /// <summary>The records that repairs removed or replaced, oldest first.</summary>
    public IReadOnlyList<(StoreRecordKind Kind, long Key, ReadOnlyMemory<byte> Bytes)> Quarantine
    {
        get
        {
            lock (Lock) return [.. Quarantined];
        }
    }

    internal List<(StoreRecordKind Kind, long Key, ReadOnlyMemory<byte> Bytes)> Quarantined { get; } = [];

    /// <summary>A copy of a record's bytes as stored, or null when there is none.</summary>
    /// <param name="kind">Which kind of record.</param>
    /// <param name="key">The marker or index; 0 for the head and its copy.</param>
    public byte[]? GetRecord(StoreRecordKind kind, long key)
    {
        lock (Lock)
        {
            return kind switch
            {
                StoreRecordKind.Head => HeadRecord?.ToArray(),
                StoreRecordKind.HeadCopy => HeadCopy?.ToArray(),
                StoreRecordKind.Log => Log.TryGetValue(key, out var entry) ? [.. entry.Bytes] : null,
                _ => Extents.TryGetValue((int)key, out var bytes) ? [.. bytes] : null,
            };
        }
    }

    /// <summary>Replaces a record's bytes without any check: for tests that damage a store.</summary>
    /// <param name="kind">Which kind of record.</param>
    /// <param name="key">The marker or index; 0 for the head and its copy.</param>
    /// <param name="bytes">The new bytes, copied; null removes the record.</param>
    public void SetRecord(StoreRecordKind kind, long key, byte[]? bytes)
    {
        lock (Lock)
        {
            var copy = bytes?.ToArray();
            if (kind == StoreRecordKind.Head) HeadRecord = copy;
            else if (kind == StoreRecordKind.HeadCopy) HeadCopy = copy;
            else if (kind == StoreRecordKind.Log && copy is null) Log.Remove(key);
            else if (kind == StoreRecordKind.Log) Log[key] = (Log.TryGetValue(key, out var old) ? old.Id : CommitId.None, copy!);
            else if (copy is null) Extents.Remove((int)key);
            else Extents[(int)key] = copy;
        }
    }

    /// <summary>Cuts every open store off, as when a browser evicts an origin's storage or loses its storage process.</summary>
    public void Disconnect()
    {
        foreach (var store in TakeOpeners(null)) store.OnClosed(StoreClosedReason.Lost);
    }

    internal void AddOpener(MemoryBlockStore store)
    {
        if (!_openers.Contains(store)) _openers.Add(store);
    }

    internal void RemoveOpener(MemoryBlockStore store)
    {
        lock (Lock) _openers.Remove(store);
    }

    /// <summary>All open stores but one; they are forgotten here.</summary>
    internal List<MemoryBlockStore> TakeOpeners(MemoryBlockStore? except)
    {
        lock (Lock)
        {
            var taken = _openers.FindAll(opener => opener != except);
            _openers.Clear();
            return taken;
        }
    }
}
