using DataSync.Rig;
using DataSync.Storage;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>What a live query showed, and a row feed told, of a write that could not be made durable.</summary>
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

    [Fact]
    public async Task Rows_of_a_write_that_is_taken_back_are_told_back()
    {
        var store = new FaultyBlockStore(new MemoryBlockStore(new MemoryBlockMedium()));
        await using var database = await _tabs.OpenAsync(store);
        await database.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 0)");
        await using var feed = database.RowChanges<(long Id, long A)>("t").GetAsyncEnumerator();
        var isTold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Before = async call =>
        {
            if (call.Operation != StoreOperation.Append) return;
            await isTold.Task;
            throw new StorageQuotaException("No room, says the test.");
        };
        var write = database.ExecuteAsync("UPDATE t SET a = 7; INSERT INTO t VALUES (2, 2)");
        Assert.True(await feed.MoveNextAsync().AsTask().WaitAsync(NativeTabs.Patience));
        Assert.Equal([RowChangeKind.Updated, RowChangeKind.Inserted], feed.Current.Select(change => change.Kind));
        isTold.SetResult();
        await Assert.ThrowsAsync<StorageQuotaException>(() => write.WaitAsync(NativeTabs.Patience));
        Assert.True(await feed.MoveNextAsync().AsTask().WaitAsync(NativeTabs.Patience));
        Assert.Equal(
            [new("t", RowChangeKind.Updated, 1, (1, 7), (1, 0)), new RowChange<(long Id, long A)>("t", RowChangeKind.Deleted, 2, (2, 2), default)],
            feed.Current);
    }

    [Fact]
    public async Task Another_schema_in_place_of_one_that_was_taken_back_is_told()
    {
        var store = new FaultyBlockStore(new MemoryBlockStore(new MemoryBlockMedium()));
        await using var database = await _tabs.OpenAsync(store);
        await database.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1000)");
        await using var feed = database.RowChanges(["t"]).GetAsyncEnumerator();
        var isTold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Before = async call =>
        {
            if (call.Operation != StoreOperation.Append) return;
            await isTold.Task;
            throw new StorageQuotaException("No room, says the test.");
        };
        var write = database.ExecuteAsync("ALTER TABLE t ADD COLUMN a DEFAULT 1");
        Assert.True(await feed.MoveNextAsync().AsTask().WaitAsync(NativeTabs.Patience));
        isTold.SetResult();
        await Assert.ThrowsAsync<StorageQuotaException>(() => write.WaitAsync(NativeTabs.Patience));

        // It has the same cookie, and the row lies where it lay.
        store.Before = null;
        await database.ExecuteAsync("ALTER TABLE t ADD COLUMN b DEFAULT 2");
        await database.Live.WhenIdleAsync();
        Assert.True(await feed.MoveNextAsync().AsTask().WaitAsync(NativeTabs.Patience));
        var change = Assert.Single(feed.Current);
        Assert.Equal((1L, 2L, false), (change.Old!["a"], change.New!["b"], change.New.ContainsKey("a")));
    }

    [Fact]
    public async Task What_a_database_holds_that_has_stopped_is_told_and_then_that_it_has()
    {
        var store = new FaultyBlockStore(new MemoryBlockStore(new MemoryBlockMedium()));
        await using var database = await _tabs.OpenAsync(store);
        await database.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
        await using var waiting = database.RowChanges(["t"]).GetAsyncEnumerator();
        var next = waiting.MoveNextAsync().AsTask();
        store.Before = call => call.Operation == StoreOperation.Append ? throw new StoreReplacedException("Says the test.") : Task.CompletedTask;
        await Assert.ThrowsAnyAsync<StorageException>(() => database.ExecuteAsync("INSERT INTO t VALUES (2)").WaitAsync(NativeTabs.Patience));
        await Task.WhenAny(next).WaitAsync(NativeTabs.Patience); // the row that was not kept, or the end
        await using var late = database.RowChanges(["t"], includePresent: true).GetAsyncEnumerator();
        Assert.True(await late.MoveNextAsync().AsTask().WaitAsync(NativeTabs.Patience));
        Assert.Contains(late.Current, change => change.RowId == 1);
        await Assert.ThrowsAnyAsync<StorageException>(() => late.MoveNextAsync().AsTask().WaitAsync(NativeTabs.Patience));
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
