namespace DataSync.Playground;

/// <summary>How long this tab's last commits took, from the call to the durable answer.</summary>
public sealed class LatencyHistory
{
    public const int Limit = 60;

    private readonly Queue<(double Milliseconds, bool AsLeader)> samples = new();

    public IReadOnlyCollection<(double Milliseconds, bool AsLeader)> Samples => samples;

    public void Add(TimeSpan duration, bool asLeader)
    {
        samples.Enqueue((duration.TotalMilliseconds, asLeader));
        if (samples.Count > Limit)
        {
            samples.Dequeue();
        }
    }

    /// <summary>The duration in ms that this share of the samples (0 to 1) does not exceed; 0 without samples.</summary>
    public double Percentile(double share)
    {
        var sorted = samples.Select(sample => sample.Milliseconds).Order().ToArray();
        return sorted.Length == 0 ? 0 : sorted[(int)Math.Ceiling(share * (sorted.Length - 1))];
    }
}
