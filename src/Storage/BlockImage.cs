namespace DataSync.Storage;

/// <summary>A tab's blocks in memory. Not thread-safe; its owner's lock protects it.</summary>
internal sealed partial class BlockImage : IDisposable
{
    private Extent?[] _extents = [];
    private HashSet<int>? _copies; // of those that are not another image's; null: all are this one's

    /// <summary>Where the history stands that this image shows.</summary>
    public Position Position { get; internal set; }

    /// <summary>Size of the database in bytes.</summary>
    public long FileSize { get; internal set; }

    /// <summary>One more than the greatest index of an extent that may exist.</summary>
    public int ExtentCount => _extents.Length;

    /// <summary>All extents, rising.</summary>
    internal IEnumerable<Extent> Extents => _extents.OfType<Extent>();

    /// <summary>The blocks that are there.</summary>
    internal IEnumerable<uint> Blocks =>
        Extents.SelectMany(extent => Enumerable.Range(0, Extent.BlockCount).Where(extent.IsPresent).Select(block => (uint)(extent.Index * Extent.BlockCount + block)));

    /// <summary>An extent, or null where nothing was ever written (all zero), or nothing was read yet: see <see cref="MissingIn"/>.</summary>
    /// <param name="index">Zero or greater.</param>
    public Extent? Find(int index) => (uint)index < (uint)_extents.Length ? _extents[index] : null;

    /// <summary>An extent, made empty (but for what is missing) when there is none.</summary>
    internal Extent GetOrAdd(int index)
    {
        MakeRoom(index);
        return _extents[index] ??= new Extent(index) { Missing = Take(index) };
    }

    /// <summary>Takes over an extent that was read from a store.</summary>
    internal void Adopt(Extent extent)
    {
        GetOrAdd(extent.Index).Dispose();
        _extents[extent.Index] = extent;
    }

    /// <summary>
    /// Applies a commit's blocks. Idempotent by (block, version): a block that already holds this version or a newer one
    /// is left alone.
    /// </summary>
    internal void Apply(CommitRecord commit)
    {
        var ids = commit.BlockIds;
        for (var i = 0; i < ids.Length; i++)
        {
            var extent = GetOrAdd((int)(ids[i] / Extent.BlockCount));
            var block = (int)(ids[i] % Extent.BlockCount);
            if (extent[block].Version >= commit.Marker) continue;
            commit.BlockData(i).CopyTo(extent.Block(block));
            extent[block] = new(commit.Marker, commit.BlockChecksum(i), commit.TimeMs, IsPresent: true);
        }

        foreach (var id in commit.FreedIds)
        {
            // Only what is there can be freed; no memory for what a record says beside that.
            if (FindOrMiss((int)(id / Extent.BlockCount)) is not { } extent) continue;
            var block = (int)(id % Extent.BlockCount);
            if (extent[block].Version >= commit.Marker) continue;
            extent.Block(block).Clear();
            extent[block] = new(commit.Marker, 0, commit.TimeMs, IsPresent: false);
        }

        if (commit.Marker <= Position.Marker) return;
        FileSize = commit.FileSize;
        Position = commit.Position;
    }

    /// <summary>This image as it was. Extents that did not change are this one's own, so it must outlive the other, and must not change meanwhile.</summary>
    internal BlockImage Before(BlockUndo changes)
    {
        var before = new BlockImage { _extents = [.. _extents], _copies = [], FileSize = changes.FileSize, Position = changes.Position };
        before.AddAbsent(_absent, _storedSize);
        foreach (var index in changes.Blocks.Select(id => (int)(id / Extent.BlockCount)).Distinct())
        {
            var copy = new Extent(index) { Missing = MissingIn(index) };
            Find(index)?.RecordBytes.CopyTo(copy.RecordBytes);
            before._absent.Remove(index);
            changes.Restore(copy);
            before.MakeRoom(index);
            before._extents[index] = copy;
            before._copies.Add(index);
        }

        return before;
    }

    /// <summary>Frees the memory.</summary>
    public void Dispose()
    {
        foreach (var extent in _extents)
        {
            if (_copies is null || (extent is not null && _copies.Contains(extent.Index))) extent?.Dispose();
        }

        _extents = [];
    }

    private void MakeRoom(int index)
    {
        if (index >= _extents.Length) Array.Resize(ref _extents, Math.Max(index + 1, Math.Min(_extents.Length * 2, _extents.Length + 1024)));
    }
}
