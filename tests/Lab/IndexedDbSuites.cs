using DataSync.Contracts;
using DataSync.Storage;
using Xunit;

namespace DataSync.Lab;

public sealed class IndexedDbBlocks : BlockStoreContract
{
    protected override IStoreSource Source { get; } = new IndexedDbSource();
}

public sealed class IndexedDbCheckpoints : CheckpointContract
{
    protected override IStoreSource Source { get; } = new IndexedDbSource();
}

public sealed class IndexedDbHeads : HeadContract
{
    protected override IStoreSource Source { get; } = new IndexedDbSource();
}

public sealed class IndexedDbRecovery : RecoveryContract
{
    private readonly IndexedDbSource _source = new();

    protected override IStoreSource Source => _source;

    [Theory]
    [InlineData("\"text\"")]
    [InlineData("{\"id\":7}")]
    [InlineData("[1,2,3]")]
    [InlineData("null")]
    public async Task A_log_record_of_another_kind_is_damage(string json)
    {
        var (store, fence, chain) = await FilledAsync();
        await IndexedDbSource.SetJsonAsync(_source.Database, "Log", 4, json);
        await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, new()));
        using var repaired = await AssertRepairedAsync(store, fence, chain[2].Position, rolledBack: 2);
        Assert.Equal(2, await IndexedDbSource.CountQuarantinedAsync(_source.Database));
    }

    [Theory]
    [InlineData("\"text\"")]
    [InlineData("{}")]
    public async Task An_extent_of_another_kind_is_damage(string json)
    {
        var (store, fence, chain) = await FilledAsync();
        await IndexedDbSource.SetJsonAsync(_source.Database, "Extent", 0, json);
        using var repaired = await AssertRepairedAsync(store, fence, chain[4].Position, rolledBack: 0);
        Assert.Equal(1, await IndexedDbSource.CountQuarantinedAsync(_source.Database));
    }
}
