using System.Diagnostics.Metrics;

namespace DataSync.Playground;

/// <summary>One instrument of DataSync and what it has measured in this tab.</summary>
public sealed class LiveInstrument(Instrument instrument)
{
    private double total;
    private double snapshot;

    public string Meter { get; } = instrument.Meter.Name;

    public string Name { get; } = instrument.Name;

    public string Description { get; } = instrument.Description ?? "";

    /// <summary>The unit as it is written: <c>ms</c>, <c>By</c>, or what is counted in braces.</summary>
    public string Unit { get; } = instrument.Unit ?? "";

    /// <summary>Whether it tells how things stand (a gauge), and so neither adds up nor has a rate.</summary>
    public bool IsLevel { get; } = instrument is Gauge<long> or Gauge<int> or UpDownCounter<long>;

    public bool IsHistogram { get; } = instrument is Histogram<double>;

    /// <summary>Measurements so far.</summary>
    public long Count { get; private set; }

    /// <summary>The sum of a counter, the last value of a gauge, the mean of a histogram.</summary>
    public double Value => IsHistogram ? total / Math.Max(1, Count) : total;

    /// <summary>What a counter gained a second, or how often a histogram measured, between the last two snapshots.</summary>
    public double Rate { get; private set; }

    internal void Measure(double value)
    {
        total = instrument is Gauge<long> or Gauge<int> ? value : total + value;
        Count++;
    }

    internal void TakeSnapshot(TimeSpan since)
    {
        var now = IsHistogram ? Count : total;
        Rate = IsLevel || since <= TimeSpan.Zero ? 0 : (now - snapshot) / since.TotalSeconds;
        snapshot = now;
    }
}

/// <summary>
/// Listens to DataSync's meters, as OpenTelemetry would, and keeps the sums of one database. Nothing is polled: the page reads
/// when it draws.
/// </summary>
public sealed class LiveMetrics : IDisposable
{
    private readonly MeterListener listener = new();
    private readonly SortedDictionary<string, LiveInstrument> instruments = new(StringComparer.Ordinal);
    private readonly string scope;
    private readonly TimeProvider time;
    private long snapshotAt;

    public LiveMetrics(string scope, TimeProvider time)
    {
        (this.scope, this.time, snapshotAt) = (scope, time, time.GetTimestamp());
        listener.InstrumentPublished = (instrument, listening) =>
        {
            if (!instrument.Meter.Name.StartsWith("DataSync.", StringComparison.Ordinal)) return;

            // A database that is opened again has a meter of its own, under the same names.
            if (!instruments.TryGetValue(instrument.Name, out var live)) instruments.Add(instrument.Name, live = new LiveInstrument(instrument));
            listening.EnableMeasurementEvents(instrument, live);
        };
        listener.SetMeasurementEventCallback<long>((_, value, tags, state) => Measure(value, tags, state));
        listener.SetMeasurementEventCallback<int>((_, value, tags, state) => Measure(value, tags, state));
        listener.SetMeasurementEventCallback<double>((_, value, tags, state) => Measure(value, tags, state));
        listener.Start();
    }

    /// <summary>All instruments, by name.</summary>
    public IReadOnlyCollection<LiveInstrument> Instruments => instruments.Values;

    /// <summary>Computes the rates since the last snapshot, when that is a while ago. Returns whether it did.</summary>
    public bool TakeSnapshot(TimeSpan atLeast)
    {
        var since = time.GetElapsedTime(snapshotAt);
        if (since < atLeast) return false;
        foreach (var instrument in instruments.Values) instrument.TakeSnapshot(since);
        snapshotAt = time.GetTimestamp();
        return true;
    }

    public void Dispose() => listener.Dispose();

    private void Measure(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        foreach (var tag in tags)
        {
            if (tag.Key is not ("scope" or "datasync.scope") || tag.Value as string != scope) continue;
            ((LiveInstrument)state!).Measure(value);
            return;
        }
    }
}
