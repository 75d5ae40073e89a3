namespace DataSync.Vfs;

/// <summary>SQLite's result codes, as far as the VFS gives them, and DataSync's own.</summary>
internal static class SqliteResult
{
    /// <inheritdoc cref="VfsFailure.BusyRefused"/>
    public const int BusyRefused = VfsFailure.BusyRefused;

    internal const int Ok = 0, Error = 1, Abort = 4, Busy = 5, Locked = 6, NoMemory = 7, ReadOnly = 8, Interrupt = 9, IoError = 10, Corrupt = 11, NotFound = 12, Full = 13,
        CantOpen = 14, Schema = 17, Misuse = 21, Row = 100, Done = 101;

    internal const int IoErrorRead = IoError | (1 << 8), IoErrorShortRead = IoError | (2 << 8), IoErrorWrite = IoError | (3 << 8),
        IoErrorTruncate = IoError | (6 << 8), IoErrorUnlock = IoError | (8 << 8),
        IoErrorDelete = IoError | (10 << 8), IoErrorNoMemory = IoError | (12 << 8),
        IoErrorLock = IoError | (15 << 8), IoErrorDeleteNoEntry = IoError | (23 << 8),
        IoErrorCommit = IoError | (30 << 8);
}

/// <summary>The flags of <c>xOpen</c>.</summary>
[Flags]
internal enum SqliteOpenFlags
{
    None = 0,
    ReadOnly = 0x1,
    ReadWrite = 0x2,
    Create = 0x4,
    DeleteOnClose = 0x8,
    MainDatabase = 0x100,
    WriteAheadLog = 0x80000,
}

/// <summary>The operations of <c>xFileControl</c> that the VFS answers.</summary>
internal enum SqliteFileControl
{
    SizeHint = 5,
    Sync = 21,
    CommitPhaseTwo = 22,
}

/// <summary>SQLite's lock levels.</summary>
internal enum LockLevel
{
    None = 0,
    Shared = 1,
    Reserved = 2,
    Pending = 3,
    Exclusive = 4,
}
