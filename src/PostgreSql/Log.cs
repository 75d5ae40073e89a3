using Microsoft.Extensions.Logging;

namespace DataSync.PostgreSql;

/// <summary>All log messages of this library; event ids 4000 to 4999.</summary>
internal static partial class Log
{
    [LoggerMessage(4000, LogLevel.Information, "{Scope}: opened in PostgreSQL, schema {Schema}, epoch {Epoch}, checkpoint at marker {Marker}")]
    public static partial void Opened(ILogger logger, string scope, string schema, long epoch, long marker);

    [LoggerMessage(4001, LogLevel.Information, "Schema {Schema} was brought to version {Version}")]
    public static partial void Migrated(ILogger logger, string schema, int version);

    [LoggerMessage(4002, LogLevel.Warning, "The PostgreSQL server runs with fsync = off: a crash of its machine may lose or damage what was acknowledged")]
    public static partial void NoFsync(ILogger logger);

    [LoggerMessage(4003, LogLevel.Warning, "{Scope}: the connection to PostgreSQL was lost: {Reason}")]
    public static partial void StoreLost(ILogger logger, string scope, string reason);

    [LoggerMessage(4004, LogLevel.Warning, "{Scope}: kept aside in the table quarantine: {Kind} {Key}")]
    public static partial void KeptAside(ILogger logger, string scope, string kind, long key);

    [LoggerMessage(4005, LogLevel.Warning, "{Scope}: ended {Sessions} sessions that held up a write: their processes stand still, or their network is cut")]
    public static partial void EndedBlockers(ILogger logger, string scope, int sessions);

    [LoggerMessage(4006, LogLevel.Warning, "{Scope}: a session that holds up a write could not be ended: {Reason}")]
    public static partial void BlockersStay(ILogger logger, string scope, string reason);

    [LoggerMessage(4010, LogLevel.Information, "{Scope}: this process's session with PostgreSQL was lost; it does not count as present until it is back: {Reason}")]
    public static partial void LinkLost(ILogger logger, string scope, string reason);

    [LoggerMessage(4011, LogLevel.Information, "{Scope}: this process's session with PostgreSQL is back")]
    public static partial void LinkRestored(ILogger logger, string scope);

    [LoggerMessage(4012, LogLevel.Debug, "{Scope}: PostgreSQL does not answer yet: {Reason}")]
    public static partial void LinkFailed(ILogger logger, string scope, string reason);

    [LoggerMessage(4020, LogLevel.Debug, "{Scope}: {Messages} messages were not sent; they are repeated: {Reason}")]
    public static partial void NotSent(ILogger logger, string scope, int messages, string reason);

    [LoggerMessage(4021, LogLevel.Debug, "{Scope}: a message could not be fetched or read; it is repeated: {Reason}")]
    public static partial void NotReceived(ILogger logger, string scope, string reason);

    [LoggerMessage(4022, LogLevel.Error, "{Scope}: a handler of messages failed")]
    public static partial void HandlerFailed(ILogger logger, Exception error, string scope);
}
