using System.Diagnostics.Metrics;

namespace DataSync.Simulation;

/// <summary>How often each kind of fault and each interesting state was reached.</summary>
internal sealed class Coverage
{
    private readonly Dictionary<string, long> _counts = [];

    /// <summary>The instruments of the code under test count as states; a measurement is taken on the thread that makes it.</summary>
    private static readonly MeterListener Listener = Listen();

    public IReadOnlyDictionary<string, long> Counts => _counts;

    public static void Start() => _ = Listener;

    public void Hit(string what) => System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_counts, what, out _)++;

    public void Add(Coverage other)
    {
        foreach (var (what, count) in other._counts)
            System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_counts, what, out _) += count;
    }

    public string ToTable() => string.Join('\n', _counts.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => $"| {c.Key} | {c.Value:N0} |"));

    private static MeterListener Listen()
    {
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument is Counter<long> && instrument.Name.StartsWith("datasync.", StringComparison.Ordinal)) self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, _, _, _) => World.Current?.Coverage.Hit("metric " + instrument.Name));
        listener.Start();
        return listener;
    }
}
