using DataSync.Coordination;
using DataSync.Storage;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What holds for every store that can hold a copy of another one.</summary>
public abstract class CopyContract : StoreSuite
{
    private static readonly Fence Elsewhere = new(Guid.NewGuid(), new Epoch(7));

    [Fact]
    public async Task It_takes_over_another_stores_state_as_a_whole()
    {
        var (copy, present) = await OpenCopyAsync();
        var chain = Chain(Elsewhere, Position.Start, 3);
        await AdoptAllAsync(copy, present, chain);
        var content = await StoreContent.ReadAsync(copy);
        Assert.Equal((Elsewhere.Incarnation, Elsewhere.Epoch, chain[1].Position), (content.Head.Incarnation, content.Head.Epoch, content.Head.Checkpoint));
        Assert.Equal(0, Assert.Single(content.Extents).Index);
        Assert.Equal(chain[2].Bytes.ToArray(), Assert.Single(content.Log).Bytes);
        Assert.Empty((await Recovery.VerifyAsync(copy)).Findings);

        // Nothing stays of what it held.
        var other = Chain(new(Guid.NewGuid(), new(2)), Position.Start, 2);
        var head = HeadOf(new(other[0].Incarnation, new(2)), Position.Start, 0);
        await copy.AdoptAsync(new(new(Elsewhere.Incarnation, 2, 3), head, other, [], ReplacesAll: true), None);
        content = await StoreContent.ReadAsync(copy);
        Assert.Empty(content.Extents);
        Assert.Equal([1, 2], content.Markers);
        Assert.Empty((await Recovery.VerifyAsync(copy)).Findings);

        var (again, reopened) = await OpenAsync();
        Assert.Equal(other[0].Incarnation, reopened.Incarnation);
        await again.DisposeAsync();
    }

    [Fact]
    public async Task Commits_go_behind_the_end_of_its_log_and_are_folded_with_the_head()
    {
        var (copy, present) = await OpenCopyAsync();
        var chain = Chain(Elsewhere, Position.Start, 6);
        await AdoptAllAsync(copy, present, chain[..3]);
        var head = (await StoreContent.ReadAsync(copy)).Head with { Epoch = new(8) };
        await copy.AdoptAsync(new(new(Elsewhere.Incarnation, 2, 3), head, chain[3..5], []), None);
        var content = await StoreContent.ReadAsync(copy);
        Assert.Equal([3, 4, 5], content.Markers);
        Assert.Equal(new Epoch(8), content.Head.Epoch);
        Assert.Single(content.Extents);
        Assert.Empty((await Recovery.VerifyAsync(copy)).Findings);

        using var extent = MakeExtent(Elsewhere, 0, 5, 0, 1, 2, 3, 4);
        using var gone = new Extent(7);
        gone.SealRecord(Elsewhere.Incarnation, ChecksumKind.FastHash);
        await copy.AdoptAsync(new(new(Elsewhere.Incarnation, 2, 5), head with { Checkpoint = chain[4].Position, FileSize = 5 * Extent.BlockSize }, [], [extent, gone]), None);
        content = await StoreContent.ReadAsync(copy);
        Assert.Empty(content.Log);
        Assert.Equal(extent.RecordBytes[..extent.RecordSize].ToArray(), Assert.Single(content.Extents).Bytes);
        await copy.AdoptAsync(new(new(Elsewhere.Incarnation, 5, 5), content.Head, chain[5..], []), None);
        Assert.Equal([6], (await StoreContent.ReadAsync(copy)).Markers);
        Assert.Empty((await Recovery.VerifyAsync(copy)).Findings);
    }

    [Fact]
    public async Task Whoever_expects_something_else_writes_nothing()
    {
        var (copy, present) = await OpenCopyAsync();
        var chain = Chain(Elsewhere, Position.Start, 5);
        await AdoptAllAsync(copy, present, chain[..3]);
        var before = await StoreContent.ReadAsync(copy);
        CopyState[] others = [present, new(Elsewhere.Incarnation, 2, 2), new(Elsewhere.Incarnation, 2, 4), new(Elsewhere.Incarnation, 1, 3), new(Guid.NewGuid(), 2, 3)];
        foreach (var expected in others)
        {
            using var extent = MakeExtent(Elsewhere, 1, 4, 0);
            await Assert.ThrowsAsync<MarkerConflictException>(async () => await copy.AdoptAsync(new(expected, before.Head with { Epoch = new(9) }, chain[3..], [extent], ReplacesAll: expected == present), None));
        }

        var after = await StoreContent.ReadAsync(copy);
        Assert.Equal(before.Head.Epoch, after.Head.Epoch);
        Assert.Equal(before.Markers, after.Markers);
        Assert.Equal(before.Extents.Select(extent => extent.Index), after.Extents.Select(extent => extent.Index));
    }

    [Fact]
    public async Task Of_two_that_expect_the_same_one_writes()
    {
        var (first, present) = await OpenCopyAsync();
        var second = (ICopyStore)(await OpenAsync()).Store;
        var chain = Chain(Elsewhere, Position.Start, 4);
        await AdoptAllAsync(first, present, chain[..3]);
        var head = (await StoreContent.ReadAsync(first)).Head;
        var outcomes = await Task.WhenAll(new[] { first, second }.Select(async copy =>
        {
            try
            {
                await copy.AdoptAsync(new(new(Elsewhere.Incarnation, 2, 3), head, chain[3..], []), None);
                return true;
            }
            catch (MarkerConflictException)
            {
                return false;
            }
        }));
        Assert.Single(outcomes, written => written);
    }

    [Fact]
    public async Task A_copy_that_is_closed_takes_nothing()
    {
        var (copy, present) = await OpenCopyAsync();
        await copy.DisposeAsync();
        await Assert.ThrowsAsync<StorageClosedException>(async () => await copy.AdoptAsync(new(present, HeadOf(Elsewhere, Position.Start, 0), [], []), None));
    }

    private static Head HeadOf(Fence fence, Position checkpoint, long fileSize) => new() { Incarnation = fence.Incarnation, Epoch = fence.Epoch, Checkpoint = checkpoint, FileSize = fileSize };

    // The first two are in an extent, the others in the log.
    private static async Task AdoptAllAsync(ICopyStore copy, CopyState present, List<CommitRecord> chain)
    {
        using var extent = MakeExtent(Elsewhere, 0, 2, 0, 1);
        await copy.AdoptAsync(new(present, HeadOf(Elsewhere, chain[1].Position, 2 * Extent.BlockSize), chain[2..], [extent], ReplacesAll: true), None);
    }

    private async Task<(ICopyStore Copy, CopyState Present)> OpenCopyAsync()
    {
        var (store, head) = await OpenAsync();
        return ((ICopyStore)store, new(head.Incarnation, 0, 0));
    }
}
