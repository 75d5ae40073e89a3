using Microsoft.Extensions.Logging;

namespace DataSync.Coordination;

/// <summary>All log messages of this library; event ids 1000 to 1999.</summary>
internal static partial class Log
{
    [LoggerMessage(1000, LogLevel.Debug, "Tab {Tab} joined scope {Scope}")]
    public static partial void Joined(ILogger logger, TabId tab, string scope);

    [LoggerMessage(1001, LogLevel.Information, "Tab {Tab} leads scope {Scope} under epoch {Epoch}")]
    public static partial void Leads(ILogger logger, TabId tab, string scope, Epoch epoch);

    [LoggerMessage(1002, LogLevel.Information, "Tab {Tab} lost the lease of scope {Scope}, epoch {Epoch}")]
    public static partial void Lost(ILogger logger, TabId tab, string scope, Epoch epoch);

    [LoggerMessage(1003, LogLevel.Warning, "Tab {Tab} could not take over scope {Scope} under epoch {Epoch}; it tries again later")]
    public static partial void TakeOverFailed(ILogger logger, Exception exception, TabId tab, string scope, Epoch epoch);

    [LoggerMessage(1004, LogLevel.Warning, "The lease of scope {Scope} could not be read or written")]
    public static partial void LeaseUnavailable(ILogger logger, Exception exception, string scope);

    [LoggerMessage(1005, LogLevel.Warning,
        "The lease of scope {Scope} was written by a newer version of DataSync and has not been renewed; it is replaced")]
    public static partial void ReplacingNewerLease(ILogger logger, string scope);

    [LoggerMessage(1006, LogLevel.Debug, "A message in scope {Scope} was dropped: not of this version and scope, or not legible")]
    public static partial void MessageDropped(ILogger logger, string scope);

    [LoggerMessage(1007, LogLevel.Information, "Tab {Tab} of scope {Scope} was suspended; what it knew is stale")]
    public static partial void Resumed(ILogger logger, TabId tab, string scope);

    [LoggerMessage(1008, LogLevel.Error, "A callback of the application failed in scope {Scope}")]
    public static partial void CallbackFailed(ILogger logger, Exception exception, string scope);

    [LoggerMessage(1009, LogLevel.Debug, "The page of scope {Scope} did not answer")]
    public static partial void PlatformFailed(ILogger logger, Exception exception, string scope);

    [LoggerMessage(1010, LogLevel.Debug, "Tab {Tab} gave up taking over scope {Scope} under epoch {Epoch}: it closes, or lost the lease")]
    public static partial void TakeOverGivenUp(ILogger logger, TabId tab, string scope, Epoch epoch);
}
