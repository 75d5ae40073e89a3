namespace DataSync.Storage;

/// <summary>What the image held at one moment (before a batch, or when somebody began to compare) where it was changed since: enough to put it back exactly as it was.</summary>
internal sealed class BlockUndo(Position position, long fileSize)
{
    private readonly Dictionary<uint, (BlockMetadata Metadata, byte[]? Bytes, bool IsMissing)> _before = [];
    private int _missing; // how many of them were missing then, and are not known yet

    /// <summary>Where the image stood then.</summary>
    public Position Position { get; } = position;

    /// <summary>The database's size then.</summary>
    public long FileSize { get; } = fileSize;

    /// <summary>What <see cref="BlockStorage.Retractions"/> was then; of what is remembered only.</summary>
    public long Retractions { get; init; }

    /// <summary>The blocks that were touched since, in no order.</summary>
    public IReadOnlyCollection<uint> Blocks => _before.Keys;

    /// <summary>Whether a block that was touched since was there then, or may have been.</summary>
    public bool WasPresent(uint id) => _before[id] is { Metadata.IsPresent: true } or { IsMissing: true };

    /// <summary>Whether a block of an extent was missing then and is not known yet.</summary>
    public bool MissesIn(int index)
    {
        if (_missing == 0) return false;
        foreach (var (id, before) in _before) if (before.IsMissing && id / Extent.BlockCount == index) return true;
        return false;
    }

    /// <summary>The bytes of a block then; null where it was not touched since, or was not there.</summary>
    public byte[]? BytesBefore(uint id) => _before.TryGetValue(id, out var before) ? before.Bytes : null;

    /// <summary>Whether a block was touched since.</summary>
    public bool Has(uint id) => _before.ContainsKey(id);

    /// <summary>Keeps a block as it is now, unless it was kept before.</summary>
    /// <param name="id">The block.</param>
    /// <param name="extent">Where it is; null where nothing was ever written.</param>
    public void Keep(uint id, Extent? extent)
    {
        if (_before.ContainsKey(id)) return;
        if (extent is null)
        {
            _before.Add(id, default);
            return;
        }

        var block = (int)(id % Extent.BlockCount);
        var metadata = extent[block];
        var isMissing = (extent.Missing >> block & 1) != 0;
        if (isMissing) _missing++;

        // A block that was never written is all zero: nothing to copy.
        _before.Add(id, (metadata, metadata.IsPresent ? extent.Block(block).ToArray() : null, isMissing));
    }

    /// <summary>Takes what was missing then from an extent's stored record; null: it has none any more.</summary>
    public void Fill(int index, Extent? stored)
    {
        if (_missing == 0) return;
        foreach (var id in _before.Keys.Where(id => id / Extent.BlockCount == index && _before[id].IsMissing).ToList())
        {
            var block = (int)(id % Extent.BlockCount);
            var metadata = stored?[block] ?? default;
            _before[id] = (metadata, metadata.IsPresent ? stored!.Block(block).ToArray() : null, false);
            _missing--;
        }
    }

    /// <summary>Keeps what another one has kept, unless it was kept before.</summary>
    public void Keep(BlockUndo other)
    {
        foreach (var (id, before) in other._before) if (_before.TryAdd(id, before) && before.IsMissing) _missing++;
    }

    /// <summary>Puts every block of the image back.</summary>
    public void Restore(BlockImage image)
    {
        foreach (var id in _before.Keys) Restore(id, image.GetOrAdd((int)(id / Extent.BlockCount)));
        image.FileSize = FileSize;
        image.Position = Position;
    }

    /// <summary>Puts one extent (a copy of the image's) back, as far as it was touched since.</summary>
    public void Restore(Extent extent)
    {
        var first = (uint)extent.Index * Extent.BlockCount;
        for (var id = first; id < first + Extent.BlockCount; id++)
        {
            if (_before.ContainsKey(id)) Restore(id, extent);
        }
    }

    private void Restore(uint id, Extent extent)
    {
        var (metadata, bytes, isMissing) = _before[id];
        var block = (int)(id % Extent.BlockCount);
        if (bytes is null) extent.Block(block).Clear();
        else bytes.CopyTo(extent.Block(block));
        extent[block] = metadata;
        if (isMissing) extent.Missing |= 1UL << block;
    }
}
