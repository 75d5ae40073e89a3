namespace DataSync.Storage;

// What the image held earlier, for those who compare it with what it holds now.
internal sealed partial class BlockStorage
{
    private readonly List<BlockUndo> _pasts = [];

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
}
