namespace DataSync.Storage;

/// <summary>When the browser calls a transaction complete.</summary>
public enum StorageDurability
{
    /// <summary>
    /// When the operating system has it: survives a crash of tab and browser; a power cut can take the last moments. The
    /// default, as it is the browsers'.
    /// </summary>
    Relaxed,

    /// <summary>When the disk has it; about twice as slow.</summary>
    Strict,
}

/// <summary>How an <see cref="IndexedDbBlockStore"/> works.</summary>
internal sealed record IndexedDbOptions
{
    /// <summary>When a commit counts as durable.</summary>
    /// <value><see cref="StorageDurability.Relaxed"/> by default.</value>
    public StorageDurability Durability { get; init; } = StorageDurability.Relaxed;

    /// <summary>How blocks are checksummed when this store creates the database.</summary>
    /// <value><see cref="ChecksumKind.FastHash"/> by default.</value>
    public ChecksumKind Checksum { get; init; } = ChecksumKind.FastHash;

    /// <summary>
    /// How long opening or deleting waits once the browser has said that another tab is in its way. As long as it has not said so the
    /// browser is slow and not blocked, and is waited for six times as long.
    /// </summary>
    /// <value>10 seconds by default; at least 100 ms.</value>
    public TimeSpan BlockedTimeout { get; init; } = TimeSpan.FromSeconds(10);

    internal void Validate()
    {
        if (BlockedTimeout < TimeSpan.FromMilliseconds(100)) throw new ArgumentException($"{nameof(BlockedTimeout)} is at least 100 ms.");
        if (!Enum.IsDefined(Durability) || !Enum.IsDefined(Checksum)) throw new ArgumentException("An option has a value that does not exist.");
    }
}
