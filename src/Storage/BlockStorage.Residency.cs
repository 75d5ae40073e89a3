using DataSync.Coordination;

namespace DataSync.Storage;

// Blocks that are stored and not in memory: who needs one is refused, and it is noted; they come in as they are stored, and leave when they are not needed.
internal sealed partial class BlockStorage
{
    private readonly SortedSet<int> _wanted = [];
    private long _uses, _misses;

    [ThreadStatic]
    private static long _missesHere;

    /// <summary>Rises whenever somebody needed what is not in memory.</summary>
    public long Misses => Volatile.Read(ref _misses);

    /// <summary>The same for all databases, and this thread alone: whether a call of SQLite came upon something, also where SQLite went on (PRAGMA integrity_check reports it).</summary>
    /// <remarks>Whoever looks at it and has seen to what was missed puts it back: work of one database may call another one, and its misses are none of the former's.</remarks>
    public static long MissesHere
    {
        get => _missesHere;
        set => _missesHere = value;
    }

    /// <summary>Bytes in memory.</summary>
    internal long ResidentBytes
    {
        get
        {
            lock (_lock) return _image.ResidentBytes;
        }
    }

    /// <summary>The extents that somebody needed and that did not come yet, rising; they are forgotten here.</summary>
    internal int[] TakeWanted()
    {
        lock (_lock)
        {
            int[] wanted = [.. _wanted.Where(IsIncomplete)];
            _wanted.Clear();
            return wanted;
        }
    }

    /// <summary>The extents of which something is missing, rising.</summary>
    internal int[] FindIncomplete()
    {
        lock (_lock) return [.. _image.Incomplete.Union(_chain.Select(c => c.Undo).Append(_batch).SelectMany(undo => undo?.Blocks ?? []).Select(id => (int)(id / Extent.BlockCount))).Where(IsIncomplete).Order()];
    }

    /// <summary>Those of some extents of which something is missing, now or in what is durable.</summary>
    internal int[] FindIncomplete(IEnumerable<int> indices)
    {
        lock (_lock) return [.. indices.Where(IsIncomplete)];
    }

    /// <summary>
    /// Takes in an extent as it is stored. False where that may be newer than <see cref="Durable"/>: then what is durable has to be shown first, and the extent
    /// to be read again.
    /// </summary>
    /// <param name="index">Which one.</param>
    /// <param name="stored">This image's from here on; null where nothing is stored.</param>
    /// <param name="checkpoint">Up to where the store's extents were complete when it was read.</param>
    /// <param name="end">Where the store's log ended then.</param>
    internal bool TryFill(int index, Extent? stored, Position checkpoint, Position end)
    {
        lock (_lock)
        {
            // Of what has no record nobody knows since when. A crash can leave extents that are ahead of the checkpoint.
            var newest = Math.Max(checkpoint.Marker, stored?.NewestVersion ?? end.Marker);
            if (newest > Durable.Marker && !Sabotage.IsMissing(Guard.ExtentVersion)) return false;
            foreach (var (_, undo) in _chain) undo.Fill(index, stored);
            if (!_isSealed) _batch?.Fill(index, stored);
            _image.Fill(index, stored);
            if (_image.Find(index) is { } extent) Use(extent);
            _wanted.Remove(index);
            return true;
        }
    }

    /// <summary>
    /// Frees the extents that were not used for longest until no more than so many bytes are in memory, as far as all that they hold is in a checkpoint. Only when
    /// idle, else nothing is done. The first extent stays: it has the schema's number.
    /// </summary>
    /// <returns>How many extents it freed.</returns>
    internal int Trim(long maxBytes, Position checkpoint)
    {
        lock (_lock)
        {
            var excess = _image.ResidentBytes - maxBytes;
            if (excess <= 0 || _pasts.Count > 0 || !IsIdle) return 0;

            // What is on its way, or was written since the checkpoint, has newer versions. What another tab's checkpoint holds may be newer than this image, but then it was read again.
            var known = Math.Min(checkpoint.Marker, Durable.Marker);
            var evicted = 0;
            foreach (var extent in _image.Extents.Where(extent => extent.Index > 0 && (extent.NewestVersion <= known || Sabotage.IsMissing(Guard.EvictClean))).OrderBy(extent => extent.LastUse).ToList())
            {
                if (_chain.Exists(c => c.Undo.MissesIn(extent.Index))) continue;
                _image.Evict(extent);
                evicted++;
                if ((excess -= Extent.MaxRecordSize) <= 0) break;
            }

            return evicted;
        }
    }

    /// <summary>Copies a block out for somebody who only looks: that counts neither as use nor as need.</summary>
    /// <returns>False where it is not in memory.</returns>
    internal bool TryPeek(long block, Span<byte> destination)
    {
        lock (_lock)
        {
            var (index, within) = ((int)(block / Extent.BlockCount), (int)(block % Extent.BlockCount));
            var available = (int)Math.Clamp(_size - block * Extent.BlockSize, 0, Extent.BlockSize);
            if (available > 0 && (_image.MissingIn(index) >> within & 1) != 0) return false;
            destination[..Extent.BlockSize].Clear();
            _image.Find(index)?.Block(within)[..available].CopyTo(destination);
            return true;
        }
    }

    private bool IsIncomplete(int index) =>
        _image.MissingIn(index) != 0 || _chain.Exists(c => c.Undo.MissesIn(index)) || (!_isSealed && _batch?.MissesIn(index) == true);

    private void Need(int index, ulong blocks)
    {
        if ((_image.MissingIn(index) & blocks) == 0) return;
        _wanted.Add(index);
        Volatile.Write(ref _misses, _misses + 1);
        _missesHere++;
        throw new NotResidentException();
    }

    private Extent Use(Extent extent)
    {
        extent.LastUse = ++_uses;
        return extent;
    }

    private static ulong BlocksOf(int within, int length) => Bits(within / Extent.BlockSize, (within + length - 1) / Extent.BlockSize + 1);

    private static ulong WholeBlocksOf(int within, int length) => Bits((within + Extent.BlockSize - 1) / Extent.BlockSize, (within + length) / Extent.BlockSize);

    private static ulong Bits(int from, int to) => to <= from ? 0 : (ulong.MaxValue >> (Extent.BlockCount - (to - from))) << from;
}
