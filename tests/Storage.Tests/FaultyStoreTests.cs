using DataSync.Contracts;
using Xunit;

namespace DataSync.Storage.Tests;

/// <summary>The faulty store with no fault set is a store like the one that it wraps.</summary>
public sealed class FaultyBlockStoreTests : BlockStoreContract
{
    private protected override IStoreSource Source { get; } = new MemorySource();

    [Fact]
    public async Task A_call_fails_before_or_after_it_was_done()
    {
        var (store, fence) = await LeadAsync();
        var faulty = (FaultyBlockStore)store;
        var chain = Chain(fence, Position.Start, 2);
        faulty.FailAt(StoreOperation.Append, new StorageQuotaException());
        faulty.FailAt(StoreOperation.Append, new StorageClosedException(StoreClosedReason.Lost), nth: 2, after: true);
        await Assert.ThrowsAsync<StorageQuotaException>(async () => await store.AppendAsync(fence, chain, None));
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
        await Assert.ThrowsAsync<StorageClosedException>(async () => await store.AppendAsync(fence, chain, None));
        Assert.Equal([1, 2], (await StoreContent.ReadAsync(store)).Markers);
        await store.AppendAsync(fence, chain, None);
        Assert.Equal(3, faulty.CountOf(StoreOperation.Append));
    }

    [Fact]
    public async Task A_held_call_waits_until_it_is_released()
    {
        var (store, fence) = await LeadAsync();
        var held = ((FaultyBlockStore)store).HoldAt(StoreOperation.Append);
        var append = store.AppendAsync(fence, Chain(fence, Position.Start, 1), None).AsTask();
        await held.Reached;
        Assert.False(append.IsCompleted);
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
        await LeadAsync();
        held.Release();
        await Assert.ThrowsAsync<FencedException>(() => append);
    }

    private protected override IBlockStore NewStore() => new FaultyBlockStore(Source.NewStore());
}
