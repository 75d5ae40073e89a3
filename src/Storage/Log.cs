using Microsoft.Extensions.Logging;

namespace DataSync.Storage;

/// <summary>All log messages of this project; event ids 2000 to 2999, never reused.</summary>
internal static partial class Log
{
    [LoggerMessage(2000, LogLevel.Information, "{Scope}: opened at marker {Marker}, {Extents} extents, {LogRecords} log records")]
    public static partial void Opened(ILogger logger, string scope, long marker, int extents, int logRecords);

    [LoggerMessage(2001, LogLevel.Warning, "{Report}")]
    public static partial void StoreDamaged(ILogger logger, string report);

    [LoggerMessage(2002, LogLevel.Error, "{Scope}: stopped: {Reason}")]
    public static partial void Faulted(ILogger logger, string scope, string reason);

    [LoggerMessage(2003, LogLevel.Information, "{Scope}: the connection to the store was lost, opening it again")]
    public static partial void Reopening(ILogger logger, string scope);

    [LoggerMessage(2004, LogLevel.Warning, "{Scope}: a read of the store failed and is tried again: {Reason}")]
    public static partial void ReadFailed(ILogger logger, string scope, string reason);

    [LoggerMessage(2005, LogLevel.Warning, "{Scope}: the copy that is kept for the next opening was not written: {Reason}")]
    public static partial void CopyFailed(ILogger logger, string scope, string reason);

    [LoggerMessage(2006, LogLevel.Warning, "{Scope}: the copy is no good, and the store itself is read: {Reason}")]
    public static partial void CopyUnusable(ILogger logger, string scope, string reason);

    [LoggerMessage(2010, LogLevel.Information, "{Scope}: leads with epoch {Epoch} from marker {Marker}")]
    public static partial void Leading(ILogger logger, string scope, long epoch, long marker);

    [LoggerMessage(2011, LogLevel.Debug, "{Scope}: follows {Leader}, epoch {Epoch}")]
    public static partial void Following(ILogger logger, string scope, string leader, long epoch);

    [LoggerMessage(2012, LogLevel.Warning, "{Scope}: leadership ended by the store: {Reason}")]
    public static partial void Fenced(ILogger logger, string scope, string reason);

    [LoggerMessage(2020, LogLevel.Debug, "{Scope}: checkpoint at marker {Marker}, {Extents} extents")]
    public static partial void Checkpointed(ILogger logger, string scope, long marker, int extents);

    [LoggerMessage(2021, LogLevel.Warning, "{Scope}: checkpoint failed, the log is kept: {Reason}")]
    public static partial void CheckpointFailed(ILogger logger, string scope, string reason);

    [LoggerMessage(2030, LogLevel.Debug, "{Scope}: a message of {Bytes} bytes was dropped: not of this protocol")]
    public static partial void MessageDropped(ILogger logger, string scope, int bytes);

    [LoggerMessage(2031, LogLevel.Error, "A handler of {EventName} failed")]
    public static partial void HandlerFailed(ILogger logger, string eventName, Exception error);

    [LoggerMessage(2040, LogLevel.Information, "{Scope}: files in {Directory}, epoch {Epoch}, checkpoint at marker {Marker}")]
    public static partial void FilesOpened(ILogger logger, string scope, string directory, long epoch, long marker);

    [LoggerMessage(2041, LogLevel.Information, "{Scope}: removed {Files} temporary files of writes that a crash stopped before anybody was told")]
    public static partial void TemporaryFilesRemoved(ILogger logger, string scope, int files);

    [LoggerMessage(2042, LogLevel.Warning, "{Scope}: left alone what DataSync did not write: {Names} ({Files} files)")]
    public static partial void StrangersLeftAlone(ILogger logger, string scope, string names, int files);

    [LoggerMessage(2043, LogLevel.Warning, "{Scope}: kept aside as quarantine/{Name}")]
    public static partial void Quarantined(ILogger logger, string scope, string name);

    [LoggerMessage(2044, LogLevel.Error, "{Scope}: closed, since a write failed and left open whether it was done: {Reason}")]
    public static partial void StoreLost(ILogger logger, string scope, string reason);

    [LoggerMessage(2045, LogLevel.Warning, "{Scope}: deleted, but some of its files are removed at the next open only: {Reason}")]
    public static partial void FilesLeft(ILogger logger, string scope, string reason);

    [LoggerMessage(2046, LogLevel.Warning, "{Scope}: log files that a checkpoint has passed stay until the next one: {Reason}")]
    public static partial void TrimFailed(ILogger logger, string scope, string reason);

    [LoggerMessage(2050, LogLevel.Information, "{Scope}: the mirror in {Directory} is in step: {Files} files copied, checkpoint at marker {Marker}")]
    public static partial void MirrorCaughtUp(ILogger logger, string scope, string directory, int files, long marker);

    [LoggerMessage(2051, LogLevel.Warning, "{Scope}: the mirror in {Directory} is behind, writes go on without it: {Reason}")]
    public static partial void MirrorBehind(ILogger logger, string scope, string directory, string reason);

    [LoggerMessage(2052, LogLevel.Error, "{Scope}: {Directory} holds another store, which was left alone: there is no mirror")]
    public static partial void MirrorForeign(ILogger logger, string scope, string directory);

    [LoggerMessage(2060, LogLevel.Debug, "{Scope}: sync started ({Trigger}): {Commits} commits, {Bytes} bytes")]
    public static partial void SyncStarted(ILogger logger, string scope, SyncTrigger trigger, int commits, long bytes);

    [LoggerMessage(2061, LogLevel.Debug, "{Scope}: sync succeeded ({Trigger}): {Commits} commits in {DurationMs} ms")]
    public static partial void SyncSucceeded(ILogger logger, string scope, SyncTrigger trigger, int commits, double durationMs);

    [LoggerMessage(2062, LogLevel.Error, "{Scope}: sync failed, {Failed} acknowledged writes were taken back: {Reason}")]
    public static partial void SyncFailed(ILogger logger, string scope, int failed, string reason);

    [LoggerMessage(2063, LogLevel.Warning, "{Scope}: a deferred write could not be run again after another tab's commit: {Reason}")]
    public static partial void RerunFailed(ILogger logger, string scope, string reason);

    [LoggerMessage(2064, LogLevel.Information, "{Scope}: backpressure {State} at {Bytes} bytes that are not durable")]
    public static partial void Backpressure(ILogger logger, string scope, string state, long bytes);

    [LoggerMessage(2066, LogLevel.Warning, "{Scope}: {Writes} writes that have their outcome are still in the journal; that changes nothing, and the next opening takes them out: {Reason}")]
    public static partial void JournalNotTrimmed(ILogger logger, string scope, int writes, string reason);

    [LoggerMessage(2065, LogLevel.Information, "{Scope}: everything is durable, no more writes are taken")]
    public static partial void SyncStopped(ILogger logger, string scope);
}
