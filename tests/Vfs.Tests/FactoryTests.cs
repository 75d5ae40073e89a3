using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.JSInterop;
using Xunit;

namespace DataSync.Vfs.Tests;

/// <summary>Opening, closing and deleting at the same time, by one factory.</summary>
public sealed class FactoryTests : IAsyncLifetime, IDisposable
{
    private readonly string _name = $"factory-{Guid.NewGuid():N}.db";
    private readonly FakePlace _place = new();
    private readonly DataSyncOptions _options = new();
    private readonly DataSyncFactory _factory;

    public FactoryTests() => _factory = new DataSyncFactory(_place, _options);

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await _factory.DisposeAsync();

    public void Dispose() => _place.Dispose();

    [Fact]
    public async Task Callers_of_one_open_share_its_error_and_the_next_call_opens_anew()
    {
        var held = _place.HoldNext(StoreOperation.Open);
        var calls = Enumerable.Range(0, 3).Select(_ => OpenAsync()).ToArray();
        await held.Reached;
        held.Fail(new StoreFormatException(99));
        foreach (var call in calls) await Assert.ThrowsAsync<StoreFormatException>(() => call);
        Assert.Single(_place.Stores);
        var database = await OpenAsync();
        Assert.Equal(2, _place.Stores.Count);
        Assert.Same(database, await OpenAsync());
        Assert.Equal(2, _place.Stores.Count);
    }

    [Fact]
    public async Task Callers_of_one_open_share_its_database()
    {
        var held = _place.HoldNext(StoreOperation.Open);
        var calls = Enumerable.Range(0, 3).Select(_ => OpenAsync()).ToArray();
        await held.Reached;
        held.Release();
        Assert.Single((await Task.WhenAll(calls)).Distinct());
        Assert.Single(_place.Stores);
    }

    [Fact]
    public async Task A_cancelled_token_ends_only_its_own_callers_wait()
    {
        var held = _place.HoldNext(StoreOperation.Open);
        using var cancellation = new CancellationTokenSource();
        var first = OpenAsync(cancellation.Token);
        var second = OpenAsync();
        await held.Reached;
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => OpenAsync(cancellation.Token));
        held.Release();
        Assert.True((await second).IsUsable);
        Assert.Single(_place.Stores);
    }

    [Fact]
    public async Task A_token_that_is_cancelled_already_opens_nothing()
    {
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => OpenAsync(new CancellationToken(canceled: true)));
        Assert.Empty(_place.Stores);
    }

    [Fact]
    public async Task An_open_that_nobody_waits_for_is_given_up_and_the_next_one_follows_it()
    {
        var held = _place.HoldNext(StoreOperation.Open);
        using var cancellation = new CancellationTokenSource();
        var first = OpenAsync(cancellation.Token);
        await held.Reached;
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        var next = OpenAsync();
        Assert.Single(_place.Stores);
        held.Release();
        var database = await next;
        Assert.Equal(_name, database.Name); // the one given up has let go of it
        Assert.Equal(2, _place.Stores.Count);
    }

    [Fact]
    public async Task An_open_that_is_given_up_while_no_tab_leads_yet_closes_what_it_had_opened()
    {
        var held = _place.HoldNext(StoreOperation.RaiseEpoch);
        using var cancellation = new CancellationTokenSource();
        var first = OpenAsync(cancellation.Token);
        await held.Reached;
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        held.Release();
        var database = await OpenAsync();
        Assert.Equal((_name, 1), (database.Name, database.Coordinator.Members.Count));
    }

    [Fact]
    public async Task A_deletion_that_is_cancelled_already_closes_nothing()
    {
        var database = await OpenAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _factory.DeleteAsync(_name, new CancellationToken(canceled: true)));
        Assert.True(database.IsUsable);
        Assert.Same(database, await OpenAsync());
    }

    [Fact]
    public async Task An_open_during_a_deletion_comes_after_it()
    {
        var before = await OpenAsync();
        await before.ExecuteAsync("CREATE TABLE t(v)");
        var held = _place.HoldNext(StoreOperation.Delete);
        var deletion = _factory.DeleteAsync(_name);
        await held.Reached;
        Assert.False(before.IsUsable);
        var opening = OpenAsync();
        Assert.False(opening.IsCompleted);
        held.Release();
        await deletion;
        var database = await opening;
        Assert.Empty(await database.QueryAsync<string>("SELECT name FROM sqlite_schema"));
    }

    [Fact]
    public async Task A_deletion_during_an_open_comes_after_it_and_closes_it()
    {
        var held = _place.HoldNext(StoreOperation.Open);
        var opening = OpenAsync();
        await held.Reached;
        var deletion = _factory.DeleteAsync(_name);
        held.Release();
        var database = await opening;
        await deletion;
        Assert.False(database.IsUsable);
        Assert.NotSame(database, await OpenAsync());
    }

    [Fact]
    public async Task A_deletion_that_fails_leaves_the_database_to_be_opened_again()
    {
        await (await OpenAsync()).ExecuteAsync("CREATE TABLE t(v)");
        _place.HoldNext(StoreOperation.Delete).Fail(new StorageException("Another tab holds it."));
        await Assert.ThrowsAsync<StorageException>(() => _factory.DeleteAsync(_name));
        Assert.Equal(["t"], await (await OpenAsync()).QueryAsync<string>("SELECT name FROM sqlite_schema"));
    }

    [Fact]
    public async Task A_database_that_cannot_be_opened_is_deleted()
    {
        var before = await OpenAsync();
        await before.ExecuteAsync("CREATE TABLE t(v)");
        await before.DisposeAsync();
        foreach (var kind in new[] { StoreRecordKind.Head, StoreRecordKind.HeadCopy }) _place.Medium.SetRecord(kind, 0, "{}"u8.ToArray());
        await Assert.ThrowsAsync<CorruptStoreException>(() => OpenAsync());
        await _factory.DeleteAsync(_name);
        Assert.Empty(await (await OpenAsync()).QueryAsync<string>("SELECT name FROM sqlite_schema"));
    }

    [Fact]
    public async Task A_caller_that_waits_in_place_after_its_open_does_not_do_so_on_the_thread_that_opened()
    {
        var held = _place.HoldNext(StoreOperation.Open);
        using var ended = new SemaphoreSlim(0);
        var caller = Task.Run(async () =>
        {
            await Assert.ThrowsAsync<StoreFormatException>(() => OpenAsync()).ConfigureAwait(false);
            return ended.Wait(Native.NativeTabs.Patience);
        });
        await held.Reached;
        await Task.Run(() =>
        {
            held.Fail(new StoreFormatException(99));
            ended.Release();
        });
        Assert.True(await caller);
    }

    [Fact]
    public async Task An_open_while_the_database_closes_waits_for_that()
    {
        _options.Durability = Durability.Deferred;
        var before = await OpenAsync();
        await before.ExecuteAsync("CREATE TABLE t(v)");
        var held = _place.Stores[0].HoldAt(StoreOperation.Append);
        var closing = before.DisposeAsync().AsTask();
        await held.Reached;
        var again = before.DisposeAsync().AsTask();
        var opening = OpenAsync();
        Assert.False(again.IsCompleted || opening.IsCompleted);
        held.Release();
        var database = await opening;
        Assert.True(closing.IsCompletedSuccessfully);
        await again;
        Assert.NotSame(before, database);
        Assert.Equal(_name, database.Name);
        Assert.Equal(["t"], await database.QueryAsync<string>("SELECT name FROM sqlite_schema"));
    }

    [Fact]
    public async Task A_disposed_factory_has_closed_its_databases_and_opens_none()
    {
        var database = await OpenAsync();
        await _factory.DisposeAsync();
        await _factory.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => database.ExecuteAsync("CREATE TABLE t(v)"));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => OpenAsync());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => _factory.DeleteAsync(_name));
        Assert.Single(_place.Stores);
    }

    [Fact]
    public async Task Disposing_the_factory_ends_an_open_that_is_under_way()
    {
        var held = _place.HoldNext(StoreOperation.Open);
        var opening = OpenAsync();
        await held.Reached;
        var disposal = _factory.DisposeAsync().AsTask();
        Assert.False(disposal.IsCompleted);
        held.Release();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => opening);
        await disposal;
        Assert.Equal(0, BlockVfs.Shared.CountOpenFiles(_name));
        Assert.Single(_place.Stores);
    }

    [Fact]
    public async Task Without_a_browser_and_a_directory_the_error_says_what_to_do()
    {
        await using var factory = new DataSyncFactory(new NoScripts());
        foreach (var call in (Func<Task>[])[() => factory.OpenAsync(), () => factory.DeleteAsync("app.db")])
        {
            var error = await Assert.ThrowsAsync<StorageUnavailableException>(call);
            Assert.Contains("OnAfterRenderAsync", error.Message, StringComparison.Ordinal);
            Assert.Contains("prerender: false", error.Message, StringComparison.Ordinal);
            Assert.Contains("DataSyncOptions.Directory", error.Message, StringComparison.Ordinal);
        }
    }

    private Task<DataSyncDatabase> OpenAsync(CancellationToken cancellationToken = default) => _factory.OpenAsync(_name, cancellationToken);

    /// <summary>As while a server prerenders.</summary>
    private sealed class NoScripts : IJSRuntime
    {
        public ValueTask<TValue> InvokeAsync<TValue>(string identifier, object?[]? args) => throw new InvalidOperationException("JavaScript interop calls cannot be issued at this time.");

        public ValueTask<TValue> InvokeAsync<TValue>(string identifier, CancellationToken cancellationToken, object?[]? args) => InvokeAsync<TValue>(identifier, args);
    }
}
