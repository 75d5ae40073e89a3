using System.Diagnostics.Metrics;

namespace DataSync.Server;

/// <summary>The meter <c>DataSync.Server</c>; what concerns a database carries the tag <c>datasync.scope</c> (its name).</summary>
internal static class ServerMetrics
{
    public const string MeterName = "DataSync.Server";

    private static readonly Meter Meter = new(MeterName);

    private static readonly UpDownCounter<long> Databases = Meter.CreateUpDownCounter<long>("datasync.server.databases", "{database}", "Databases that are served.");

    private static readonly UpDownCounter<long> Connections = Meter.CreateUpDownCounter<long>("datasync.server.connections", "{connection}", "Connections of clients that were let in.");

    private static readonly Counter<long> Frames = Meter.CreateCounter<long>("datasync.server.frames", "{frame}", "Frames of clients and to them; tag direction (in, out).");

    private static readonly Counter<long> Bytes = Meter.CreateCounter<long>("datasync.server.bytes", "By", "Bytes of those frames; tag direction.");

    private static readonly Counter<long> Refusals = Meter.CreateCounter<long>(
        "datasync.server.refusals", "{refusal}", "What was refused; tag reason (origin, user_limit, the status with which a connection was closed, or commit, statement, size for one that goes on).");

    private static readonly Counter<long> Dropped = Meter.CreateCounter<long>(
        "datasync.server.messages.dropped", "{message}", "Messages that were not sent to a connection because too much waited for it; it reads what it missed.");

    private static readonly UpDownCounter<long> Waiting = Meter.CreateUpDownCounter<long>("datasync.server.reads.waiting", "{read}", "Readings of whole databases that wait for their turn.");

    private static readonly Histogram<double> Reads = Meter.CreateHistogram<double>(
        "datasync.server.read.duration", "ms", "Readings of the store for clients, from their turn until all was handed to the socket; tag extents (whether more than the log was asked for).");

    public static void OnServed(string scope, bool isOn) => Databases.Add(isOn ? 1 : -1, Scope(scope));

    public static void OnConnection(string scope, bool isOn) => Connections.Add(isOn ? 1 : -1, Scope(scope));

    public static void OnFrame(string scope, bool isIn, int bytes)
    {
        var direction = new KeyValuePair<string, object?>("direction", isIn ? "in" : "out");
        Frames.Add(1, Scope(scope), direction);
        Bytes.Add(bytes, Scope(scope), direction);
    }

    public static void OnRefused(string scope, string reason) => Refusals.Add(1, Scope(scope), new("reason", reason));

    public static void OnDropped(string scope) => Dropped.Add(1, Scope(scope));

    public static void OnWaiting(string scope, bool isOn) => Waiting.Add(isOn ? 1 : -1, Scope(scope));

    public static void OnRead(string scope, bool hasExtents, TimeSpan duration) => Reads.Record(duration.TotalMilliseconds, Scope(scope), new("extents", hasExtents));

    private static KeyValuePair<string, object?> Scope(string scope) => new("datasync.scope", scope);
}
