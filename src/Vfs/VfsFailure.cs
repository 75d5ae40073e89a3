using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>
/// Why the VFS answered with an error. SQLite carries only a number; the words are kept here for the thread that called.
/// </summary>
public static class VfsFailure
{
    /// <summary>
    /// <c>SQLITE_BUSY</c> with an extension that SQLite does not use: this tab may not write now, and waiting inside the
    /// call cannot change that. The words are in <see cref="Last"/>, and in the browser in the error message.
    /// </summary>
    public const int BusyRefused = SqliteResult.Busy | (0x44 << 8);

    /// <summary>
    /// <c>SQLITE_IOERR</c> with an extension that SQLite does not use: the statement needs what is stored and not in memory
    /// (<see cref="Residency.OnDemand"/>). Its transaction was rolled back.
    /// </summary>
    public const int NotResident = SqliteResult.IoError | (0x44 << 8);

    [ThreadStatic]
    private static string? _last;

    [ThreadStatic]
    private static int _code;

    [ThreadStatic]
    private static CommitTooLargeException? _tooLarge;

    /// <summary>
    /// The last failure's explanation on this thread, for the user, or null. Read it right after the failed call; the next
    /// failure replaces it. In the browser the error message of the connection already contains it.
    /// </summary>
    public static string? Last => _last;

    /// <summary>Keeps an explanation and returns the code.</summary>
    internal static int Report(int code, string explanation)
    {
        (_last, _code, _tooLarge) = (explanation, code, null);
        return code;
    }

    /// <summary>The one place where an exception becomes a result code.</summary>
    /// <param name="exception">What was thrown.</param>
    /// <param name="fallback">The code of the operation that failed.</param>
    internal static int Report(Exception exception, int fallback)
    {
        (_last, _tooLarge) = (exception.Message, exception as CommitTooLargeException);
        return _code = exception switch
        {
            OutOfMemoryException => SqliteResult.IoErrorNoMemory,
            StorageQuotaException => SqliteResult.Full,
            CorruptStoreException => SqliteResult.Corrupt,
            NotResidentException => NotResident,
            _ => fallback,
        };
    }

    /// <summary>What a commit that SQLite says failed was refused for, where that is an error of storage and not of SQL.</summary>
    internal static CommitTooLargeException? RefusalOf(SqliteException error) =>
        error.SqliteExtendedErrorCode == SqliteResult.IoErrorCommit ? _tooLarge : null;

    /// <summary>The explanation, once, if it belongs to this result code.</summary>
    internal static string? TakeFor(int code)
    {
        var last = ((_code ^ code) & 0xFF) == 0 ? _last : null;
        (_last, _code) = (null, 0);
        return last;
    }
}
