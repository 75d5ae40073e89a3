using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;
using Xunit;

namespace DataSync.PostgreSql.Tests;

/// <summary>
/// The connection ends at every single message of a write, in either direction: what a write was, it is there whole or not at all, its retry completes it, and
/// nobody is kept waiting by what it leaves open.
/// </summary>
[Collection(PostgresCollection.Name)]
public sealed class CrashStepTests(PostgresCluster cluster) : StoreSuite
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly PostgresStoreSource _source = new(cluster, new() { BlockerGrace = TimeSpan.FromMilliseconds(200), CommandTimeout = TimeSpan.FromSeconds(10) });

    private protected override IStoreSource Source => _source;

    [Theory]
    [InlineData(TrapKind.Cut)]
    [InlineData(TrapKind.Halve)]
    public async Task An_append_that_is_cut_anywhere_is_there_whole_or_not_at_all(TrapKind kind)
    {
        var (witness, fence) = await LeadAsync();
        var end = Position.Start;
        var (kept, lost) = (0, 0);
        await foreach (var cut in CutEverywhereAsync(kind))
        {
            var chain = Chain(fence, end, 3);
            var error = await AppendAsync(cut.Store, fence, chain);
            cut.Proxy.Disarm();
            var there = (await StoreContent.ReadAsync(witness, extents: false, afterMarker: end.Marker)).Markers.ToList();
            Assert.True(there.Count is 0 or 3, $"{there.Count} of 3 are there, {cut.Trap}.");
            if (error is null) Assert.Equal(3, there.Count);
            else if (there.Count > 0) kept++;
            else lost++;

            // The same again, as the pipeline does it: over another session, and it counts once.
            await cut.Store.OpenAsync(None);
            await cut.Store.AppendAsync(fence, chain, None);
            Assert.Equal(chain.Select(c => c.Marker), (await StoreContent.ReadAsync(witness, extents: false, afterMarker: end.Marker)).Markers);
            end = chain[^1].Position;
        }

        Assert.True(kept > 0 && lost > 0, $"Of those that were cut {kept} are there and {lost} are not: the cuts do not reach the commit.");
    }

    [Theory]
    [InlineData(TrapKind.Cut)]
    [InlineData(TrapKind.Halve)]
    public async Task An_epoch_that_is_raised_over_a_cut_connection_is_granted_once(TrapKind kind)
    {
        var (witness, head) = await OpenAsync();
        var before = head.Epoch;
        await foreach (var cut in CutEverywhereAsync(kind))
        {
            var tab = TabId.New(TimeProvider.System);
            var proposed = before.Next;
            await TryAsync(async () => await cut.Store.RaiseEpochAsync(head.Incarnation, proposed, tab, None));
            cut.Proxy.Disarm();
            Assert.InRange((await StoreContent.ReadAsync(witness)).Head.Epoch.Value, before.Value, proposed.Value);
            await cut.Store.OpenAsync(None);
            var raised = await cut.Store.RaiseEpochAsync(head.Incarnation, proposed, tab, None);
            Assert.Equal((proposed, tab), (raised.Epoch, raised.Holder!.Value));
            Assert.Equal(await GetRecordAsync(StoreRecordKind.Head, 0), await GetRecordAsync(StoreRecordKind.HeadCopy, 0));
            before = proposed;
        }
    }

    [Theory]
    [InlineData(TrapKind.Cut)]
    [InlineData(TrapKind.Halve)]
    public async Task A_checkpoint_that_is_cut_anywhere_is_there_whole_or_not_at_all(TrapKind kind)
    {
        var (witness, fence) = await LeadAsync();
        var end = Position.Start;
        await foreach (var cut in CutEverywhereAsync(kind))
        {
            var chain = Chain(fence, end, 2);
            await witness.AppendAsync(fence, chain, None);
            using var extent = MakeExtent(fence, 0, chain[1].Marker, 0, 1);
            var checkpoint = new Checkpoint(await HeadAtAsync(witness, chain[1].Position, 8192), [extent]);
            await TryAsync(async () => await cut.Store.CheckpointAsync(fence, checkpoint, None));
            cut.Proxy.Disarm();
            await AssertOneStateAsync(witness, chain);
            await cut.Store.OpenAsync(None);
            await cut.Store.CheckpointAsync(fence, checkpoint, None);
            var content = await StoreContent.ReadAsync(witness);
            Assert.Equal((chain[1].Position, 0), (content.Head.Checkpoint, content.Log.Count));
            end = chain[1].Position;
        }
    }

    [Fact]
    public async Task A_process_that_stands_still_anywhere_in_a_write_keeps_nobody_from_leading()
    {
        var (next, fence) = await LeadAsync();
        var end = Position.Start;
        await foreach (var cut in CutEverywhereAsync(TrapKind.Stall))
        {
            var chain = Chain(fence, end, 1);
            var appending = AppendAsync(cut.Store, fence, chain);
            while (!cut.Proxy.IsSprung && !appending.IsCompleted) await Task.Yield();

            // As a take-over does it: behind the raised epoch nothing of the one before arrives any more.
            var raised = await next.RaiseEpochAsync(fence.Incarnation, default, TabId.New(TimeProvider.System), None).AsTask().WaitAsync(Patience);
            var stale = fence;
            fence = new(raised.Incarnation, raised.Epoch);
            var there = (await StoreContent.ReadAsync(next, extents: false, afterMarker: end.Marker)).Markers.ToList();
            cut.Proxy.Resume();
            await appending.WaitAsync(Patience);
            Assert.Equal(there, (await StoreContent.ReadAsync(next, extents: false, afterMarker: end.Marker)).Markers);
            if (there.Count > 0) end = chain[^1].Position;
            await cut.Store.OpenAsync(None);
            await Assert.ThrowsAsync<FencedException>(async () => await cut.Store.AppendAsync(stale, Chain(stale, end, 1), None));
        }
    }

    private static async Task AssertOneStateAsync(IBlockStore witness, List<CommitRecord> chain)
    {
        var content = await StoreContent.ReadAsync(witness);
        var isFolded = content.Head.Checkpoint == chain[1].Position;
        Assert.Equal(isFolded ? 0 : 2, content.Log.Count);
        Assert.Equal(isFolded, content.Extents.Count > 0 && BitConverter.ToInt64(content.Extents[0].Bytes, 64) == chain[1].Marker);
    }

    private static async Task<StorageException?> TryAsync(Func<Task> call)
    {
        try
        {
            await call();
            return null;
        }
        catch (StorageClosedException error) when (error.Reason == StoreClosedReason.Lost)
        {
            return error;
        }
    }

    private static async Task<StorageException?> AppendAsync(PostgresBlockStore store, Fence fence, List<CommitRecord> chain)
    {
        try
        {
            return await TryAsync(async () => await store.AppendAsync(fence, chain, None));
        }
        catch (StorageException error) when (error is FencedException or MarkerConflictException)
        {
            return error; // it went on behind the one that took over
        }
    }

    /// <summary>An open store for each place at which its next call can be stopped; ends when the call gets by without meeting one.</summary>
    private async IAsyncEnumerable<(PostgresBlockStore Store, PostgresProxy Proxy, Trap Trap)> CutEverywhereAsync(TrapKind kind)
    {
        await using var proxy = new PostgresProxy(cluster.Port);
        var data = Npgsql.NpgsqlDataSource.Create(PostgresCluster.Connect(proxy.Port));
        await using var source = new PostgresSource(data, isOwned: true, _source.Options, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        await using var store = _source.NewStore(source);
        await store.OpenAsync(None);
        foreach (var isClients in kind == TrapKind.Stall ? (bool[])[true] : [true, false])
        {
            for (var at = 1; ; at++)
            {
                var trap = new Trap(isClients, at, kind);
                proxy.Set(trap);
                yield return (store, proxy, trap);
                if (!proxy.IsSprung || at > 200) break;
                proxy.Resume();
            }
        }
    }
}
