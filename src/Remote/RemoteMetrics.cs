using System.Diagnostics.Metrics;

namespace DataSync.Remote;

/// <summary>The meter <c>DataSync.Remote</c>; every measurement carries the tag <c>datasync.scope</c> (the database's name).</summary>
internal static class RemoteMetrics
{
    public const string MeterName = "DataSync.Remote";

    private static readonly Meter Meter = new(MeterName);

    private static readonly UpDownCounter<long> Connected = Meter.CreateUpDownCounter<long>("datasync.remote.connected", "{connection}", "1 for each open database that is connected with its server, by itself or over the tab that is the gateway.");

    private static readonly Counter<long> Reconnects = Meter.CreateCounter<long>("datasync.remote.reconnects", "{connection}", "Connections that were made after one was lost.");

    private static readonly Counter<long> Failures = Meter.CreateCounter<long>("datasync.remote.connect.failures", "{attempt}", "Attempts to connect that failed.");

    public static void OnConnected(string scope, bool isFirst)
    {
        Connected.Add(1, Tag(scope));
        if (!isFirst) Reconnects.Add(1, Tag(scope));
    }

    public static void OnDisconnected(string scope) => Connected.Add(-1, Tag(scope));

    public static void OnFailed(string scope) => Failures.Add(1, Tag(scope));

    private static KeyValuePair<string, object?> Tag(string scope) => new("datasync.scope", scope);
}
