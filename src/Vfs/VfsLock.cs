using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>
/// The locks of one database among the connections of this tab: many readers or, once they have left, one writer. Other
/// tabs are not seen here; the storage below arbitrates between tabs.
/// </summary>
internal sealed class VfsLock
{
    private readonly Lock _gate = new();
    private readonly List<DatabaseFile> _files = [];
    private object? _writer;
    private LockLevel _writerLevel;
    private int _readers;

    public VfsLock(BlockStorage storage) => storage.RecallReaders = RecallShares;

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
            RecallShares();
            lock (_gate) return _readers;
        }
    }

    /// <summary>A file was opened.</summary>
    public void Add(DatabaseFile file)
    {
        lock (_gate) _files.Add(file);
    }

    /// <summary>It is closed.</summary>
    public void Remove(DatabaseFile file)
    {
        lock (_gate) _files.Remove(file);
    }

    /// <summary>Takes from the readers those that only keep their locks, and from the others the leave to do so.</summary>
    public void RecallShares()
    {
        DatabaseFile[] files;
        lock (_gate)
        {
            if (_readers == 0) return;
            files = [.. _files];
        }

        foreach (var file in files) file.Recall();
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
        RecallShares(); // its own is in use
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
