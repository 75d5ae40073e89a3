using DataSync.Contracts;
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
}
