using System.Runtime.InteropServices;
using DataSync.Coordination;
using DataSync.Storage;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What the suites for stores have in common: a database of its own for each test, and short ways to fill it.</summary>
public abstract class StoreSuite : IAsyncLifetime
{
    private readonly List<IBlockStore> _stores = [];

    private protected static CancellationToken None => CancellationToken.None;

    private protected static TabId Tab { get; } = TabId.New(TimeProvider.System);

    /// <summary>Where this test's stores come from; the same at every call.</summary>
    private protected abstract IStoreSource Source { get; }

    public virtual Task InitializeAsync() => Source.LoadAsync();

    public virtual async Task DisposeAsync()
    {
        foreach (var store in _stores) await store.DisposeAsync();
        await Source.RemoveAsync();
    }

    /// <summary>A new store object on this test's database, not yet open.</summary>
    private protected virtual IBlockStore NewStore() => Source.NewStore();

    private protected ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) => Source.GetRecordAsync(kind, key);

    private protected ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes) => Source.SetRecordAsync(kind, key, bytes);

    private protected async Task<(IBlockStore Store, Head Head)> OpenAsync()
    {
        var store = NewStore();
        _stores.Add(store);
        return (store, await store.OpenAsync(None));
    }

    /// <summary>An open store whose epoch was raised, and the fence to write with.</summary>
    private protected async Task<(IBlockStore Store, Fence Fence)> LeadAsync()
    {
        var (store, head) = await OpenAsync();
        var raised = await store.RaiseEpochAsync(head.Incarnation, default, Tab, None);
        return (store, new Fence(raised.Incarnation, raised.Epoch));
    }

    /// <summary>A commit stamped with the fence that writes blocks; each block's bytes tell block and marker, or are random.</summary>
    private protected static CommitRecord Commit(Fence fence, Position after, params uint[] blocks) =>
        Commit(fence, after, (blocks.Length == 0 ? 0 : blocks.Max() + 1) * (long)Extent.BlockSize, blocks, []);

    private protected static CommitRecord Commit(Fence fence, Position after, long fileSize, uint[] blocks, uint[] freed, Random? random = null)
    {
        var buffer = new byte[Extent.BlockSize];
        var handle = GCHandle.Alloc(buffer, GCHandleType.Pinned);
        try
        {
            var record = CommitRecord.Seal(
                CommitId.New(), after, Tab, 1_700_000_000_000 + after.Marker, fileSize, ChecksumKind.FastHash, blocks, freed, id =>
                {
                    if (random is null) FillBlock(buffer, id, after.Marker + 1);
                    else random.NextBytes(buffer);
                    return handle.AddrOfPinnedObject();
                });
            record.Stamp(fence);
            return record;
        }
        finally
        {
            handle.Free();
        }
    }

    /// <summary>Commits that follow each other, one block each.</summary>
    private protected static List<CommitRecord> Chain(Fence fence, Position after, int count)
    {
        var commits = new List<CommitRecord>(count);
        for (var i = 0; i < count; i++)
        {
            commits.Add(Commit(fence, after, (uint)i));
            after = commits[^1].Position;
        }

        return commits;
    }

    private protected static void FillBlock(Span<byte> block, long id, long marker)
    {
        for (var i = 0; i < block.Length; i++) block[i] = (byte)(i + id * 7 + marker * 13);
    }

    private protected static byte[] BlockBytes(long id, long marker)
    {
        var bytes = new byte[Extent.BlockSize];
        FillBlock(bytes, id, marker);
        return bytes;
    }

    /// <summary>An extent, sealed, that holds some of its blocks as written by a commit.</summary>
    private protected static Extent MakeExtent(Fence fence, int index, long marker, params int[] blocks)
    {
        var extent = new Extent(index);
        foreach (var block in blocks)
        {
            FillBlock(extent.Block(block), (long)index * Extent.BlockCount + block, marker);
            extent[block] = new(marker, Checksum.Compute(ChecksumKind.FastHash, extent.Block(block)), 5, true);
        }

        extent.SealRecord(fence.Incarnation, ChecksumKind.FastHash);
        return extent;
    }

    /// <summary>The head that folds the log up to a commit.</summary>
    private protected static async Task<Head> HeadAtAsync(IBlockStore store, Position position, long fileSize, params CommitId[] recent) =>
        (await StoreContent.ReadAsync(store)).Head with { Checkpoint = position, FileSize = fileSize, RecentCommits = recent };
}

/// <summary>Gives a suite one database for each test, and a way to its records past the store.</summary>
internal interface IStoreSource
{
    /// <summary>Called before anything else.</summary>
    Task LoadAsync() => Task.CompletedTask;

    /// <summary>A new store object on the database, not yet open.</summary>
    IBlockStore NewStore();

    /// <summary>The bytes of a stored record, past the store; for the head its text.</summary>
    ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key);

    /// <summary>Replaces the bytes of a stored record, or removes it, past the store.</summary>
    ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes);

    /// <summary>Removes the database.</summary>
    Task RemoveAsync() => Task.CompletedTask;
}

/// <summary>All that a store handed over, in the order in which it did.</summary>
internal sealed class StoreContent : IStoreReadSink
{
    private Head? _head;

    public Head Head => _head ?? throw new InvalidOperationException("No head was handed over.");

    public List<(int Index, byte[] Bytes)> Extents { get; } = [];

    public List<(long Marker, byte[] Bytes)> Log { get; } = [];

    public IEnumerable<long> Markers => Log.Select(record => record.Marker);

    /// <summary>The list of the extents; null when none was handed over.</summary>
    public IReadOnlyList<int>? List { get; private set; }

    public static async Task<StoreContent> ReadAsync(IBlockStore store, bool extents = true, long afterMarker = 0, int[]? only = null, bool list = false)
    {
        ArgumentNullException.ThrowIfNull(store);
        var content = new StoreContent();
        await store.ReadAsync(new StoreRead(content, extents, afterMarker) { Only = only, ListExtents = list }, CancellationToken.None);
        Assert.NotNull(content._head);
        return content;
    }

    public void OnHead(Head head, int extents, int logRecords)
    {
        Assert.Null(_head);
        _head = head;
    }

    public void OnExtentList(IReadOnlyList<int> indices)
    {
        Assert.NotNull(_head);
        Assert.Null(List);
        Assert.Empty(Extents);
        List = [.. indices];
    }

    public void OnExtent(Extent extent, int recordSize)
    {
        Assert.NotNull(_head);
        Assert.Empty(Log);
        Extents.Add((extent.Index, extent.RecordBytes[..Math.Min(recordSize, Extent.MaxRecordSize)].ToArray()));
        extent.Dispose();
    }

    public void OnLog(long marker, byte[] record, bool mayBeTorn)
    {
        Assert.NotNull(_head);
        Log.Add((marker, record));
    }
}
