using DataSync.Coordination;
using Microsoft.Extensions.Logging;

namespace DataSync.Remote;

/// <summary>All log messages of this library; event ids 5000 to 5999.</summary>
internal static partial class Log
{
    [LoggerMessage(5000, LogLevel.Information, "{Scope}: the connection with the server was lost: {Reason}")]
    public static partial void Lost(ILogger logger, string scope, string reason);

    [LoggerMessage(5001, LogLevel.Information, "{Scope}: the server is connected again")]
    public static partial void Restored(ILogger logger, string scope);

    [LoggerMessage(5002, LogLevel.Debug, "{Scope}: the server is not connected yet: {Reason}")]
    public static partial void NotConnected(ILogger logger, string scope, string reason);

    [LoggerMessage(5006, LogLevel.Warning, "{Scope}: no copy is kept for the next opening, or it is not used: {Reason}")]
    public static partial void NoCopy(ILogger logger, string scope, string reason);

    [LoggerMessage(5003, LogLevel.Error, "{Scope}: a handler of messages failed")]
    public static partial void HandlerFailed(ILogger logger, Exception error, string scope);

    [LoggerMessage(5004, LogLevel.Information, "{Scope}: this tab has a connection of its own, since it cannot join the others: {Reason}")]
    public static partial void Alone(ILogger logger, string scope, string reason);

    [LoggerMessage(5005, LogLevel.Debug, "{Scope}: tab {Tab} goes over this tab's connection")]
    public static partial void GuestCame(ILogger logger, string scope, TabId tab);
}
