namespace DataSync.Storage;

// Bytes that are only read: what the image held earlier, for those who compare it with what it holds now, and files that are looked at.
internal sealed partial class BlockStorage
{
    private readonly List<BlockUndo> _pasts = [];

    /// <summary>Bytes that can be read and never written, without a store: a file that is looked at before it is imported.</summary>
    /// <param name="chunks">The bytes, in chunks of 256 KiB but for the last one.</param>
    public static BlockStorage CreateReadOnly(IReadOnlyList<byte[]> chunks)
    {
        ArgumentNullException.ThrowIfNull(chunks);
        var image = new BlockImage();
        for (var i = 0; i < chunks.Count; i++)
        {
            chunks[i].CopyTo(image.GetOrAdd(i).RecordBytes[Extent.HeaderSize..]);
            image.FileSize += chunks[i].Length;
        }

        return new BlockStorage(new NoWriter(), image, default, default, TimeProvider.System);
    }

    /// <summary>
    /// Keeps what the image holds now, without a batch that is open: from here on each block is copied before it changes for the first time. Until
    /// <see cref="Forget"/>.
    /// </summary>
    internal BlockUndo Remember()
    {
        lock (_lock)
        {
            // Of a batch that is sealed its owner knows: it is in the image for good, or will be taken out of it.
            var open = _isSealed ? null : _batch;
            var past = new BlockUndo(open?.Position ?? _image.Position, open?.FileSize ?? _image.FileSize) { Retractions = Retractions };
            if (open is not null) past.Keep(open);
            _pasts.Add(past);
            return past;
        }
    }

    /// <summary>How many blocks were copied for those who compare.</summary>
    internal int RememberedBlocks
    {
        get
        {
            lock (_lock) return _pasts.Sum(past => past.Blocks.Count);
        }
    }

    /// <summary>Frees what was kept. Again: no effect.</summary>
    internal void Forget(BlockUndo past)
    {
        lock (_lock) _pasts.Remove(past);
    }

    /// <summary>
    /// The bytes as they were, to be read only, and only while the caller keeps the image from changing: it reads it, through SQLite's lock. Blocks that did not
    /// change are the image's own.
    /// </summary>
    internal BlockStorage OpenPast(BlockUndo past)
    {
        lock (_lock) return new(new NoWriter(), _image.Before(past), _checksum, _writer, _time);
    }

    private void KeepForPasts(IEnumerable<uint> ids)
    {
        if (_pasts.Count == 0) return;
        foreach (var id in ids) Keep(null, id, ExtentOf(id));
    }

    private sealed class NoWriter : IBatchOwner
    {
        public string? TryBeginBatch() => "It can only be read.";

        public void OnSealed(CommitRecord commit) => throw new InvalidOperationException("It can only be read.");

        public void OnBatchEnded()
        {
        }

        public void OnIdle()
        {
        }
    }
}
