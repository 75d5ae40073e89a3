using DataSync.Storage;
using Xunit;

namespace DataSync.Vfs.Tests;

/// <summary>Filling the store that took the place of a lost one, by one tab or several.</summary>
public sealed class RestoreTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly string _name = $"restored-{Guid.NewGuid():N}.db";
    private readonly DataSyncOptions _options = new();
    private readonly List<(FakePlace Place, DataSyncFactory Factory)> _tabs = [];

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var (place, factory) in _tabs)
        {
            await factory.DisposeAsync();
            place.Dispose();
        }
    }

    [Fact]
    public async Task What_the_tab_held_is_in_the_new_store_and_writes_go_on()
    {
        var (place, factory) = NewTab();
        var lost = await FillAsync(factory, "kept");
        await LoseAsync(place, lost);
        var database = await factory.RestoreAsync(lost).WaitAsync(Patience);
        Assert.Equal(["kept"], await ReadAsync(database));
        await WriteAsync(database, "more");
        Assert.Equal(["kept", "more"], await ReadAsync(database));
        Assert.Equal("ok", (await database.QueryAsync<string>("PRAGMA integrity_check"))[0]);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => ReadAsync(lost));
        Assert.Same(database, await factory.OpenAsync(_name));
        var (_, other) = NewTab(place.Medium);
        Assert.Equal(["kept", "more"], await ReadAsync(await other.OpenAsync(_name).WaitAsync(Patience)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_newest_of_several_tabs_images_wins_whoever_comes_first(bool newestFirst)
    {
        var (older, newer, fresh) = await LoseTwiceAsync();
        var (first, second) = newestFirst ? (newer, older) : (older, newer);
        Assert.Equal(newestFirst ? ["one", "two"] : ["one"], await ReadAsync(await first.Factory.RestoreAsync(first.Lost).WaitAsync(Patience)));
        Assert.Equal(["one", "two"], await ReadAsync(await second.Factory.RestoreAsync(second.Lost).WaitAsync(Patience)));
        var (_, other) = NewTab(fresh);
        Assert.Equal(["one", "two"], await ReadAsync(await other.OpenAsync(_name).WaitAsync(Patience)));
    }

    [Fact]
    public async Task A_store_that_was_written_to_since_is_left_as_it_is()
    {
        var (older, newer, _) = await LoseTwiceAsync();
        await WriteAsync(await older.Factory.RestoreAsync(older.Lost).WaitAsync(Patience), "since");
        var error = await Assert.ThrowsAsync<StoreReplacedException>(() => newer.Factory.RestoreAsync(newer.Lost).WaitAsync(Patience));
        Assert.Contains("written to already", error.Message, StringComparison.Ordinal);
        Assert.Equal(["one", "since"], await ReadAsync(await newer.Factory.OpenAsync(_name).WaitAsync(Patience)));
        Assert.Equal(["one", "two"], await ReadAsync(newer.Lost));
        await newer.Lost.DisposeAsync();
    }

    [Fact]
    public async Task Without_room_nothing_is_lost_and_it_can_be_tried_again()
    {
        var (place, factory) = NewTab();
        var lost = await FillAsync(factory, "kept");
        await LoseAsync(place, lost);
        place.PrepareNext().FailAt(StoreOperation.Append, new StorageQuotaException());
        await Assert.ThrowsAsync<StorageQuotaException>(() => factory.RestoreAsync(lost).WaitAsync(Patience));
        Assert.Equal(["kept"], await ReadAsync(lost));
        Assert.Equal(["kept"], await ReadAsync(await factory.RestoreAsync(lost).WaitAsync(Patience)));
    }

    [Fact]
    public async Task Twice_at_the_same_time_is_once()
    {
        var (place, factory) = NewTab();
        var lost = await FillAsync(factory, "kept");
        await LoseAsync(place, lost);
        var both = await Task.WhenAll(factory.RestoreAsync(lost), factory.RestoreAsync(lost)).WaitAsync(Patience);
        Assert.Same(both[0], both[1]);
        Assert.Equal(["kept"], await ReadAsync(both[0]));
        Assert.Equal(1, both[0].Marker);
    }

    [Fact]
    public async Task A_database_that_works_or_was_closed_is_not_restored()
    {
        var (_, factory) = NewTab();
        var database = await FillAsync(factory, "kept");
        await Assert.ThrowsAsync<InvalidOperationException>(() => factory.RestoreAsync(database));
        await database.DisposeAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => factory.RestoreAsync(database));
        await Assert.ThrowsAsync<ArgumentNullException>(() => factory.RestoreAsync(null!));
    }

    [Fact]
    public async Task One_that_does_not_fit_into_a_commit_says_so()
    {
        var (place, factory) = NewTab();
        var lost = await FillAsync(factory, "kept");
        await LoseAsync(place, lost);
        _options.Pipeline.MaxCommitBytes = 4096;
        await Assert.ThrowsAsync<CommitTooLargeException>(() => factory.RestoreAsync(lost).WaitAsync(Patience));
        Assert.Equal(["kept"], await ReadAsync(lost));
        await lost.DisposeAsync();
    }

    [Fact]
    public async Task An_open_transaction_of_the_lost_database_is_no_state_to_restore()
    {
        var (place, factory) = NewTab();
        var lost = await FillAsync(factory, "kept");
        using var connection = new Microsoft.Data.Sqlite.SqliteConnection(lost.ConnectionString);
        connection.Open();
        var transaction = connection.BeginTransaction();
        using var command = connection.CreateCommand();
        (command.Transaction, command.CommandText) = (transaction, "PRAGMA cache_size=1; INSERT INTO t SELECT hex(randomblob(3000)) FROM t, (VALUES (1), (2), (3), (4))");
        command.ExecuteNonQuery();
        await LoseAsync(place, lost);
        await Assert.ThrowsAsync<InvalidOperationException>(() => factory.RestoreAsync(lost).WaitAsync(Patience));
        transaction.Dispose();
        connection.Close();
        Assert.Equal(["kept"], await ReadAsync(await factory.RestoreAsync(lost).WaitAsync(Patience)));
    }

    private (FakePlace Place, DataSyncFactory Factory) NewTab(MemoryBlockMedium? medium = null)
    {
        var place = new FakePlace();
        if (medium is not null) place.Medium = medium;
        _tabs.Add((place, new DataSyncFactory(place, _options)));
        return _tabs[^1];
    }

    /// <summary>Two tabs that lost the same store, one of them a commit behind, and the store that took its place.</summary>
    private async Task<((DataSyncFactory Factory, DataSyncDatabase Lost) Older, (DataSyncFactory Factory, DataSyncDatabase Lost) Newer, MemoryBlockMedium Fresh)> LoseTwiceAsync()
    {
        var (place, factory) = NewTab();
        var older = await FillAsync(factory, "one");
        var (newerPlace, newerFactory) = NewTab(Copy(place.Medium, older.Marker));
        var newer = await newerFactory.OpenAsync(_name).WaitAsync(Patience);
        await WriteAsync(newer, "two");
        await LoseAsync(place, older);
        await LoseAsync(newerPlace, newer);
        newerPlace.Medium = place.Medium;
        return ((factory, older), (newerFactory, newer), place.Medium);
    }

    private static MemoryBlockMedium Copy(MemoryBlockMedium medium, long markers)
    {
        var copy = new MemoryBlockMedium();
        foreach (var kind in new[] { StoreRecordKind.Head, StoreRecordKind.HeadCopy }) copy.SetRecord(kind, 0, medium.GetRecord(kind, 0));
        for (var marker = 1; marker <= markers; marker++) copy.SetRecord(StoreRecordKind.Log, marker, medium.GetRecord(StoreRecordKind.Log, marker));
        return copy;
    }

    private async Task<DataSyncDatabase> FillAsync(DataSyncFactory factory, string text)
    {
        var database = await factory.OpenAsync(_name).WaitAsync(Patience);
        await database.ExecuteAsync("CREATE TABLE t(text)").WaitAsync(Patience);
        await WriteAsync(database, text);
        return database;
    }

    private static Task<ExecuteResult> WriteAsync(DataSyncDatabase database, string text) =>
        database.ExecuteAsync("INSERT INTO t VALUES (?)", new object[] { text }).WaitAsync(Patience);

    private static async Task<IReadOnlyList<string>> ReadAsync(DataSyncDatabase database) => await database.QueryAsync<string>("SELECT text FROM t ORDER BY rowid");

    /// <summary>The store's records are gone, its connections break, and whoever opens it finds a new one.</summary>
    private static async Task LoseAsync(FakePlace place, DataSyncDatabase database)
    {
        var faulted = new TaskCompletionSource<StorageException>(TaskCreationOptions.RunContinuationsAsynchronously);
        database.Faulted += (_, e) => faulted.TrySetResult(e.Error);
        var old = place.Medium;
        for (var marker = 1; marker <= database.Marker; marker++) old.SetRecord(StoreRecordKind.Log, marker, null);
        foreach (var kind in new[] { StoreRecordKind.Extent, StoreRecordKind.Head, StoreRecordKind.HeadCopy }) old.SetRecord(kind, 0, null);
        old.Disconnect();
        Assert.IsType<StoreReplacedException>(await faulted.Task.WaitAsync(Patience));
        place.Medium = new MemoryBlockMedium();
    }
}
