using DataSync.Storage;

namespace DataSync.Simulation;

/// <summary>The reference: what the database holds after a commit, as plain bytes. Blocks are shared and never changed.</summary>
internal sealed class ModelImage
{
    /// <summary>The blocks that the workload uses: in two extents, on both sides of a border.</summary>
    public static readonly int[] InTwoExtents = [0, 1, 2, 3, 4, 5, 6, 62, 63, 64, 65, 66];

    /// <summary>As many in four: of an image that is not wholly in memory only the first extent stays.</summary>
    public static readonly int[] InFourExtents = [0, 1, 2, 62, 63, 64, 65, 127, 128, 129, 191, 192];

    private static readonly byte[] Zero = new byte[Extent.BlockSize];
    private readonly byte[][] _blocks;

    private ModelImage(int[] ids, byte[][] blocks, long size) => (BlockIds, _blocks, Size) = (ids, blocks, size);

    /// <summary>The blocks that the workload uses.</summary>
    public int[] BlockIds { get; }

    public long Size { get; private set; }

    public static ModelImage MakeEmpty(int[] ids) => new(ids, [.. ids.Select(_ => Zero)], 0);

    public ModelImage Copy() => new(BlockIds, [.. _blocks], Size);

    public void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        for (var i = 0; i < BlockIds.Length; i++)
        {
            var start = (long)BlockIds[i] * Extent.BlockSize;
            var from = Math.Max(start, offset);
            var to = Math.Min(start + Extent.BlockSize, offset + bytes.Length);
            if (from >= to) continue;
            var block = _blocks[i].ToArray();
            bytes[(int)(from - offset)..(int)(to - offset)].CopyTo(block.AsSpan((int)(from - start)));
            _blocks[i] = block;
        }

        Size = Math.Max(Size, offset + bytes.Length);
    }

    public void Truncate(long size)
    {
        for (var i = 0; i < BlockIds.Length; i++)
        {
            var start = (long)BlockIds[i] * Extent.BlockSize;
            if (start + Extent.BlockSize <= size || ReferenceEquals(_blocks[i], Zero)) continue;
            if (start >= size)
            {
                _blocks[i] = Zero;
                continue;
            }

            var block = _blocks[i].ToArray();
            block.AsSpan((int)(size - start)).Clear();
            _blocks[i] = block;
        }

        Size = size;
    }

    /// <summary>Null when the database reads exactly like this, as far as it can be read; otherwise what differs.</summary>
    public string? Compare(long size, Reader read)
    {
        if (size != Size) return $"its size is {size}, expected {Size}";
        Span<byte> actual = stackalloc byte[Extent.BlockSize];
        for (var i = 0; i < BlockIds.Length; i++)
        {
            if (!read(BlockIds[i], actual)) continue;
            if (!actual.SequenceEqual(_blocks[i])) return $"block {BlockIds[i]} holds {Describe(actual)}, expected {Describe(_blocks[i])}";
        }

        return null;
    }

    /// <summary>As the other, without being a reader; what is not in memory is left out.</summary>
    public string? Compare(BlockStorage storage) => Compare(storage.Size, (id, to) => storage.TryPeek(id, to));

    public string? Compare(BlockImage image) => Compare(image.FileSize, (id, to) =>
    {
        if (image.Find(id / Extent.BlockCount) is not { } extent) to.Clear();
        else extent.Block(id % Extent.BlockCount).CopyTo(to);
        return true;
    });

    private static string Describe(ReadOnlySpan<byte> block) =>
        block.IndexOfAnyExcept((byte)0) < 0 ? "zeros" : $"[{Convert.ToHexString(block[..16])}…]";

    /// <summary>Reads a block; false where it is not to be compared.</summary>
    internal delegate bool Reader(int id, Span<byte> destination);
}

/// <summary>A commit as its writer sealed it, and the image it makes on top of its base.</summary>
internal sealed record ModelCommit(CommitId Id, string Name, Position Base, ModelImage Image, Operation? Operation, SimTab? Writer, int Number)
{
    /// <summary>Its writer was told that it did not and will not become durable.</summary>
    public bool IsDead { get; set; }
}

/// <summary>One store from creation to deletion: the durable history, which only ever grows.</summary>
internal sealed class StoreLife(Guid incarnation)
{
    private readonly Dictionary<CommitId, long> _markers = [];

    /// <summary>A store made from a copy of another: the same history, so far.</summary>
    public StoreLife(Guid incarnation, StoreLife original)
        : this(incarnation)
    {
        foreach (var position in original.History.Skip(1)) Add(position);
        (Copied, Epoch, Checkpoint) = (History.Count - 1, original.Epoch, original.End.Marker);
    }

    public Guid Incarnation { get; } = incarnation;

    /// <summary>How many commits it took over from another store.</summary>
    public int Copied { get; }

    public List<Position> History { get; } = [Position.Start];

    public Position End => History[^1];

    public long Epoch { get; set; }

    public long Checkpoint { get; set; }

    public bool IsOver { get; set; }

    public long? Find(CommitId id) => _markers.TryGetValue(id, out var marker) ? marker : null;

    public void Add(Position position)
    {
        History.Add(position);
        _markers.Add(position.Commit, position.Marker);
    }
}

internal enum OperationState
{
    Running,

    /// <summary>Acknowledged before it is durable.</summary>
    Deferred,

    /// <summary>Acknowledged, and durable.</summary>
    Done,

    /// <summary>Failed, or withdrawn: nothing of it may ever become durable.</summary>
    Failed,

    /// <summary>Its outcome is not known: it may become durable, once.</summary>
    Unknown,
}

/// <summary>One write that a tab's application asked for; it may take several commits until one is not stale.</summary>
internal sealed class Operation(int number, SimTab tab, double startMs, StoreLife? life)
{
    public int Number { get; } = number;

    public SimTab Tab { get; } = tab;

    public double StartMs { get; } = startMs;

    public double EndMs { get; set; }

    public StoreLife? Life { get; } = life;

    public long MarkerAtStart { get; } = life?.End.Marker ?? 0;

    public OperationState State { get; set; }

    public string Outcome { get; set; } = "";

    public List<ModelCommit> Commits { get; } = [];

    /// <summary>The commit of it that became durable.</summary>
    public ModelCommit? Durable { get; set; }

    public bool IsProbe { get; init; }

    /// <summary>Statements of it were sent to a leader: whatever else is said, they may be run until they are refused.</summary>
    public bool WasSent { get; set; }

    /// <summary>What a tab that is sent its statements does.</summary>
    public WritePlan? Statements { get; set; }

    /// <summary>Its place among all beginnings and early acknowledgements of the run.</summary>
    public required long StartOrder { get; init; }

    /// <summary>As <see cref="StartOrder"/>, when it was acknowledged before it was durable; otherwise 0.</summary>
    public long AckOrder { get; set; }

    /// <summary>A sync told of its failure before it was acknowledged.</summary>
    public bool IsTakenBack { get; set; }

    /// <summary>Whether its application still waits for its fate.</summary>
    public bool IsOpen => State == OperationState.Running || (State == OperationState.Deferred && Durable is null);

    /// <summary>A synchronous write whose outcome nobody has asked for.</summary>
    public bool IsUnflushed { get; set; }
}
