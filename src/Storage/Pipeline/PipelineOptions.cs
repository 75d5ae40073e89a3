namespace DataSync.Storage;

/// <summary>Settings of a <see cref="CommitPipeline"/>; copied at construction.</summary>
public sealed class PipelineOptions
{
    /// <summary>How long a tab may hold the write turn before the leader gives it to the next.</summary>
    /// <value>Default 5 s; 100 ms to 1 minute.</value>
    public TimeSpan TurnDeadline { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a tab waits for an answer before it sends a commit or a turn request again; grows with each try.</summary>
    /// <value>Default 500 ms; 10 ms to 10 s.</value>
    public TimeSpan ResendAfter { get; set; } = TimeSpan.FromMilliseconds(500);

    /// <summary>
    /// How long a write may take in all before it fails with <see cref="NoLeaderException"/>; with <see cref="Residency.OnDemand"/> also how long loading waits for a store whose connection was lost, before it fails
    /// with <see cref="StorageUnavailableException"/>.
    /// </summary>
    /// <value>Default 30 s; at least <see cref="TurnDeadline"/> and twice <see cref="ResendAfter"/>, at most 10 minutes.</value>
    public TimeSpan WriteTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How many bytes the log may hold before the leader folds it into the extents.</summary>
    /// <value>Default 4 MiB; 4 KiB to 1 GiB.</value>
    public long CheckpointLogBytes { get; set; } = 4 << 20;

    /// <summary>How many records the log may hold before the leader folds it into the extents.</summary>
    /// <value>Default 512; 1 to 65,536.</value>
    public int CheckpointLogRecords { get; set; } = 512;

    /// <summary>The largest commit that is sent along when it is announced; of larger ones the others read the log.</summary>
    /// <value>Default 256 KiB; 0 to 16 MiB.</value>
    public int AnnounceBytes { get; set; } = 256 << 10;

    /// <summary>The most that one commit may write, in bytes; tests lower it.</summary>
    internal long MaxCommitBytes { get; set; } = CommitRecord.MaxBytes;

    /// <summary>Checks every value and the rules between them.</summary>
    /// <exception cref="ArgumentException">A value is out of its range; the message names it and the range.</exception>
    public void Validate()
    {
        Check(TurnDeadline, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1), nameof(TurnDeadline));
        Check(ResendAfter, TimeSpan.FromMilliseconds(10), TimeSpan.FromSeconds(10), nameof(ResendAfter));
        Check(WriteTimeout, TurnDeadline + ResendAfter * 2, TimeSpan.FromMinutes(10), nameof(WriteTimeout));
        Check(CheckpointLogBytes, 4 << 10, 1 << 30, nameof(CheckpointLogBytes));
        Check(CheckpointLogRecords, 1, 65_536, nameof(CheckpointLogRecords));
        Check(AnnounceBytes, 0, 16 << 20, nameof(AnnounceBytes));
    }

    internal PipelineOptions Copy()
    {
        Validate();
        return (PipelineOptions)MemberwiseClone();
    }

    private static void Check<T>(T value, T least, T most, string name)
        where T : IComparable<T>
    {
        if (value.CompareTo(least) < 0 || value.CompareTo(most) > 0)
            throw new ArgumentException($"{name} is {value}; it must be from {least} to {most}.", name);
    }
}
