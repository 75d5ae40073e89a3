namespace DataSync.Storage;

/// <summary>When an awaited write returns.</summary>
public enum Durability
{
    /// <summary>When its commit is durable and shown here.</summary>
    Immediate,

    /// <summary>
    /// When its commit is in this tab's copy. It becomes durable later, together with others, as <see cref="SyncPolicy"/>
    /// says; a crash of the tab before that loses it (not plain SQL of a client of a server in the browser, which is kept).
    /// </summary>
    Deferred,
}

/// <summary>What made a sync start.</summary>
public enum SyncTrigger
{
    /// <summary>The application asked for it, or closes the database.</summary>
    Requested,

    /// <summary>The oldest commit was buffered for <see cref="SyncPolicy.Interval"/>.</summary>
    Interval,

    /// <summary>Nothing was written for <see cref="SyncPolicy.Debounce"/>.</summary>
    Debounce,

    /// <summary>As <see cref="Debounce"/>, and the browser had nothing else to do.</summary>
    Idle,

    /// <summary><see cref="SyncPolicy.DirtyBlocks"/> was reached.</summary>
    DirtyBlocks,

    /// <summary><see cref="SyncPolicy.DirtyBytes"/> was reached.</summary>
    DirtyBytes,

    /// <summary><see cref="SyncPolicy.BackpressureBytes"/> was reached.</summary>
    Backpressure,

    /// <summary>The page is hidden: while it is, nothing is buffered.</summary>
    Hidden,

    /// <summary>The page is being left.</summary>
    PageLeft,

    /// <summary>A write that is not buffered came behind, or this tab had to ask for the write turn.</summary>
    Turn,

    /// <summary>Another tab committed first, so that what was buffered is run again; or it cannot become durable any more.</summary>
    Conflict,
}

/// <summary>When commits that are buffered under <see cref="Durability.Deferred"/> are made durable. Copied when a database is opened.</summary>
public sealed class SyncPolicy
{
    /// <summary>How long a commit is buffered at most.</summary>
    /// <value>Default 2 s; 10 ms to 10 minutes.</value>
    public TimeSpan Interval { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>How long nothing must be written before what is buffered is made durable; in the browser it also waits for an idle moment.</summary>
    /// <value>Default 100 ms; 1 ms to <see cref="Interval"/>.</value>
    public TimeSpan Debounce { get; set; } = TimeSpan.FromMilliseconds(100);

    /// <summary>How many blocks of 4096 bytes the buffered commits may have written; a block counts in each commit.</summary>
    /// <value>Default 512; 1 to 1,048,576.</value>
    public int DirtyBlocks { get; set; } = 512;

    /// <summary>How many bytes the buffered commits may have.</summary>
    /// <value>Default 2 MiB; 4 KiB to 1 GiB.</value>
    public long DirtyBytes { get; set; } = 2 << 20;

    /// <summary>
    /// How many bytes may be acknowledged and not durable (buffered or on their way) before writes wait; they go on at half of
    /// it. The bound on memory is this and one transaction more, twice: what a commit overwrote is kept as well. While a client of a server has no connection they fail with <see cref="NoLeaderException"/>
    /// when they have waited for <see cref="PipelineOptions.WriteTimeout"/>.
    /// </summary>
    /// <value>Default 16 MiB; at least <see cref="DirtyBytes"/>, at most 1 GiB.</value>
    public long BackpressureBytes { get; set; } = 16 << 20;

    /// <summary>Checks every value and the rules between them.</summary>
    /// <exception cref="ArgumentException">A value is out of its range; the message names it and the range.</exception>
    public void Validate()
    {
        Check(Interval, TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(10), nameof(Interval));
        Check(Debounce, TimeSpan.FromMilliseconds(1), Interval, nameof(Debounce));
        Check(DirtyBlocks, 1, 1 << 20, nameof(DirtyBlocks));
        Check(DirtyBytes, 4 << 10, 1 << 30, nameof(DirtyBytes));
        Check(BackpressureBytes, DirtyBytes, 1 << 30, nameof(BackpressureBytes));
    }

    internal SyncPolicy Copy()
    {
        Validate();
        return (SyncPolicy)MemberwiseClone();
    }

    /// <summary>Why what is buffered must be made durable now, or null when it may wait.</summary>
    internal SyncTrigger? Decide(BufferedWork buffered, bool isHidden)
    {
        if (buffered.Commits == 0) return null;
        if (isHidden) return SyncTrigger.Hidden;
        if (buffered.Bytes >= DirtyBytes) return SyncTrigger.DirtyBytes;
        if (buffered.Blocks >= DirtyBlocks) return SyncTrigger.DirtyBlocks;
        return buffered.Age >= Interval ? SyncTrigger.Interval : null;
    }

    private static void Check<T>(T value, T least, T most, string name)
        where T : IComparable<T>
    {
        if (value.CompareTo(least) < 0 || value.CompareTo(most) > 0)
            throw new ArgumentException($"{name} is {value}; it must be from {least} to {most}.", name);
    }
}

/// <summary>The commits that are buffered.</summary>
/// <param name="Commits">How many.</param>
/// <param name="Blocks">Blocks that they wrote or freed, counted in each.</param>
/// <param name="Bytes">Bytes of their records.</param>
/// <param name="Age">How long the oldest has been buffered.</param>
internal readonly record struct BufferedWork(int Commits, int Blocks, long Bytes, TimeSpan Age);
