namespace DataSync.Storage;

/// <summary>The one place that turns what IndexedDB says into exceptions.</summary>
internal static class IndexedDbErrors
{
    /// <summary>
    /// How browsers name a disk that is really full: Chromium's LevelDB (<c>IO error: … FILE_ERROR_NO_SPACE</c>) and its files beside it
    /// (<c>DataError: Failed to write blobs (IOError)</c>), Firefox (<c>NS_ERROR_FILE_NO_DEVICE_SPACE</c>,
    /// <c>NS_ERROR_DOM_INDEXEDDB_QUOTA_ERR</c>), WebKit's SQLite, and the system itself.
    /// </summary>
    private static readonly string[] FullTexts = ["NO_SPACE", "NO_DEVICE_SPACE", "QUOTA", "Failed to write blobs", "disk is full", "disk full", "No space left"];

    /// <summary>
    /// Whether the connection is gone: closed by the browser (a transaction that nobody here aborted; a call on a closed
    /// connection), or WebKit's "Connection to Indexed Database server lost".
    /// </summary>
    public static bool IsLost(string name, string message) =>
        name is "AbortError" or "InvalidStateError" || (name == "UnknownError" && message.Contains("onnection", StringComparison.Ordinal));

    /// <summary>
    /// Whether nobody can tell if a transaction that wrote was completed: the browser gives no reason for its end. WebKit says so ("An internal
    /// error was encountered in the Indexed Database server") when the process that has the database ends between its commit and the answer (2.50).
    /// </summary>
    public static bool LeavesUnknown(string name, string message) => name == "UnknownError" && !IsFull(name, message) && !IsTooLarge(message);

    /// <summary>Whether there is no room: the quota is used up, or the disk is full.</summary>
    public static bool IsFull(string name, string message) =>
        FullTexts.Any(text => name.Contains(text, StringComparison.OrdinalIgnoreCase) || message.Contains(text, StringComparison.OrdinalIgnoreCase));

    /// <summary>What went wrong with a step on an open connection.</summary>
    public static Exception Make(IndexedDbOutcome outcome, long number, string name, string message) => outcome switch
    {
        IndexedDbOutcome.Replaced => new StoreReplacedException(),
        IndexedDbOutcome.Conflict => new MarkerConflictException(number),
        _ => name switch
        {
            _ when IsFull(name, message) => new StorageQuotaException { PlatformName = name },
            "NotFoundError" => new CorruptStoreException(
                null, "The browser database is not laid out as DataSync's. Delete it, or choose another name.") { PlatformName = name },

            _ when IsTooLarge(message) => new CommitTooLargeException() { PlatformName = name },
            _ => new StorageException($"The browser's storage failed ({name}: {message}). Nothing was written; try again.") { PlatformName = name },
        },
    };

    // Chromium takes 127 MB at most in one value, and has no name for this error alone.
    private static bool IsTooLarge(string message) => message.Contains("too large", StringComparison.Ordinal);

    /// <summary>What went wrong with opening.</summary>
    public static Exception OnOpen(IndexedDbOutcome outcome, long number, string name, string message) => name switch
    {
        "VersionError" => new StoreFormatException(
            0, "The store was written by a newer version of DataSync. Update the app (reload the page).") { PlatformName = name },
        _ when name == "NotFoundError" || IsFull(name, message) => Make(outcome, number, name, message),
        _ => new StorageUnavailableException(
            $"The browser does not open its storage here ({name}: {message}). Allow site data for this page (or leave private mode) and reload.")
        {
            PlatformName = name,
        },
    };
}
