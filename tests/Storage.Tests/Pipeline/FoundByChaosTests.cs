using DataSync.Contracts;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>What the chaos in Chromium found, as small as it gets.</summary>
public sealed class FoundByChaosTests : IDisposable
{
    private readonly Cluster _cluster = new();

    /// <summary>A tab found the tables that it was about to make, was told that all was well, and then did not see them.</summary>
    [Fact]
    public void Work_that_wrote_nothing_is_done_when_what_it_read_is_durable()
    {
        var tabs = _cluster.Open(2);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(1)));
        var append = tabs[0].Store.HoldAt(StoreOperation.Append);
        var write = _cluster.Start(() => tabs[0].AppendAsync(2));
        var (seen, outcome) = Look(tabs[1]);
        Assert.Equal([1UL, 2], seen);
        _cluster.Run(0.2);
        Assert.False(outcome.IsCompleted);
        _cluster.Do(append.Release);
        Assert.False(_cluster.Wait(outcome, 1).IsStale);
        Assert.Equal([1UL, 2], tabs[1].List());
        _cluster.Wait(write);
    }

    /// <summary>The application was told that its page is not open.</summary>
    [Fact]
    public async Task Opening_a_store_that_is_deleted_meanwhile_fails_with_that()
    {
        using var browser = new InMemoryBrowser();
        var medium = new MemoryBlockMedium();
        await using var pipeline = new CommitPipeline(
            new MemoryBlockStore(medium), new InMemoryCommitBus().CreateChannel(), new TabCoordinator(new SlowPlatform(browser.OpenTab()), new() { Scope = "slow" }));
        var opening = pipeline.OpenAsync();
        Assert.False(opening.IsCompleted);
        await using var eraser = new MemoryBlockStore(medium);
        await eraser.OpenAsync(default);
        await eraser.DeleteAsync(default);
        Assert.Equal(StoreClosedReason.Deleted, (await Assert.ThrowsAsync<StorageClosedException>(() => opening)).Reason);
    }

    [Fact]
    public void Work_that_read_what_then_failed_is_run_again()
    {
        var tabs = _cluster.Open(2);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(1)));
        var append = tabs[0].Store.HoldAt(StoreOperation.Append);
        var write = _cluster.Start(() => tabs[0].AppendAsync(2));
        var (seen, outcome) = Look(tabs[1]);
        Assert.Equal([1UL, 2], seen);
        _cluster.Do(() => append.Fail(new StorageQuotaException()));
        Assert.True(_cluster.Wait(outcome, 3).IsStale);
        Assert.Throws<StorageQuotaException>(() => _cluster.Wait(write));
        Assert.Equal([1UL], tabs[1].List());
    }

    public void Dispose() => _cluster.Dispose();

    /// <summary>Reads with the turn and writes nothing.</summary>
    private (IReadOnlyList<ulong> Seen, Task<CommitOutcome> Outcome) Look(ClusterTab tab)
    {
        var turn = _cluster.Wait(_cluster.Start(() => tab.Pipeline.BeginWriteAsync(exclusive: true).AsTask()));
        var seen = tab.List();
        _cluster.Do(turn.Dispose);
        return (seen, turn.Outcome);
    }

    /// <summary>A page that does not answer until it is closed, and then says so.</summary>
    private sealed class SlowPlatform(ITabPlatform page) : ITabPlatform
    {
        private readonly TaskCompletionSource<string?> _closed = new();

        public ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken) => page.OpenAsync(session, cancellationToken);

        public ValueTask<string?> ReadLeaseAsync(CancellationToken cancellationToken) => new(_closed.Task);

        public ValueTask<string?> CompareAndSetLeaseAsync(string? expected, string replacement, string? release, CancellationToken cancellationToken) =>
            page.CompareAndSetLeaseAsync(expected, replacement, release, cancellationToken);

        public ValueTask<IReadOnlyList<TabId>> QueryTabsAsync(CancellationToken cancellationToken) => page.QueryTabsAsync(cancellationToken);

        public ValueTask WaitForTabExitAsync(TabId tab, CancellationToken cancellationToken) => page.WaitForTabExitAsync(tab, cancellationToken);

        public ValueTask PostAsync(string message, CancellationToken cancellationToken) => page.PostAsync(message, cancellationToken);

        public async ValueTask DisposeAsync()
        {
            await page.DisposeAsync();
            _closed.TrySetException(new CoordinationException("The page is not open."));
        }
    }
}
