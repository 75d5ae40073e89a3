using Microsoft.Extensions.Logging;

namespace DataSync.Vfs;

/// <summary>The project's log messages; event ids 3000 to 3999.</summary>
internal static partial class Log
{
    [LoggerMessage(3001, LogLevel.Error, "Committing a batch of '{Database}' threw.")]
    public static partial void CommitFailed(ILogger logger, string database, Exception exception);

    [LoggerMessage(3002, LogLevel.Error, "A callback given to SQLite threw: {Callback}.")]
    public static partial void CallbackFailed(ILogger logger, string callback, Exception exception);

    [LoggerMessage(3003, LogLevel.Error, "A handler of {EventName} failed")]
    public static partial void HandlerFailed(ILogger logger, string eventName, Exception error);

    [LoggerMessage(3004, LogLevel.Warning, "The file that was imported into '{Database}' was in WAL mode: what its -wal file held is not in it.")]
    public static partial void ImportedWithoutWal(ILogger logger, string database);

    [LoggerMessage(3005, LogLevel.Information, "'{Database}' was restored from what a tab held of its lost store, up to commit {Marker}")]
    public static partial void Restored(ILogger logger, string database, long marker);

    [LoggerMessage(3010, LogLevel.Error, "A handler given to Subscribe failed at commit {Marker} of '{Database}'; it hears of the next one.")]
    public static partial void SubscriberFailed(ILogger logger, string database, long marker, Exception exception);
}
