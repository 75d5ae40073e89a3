namespace DataSync.Storage;

/// <summary>The one place that turns what IndexedDB says into exceptions.</summary>
internal static class IndexedDbErrors
{
    /// <summary>
    /// Whether the connection is gone: closed by the browser (a transaction that nobody here aborted; a call on a closed
    /// connection), or WebKit's "Connection to Indexed Database server lost".
    /// </summary>
    public static bool IsLost(string name, string message) =>
        name is "AbortError" or "InvalidStateError" || (name == "UnknownError" && message.Contains("onnection", StringComparison.Ordinal));

    /// <summary>What went wrong with a step on an open connection.</summary>
    public static Exception Make(IndexedDbOutcome outcome, long number, string name, string message) => outcome switch
    {
        IndexedDbOutcome.Replaced => new StoreReplacedException(),
        IndexedDbOutcome.Conflict => new MarkerConflictException(number),
        _ => name switch
        {
            "QuotaExceededError" => new StorageQuotaException { PlatformName = name },
            "NotFoundError" => new CorruptStoreException(
                null, "The browser database is not laid out as DataSync's. Delete it, or choose another name.") { PlatformName = name },

            // Chromium takes 127 MB at most in one value, and has no name for this error alone.
            _ when message.Contains("too large", StringComparison.Ordinal) => new CommitTooLargeException() { PlatformName = name },
            _ => new StorageException($"The browser's storage failed ({name}: {message}). Nothing was written; try again.") { PlatformName = name },
        },
    };

    /// <summary>What went wrong with opening.</summary>
    public static Exception OnOpen(IndexedDbOutcome outcome, long number, string name, string message) => name switch
    {
        "VersionError" => new StoreFormatException(
            0, "The store was written by a newer version of DataSync. Update the app (reload the page).") { PlatformName = name },
        "QuotaExceededError" or "NotFoundError" => Make(outcome, number, name, message),
        _ => new StorageUnavailableException(
            $"The browser does not open its storage here ({name}: {message}). Allow site data for this page (or leave private mode) and reload.")
        {
            PlatformName = name,
        },
    };
}
