using DataSync.Coordination;
using DataSync.Storage;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What holds for every store: opening, fencing, appending, deleting.</summary>
public abstract class BlockStoreContract : StoreSuite
{
    [Fact]
    public async Task A_new_store_is_created_empty()
    {
        var (store, head) = await OpenAsync();
        Assert.NotEqual(Guid.Empty, head.Incarnation);
        Assert.Equal(new Epoch(0), head.Epoch);
        Assert.Equal(Position.Start, head.Checkpoint);
        var content = await StoreContent.ReadAsync(store);
        Assert.Equal(head.Incarnation, content.Head.Incarnation);
        Assert.Empty(content.Extents);
        Assert.Empty(content.Log);
    }

    [Fact]
    public async Task A_store_opened_again_is_the_same_store()
    {
        var (store, fence) = await LeadAsync();
        var commit = Commit(fence, Position.Start, 0, 1);
        await store.AppendAsync(fence, [commit], None);
        await store.DisposeAsync();

        var (again, head) = await OpenAsync();
        Assert.Equal(fence, new Fence(head.Incarnation, head.Epoch));
        Assert.Equal(Tab, head.Holder);
        var (marker, bytes) = Assert.Single((await StoreContent.ReadAsync(again)).Log);
        Assert.Equal(1, marker);
        Assert.Equal(commit.Bytes.ToArray(), bytes);
    }

    [Fact]
    public async Task Two_that_open_at_once_create_one_store()
    {
        var first = OpenAsync();
        var second = OpenAsync();
        Assert.Equal((await first).Head.Incarnation, (await second).Head.Incarnation);
    }

    [Fact]
    public async Task The_epoch_rises_at_least_by_one_and_to_what_is_proposed()
    {
        var (store, head) = await OpenAsync();
        Assert.Equal(1, (await store.RaiseEpochAsync(head.Incarnation, new Epoch(0), Tab, None)).Epoch.Value);
        Assert.Equal(7, (await store.RaiseEpochAsync(head.Incarnation, new Epoch(7), Tab, None)).Epoch.Value);
        Assert.Equal(8, (await store.RaiseEpochAsync(head.Incarnation, new Epoch(3), Tab, None)).Epoch.Value);
        Assert.Equal(8, (await StoreContent.ReadAsync(store)).Head.Epoch.Value);
    }

    [Fact]
    public async Task Of_two_tabs_that_propose_the_same_epoch_the_first_gets_it_and_may_ask_again()
    {
        var (store, head) = await OpenAsync();
        var other = TabId.New(TimeProvider.System);
        Assert.Equal(5, (await store.RaiseEpochAsync(head.Incarnation, new Epoch(5), Tab, None)).Epoch.Value);
        var error = await Assert.ThrowsAsync<FencedException>(async () => await store.RaiseEpochAsync(head.Incarnation, new Epoch(5), other, None));
        Assert.Equal(new Epoch(5), error.StoreEpoch);
        var again = await store.RaiseEpochAsync(head.Incarnation, new Epoch(5), Tab, None);
        Assert.Equal((5, Tab), (again.Epoch.Value, again.Holder));
        Assert.Equal(6, (await store.RaiseEpochAsync(head.Incarnation, new Epoch(6), other, None)).Epoch.Value);
    }

    [Fact]
    public async Task The_epoch_of_another_store_is_not_raised()
    {
        var (store, _) = await OpenAsync();
        await Assert.ThrowsAsync<StoreReplacedException>(async () => await store.RaiseEpochAsync(Guid.NewGuid(), new Epoch(9), Tab, None));
        Assert.Equal(0, (await StoreContent.ReadAsync(store)).Head.Epoch.Value);
    }

    [Fact]
    public async Task A_stale_leader_writes_nothing()
    {
        var (old, stale) = await LeadAsync();
        await old.AppendAsync(stale, [Commit(stale, Position.Start, 0)], None);
        var (_, fence) = await LeadAsync();

        var next = Commit(stale, Position.Start, 1);
        var refused = await Assert.ThrowsAsync<FencedException>(async () => await old.AppendAsync(stale, [next], None));
        Assert.Equal(stale.Epoch, refused.WriterEpoch);
        Assert.Equal(fence.Epoch, refused.StoreEpoch);
        var content = await StoreContent.ReadAsync(old);
        Assert.Equal([1], content.Markers);
        Assert.NotEqual(next.Bytes.ToArray(), content.Log[0].Bytes);
    }

    [Fact]
    public async Task A_stale_leader_writes_nothing_behind_its_own_last_commit()
    {
        var (old, stale) = await LeadAsync();
        var chain = Chain(stale, Position.Start, 5);
        await old.AppendAsync(stale, chain[..1], None);
        await old.AppendAsync(stale, chain[1..3], None);
        var (next, fence) = await LeadAsync();

        var refused = await Assert.ThrowsAsync<FencedException>(async () => await old.AppendAsync(stale, chain[3..], None));
        Assert.Equal(fence.Epoch, refused.StoreEpoch);
        Assert.Equal([1, 2, 3], (await StoreContent.ReadAsync(old)).Markers);
        await next.AppendAsync(fence, Chain(fence, chain[2].Position, 1), None);
        await Assert.ThrowsAsync<FencedException>(async () => await old.AppendAsync(stale, chain[3..], None));
        Assert.Equal([1, 2, 3, 4], (await StoreContent.ReadAsync(old)).Markers);
    }

    [Fact]
    public async Task A_group_behind_ones_own_last_commit_that_meets_a_taken_marker_writes_nothing()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, chain[..1], None);
        await SetRecordAsync(StoreRecordKind.Log, 3, Commit(fence, chain[1].Position, 9).Bytes.ToArray());
        var refused = await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.AppendAsync(fence, chain[1..], None));
        Assert.Equal(3, refused.Marker);
        Assert.Equal([1, 3], (await StoreContent.ReadAsync(store)).Markers);
    }

    [Fact]
    public async Task An_epoch_that_was_never_granted_writes_nothing()
    {
        var (store, fence) = await LeadAsync();
        var invented = fence with { Epoch = fence.Epoch.Next };
        await Assert.ThrowsAsync<FencedException>(async () => await store.AppendAsync(invented, [Commit(invented, Position.Start, 0)], None));
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
    }

    [Fact]
    public async Task A_write_meant_for_another_store_writes_nothing()
    {
        var (store, fence) = await LeadAsync();
        var other = fence with { Incarnation = Guid.NewGuid() };
        await Assert.ThrowsAsync<StoreReplacedException>(async () => await store.AppendAsync(other, [Commit(other, Position.Start, 0)], None));
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
    }

    [Fact]
    public async Task A_gap_is_refused()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        var first = await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.AppendAsync(fence, [chain[1]], None));
        Assert.Equal(2, first.Marker);
        await store.AppendAsync(fence, [chain[0]], None);
        await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.AppendAsync(fence, [chain[2]], None));
        Assert.Equal([1], (await StoreContent.ReadAsync(store)).Markers);
    }

    [Fact]
    public async Task A_taken_marker_is_refused()
    {
        var (store, fence) = await LeadAsync();
        var mine = Commit(fence, Position.Start, 0);
        await store.AppendAsync(fence, [mine], None);
        var refused = await Assert.ThrowsAsync<MarkerConflictException>(
            async () => await store.AppendAsync(fence, [Commit(fence, Position.Start, 0)], None));
        Assert.Equal(1, refused.Marker);
        Assert.Equal(mine.Bytes.ToArray(), Assert.Single((await StoreContent.ReadAsync(store)).Log).Bytes);
    }

    [Fact]
    public async Task The_same_commit_sent_again_counts_as_appended()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 2);
        await store.AppendAsync(fence, chain, None);
        await store.AppendAsync(fence, [chain[0]], None);
        await store.AppendAsync(fence, chain, None);
        Assert.Equal([1, 2], (await StoreContent.ReadAsync(store)).Markers);
    }

    [Fact]
    public async Task A_commit_sent_again_under_a_later_epoch_stays_as_it_was()
    {
        var (store, fence) = await LeadAsync();
        var commit = Commit(fence, Position.Start, 0);
        await store.AppendAsync(fence, [commit], None);
        var stored = commit.Bytes.ToArray();
        var (next, later) = await LeadAsync();
        await next.AppendAsync(later, [commit.Stamp(later)], None);
        Assert.Equal(stored, Assert.Single((await StoreContent.ReadAsync(next)).Log).Bytes);
    }

    [Fact]
    public async Task A_group_of_which_the_first_are_there_is_completed()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 5);
        await store.AppendAsync(fence, chain[..2], None);
        await store.AppendAsync(fence, chain, None);
        var content = await StoreContent.ReadAsync(store);
        Assert.Equal([1, 2, 3, 4, 5], content.Markers);
        Assert.Equal(chain.Select(commit => commit.Bytes.ToArray()), content.Log.Select(record => record.Bytes));
    }

    [Fact]
    public async Task A_group_is_written_whole_or_not_at_all()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, chain[..2], None);
        var fork = Chain(fence, chain[0].Position, 3);
        var refused = await Assert.ThrowsAsync<MarkerConflictException>(
            async () => await store.AppendAsync(fence, [chain[0], .. fork], None));
        Assert.Equal(2, refused.Marker);
        Assert.Equal([1, 2], (await StoreContent.ReadAsync(store)).Markers);
        await store.AppendAsync(fence, [chain[2]], None);
        Assert.Equal([1, 2, 3], (await StoreContent.ReadAsync(store)).Markers);
    }

    [Fact]
    public async Task Commits_that_no_caller_may_send_are_refused_before_anything_is_written()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await Assert.ThrowsAnyAsync<ArgumentException>(async () => await store.AppendAsync(fence, [], None));
        await Assert.ThrowsAnyAsync<ArgumentException>(async () => await store.AppendAsync(fence, [chain[0], chain[2]], None));
        var stranger = fence with { Epoch = new Epoch(99) };
        await Assert.ThrowsAnyAsync<ArgumentException>(async () => await store.AppendAsync(fence, [Commit(stranger, Position.Start, 0)], None));
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
    }

    [Fact]
    public async Task A_hundred_appends_leave_a_hundred_records_in_order()
    {
        var (store, fence) = await LeadAsync();
        foreach (var commit in Chain(fence, Position.Start, 100)) await store.AppendAsync(fence, [commit], None);
        Assert.Equal(Enumerable.Range(1, 100).Select(marker => (long)marker), (await StoreContent.ReadAsync(store)).Markers);
    }

    [Fact]
    public async Task A_record_of_20_MB_comes_back_as_it_was()
    {
        var (store, fence) = await LeadAsync();
        var commit = Commit(fence, Position.Start, [.. Enumerable.Range(0, 5120).Select(id => (uint)id)]);
        await store.AppendAsync(fence, [commit], None);
        var content = await StoreContent.ReadAsync(store);
        Assert.True(commit.Bytes.Span.SequenceEqual(Assert.Single(content.Log).Bytes));
    }

    [Fact]
    public async Task One_opener_reads_what_another_wrote()
    {
        var (writer, fence) = await LeadAsync();
        var (reader, _) = await OpenAsync();
        var chain = Chain(fence, Position.Start, 3);
        await writer.AppendAsync(fence, chain, None);
        Assert.Equal([1, 2, 3], (await StoreContent.ReadAsync(reader)).Markers);
        Assert.Equal([3], (await StoreContent.ReadAsync(reader, extents: false, afterMarker: 2)).Markers);
        Assert.Empty((await StoreContent.ReadAsync(reader, extents: false, afterMarker: 3)).Markers);
    }

    [Fact]
    public async Task A_deleted_store_closes_for_everybody_and_is_another_one_afterwards()
    {
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 2), None);
        var (other, _) = await OpenAsync();
        var closed = new TaskCompletionSource<StoreClosedReason>(TaskCreationOptions.RunContinuationsAsynchronously);
        other.Closed += reason => closed.SetResult(reason);
        var (own, ownClosed) = (store, false);
        own.Closed += _ => ownClosed = true;

        await store.DeleteAsync(None);
        Assert.Equal(StoreClosedReason.Deleted, await closed.Task.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.False(ownClosed);
        foreach (var one in new[] { store, other })
        {
            var error = await Assert.ThrowsAsync<StorageClosedException>(async () => await StoreContent.ReadAsync(one));
            Assert.Equal(StoreClosedReason.Deleted, error.Reason);
        }

        var head = await other.OpenAsync(None);
        Assert.NotEqual(fence.Incarnation, head.Incarnation);
        Assert.Equal(head.Incarnation, (await store.OpenAsync(None)).Incarnation);
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
        await Assert.ThrowsAsync<StoreReplacedException>(async () => await store.AppendAsync(fence, [Commit(fence, Position.Start, 0)], None));
    }

    [Fact]
    public async Task Calls_after_disposal_are_refused()
    {
        var (store, fence) = await LeadAsync();
        await store.DisposeAsync();
        await store.DisposeAsync();
        await Assert.ThrowsAsync<StorageClosedException>(async () => await StoreContent.ReadAsync(store));
        await Assert.ThrowsAsync<StorageClosedException>(async () => await store.AppendAsync(fence, [Commit(fence, Position.Start, 0)], None));
        await Assert.ThrowsAsync<StorageClosedException>(async () => await store.RaiseEpochAsync(fence.Incarnation, default, Tab, None));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await store.DeleteAsync(None));
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await store.OpenAsync(None));
    }

    [Fact]
    public async Task A_cancelled_call_writes_nothing()
    {
        var (store, fence) = await LeadAsync();
        var cancelled = new CancellationToken(canceled: true);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await store.AppendAsync(fence, [Commit(fence, Position.Start, 0)], cancelled));
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
    }
}
