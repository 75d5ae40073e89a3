namespace DataSync.Storage;

/// <summary>What one batch found before it changed anything: enough to put the image back exactly as it was.</summary>
internal sealed class BlockUndo(Position position, long fileSize)
{
    private readonly Dictionary<uint, (BlockMetadata Metadata, byte[]? Bytes)> _before = [];

    /// <summary>Where the image stood before the batch.</summary>
    public Position Position { get; } = position;

    /// <summary>The database's size before the batch.</summary>
    public long FileSize { get; } = fileSize;

    /// <summary>The blocks that the batch touched, in no order.</summary>
    public IReadOnlyCollection<uint> Blocks => _before.Keys;

    /// <summary>Whether a block that the batch touched was there before it.</summary>
    public bool WasPresent(uint id) => _before[id].Metadata.IsPresent;

    /// <summary>The bytes of a block before the batch; null where the batch has not touched it, or it was not there.</summary>
    public byte[]? BytesBefore(uint id) => _before.TryGetValue(id, out var before) ? before.Bytes : null;

    /// <summary>Whether the batch has touched a block.</summary>
    public bool Has(uint id) => _before.ContainsKey(id);

    /// <summary>Keeps a block as it is now, unless it was kept before.</summary>
    public void Keep(uint id, Extent extent, int block)
    {
        if (_before.ContainsKey(id)) return;
        var metadata = extent[block];

        // A block that was never written is all zero: nothing to copy.
        _before.Add(id, (metadata, metadata.IsPresent ? extent.Block(block).ToArray() : null));
    }

    /// <summary>Puts every block of the image back.</summary>
    public void Restore(BlockImage image)
    {
        foreach (var id in _before.Keys) Restore(id, image.GetOrAdd((int)(id / Extent.BlockCount)));
        image.FileSize = FileSize;
        image.Position = Position;
    }

    /// <summary>Puts one extent (a copy of the image's) back, as far as this batch touched it.</summary>
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
