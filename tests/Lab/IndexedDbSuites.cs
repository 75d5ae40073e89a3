using DataSync.Contracts;
using DataSync.Storage;
using Xunit;

namespace DataSync.Lab;

public sealed class IndexedDbBlocks : BlockStoreContract
{
    private protected override IStoreSource Source { get; } = new IndexedDbSource();
}

public sealed class IndexedDbCheckpoints : CheckpointContract
{
    private protected override IStoreSource Source { get; } = new IndexedDbSource();
}

public sealed class IndexedDbCopies : CopyContract
{
    private protected override IStoreSource Source { get; } = new IndexedDbSource();
}

public sealed class IndexedDbHeads : HeadContract
{
    private protected override IStoreSource Source { get; } = new IndexedDbSource();
}

public sealed class IndexedDbRecovery : RecoveryContract
{
    private readonly IndexedDbSource _source = new();

    private protected override IStoreSource Source => _source;

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

    [Fact]
    public async Task A_repair_keeps_what_it_replaces_and_removes_as_it_was()
    {
        var (store, fence, chain) = await FilledAsync();
        await DamageAsync(StoreRecordKind.Extent, 0, Extent.HeaderSize + 9);
        await DamageAsync(StoreRecordKind.Log, 4, 1000);
        var kept = new List<string>();
        foreach (var (kind, name, key) in new[] { (StoreRecordKind.Log, "log", 4), (StoreRecordKind.Log, "log", 5), (StoreRecordKind.Extent, "extents", 0) })
            kept.Add($"{name} {key} {Convert.ToBase64String((await GetRecordAsync(kind, key))!)}");
        using var repaired = await AssertRepairedAsync(store, fence, chain[2].Position, rolledBack: 2);
        Assert.Equal(kept, (await IndexedDbSource.ListQuarantinedAsync(_source.Database)).Split('\n'));
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
