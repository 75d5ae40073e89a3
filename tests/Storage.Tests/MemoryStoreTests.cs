using DataSync.Contracts;
using Xunit;

namespace DataSync.Storage.Tests;

/// <summary>Gives a suite one medium in memory for each test.</summary>
internal sealed class MemorySource
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

    protected override IBlockStore NewStore() => _source.NewStore();

    protected override ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) => _source.GetRecordAsync(kind, key);

    protected override ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes) => _source.SetRecordAsync(kind, key, bytes);
}

public sealed class MemoryCheckpointTests : CheckpointContract
{
    private readonly MemorySource _source = new();

    protected override IBlockStore NewStore() => _source.NewStore();

    protected override ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) => _source.GetRecordAsync(kind, key);

    protected override ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes) => _source.SetRecordAsync(kind, key, bytes);
}

public sealed class MemoryRecoveryTests : RecoveryContract
{
    private readonly MemorySource _source = new();

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

    protected override IBlockStore NewStore() => _source.NewStore();

    protected override ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) => _source.GetRecordAsync(kind, key);

    protected override ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes) => _source.SetRecordAsync(kind, key, bytes);
}
