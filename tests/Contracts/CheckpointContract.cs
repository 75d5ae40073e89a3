using DataSync.Coordination;
using DataSync.Storage;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What holds for every store: extents, checkpoints, and reading at one moment.</summary>
public abstract class CheckpointContract : StoreSuite
{
    [Fact]
    public async Task A_checkpoint_writes_extents_replaces_the_head_and_trims_the_log()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, chain, None);
        using var extent = MakeExtent(fence, 0, 2, 0, 1);
        var head = await HeadAtAsync(store, chain[1].Position, 8192, chain[0].Id, chain[1].Id);
        await store.CheckpointAsync(fence, new Checkpoint(head, [extent]), None);

        var content = await StoreContent.ReadAsync(store);
        Assert.Equal([3], content.Markers);
        Assert.Equal(chain[1].Position, content.Head.Checkpoint);
        Assert.Equal(8192, content.Head.FileSize);
        Assert.Equal([chain[0].Id, chain[1].Id], content.Head.RecentCommits);
        Assert.Equal(Tab, content.Head.Holder);
        Assert.Equal(2, content.Head.FindRecent(chain[1].Id));
        Assert.Equal(extent.RecordBytes[..extent.RecordSize].ToArray(), Assert.Single(content.Extents).Bytes);
    }

    [Fact]
    public async Task The_log_goes_on_behind_a_checkpoint()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 4);
        await store.AppendAsync(fence, chain[..2], None);
        await store.CheckpointAsync(fence, new Checkpoint(await HeadAtAsync(store, chain[1].Position, 8192), []), None);
        await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.AppendAsync(fence, [chain[3]], None));
        await store.AppendAsync(fence, [chain[2]], None);
        await store.AppendAsync(fence, [chain[3]], None);
        Assert.Equal([3, 4], (await StoreContent.ReadAsync(store)).Markers);
    }

    [Fact]
    public async Task A_commit_that_a_checkpoint_has_passed_is_not_taken_again()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, chain[..2], None);
        await store.CheckpointAsync(fence, new Checkpoint(await HeadAtAsync(store, chain[1].Position, 8192), []), None);
        await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.AppendAsync(fence, [chain[1]], None));
        await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.AppendAsync(fence, [chain[0]], None));
        await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.AppendAsync(fence, chain, None));
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
    }

    [Fact]
    public async Task A_stale_leader_cannot_checkpoint()
    {
        var (old, stale) = await LeadAsync();
        var commit = Commit(stale, Position.Start, 0);
        await old.AppendAsync(stale, [commit], None);
        var head = await HeadAtAsync(old, commit.Position, 4096);
        var (_, fence) = await LeadAsync();
        using var extent = MakeExtent(stale, 0, 1, 0);

        await Assert.ThrowsAsync<FencedException>(async () => await old.CheckpointAsync(stale, new Checkpoint(head, [extent]), None));
        var other = fence with { Incarnation = Guid.NewGuid() };
        var foreign = head with { Incarnation = other.Incarnation, Epoch = other.Epoch };
        await Assert.ThrowsAsync<StoreReplacedException>(async () => await old.CheckpointAsync(other, new Checkpoint(foreign, [extent]), None));
        var content = await StoreContent.ReadAsync(old);
        Assert.Equal(Position.Start, content.Head.Checkpoint);
        Assert.Equal(fence.Epoch, content.Head.Epoch);
        Assert.Empty(content.Extents);
        Assert.Equal([1], content.Markers);
    }

    [Fact]
    public async Task A_checkpoint_neither_goes_back_nor_names_a_commit_that_is_not_durable()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, chain[..2], None);
        using var extent = MakeExtent(fence, 0, 2, 0);
        var ahead = await HeadAtAsync(store, chain[2].Position, 4096);
        await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.CheckpointAsync(fence, new Checkpoint(ahead, [extent]), None));
        Assert.Empty((await StoreContent.ReadAsync(store)).Extents);

        await store.CheckpointAsync(fence, new Checkpoint(ahead with { Checkpoint = chain[1].Position }, []), None);
        var back = ahead with { Checkpoint = chain[0].Position };
        await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.CheckpointAsync(fence, new Checkpoint(back, [extent]), None));
        var content = await StoreContent.ReadAsync(store);
        Assert.Equal(chain[1].Position, content.Head.Checkpoint);
        Assert.Empty(content.Extents);
    }

    [Fact]
    public async Task A_checkpoint_whose_head_is_not_the_writers_is_a_mistake()
    {
        var (store, fence) = await LeadAsync();
        var head = await HeadAtAsync(store, Position.Start, 0);
        await Assert.ThrowsAnyAsync<ArgumentException>(
            async () => await store.CheckpointAsync(fence, new Checkpoint(head with { Epoch = new Epoch(5) }, []), None));
        await Assert.ThrowsAnyAsync<ArgumentException>(async () => await store.CheckpointAsync(fence, new Checkpoint(head, [], DropFrom: 0), None));
    }

    [Fact]
    public async Task Extents_come_back_as_they_were_and_an_empty_one_is_removed()
    {
        var (store, fence) = await LeadAsync();
        var head = await HeadAtAsync(store, Position.Start, 0);
        using var full = MakeExtent(fence, 0, 0, [.. Enumerable.Range(0, 64)]);
        using var partial = MakeExtent(fence, 3, 0, 0, 5);
        await store.CheckpointAsync(fence, new Checkpoint(head, [full, partial]), None);
        var content = await StoreContent.ReadAsync(store);
        Assert.Equal([0, 3], content.Extents.Select(extent => extent.Index));
        Assert.Equal(full.RecordBytes.ToArray(), content.Extents[0].Bytes);
        Assert.Equal(Extent.HeaderSize + 6 * Extent.BlockSize, content.Extents[1].Bytes.Length);
        Assert.Equal(partial.RecordBytes[..partial.RecordSize].ToArray(), content.Extents[1].Bytes);

        using var empty = new Extent(3);
        using var rewritten = MakeExtent(fence, 0, 0, 9);
        await store.CheckpointAsync(fence, new Checkpoint(head, [empty, rewritten]), None);
        var (index, bytes) = Assert.Single((await StoreContent.ReadAsync(store)).Extents);
        Assert.Equal(0, index);
        Assert.Equal(rewritten.RecordBytes[..rewritten.RecordSize].ToArray(), bytes);
        Assert.Empty((await StoreContent.ReadAsync(store, extents: false)).Extents);
    }

    [Fact]
    public async Task Some_extents_and_the_list_of_all_come_with_the_log_behind_a_marker()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, chain, None);
        var extents = new[] { 0, 2, 3, 7, 4000 }.Select(index => MakeExtent(fence, index, 0, 0, 3)).ToList();
        await store.CheckpointAsync(fence, new Checkpoint(await HeadAtAsync(store, chain[0].Position, 4096), extents), None);

        var some = await StoreContent.ReadAsync(store, afterMarker: 2, only: [1, 2, 7, 9], list: true);
        Assert.Equal([0, 2, 3, 7, 4000], some.List);
        Assert.Equal([2, 7], some.Extents.Select(extent => extent.Index));
        Assert.All(some.Extents, extent => Assert.Equal(MakeExtent(fence, extent.Index, 0, 0, 3).RecordBytes[..extent.Bytes.Length].ToArray(), extent.Bytes));
        Assert.Equal([3], some.Markers);
        Assert.Equal(chain[0].Position, some.Head.Checkpoint);

        var list = await StoreContent.ReadAsync(store, extents: false, list: true);
        Assert.Equal([0, 2, 3, 7, 4000], list.List);
        Assert.Empty(list.Extents);
        Assert.Equal([2, 3], list.Markers);
        Assert.Empty((await StoreContent.ReadAsync(store, only: [])).Extents);
        Assert.Null((await StoreContent.ReadAsync(store, only: [4000])).List);

        // Reading a part does not change what the store knows of its log.
        await store.AppendAsync(fence, [Commit(fence, chain[2].Position, 0)], None);
        Assert.Equal([2, 3, 4], (await StoreContent.ReadAsync(store)).Markers);
        extents.ForEach(extent => extent.Dispose());
    }

    [Fact]
    public async Task Two_hundred_extents_come_back_in_order()
    {
        var (store, fence) = await LeadAsync();
        var extents = Enumerable.Range(0, 200).Select(index => MakeExtent(fence, index, 0, 0, 63)).ToList();
        await store.CheckpointAsync(fence, new Checkpoint(await HeadAtAsync(store, Position.Start, 0), extents), None);
        var content = await StoreContent.ReadAsync(store);
        Assert.Equal(Enumerable.Range(0, 200), content.Extents.Select(extent => extent.Index));
        Assert.All(content.Extents, extent => Assert.True(extents[extent.Index].RecordBytes.SequenceEqual(extent.Bytes)));
        extents.ForEach(extent => extent.Dispose());
    }

    [Fact]
    public async Task A_checkpoint_can_drop_the_end_of_the_log()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 5);
        await store.AppendAsync(fence, chain, None);
        await store.CheckpointAsync(fence, new Checkpoint(await HeadAtAsync(store, chain[0].Position, 4096), [], DropFrom: 4), None);
        Assert.Equal([2, 3], (await StoreContent.ReadAsync(store)).Markers);
        var other = Commit(fence, chain[2].Position, 9);
        await store.AppendAsync(fence, [other], None);
        Assert.Equal(other.Bytes.ToArray(), (await StoreContent.ReadAsync(store)).Log[^1].Bytes);
    }

    [Fact]
    public async Task A_read_shows_one_moment_while_others_write()
    {
        var (writer, fence) = await LeadAsync();
        var (reader, _) = await OpenAsync();
        var chain = Chain(fence, Position.Start, 20);
        var recent = chain.ConvertAll(commit => commit.Id);
        var extents = Enumerable.Range(0, 40).Select(index => MakeExtent(fence, index, 0, 63)).ToList();
        var head = await HeadAtAsync(writer, Position.Start, 0);
        await writer.CheckpointAsync(fence, new Checkpoint(head, extents), None);

        var reads = new List<Task<StoreContent>>();
        for (var i = 0; i < chain.Count; i++)
        {
            await writer.AppendAsync(fence, [chain[i]], None);
            if (i % 4 != 3) continue;
            reads.Add(StoreContent.ReadAsync(reader));
            foreach (var extent in extents) extent[0] = new(chain[i].Marker, 0, 0, true);
            head = head with { Checkpoint = chain[i].Position, RecentCommits = recent[..(i + 1)] };
            await writer.CheckpointAsync(fence, new Checkpoint(head, extents), None);
        }

        foreach (var read in reads) AssertOneMoment(await read, chain);
        AssertOneMoment(await StoreContent.ReadAsync(reader), chain);
        extents.ForEach(extent => extent.Dispose());
    }

    private static void AssertOneMoment(StoreContent content, List<CommitRecord> chain)
    {
        var marker = content.Head.Checkpoint.Marker;
        Assert.Equal(Enumerable.Range(1, content.Log.Count).Select(i => marker + i), content.Markers);
        Assert.Equal(chain.Take((int)marker).Select(commit => commit.Id), content.Head.RecentCommits);
        Assert.Equal(40, content.Extents.Count);
        Assert.All(content.Extents, extent => Assert.Equal(marker, BitConverter.ToInt64(extent.Bytes, 64)));
    }
}
