using System.Buffers.Binary;
using System.Security.Cryptography;
using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;

namespace DataSync.Vfs;

/// <summary>
/// One connection's view of a main database: SQLite's locks become reads and batches of the <see cref="BlockStorage"/>.
/// </summary>
/// <remarks>
/// A batch is one SQLite transaction. It begins with RESERVED (or, under <c>locking_mode=EXCLUSIVE</c>, where SQLite
/// keeps its lock, with the first write), is published at <c>SQLITE_FCNTL_COMMIT_PHASETWO</c>, which the pager sends
/// after the last write and truncate and before it unlocks, and is dropped when the lock falls without that.
/// </remarks>
internal sealed class DatabaseFile : VfsFile
{
    /// <summary>Page 1: the change counter that the pager compares, the two bytes that say WAL.</summary>
    private const int VersionOffset = 24, VersionLength = 16, FormatOffset = 18, MinPageSize = 512;

    private readonly string _name;
    private readonly BlockStorage _storage;
    private readonly VfsLock _locks;
    private readonly ILogger _logger;
    private readonly bool _isReadOnly;
    private readonly Action _onClose;
    private readonly KeptShare _share = new();
    private readonly HashSet<string> _tables = [];
    private LockLevel _level;
    private bool _hasBatch, _isCacheOld, _isSchemaOld, _hasMissed;
    private long _cacheGeneration, _schemaRetractions;
    private (int Told, int Stored)? _cookie; // what the connection was told is the schema's number, and what it was

    public DatabaseFile(string name, BlockStorage storage, VfsLock locks, bool isReadOnly, ILogger logger, Action onClose)
    {
        (_name, _storage, _locks, _isReadOnly, _logger, _onClose) = (name, storage, locks, isReadOnly, logger, onClose);
        (_cacheGeneration, _schemaRetractions) = (storage.Generation, storage.Retractions);
        locks.Add(this);
    }

    /// <inheritdoc/>
    public override LockLevel Level => _share.IsInUse ? LockLevel.Shared : _level;

    /// <inheritdoc/>
    public override nint ShareAddress => _share.Address;

    /// <inheritdoc/>
    public override long Size => _storage.Size;

    /// <inheritdoc/>
    public override bool IsReserved => _locks.IsReserved;

    /// <inheritdoc/>
    public override nint GetReadAddress(long offset, int length)
    {
        if ((_isCacheOld || _isSchemaOld) && offset < MinPageSize) return 0;
        try
        {
            return _storage.GetReadAddress(offset, length);
        }
        catch (ObjectDisposedException)
        {
            return 0;
        }
    }

    /// <inheritdoc/>
    public override nint GetWriteAddress(long offset, int length)
    {
        // The first page passes through WriteCore, which looks at its header.
        if (offset < MinPageSize || !_hasBatch) return 0;
        try
        {
            return _storage.GetWriteAddress(offset, length);
        }
        catch (Exception e) when (e is ObjectDisposedException or OutOfMemoryException or NotResidentException)
        {
            return 0;
        }
    }

    /// <inheritdoc/>
    public override int TryLock(LockLevel level)
    {
        if (level <= Level || (level == LockLevel.Shared && _share.TryTake())) return SqliteResult.Ok;
        try
        {
            return level switch
            {
                LockLevel.Shared => Share(),
                LockLevel.Reserved => Reserve(),
                _ => Exclude(),
            };
        }
        catch (Exception e)
        {
            return VfsFailure.Report(e, SqliteResult.IoErrorLock);
        }
    }

    /// <inheritdoc/>
    public override int Unlock(LockLevel level)
    {
        if (level >= Level || (level == LockLevel.None && _share.TryKeep())) return SqliteResult.Ok;
        var result = SqliteResult.Ok;
        _level = level;
        _share.End();
        try
        {
            if (_hasBatch) Rollback();
        }
        catch (Exception e)
        {
            result = VfsFailure.Report(e, SqliteResult.IoErrorUnlock);
        }

        if (level == LockLevel.Shared)
        {
            _locks.ReleaseWriter(this);
            return result;
        }

        _locks.ReleaseShare(this);
        try
        {
            _storage.ExitRead();
        }
        catch (Exception e)
        {
            result = VfsFailure.Report(e, SqliteResult.IoErrorUnlock);
        }

        return result;
    }

    /// <inheritdoc/>
    public override int Control(SqliteFileControl operation) => operation switch
    {
        SqliteFileControl.CommitPhaseTwo => Commit(),
        SqliteFileControl.SizeHint or SqliteFileControl.Sync => SqliteResult.Ok,
        _ => SqliteResult.NotFound,
    };

    /// <inheritdoc/>
    public override void Touch(string table)
    {
        if (table != AppliedWrites.Table) _tables.Add(table); // nobody's rows
    }

    /// <inheritdoc/>
    public override int Close()
    {
        Recall();
        var result = Unlock(LockLevel.None);
        _locks.Remove(this);
        _onClose();
        return result;
    }

    /// <summary>Gives the SHARED lock back that SQLite does not hold any more. From any thread.</summary>
    public void Recall()
    {
        if (!_share.TryRecall()) return;
        _locks.ReleaseShare(this);
        _storage.Recede();
    }

    protected override int ReadCore(long offset, Span<byte> destination)
    {
        int available;
        try
        {
            available = _storage.Read(offset, destination);
        }
        catch (NotResidentException)
        {
            _hasMissed |= _hasBatch;
            throw;
        }

        if (_isCacheOld && offset == VersionOffset && destination.Length == VersionLength)
        {
            // The pager compares these 16 bytes with those of the page 1 that it holds. Two histories can carry the same
            // counter, so give what no page 1 has: zero pages, of which 4 billion are free.
            destination.Fill(0xFF);
            destination.Slice(4, 4).Clear();
            (_isCacheOld, _cacheGeneration) = (false, _storage.Generation);
            return SqliteResult.Ok;
        }

        if (_isSchemaOld && offset == 0 && available >= MinPageSize)
        {
            // A commit was taken back: another one may have used the same schema cookie for another schema. Or work missed something in its middle: SQLite rolled it back within a virtual table's own
            // call, and what that has in memory since is wrong (FTS5 takes its number of rows, of which it could not read it, for 0). With the schema it is read again.
            var cookie = destination[BlockStorage.SchemaCookieOffset..];
            var told = RandomNumberGenerator.GetInt32(int.MaxValue);
            _cookie = (told, BinaryPrimitives.ReadInt32BigEndian(cookie));
            BinaryPrimitives.WriteInt32BigEndian(cookie, told);
            (_isSchemaOld, _hasMissed, _schemaRetractions) = (false, false, _storage.Retractions);
        }

        return available < destination.Length ? SqliteResult.IoErrorShortRead : SqliteResult.Ok;
    }

    protected override int WriteCore(long offset, ReadOnlySpan<byte> source)
    {
        if (EnsureBatch(SqliteResult.IoErrorWrite) is var result and not SqliteResult.Ok) return result;
        _storage.Write(offset, source);
        if (offset == 0 && source.Length >= MinPageSize && _cookie is { } cookie && BinaryPrimitives.ReadInt32BigEndian(source[BlockStorage.SchemaCookieOffset..]) == cookie.Told)
        {
            // The schema is as it was: others need not read it again.
            Span<byte> stored = stackalloc byte[sizeof(int)];
            BinaryPrimitives.WriteInt32BigEndian(stored, cookie.Stored);
            _storage.Write(BlockStorage.SchemaCookieOffset, stored);
        }

        if (offset == 0 && source.Length >= MinPageSize && (source[FormatOffset] == 2 || source[FormatOffset + 1] == 2))
        {
            // Copied from a database in WAL mode: here it must be openable without a WAL.
            _storage.Write(FormatOffset, [1, 1]);
        }

        return SqliteResult.Ok;
    }

    protected override int TruncateCore(long size)
    {
        if (EnsureBatch(SqliteResult.IoErrorTruncate) is var result and not SqliteResult.Ok) return result;
        _storage.Truncate(size);
        return SqliteResult.Ok;
    }

    private int Share()
    {
        if (!_locks.TryShare()) return VfsFailure.Report(SqliteResult.Busy, $"Another connection of this tab is writing to '{_name}'.");
        _share.Begin(); // before it counts as a reader: who asks whether there are any tells it that it was asked
        _storage.EnterRead();
        _isSchemaOld = _storage.Retractions != _schemaRetractions || _hasMissed;
        _isCacheOld = (_storage.Generation != _cacheGeneration || _hasMissed) && !Sabotage.IsMissing(Guard.PageCache);
        return SqliteResult.Ok;
    }

    private int Reserve()
    {
        if (Level < LockLevel.Shared) return VfsFailure.Report(SqliteResult.IoErrorLock, "RESERVED was asked for without SHARED.");
        if (!_locks.TryReserve(this)) return VfsFailure.Report(SqliteResult.Busy, $"Another connection of this tab has begun to write to '{_name}'.");
        var refusal = "It threw.";
        try
        {
            refusal = TryBeginBatch();
        }
        finally
        {
            if (refusal is not null) _locks.ReleaseWriter(this);
        }

        if (refusal is not null) return VfsFailure.Report(SqliteResult.BusyRefused, refusal);
        _level = LockLevel.Reserved;
        _share.End();
        return SqliteResult.Ok;
    }

    private int Exclude()
    {
        if (Level < LockLevel.Shared) return VfsFailure.Report(SqliteResult.IoErrorLock, "EXCLUSIVE was asked for without SHARED.");
        var isExclusive = _locks.TryExclude(this, out var isPending);
        if (isPending)
        {
            _level = isExclusive ? LockLevel.Exclusive : LockLevel.Pending;
            _share.End();
        }

        return isExclusive
            ? SqliteResult.Ok
            : VfsFailure.Report(SqliteResult.Busy, $"Another connection of this tab is reading from '{_name}': close its readers first.");
    }

    private string? TryBeginBatch()
    {
        if (_isReadOnly) return $"'{_name}' was opened read-only.";
        if (_storage.InBatch) return $"'{_name}' is being replaced.";
        var refusal = _storage.TryBeginBatch();
        _hasBatch = refusal is null;
        return refusal;
    }

    private int EnsureBatch(int code)
    {
        if (_hasBatch) return SqliteResult.Ok;
        if (Level < LockLevel.Reserved) return VfsFailure.Report(code, $"'{_name}' is written without a lock.");

        // Not BUSY: the pager takes that from a write for a bug of the VFS, and would keep its changed pages.
        return TryBeginBatch() is { } refusal ? VfsFailure.Report(code, refusal) : SqliteResult.Ok;
    }

    private int Commit()
    {
        if (!_hasBatch) return SqliteResult.Ok;
        try
        {
            _storage.CommitBatch([.. _tables]);
            _hasBatch = false;
            _tables.Clear();
        }
        catch (CommitTooLargeException e)
        {
            return VfsFailure.Report(e, SqliteResult.IoErrorCommit);
        }
        catch (Exception e)
        {
            // Published, and its owner failed: the commit stands, and what became of it is the owner's to tell.
            _hasBatch = _storage.InBatch;
            if (!_hasBatch) _tables.Clear();
            LogFailure(e);
            if (_hasBatch) return VfsFailure.Report(e, SqliteResult.IoErrorCommit);
        }

        return SqliteResult.Ok;
    }

    // The logger is the app's, and natively what it throws here would end the process.
    private void LogFailure(Exception error)
    {
        try
        {
            Log.CommitFailed(_logger, _name, error);
        }
#pragma warning disable CA1031 // There is nobody to tell.
        catch (Exception)
#pragma warning restore CA1031
        {
        }
    }

    private void Rollback()
    {
        _hasBatch = false;
        _tables.Clear();
        _storage.RollbackBatch();
    }
}
