namespace DataSync.Vfs;

/// <summary>
/// The locks of one database among the connections of this tab: many readers or, once they have left, one writer. Other
/// tabs are not seen here; the storage below arbitrates between tabs.
/// </summary>
internal sealed class VfsLock
{
    private readonly Lock _gate = new();
    private object? _writer;
    private LockLevel _writerLevel;
    private int _readers;

    /// <summary>Whether any connection may be about to write.</summary>
    public bool IsReserved
    {
        get
        {
            lock (_gate) return _writer is not null;
        }
    }

    /// <summary>How many connections read, the one that writes included.</summary>
    public int Readers
    {
        get
        {
            lock (_gate) return _readers;
        }
    }

    /// <summary>Begins to read, unless a writer waits for the readers to leave, or writes.</summary>
    public bool TryShare()
    {
        lock (_gate)
        {
            if (_writer is not null && _writerLevel >= LockLevel.Pending) return false;
            _readers++;
            return true;
        }
    }

    /// <summary>A reader becomes the one that may write next.</summary>
    public bool TryReserve(object reader)
    {
        lock (_gate)
        {
            if (_writer is not null) return _writer == reader;
            (_writer, _writerLevel) = (reader, LockLevel.Reserved);
            return true;
        }
    }

    /// <summary>
    /// A reader becomes the only one. On failure other readers are still there; the caller then holds
    /// <see cref="LockLevel.Pending"/>, which keeps new readers out, or what it had if another one writes.
    /// </summary>
    public bool TryExclude(object reader, out bool isPending)
    {
        lock (_gate)
        {
            isPending = false;
            if (_writer is not null && _writer != reader) return false;
            isPending = true;
            (_writer, _writerLevel) = (reader, LockLevel.Pending);
            if (_readers > 1) return false;
            _writerLevel = LockLevel.Exclusive;
            return true;
        }
    }

    /// <summary>A writer is a reader again.</summary>
    public void ReleaseWriter(object reader)
    {
        lock (_gate)
        {
            if (_writer == reader) (_writer, _writerLevel) = (null, LockLevel.None);
        }
    }

    /// <summary>A reader leaves.</summary>
    public void ReleaseShare(object reader)
    {
        lock (_gate)
        {
            if (_writer == reader) (_writer, _writerLevel) = (null, LockLevel.None);
            _readers--;
        }
    }
}
