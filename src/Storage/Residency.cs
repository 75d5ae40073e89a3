namespace DataSync.Storage;

/// <summary>How much of a database is in a tab's memory.</summary>
public sealed class Residency
{
    /// <summary>The least that <see cref="OnDemand"/> takes: one extent.</summary>
    internal const long LeastBytes = 1;

    private Residency(long? maxBytes) => MaxBytes = maxBytes;

    /// <summary>All of it, read when it is opened: every call finds what it needs.</summary>
    public static Residency Full { get; } = new(null);

    /// <summary>How many bytes stay in memory; null: all.</summary>
    public long? MaxBytes { get; }

    /// <summary>
    /// What was needed. Opening reads the log and the beginning, so the first query runs at once; what is not there when asynchronous members need it is read then, with more
    /// and more of what follows it, and what was not used for longest leaves memory again. Synchronous calls that need what is not there throw <see cref="NotResidentException"/>.
    /// </summary>
    /// <param name="maxBytes">
    /// How many bytes stay in memory between calls; 1 or more. What a single statement needs, and what is not in a checkpoint yet, is kept beyond it.
    /// </param>
    public static Residency OnDemand(long maxBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxBytes, LeastBytes);
        return new(maxBytes);
    }
}
