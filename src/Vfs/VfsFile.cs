namespace DataSync.Vfs;

/// <summary>
/// One open file as SQLite sees it. No member throws: each returns a result code, with the words in
/// <see cref="VfsFailure"/>. A shim calls it from the thread that SQLite runs on; SQLite never uses one file from two
/// threads at once.
/// </summary>
internal abstract class VfsFile
{
    /// <summary>
    /// What is literally true of every file here: a commit is all or nothing (so earlier writes never appear without
    /// later ones, an append without its size, nor a neighbour of a written byte changed), and any range can be read.
    /// SEQUENTIAL, SAFE_APPEND, POWERSAFE_OVERWRITE, SUBPAGE_READ.
    /// </summary>
    public const int DeviceCharacteristics = 0x400 | 0x200 | 0x1000 | 0x8000;

    /// <summary>Bytes that are written together at least: the storage's block.</summary>
    public const int SectorSize = 4096;

    /// <summary>The file's size in bytes.</summary>
    public abstract long Size { get; }

    /// <summary>The level of lock that this file holds.</summary>
    public virtual LockLevel Level => LockLevel.None;

    /// <summary>Where the state of its <see cref="KeptShare"/> is; 0: it has none.</summary>
    public virtual nint ShareAddress => 0;

    /// <summary>Reads; what lies beyond the end is zero, and the result then <c>SQLITE_IOERR_SHORT_READ</c>.</summary>
    public int Read(long offset, Span<byte> destination)
    {
        try
        {
            return ReadCore(offset, destination);
        }
        catch (Exception e)
        {
            destination.Clear();
            return VfsFailure.Report(e, SqliteResult.IoErrorRead);
        }
    }

    /// <summary>Writes; a gap behind the old end reads as zero.</summary>
    public int Write(long offset, ReadOnlySpan<byte> source)
    {
        try
        {
            return WriteCore(offset, source);
        }
        catch (Exception e)
        {
            return VfsFailure.Report(e, SqliteResult.IoErrorWrite);
        }
    }

    /// <summary>Sets the size.</summary>
    public int Truncate(long size)
    {
        try
        {
            return TruncateCore(size);
        }
        catch (Exception e)
        {
            return VfsFailure.Report(e, SqliteResult.IoErrorTruncate);
        }
    }

    /// <summary>Where the caller can read these bytes at once; 0: use <see cref="Read"/>.</summary>
    public virtual nint GetReadAddress(long offset, int length) => 0;

    /// <summary>Where the caller must write these bytes at once; 0: use <see cref="Write"/>.</summary>
    public virtual nint GetWriteAddress(long offset, int length) => 0;

    /// <summary>Raises the lock.</summary>
    public virtual int TryLock(LockLevel level) => SqliteResult.Ok;

    /// <summary>Lowers the lock to SHARED or NONE; may come without a lock.</summary>
    public virtual int Unlock(LockLevel level) => SqliteResult.Ok;

    /// <summary>Whether any connection holds RESERVED or more.</summary>
    public virtual bool IsReserved => false;

    /// <summary>Answers a file control that takes and gives no data.</summary>
    public virtual int Control(SqliteFileControl operation) => SqliteResult.NotFound;

    /// <summary>Rows of a table of it are about to change.</summary>
    public virtual void Touch(string table)
    {
    }

    /// <summary>Closes the file, and drops its lock and an unfinished batch.</summary>
    public abstract int Close();

    protected abstract int ReadCore(long offset, Span<byte> destination);

    protected abstract int WriteCore(long offset, ReadOnlySpan<byte> source);

    protected abstract int TruncateCore(long size);
}
