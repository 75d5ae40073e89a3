using DataSync.Storage.Tests.Pipeline;
using Xunit;

namespace DataSync.Storage.Tests.AutoSync;

/// <summary>A tab that cannot lead, and whose connection is away: what is acknowledged early goes on and is never taken back for lack of an answer.</summary>
public sealed class CutTests : IDisposable
{
    private readonly Cluster _cluster = new();
    private readonly SyncedTab _leader, _client;

    public CutTests()
    {
        _leader = new(_cluster);
        _cluster.Run(0.3);
        _client = new(_cluster, isObserver: true);
        _cluster.Run(0.3);
    }

    private IReadOnlyList<ulong> Durable => ClusterTab.ReadList(_cluster.Load().Image);

    public void Dispose()
    {
        _client.Dispose();
        _leader.Dispose();
        _cluster.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Writes_go_on_for_hours_and_are_durable_once_and_in_order_when_the_connection_is_back(bool isContended)
    {
        if (isContended) Contend();
        Cut();
        for (ulong i = 1; i <= 20; i++)
        {
            _client.AppendNow(i);
            _cluster.Run(200);
        }

        Assert.Equal(Numbers(1, 20), Own);
        Assert.DoesNotContain(1UL, Durable);
        Assert.Equal((0, 20), (_client.Failed.Count, _client.Sync.DirtyCommits));
        Return();
        _client.ForceSync();
        Assert.Equal(Numbers(1, 20), Durable.Where(tag => tag < 100));
        _cluster.Run(1);
        Assert.Equal(Durable, _leader.Tab.List());
        Assert.Equal(0, _client.Sync.DirtyCommits);
    }

    [Fact]
    public void What_another_tab_committed_meanwhile_comes_first_and_the_rest_is_run_again()
    {
        _client.AppendNow(1);
        _client.ForceSync();
        Cut();
        for (ulong i = 2; i <= 10; i++) _client.AppendNow(i);
        _cluster.Run(100);
        Write(100);
        Return();
        _client.ForceSync();
        Assert.Equal([1UL, 100, .. Numbers(2, 10)], Durable);
        Assert.Equal(Durable, _client.Tab.List());
        Assert.Empty(_client.Failed);
    }

    /// <summary>What is acknowledged must not depend on how far the running again got.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(8)]
    [InlineData(20)]
    public void A_cut_while_work_is_run_again_takes_nothing_back_and_keeps_nobody_waiting(int ms)
    {
        Cut();
        for (ulong i = 1; i <= 10; i++) _client.AppendNow(i);
        Write(100);
        _client.Tab.IsCut = false;
        for (var passed = 0; _client.Tab.List() is not [100, ..] && passed < 20_000; passed++) _cluster.Run(0.001);
        _cluster.Run(ms * 0.0005);
        Cut(forMoreThanALease: false);
        var later = _client.Append(11);
        _cluster.Run(60);
        Assert.True(later.IsCompletedSuccessfully);
        Assert.Equal([100UL, .. Numbers(1, 11)], _client.Tab.List());
        Return();
        _client.ForceSync();
        Assert.Equal([100UL, .. Numbers(1, 11)], Durable);
        Assert.Empty(_client.Failed);
    }

    [Fact]
    public void Who_waits_for_a_leader_is_told_in_time_and_nothing_is_taken_back()
    {
        Cut();
        _client.AppendNow(1);
        var immediate = _cluster.Start(() => _client.Tab.AppendAsync(2));
        var sync = _cluster.Start(() => Fails(() => _client.Sync.SyncAsync()));
        var force = _cluster.Start(() => Fails(() => _client.Sync.ForceSyncAsync()));
        _cluster.Run(25);
        Assert.False(immediate.IsCompleted || sync.IsCompleted || force.IsCompleted);
        _cluster.Run(10);
        Assert.False(Assert.Throws<NoLeaderException>(() => _cluster.Wait(immediate)).IsOutcomeUnknown);
        Assert.Equal([false, false], new[] { _cluster.Wait(sync), _cluster.Wait(force) }.Select(error => error.IsOutcomeUnknown));
        _client.AppendNow(3);
        Return();
        _client.ForceSync();
        Assert.Equal([1UL, 3], Durable);
        Assert.Empty(_client.Failed);
    }

    [Fact]
    public void Who_waits_for_a_commit_on_its_way_is_told_that_its_outcome_is_unknown_and_what_was_built_on_it_stays()
    {
        _client.Tab.IsCut = true; // nobody has noticed yet
        var immediate = _cluster.Start(() => _client.Tab.AppendAsync(1));
        _client.AppendNow(2);
        _cluster.Run(100);
        Assert.True(Assert.Throws<NoLeaderException>(() => _cluster.Wait(immediate)).IsOutcomeUnknown);
        Assert.Equal([1UL, 2], _client.Tab.List());
        Return();
        _client.ForceSync();
        Assert.Equal([1UL, 2], Durable);
    }

    [Fact]
    public void A_write_that_waits_for_the_turn_goes_on_without_it_when_the_connection_is_lost()
    {
        Contend();
        var turn = _cluster.Wait(_cluster.Start(() => _leader.Tab.Pipeline.BeginWriteAsync(exclusive: true).AsTask()));
        var write = _client.Append(1);
        _cluster.Run(0.1);
        Assert.False(write.IsCompleted);
        Cut();
        _cluster.Run(2);
        Assert.True(write.IsCompletedSuccessfully);
        _cluster.Do(turn.Dispose);
        Return();
        _client.ForceSync();
        Assert.Contains(1UL, Durable);
    }

    [Fact]
    public void What_waits_for_room_is_told_when_there_is_none_for_as_long_as_a_write_may_take()
    {
        using var small = new SyncedTab(_cluster, new SyncPolicy { DirtyBytes = 4096, BackpressureBytes = 60_000 }, isObserver: true);
        _cluster.Run(0.3);
        small.Tab.IsCut = true;
        _cluster.Run(10);
        var writes = Enumerable.Range(1, 10).Select(i => small.Append((ulong)i)).ToList();
        _cluster.Run(40);
        var refused = writes.Where(write => !write.IsCompletedSuccessfully).ToList();
        Assert.InRange(refused.Count, 1, 9);
        Assert.All(refused, write => Assert.IsType<NoLeaderException>(write.Exception!.InnerException));
        small.Tab.IsCut = false;
        small.ForceSync();
        Assert.Equal(Numbers(1, 10 - refused.Count), Durable);
    }

    [Fact]
    public void A_reader_holds_a_write_up_for_as_long_as_it_reads_and_no_longer()
    {
        var client = _client.Tab.Pipeline;
        client.Storage.EnterRead();
        Write(100);
        _cluster.Run(0.1);
        Cut();
        var write = _client.Append(1);
        _cluster.Run(5);
        Assert.False(write.IsCompleted);
        _cluster.Do(client.Storage.ExitRead);
        _cluster.Run(0.1);
        Assert.True(write.IsCompletedSuccessfully);
        Assert.Equal([100UL, 1], _client.Tab.List());
    }

    private IEnumerable<ulong> Own => _client.Tab.List().Where(tag => tag < 100);

    private static IEnumerable<ulong> Numbers(int first, int last) => Enumerable.Range(first, last - first + 1).Select(i => (ulong)i);

    private static async Task<NoLeaderException> Fails(Func<Task> work)
    {
        try
        {
            await work().ConfigureAwait(false);
        }
        catch (NoLeaderException error)
        {
            return error;
        }

        throw new InvalidOperationException("It did not fail.");
    }

    /// <summary>Both have written: the next one asks for the turn.</summary>
    private void Contend()
    {
        _client.AppendNow(101);
        Write(102);
        _client.ForceSync();
        Write(103);
        _cluster.Run(0.1);
    }

    private void Write(ulong tag) => _cluster.Wait(_cluster.Start(() => _leader.Tab.AppendAsync(tag)));

    private void Cut(bool forMoreThanALease = true)
    {
        _client.Tab.IsCut = true;
        if (forMoreThanALease) _cluster.Run(7);
    }

    private void Return()
    {
        _client.Tab.IsCut = false;
        _cluster.Run(2);
    }
}
