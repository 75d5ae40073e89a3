using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>A commit that became durable.</summary>
public sealed class CommittedEventArgs(Position position, TabId writer, bool isLocal, int blocks, int bytes) : EventArgs
{
    /// <summary>Where the commit stands.</summary>
    public Position Position { get; } = position;

    /// <summary>The tab that wrote it.</summary>
    public TabId Writer { get; } = writer;

    /// <summary>Whether this tab wrote it.</summary>
    public bool IsLocal { get; } = isLocal;

    /// <summary>How many blocks it wrote.</summary>
    public int Blocks { get; } = blocks;

    /// <summary>Bytes of its record.</summary>
    public int Bytes { get; } = bytes;
}

/// <summary>Why a pipeline stopped.</summary>
public sealed class StorageFaultedEventArgs(StorageException error) : EventArgs
{
    /// <summary>What every later call fails with.</summary>
    public StorageException Error { get; } = error;
}
