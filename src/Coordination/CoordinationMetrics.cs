using System.Diagnostics.Metrics;

namespace DataSync.Coordination;

/// <summary>The instruments of the meter <c>DataSync.Coordination</c>; every measurement carries the tag <c>scope</c>.</summary>
internal static class CoordinationMetrics
{
    private static readonly Meter Meter = new("DataSync.Coordination", "1.0.0");

    private static readonly Counter<long> Changes = Meter.CreateCounter<long>(
        "datasync.coordination.leadership_changes", "{change}", "A tab saw another leader than before.");

    private static readonly Counter<long> Dropped = Meter.CreateCounter<long>(
        "datasync.coordination.messages_dropped", "{message}", "Messages that did not parse or had another version or scope.");

    private static readonly Counter<long> Renewals = Meter.CreateCounter<long>(
        "datasync.coordination.lease_renewals", "{renewal}", "Successful writes of the own lease.");

    private static readonly Counter<long> Failures = Meter.CreateCounter<long>(
        "datasync.coordination.lease_renewal_failures", "{renewal}", "Writes of the own lease that lost or failed.");

    private static readonly Gauge<int> MemberCount = Meter.CreateGauge<int>(
        "datasync.coordination.members", "{tab}", "Live tabs of the scope.");

    public static void LeadershipChanged(string scope) => Changes.Add(1, Tag(scope));

    public static void MessageDropped(string scope) => Dropped.Add(1, Tag(scope));

    public static void LeaseWritten(string scope, bool success) => (success ? Renewals : Failures).Add(1, Tag(scope));

    public static void Members(string scope, int count) => MemberCount.Record(count, Tag(scope));

    private static KeyValuePair<string, object?> Tag(string scope) => new("scope", scope);
}
