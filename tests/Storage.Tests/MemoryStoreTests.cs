using DataSync.Contracts;
using Xunit;

namespace DataSync.Storage.Tests;

/// <summary>Gives a suite one medium in memory for each test.</summary>
internal sealed class MemorySource : IStoreSource
{
    public MemoryBlockMedium Medium { get; } = new();

    public IBlockStore NewStore() => new MemoryBlockStore(Medium);

    public ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) => new(Medium.GetRecord(kind, key));

    public ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes)
    {
        Medium.SetRecord(kind, key, bytes);
        return default;
    }
}

public sealed class MemoryBlockStoreTests : BlockStoreContract
{
    private readonly MemorySource _source = new();

    private protected override IStoreSource Source => _source;

    [Fact]
    public async Task A_medium_that_is_disconnected_closes_its_stores()
    {
        var (store, fence) = await LeadAsync();
        var reasons = new List<StoreClosedReason>();
        store.Closed += reasons.Add;
        _source.Medium.Disconnect();
        _source.Medium.Disconnect();
        Assert.Equal([StoreClosedReason.Lost], reasons);
        await Assert.ThrowsAsync<StorageClosedException>(async () => await store.AppendAsync(fence, [Commit(fence, Position.Start, 0)], None));
        Assert.Equal(fence.Incarnation, (await store.OpenAsync(None)).Incarnation);
    }
}

public sealed class MemoryHeadTests : HeadContract
{
    private protected override IStoreSource Source { get; } = new MemorySource();
}

public sealed class MemoryCheckpointTests : CheckpointContract
{
    private protected override IStoreSource Source { get; } = new MemorySource();
}

public sealed class MemoryCopyTests : CopyContract
{
    private protected override IStoreSource Source { get; } = new MemorySource();
}

public sealed class MemoryRecoveryTests : RecoveryContract
{
    private readonly MemorySource _source = new();

    private protected override IStoreSource Source => _source;

    [Theory]
    [InlineData(0)]
    [InlineData(60)]
    [InlineData(3000)]
    public async Task A_torn_last_commit_is_rolled_back_without_a_complaint(int length)
    {
        var (store, fence, chain) = await FilledAsync();
        _source.Medium.CanTear = true;
        _source.Medium.SetRecord(StoreRecordKind.Log, 5, chain[4].Bytes[..length].ToArray());
        using (var recovered = await LoadAsync(store, new()))
        {
            Assert.Equal(RecoveryFindingKind.TornTail, Assert.Single(recovered.Report.Findings).Kind);
            Assert.Equal(chain[3].Position, recovered.Image.Position);
        }

        var tail = await Recovery.ReadLogAsync(store, fence.Incarnation, chain[2].Position, None);
        Assert.Equal((1, 5), (tail.Commits.Count, tail.DropFrom));
        using var repaired = await AssertRepairedAsync(store, fence, chain[3].Position, rolledBack: 1, isCorrupt: false);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Random_damage_is_reported_and_repaired(int seed)
    {
        var random = new Random(seed);
        for (var round = 0; round < 100; round++)
        {
            var source = new MemorySource();
            var (store, fence, chain) = await FilledAsync(source);
            var (key, kind) = random.Next(4) == 0 ? (0L, StoreRecordKind.Extent) : (random.NextInt64(3, 6), StoreRecordKind.Log);
            var bytes = source.Medium.GetRecord(kind, key)!;
            switch (random.Next(4))
            {
                case 0: bytes = bytes[..random.Next(bytes.Length)]; break;
                case 1: random.NextBytes(bytes.AsSpan(random.Next(bytes.Length))); break;
                case 2: bytes.AsSpan(random.Next(bytes.Length / 2)).Clear(); break;
                default: bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8)); break;
            }

            source.Medium.SetRecord(kind, key, bytes);
            var position = kind == StoreRecordKind.Log ? chain[(int)key - 2].Position : chain[4].Position;
            if (kind == StoreRecordKind.Extent && IsSound(bytes, fence)) continue;
            await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, new()));
            using var recovered = await AssertRepairedAsync(store, fence, position, kind == StoreRecordKind.Log ? 6 - (int)key : 0);
            for (var block = 2; block < position.Marker; block++) Assert.Equal(BlockBytes(block, block + 1), recovered.Block(block));
        }
    }

    [Fact]
    public async Task What_a_repair_removes_is_kept_aside()
    {
        var (store, fence, chain) = await FilledAsync();
        await DamageAsync(StoreRecordKind.Log, 4, 1000);
        await DamageAsync(StoreRecordKind.Extent, 0, Extent.HeaderSize);
        using var repaired = await AssertRepairedAsync(store, fence, chain[2].Position, rolledBack: 2);
        Assert.Equal(
            [(StoreRecordKind.Extent, 0L), (StoreRecordKind.Log, 4L), (StoreRecordKind.Log, 5L)],
            _source.Medium.Quarantine.Select(record => (record.Kind, record.Key)));
        Assert.Equal(chain[4].Bytes.ToArray(), _source.Medium.Quarantine[2].Bytes.ToArray());
    }

    /// <summary>Some bytes of an extent's header mean nothing, and a flip there changes nothing.</summary>
    private static bool IsSound(byte[] bytes, Fence fence)
    {
        using var extent = new Extent(0);
        bytes.CopyTo(extent.RecordBytes);
        return extent.VerifyRecord(fence.Incarnation, bytes.Length) is null
            && Enumerable.Range(0, Extent.BlockCount).All(block => extent.VerifyBlock(block, ChecksumKind.FastHash));
    }

    private static async Task<(IBlockStore Store, Fence Fence, List<CommitRecord> Chain)> FilledAsync(MemorySource source)
    {
        var store = source.NewStore();
        var head = await store.OpenAsync(None);
        head = await store.RaiseEpochAsync(head.Incarnation, default, Tab, None);
        var fence = new Fence(head.Incarnation, head.Epoch);
        return await FillAsync(store, fence);
    }
}
