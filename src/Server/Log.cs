using Microsoft.Extensions.Logging;

namespace DataSync.Server;

/// <summary>All log messages of this library; event ids 6000 to 6999.</summary>
internal static partial class Log
{
    [LoggerMessage(6000, LogLevel.Information, "{Scope}: served from here on")]
    public static partial void Served(ILogger logger, string scope);

    [LoggerMessage(6001, LogLevel.Information, "{Scope}: closed, since nobody is connected any more")]
    public static partial void Idle(ILogger logger, string scope);

    [LoggerMessage(6002, LogLevel.Warning, "{Scope}: stopped, and its connections are closed: {Reason}")]
    public static partial void Stopped(ILogger logger, string scope, string reason);

    [LoggerMessage(6010, LogLevel.Debug, "{Scope}: {User} connected, {Access}")]
    public static partial void Connected(ILogger logger, string scope, string user, DatabaseAccess access);

    [LoggerMessage(6011, LogLevel.Debug, "{Scope}: {User} disconnected: {Reason}")]
    public static partial void Disconnected(ILogger logger, string scope, string user, string reason);

    [LoggerMessage(6012, LogLevel.Warning, "{Scope}: {User} was disconnected, status {Status}: {Reason}")]
    public static partial void Refused(ILogger logger, string scope, string user, int status, string reason);

    [LoggerMessage(6013, LogLevel.Warning, "A page of {Origin} may not connect; see DataSyncServerOptions.AllowedOrigins")]
    public static partial void ForeignOrigin(ILogger logger, string origin);

    [LoggerMessage(6014, LogLevel.Error, "{Scope}: a connection failed")]
    public static partial void Failed(ILogger logger, Exception error, string scope);
}
