namespace DataSync.Storage;

/// <summary>What the image held at one moment (before a batch, or when somebody began to compare) where it was changed since: enough to put it back exactly as it was.</summary>
internal sealed class BlockUndo(Position position, long fileSize)
{
    private readonly Dictionary<uint, (BlockMetadata Metadata, byte[]? Bytes)> _before = [];

    /// <summary>Where the image stood then.</summary>
    public Position Position { get; } = position;

    /// <summary>The database's size then.</summary>
    public long FileSize { get; } = fileSize;

    /// <summary>What <see cref="BlockStorage.Retractions"/> was then; of what is remembered only.</summary>
    public long Retractions { get; init; }

    /// <summary>The blocks that were touched since, in no order.</summary>
    public IReadOnlyCollection<uint> Blocks => _before.Keys;

    /// <summary>Whether a block that was touched since was there then.</summary>
    public bool WasPresent(uint id) => _before[id].Metadata.IsPresent;

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

        // A block that was never written is all zero: nothing to copy.
        _before.Add(id, (metadata, metadata.IsPresent ? extent.Block(block).ToArray() : null));
    }

    /// <summary>Keeps what another one has kept, unless it was kept before.</summary>
    public void Keep(BlockUndo other)
    {
        foreach (var (id, before) in other._before) _before.TryAdd(id, before);
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
        var (metadata, bytes) = _before[id];
        var block = (int)(id % Extent.BlockCount);
        if (bytes is null) extent.Block(block).Clear();
        else bytes.CopyTo(extent.Block(block));
        extent[block] = metadata;
    }
}
