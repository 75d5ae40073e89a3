namespace DataSync.Storage;

/// <summary>Turns what a file system throws into what a store throws. The one place that knows error numbers.</summary>
internal static class FileErrors
{
    // ENOSPC, EFBIG; EDQUOT on Linux and on Apple's systems; ERROR_DISK_FULL, ERROR_HANDLE_DISK_FULL.
    private static readonly int[] FullCodes = [28, 27, 122, 69, unchecked((int)0x80070070), unchecked((int)0x80070027)];

    public static bool IsFileError(Exception error) => error is IOException or UnauthorizedAccessException;

    public static bool IsFull(Exception error) => error is IOException && FullCodes.Contains(error.HResult);

    /// <summary>The error of a call that changed nothing.</summary>
    public static StorageException ToStorage(Exception error, string directory) => error switch
    {
        UnsettledWriteException => new StorageClosedException(
            StoreClosedReason.Lost, $"A write to {directory} failed and left open whether it was done: {error.InnerException!.Message} Open the database again."),
        _ when IsFull(error) => new StorageQuotaException($"There is no room left in {directory}, so nothing was written. Free disk space, then try again.", error),
        UnauthorizedAccessException => new StorageUnavailableException($"{directory} cannot be used: {error.Message} Check its permissions.", error),
        DirectoryNotFoundException or DriveNotFoundException => new StorageUnavailableException($"{directory} cannot be reached: {error.Message}", error),
        _ => new StorageException($"A file in {directory} could not be read or written, so nothing was changed: {error.Message}", error),
    };
}

/// <summary>A write failed at the very step that makes it visible or durable: it may be done or not.</summary>
internal sealed class UnsettledWriteException(Exception error) : IOException(error.Message, error);
