using DataSync.Rig;
using DataSync.Storage;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>What a live query showed of a write that could not be made durable.</summary>
public sealed class LiveTakenBackTests : IDisposable
{
    private readonly NativeTabs _tabs = new();

    public void Dispose() => _tabs.Dispose();

    [Fact]
    public async Task A_write_that_is_taken_back_is_not_shown_any_more()
    {
        var store = new FaultyBlockStore(new MemoryBlockStore(new MemoryBlockMedium()));
        await using var database = await _tabs.OpenAsync(store);
        await database.ExecuteAsync("CREATE TABLE t(a); INSERT INTO t VALUES (0); CREATE TABLE other(a)");
        await using var query = await database.LiveAsync<long>("SELECT max(a) FROM t");
        await using var other = await database.LiveAsync<long>("SELECT count(*) FROM other");
        var isShown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Before = async call =>
        {
            if (call.Operation != StoreOperation.Append) return;
            await isShown.Task;
            throw new StorageQuotaException("No room, says the test.");
        };
        var write = database.ExecuteAsync("INSERT INTO t VALUES (1)");
        await ShowsAsync(query, 1);
        isShown.SetResult();
        await Assert.ThrowsAsync<StorageQuotaException>(() => write.WaitAsync(NativeTabs.Patience));
        await ShowsAsync(query, 0);
        Assert.Equal(1, other.Runs);
    }

    private static async Task ShowsAsync(LiveQuery<long> query, long value)
    {
        using var limit = new CancellationTokenSource(NativeTabs.Patience);
        await foreach (var rows in query.WithCancellation(limit.Token))
        {
            if (rows is [var shown] && shown == value) return;
        }
    }
}
