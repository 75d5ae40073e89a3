namespace DataSync.Storage;

// What is stored and not in memory. A block is missing when it is known to this image only by its place: no commit that was applied here has written
// or freed it since it was stored. So what a store holds of it, as of any moment up to the image's durable position, is what it is here.
internal sealed partial class BlockImage
{
    private readonly HashSet<int> _absent = []; // extents of which nothing is in memory
    private long _storedSize; // no block behind it was in a stored record that is not in memory

    /// <summary>Bytes in memory.</summary>
    public long ResidentBytes => Extents.Count() * (long)Extent.MaxRecordSize;

    /// <summary>Extents of which something is missing, rising.</summary>
    public IEnumerable<int> Incomplete => _absent.Concat(Extents.Where(extent => extent.Missing != 0).Select(extent => extent.Index)).Order();

    /// <summary>The blocks of an extent that are missing, as bits.</summary>
    public ulong MissingIn(int index) => Find(index) is { } extent ? extent.Missing : _absent.Count > 0 && _absent.Contains(index) ? StoredIn(index) : 0;

    /// <summary>An extent, in memory from here on if anything of it is missing; null where nothing was ever written.</summary>
    public Extent? FindOrMiss(int index) => Find(index) ?? (_absent.Count > 0 && _absent.Contains(index) ? GetOrAdd(index) : null);

    /// <summary>These are stored, and nothing of them is in memory.</summary>
    /// <param name="indices">Which; those in memory are left out.</param>
    /// <param name="storedSize">The database's size when they were stored.</param>
    public void AddAbsent(IEnumerable<int> indices, long storedSize)
    {
        _storedSize = Math.Max(_storedSize, storedSize);
        foreach (var index in indices)
        {
            MakeRoom(index);
            if (_extents[index] is null) _absent.Add(index);
        }
    }

    /// <summary>Takes what is missing of an extent from its stored record, which nobody else uses from here on; null: it has none any more.</summary>
    public void Fill(int index, Extent? stored)
    {
        if (stored is not null && _absent.Remove(index))
        {
            _extents[index] = stored;
            return;
        }

        if (FindOrMiss(index) is { } extent)
        {
            for (var block = 0; block < Extent.BlockCount && extent.Missing != 0; block++)
            {
                if ((extent.Missing >> block & 1) == 0) continue;
                stored?.Block(block).CopyTo(extent.Block(block));
                extent[block] = stored?[block] ?? default;
            }
        }

        stored?.Dispose();
    }

    /// <summary>Frees an extent whose blocks are all in its stored record.</summary>
    public void Evict(Extent extent)
    {
        _extents[extent.Index] = null;
        extent.Dispose();
        AddAbsent([extent.Index], FileSize);
    }

    private ulong Take(int index) => _absent.Remove(index) ? StoredIn(index) : 0;

    private ulong StoredIn(int index)
    {
        var blocks = (_storedSize + Extent.BlockSize - 1) / Extent.BlockSize - (long)index * Extent.BlockCount;
        return blocks >= Extent.BlockCount ? ulong.MaxValue : blocks <= 0 ? 0 : (1UL << (int)blocks) - 1;
    }
}
