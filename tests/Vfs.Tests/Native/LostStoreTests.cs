using DataSync.Storage;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>A store that was lost under an open database, and came back empty.</summary>
public sealed class LostStoreTests : IDisposable
{
    private readonly NativeTabs _tabs = new();
    private readonly MemoryBlockMedium _medium = new();

    [Fact]
    public async Task The_tab_can_still_be_read_and_exported_and_writes_say_what_happened()
    {
        var (database, before) = await FillAsync();
        await using var disposal = database;
        var error = await LoseAsync(database, isNewOneLed: false);
        Assert.True(error.IsEmpty);
        Assert.Contains("export", error.Message, StringComparison.Ordinal);
        Assert.Equal(["kept"], await database.QueryAsync<string>("SELECT text FROM t"));
        using var after = new MemoryStream();
        await database.ExportAsync(after);
        Assert.Equal(before, after.ToArray());
        Assert.Same(error, await Assert.ThrowsAsync<StoreReplacedException>(() => database.ExecuteAsync("INSERT INTO t VALUES ('more')").WaitAsync(NativeTabs.Patience)));
        await Assert.ThrowsAsync<StoreReplacedException>(() => database.ForceSyncAsync().WaitAsync(NativeTabs.Patience));

        // What was exported goes into the store that came back.
        await using var again = await _tabs.OpenAsync(new MemoryBlockStore(_medium));
        Assert.Empty(await again.QueryAsync<string>("SELECT name FROM sqlite_schema"));
        after.Position = 0;
        await again.ImportAsync(after).WaitAsync(NativeTabs.Patience);
        Assert.Equal(["kept"], await again.QueryAsync<string>("SELECT text FROM t"));
    }

    [Fact]
    public async Task Where_others_use_the_new_store_already_the_tab_can_still_be_read_and_exported()
    {
        var (database, before) = await FillAsync();
        await using var disposal = database;
        Assert.False((await LoseAsync(database, isNewOneLed: true)).IsEmpty);
        Assert.Equal(["kept"], await database.QueryAsync<string>("SELECT text FROM t"));
        using var after = new MemoryStream();
        await database.ExportAsync(after);
        Assert.Equal(before, after.ToArray());
        await Assert.ThrowsAsync<StoreReplacedException>(() => database.ExecuteAsync("INSERT INTO t VALUES ('more')").WaitAsync(NativeTabs.Patience));
    }

    [Fact]
    public async Task A_deletion_that_somebody_asked_for_is_one()
    {
        var store = new MemoryBlockStore(_medium);
        await using var database = await _tabs.OpenAsync(store);
        await database.ExecuteAsync("CREATE TABLE t(text)").WaitAsync(NativeTabs.Patience);
        store.OnClosed(StoreClosedReason.Deleted);
        await Assert.ThrowsAsync<StorageClosedException>(() => database.QueryAsync<string>("SELECT text FROM t"));
        await Assert.ThrowsAsync<StorageClosedException>(() => database.ExportAsync(Stream.Null));
    }

    [Fact]
    public async Task A_newer_version_that_upgrades_the_store_stops_the_tab_which_says_so()
    {
        var store = new MemoryBlockStore(_medium);
        await using var database = await _tabs.OpenAsync(store);
        store.OnClosed(StoreClosedReason.Upgraded);
        var error = await Assert.ThrowsAsync<StorageClosedException>(() => database.ExecuteAsync("CREATE TABLE t(text)").WaitAsync(NativeTabs.Patience));
        Assert.Equal(StoreClosedReason.Upgraded, error.Reason);
        Assert.Contains("Reload this page", error.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _tabs.Dispose();

    private async Task<(DataSyncDatabase Database, byte[] Export)> FillAsync()
    {
        var database = await _tabs.OpenAsync(new MemoryBlockStore(_medium));
        await database.ExecuteAsync("CREATE TABLE t(text)").WaitAsync(NativeTabs.Patience);
        await database.ExecuteAsync("INSERT INTO t VALUES ('kept')").WaitAsync(NativeTabs.Patience);
        using var export = new MemoryStream();
        await database.ExportAsync(export);
        return (database, export.ToArray());
    }

    /// <summary>Without a word: all records are gone, and the connection is lost.</summary>
    private async Task<StoreReplacedException> LoseAsync(DataSyncDatabase database, bool isNewOneLed)
    {
        var faulted = new TaskCompletionSource<StorageException>(TaskCreationOptions.RunContinuationsAsynchronously);
        database.Faulted += (_, e) => faulted.TrySetResult(e.Error);
        for (var marker = 1; marker <= database.Marker; marker++) _medium.SetRecord(StoreRecordKind.Log, marker, null);
        _medium.SetRecord(StoreRecordKind.Extent, 0, null);
        _medium.SetRecord(StoreRecordKind.Head, 0, null);
        _medium.SetRecord(StoreRecordKind.HeadCopy, 0, null);
        if (isNewOneLed)
        {
            var other = new MemoryBlockStore(_medium);
            var head = await other.OpenAsync(default);
            await other.RaiseEpochAsync(head.Incarnation, default, database.Coordinator.Id, default);
        }

        _medium.Disconnect();
        return Assert.IsType<StoreReplacedException>(await faulted.Task.WaitAsync(NativeTabs.Patience));
    }
}
