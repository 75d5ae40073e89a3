using DataSync.Storage.Tests.Pipeline;
using Xunit;

namespace DataSync.Storage.Tests.AutoSync;

/// <summary>Another tab's commit comes before what is held: its work is run again, in order, before anything else.</summary>
public sealed class RerunTests : IDisposable
{
    private readonly Cluster _cluster = new();

    public void Dispose() => _cluster.Dispose();

    private IReadOnlyList<ulong> Durable => ClusterTab.ReadList(_cluster.Load().Image);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Held_writes_are_run_again_in_order_behind_another_tabs_commit(int holder)
    {
        var tabs = Open(2);
        for (ulong i = 1; i <= 5; i++) tabs[holder].AppendNow(i);
        _cluster.Wait(_cluster.Start(() => tabs[1 - holder].Tab.AppendAsync(100)));
        tabs[holder].ForceSync();
        Assert.Equal([100UL, 1, 2, 3, 4, 5], Durable);
        _cluster.Run(0.1);
        Assert.Equal(Durable, tabs[holder].Tab.List());
        Assert.Equal(Durable, tabs[1 - holder].Tab.List());
        Assert.Empty(tabs[holder].Failed);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_new_write_waits_until_what_was_acknowledged_before_is_run_again(int holder)
    {
        var tabs = Open(2);
        for (ulong i = 1; i <= 3; i++) tabs[holder].AppendNow(i);
        tabs[holder].Tab.Pipeline.Storage.EnterRead(); // the image cannot be put back yet
        _cluster.Wait(_cluster.Start(() => tabs[1 - holder].Tab.AppendAsync(100)));
        var deferred = tabs[holder].Append(4);
        var immediate = _cluster.Start(async () =>
        {
            using var turn = await tabs[holder].Sync.BeginWriteAsync(exclusive: true, default).ConfigureAwait(false);
            Assert.Null(tabs[holder].Tab.TryAppend(5));
            turn.Dispose();
            return (await turn.Outcome.ConfigureAwait(false)).IsStale;
        });
        _cluster.Run(0.1);
        Assert.False(deferred.IsCompleted);
        _cluster.Do(tabs[holder].Tab.Pipeline.Storage.ExitRead);
        _cluster.Wait(deferred);
        Assert.False(_cluster.Wait(immediate));
        tabs[holder].ForceSync();
        Assert.Equal([100UL, 1, 2, 3, 4, 5], Durable);
    }

    [Fact]
    public void A_write_with_the_turn_goes_behind_what_is_held()
    {
        var tabs = Open(2);
        tabs[1].AppendNow(1);
        _cluster.Wait(_cluster.Start(() => tabs[1].Tab.AppendAsync(2, exclusive: true)));
        Assert.Equal([1UL, 2], Durable);
        _cluster.Run(0.01);
        Assert.Equal(SyncTrigger.Turn, Assert.Single(tabs[1].Succeeded).Trigger);
    }

    [Fact]
    public void A_synchronous_write_on_the_leader_goes_behind_what_is_held()
    {
        var tab = Open(1)[0];
        tab.AppendNow(1);
        _cluster.Do(() => Assert.Null(tab.Tab.TryAppend(2)));
        tab.AppendNow(3);
        _cluster.Run(0.01);
        Assert.Equal([1UL, 2], Durable);
        tab.ForceSync();
        Assert.Equal([1UL, 2, 3], Durable);
    }

    [Fact]
    public void A_synchronous_write_is_refused_until_what_was_acknowledged_before_is_run_again()
    {
        var tabs = Open(2);
        tabs[0].AppendNow(1);
        tabs[0].AppendNow(2);
        var rerun = tabs[0].Tab.Store.HoldAt(StoreOperation.Append, nth: 2);
        _cluster.Wait(_cluster.Start(() => tabs[1].Tab.AppendAsync(100)));
        _cluster.Run(0.05);
        Assert.True(rerun.Reached.IsCompleted);
        _cluster.Do(() => Assert.Contains("run again", tabs[0].Tab.TryAppend(9)));
        _cluster.Do(rerun.Release);
        tabs[0].ForceSync();
        _cluster.Do(() => Assert.Null(tabs[0].Tab.TryAppend(3)));
        tabs[0].ForceSync();
        Assert.Equal([100UL, 1, 2, 3], Durable);
    }

    [Fact]
    public void Work_that_fails_when_it_is_run_again_is_reported_and_the_next_is_run()
    {
        var tabs = Open(2);
        var runs = 0;
        tabs[1].AppendNow(1);
        _cluster.Wait(_cluster.Start(() => tabs[1].Sync.WriteAsync(
            _ => ++runs == 1 ? tabs[1].Tab.TryAppend(2) is not null : throw new InvalidOperationException("taken"), default)));
        tabs[1].AppendNow(3);
        _cluster.Wait(_cluster.Start(() => tabs[0].Tab.AppendAsync(100)));
        Assert.Equal("taken", Assert.Throws<InvalidOperationException>(tabs[1].ForceSync).Message);
        Assert.Equal([100UL, 1, 3], Durable);
        Assert.Equal("taken", Assert.Single(tabs[1].Failed).Error.Message);
        tabs[1].ForceSync();
        tabs[1].AppendNow(4);
        tabs[1].ForceSync();
        Assert.Equal([100UL, 1, 3, 4], Durable);
    }

    /// <summary>Found by the simulation: seed 5,172,457.</summary>
    [Fact]
    public void Work_that_fails_when_it_is_run_again_during_a_sync_of_earlier_writes_fails_that_sync()
    {
        var tabs = Open(2);
        var runs = 0;
        var append = tabs[0].Tab.Store.HoldAt(StoreOperation.Append);
        tabs[1].AppendNow(1);
        _cluster.Do(() => _ = tabs[1].Sync.SyncAsync());
        _cluster.Run(0.01);
        Assert.True(append.Reached.IsCompleted);
        _cluster.Wait(_cluster.Start(() => tabs[1].Sync.WriteAsync(
            _ => ++runs == 1 ? tabs[1].Tab.TryAppend(2) is not null : throw new InvalidOperationException("taken"), default)));
        var other = _cluster.Start(() => tabs[0].Tab.AppendAsync(100, exclusive: true));
        _cluster.Run(0.01);
        _cluster.Do(() => _ = tabs[1].Sync.SyncAsync());
        _cluster.Run(0.05);
        Assert.Equal(2, runs);
        Assert.Empty(tabs[1].Failed);
        _cluster.Do(append.Release);
        _cluster.Wait(other);
        _cluster.Run(0.05);
        Assert.Equal([1UL, 100], Durable);
        Assert.Equal(("taken", 1), (Assert.Single(tabs[1].Failed).Error.Message, tabs[1].Failed[0].Failed));
        Assert.Empty(tabs[1].Succeeded);
        Assert.Throws<InvalidOperationException>(tabs[1].ForceSync);
    }

    [Fact]
    public void Work_that_fails_behind_its_commit_is_not_run_again_and_blocks_nobody()
    {
        var tabs = Open(2);
        var write = _cluster.Start(() => tabs[1].Sync.WriteAsync(
            _ =>
            {
                tabs[1].Tab.TryAppend(1);
                throw new InvalidOperationException("too late");
            },
            default));
        Assert.Throws<InvalidOperationException>(() => _cluster.Wait(write));
        _cluster.Wait(_cluster.Start(() => tabs[0].Tab.AppendAsync(100)));
        _cluster.Wait(tabs[1].Append(2));
        try
        {
            tabs[1].ForceSync();
        }
        catch (StaleCommitException)
        {
        }

        Assert.Equal(2UL, Durable[^1]);
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 3)]
    [InlineData(4, 4)]
    public void Tabs_that_write_at_once_lose_and_double_nothing_and_keep_their_own_order(int count, int seed)
    {
        var tabs = Open(count, new SyncPolicy { Interval = TimeSpan.FromMilliseconds(200), Debounce = TimeSpan.FromMilliseconds(20), DirtyBlocks = 20 });
        var random = new Random(seed);
        var writes = new List<Task<long>>();
        var next = new int[count];
        for (var i = 0; i < 60 * count; i++)
        {
            var t = random.Next(count);
            writes.Add(tabs[t].Append((ulong)(t * 1000 + next[t]++)));
            if (random.Next(3) == 0) _cluster.Run(random.NextDouble() * 0.03);
        }

        foreach (var write in writes) _cluster.Wait(write);
        foreach (var tab in tabs) tab.ForceSync();
        _cluster.Run(1);
        Assert.All(tabs, tab => Assert.Equal(Durable, tab.Tab.List()));
        for (var t = 0; t < count; t++)
            Assert.Equal(Enumerable.Range(0, next[t]).Select(i => (ulong)(t * 1000 + i)), Durable.Where(tag => tag / 1000 == (ulong)t));
        Assert.All(tabs, tab => Assert.Equal((0, 0L), (tab.Sync.DirtyCommits, tab.Sync.DirtyBytes)));
        Assert.All(tabs, tab => Assert.Empty(tab.Failed));
    }

    /// <summary>Found by the simulation.</summary>
    [Fact]
    public void A_write_whose_commit_got_lost_on_its_way_is_run_again_before_the_one_behind_it()
    {
        var tabs = Open(3);
        var route = _cluster.Route;
        tabs[1].AppendNow(1);
        _cluster.Route = () => [];
        _cluster.Do(() => _ = tabs[1].Sync.SyncAsync());
        _cluster.Route = route;
        var turn = _cluster.Wait(_cluster.Start(() => tabs[2].Tab.Pipeline.BeginWriteAsync(exclusive: true).AsTask()));
        tabs[1].AppendNow(2);
        _cluster.Do(() => _ = tabs[1].Sync.SyncAsync());
        _cluster.Run(0.01);
        _cluster.Do(() => Assert.Null(tabs[2].Tab.TryAppend(100)));
        _cluster.Do(turn.Dispose);
        tabs[1].ForceSync();
        Assert.Equal([100UL, 1, 2], Durable);
    }

    [Fact]
    public void A_leaders_crash_in_the_middle_of_a_sync_loses_nothing_of_a_follower()
    {
        var tabs = Open(3);
        var held = tabs[0].Tab.Store.HoldAt(StoreOperation.Append, after: true);
        for (ulong i = 1; i <= 5; i++) tabs[2].AppendNow(i);
        _cluster.Run(0.15);
        Assert.True(held.Reached.IsCompleted);
        Assert.True(tabs[2].Sync.IsSyncing);
        tabs[0].Tab.Crash();
        tabs[2].ForceSync();
        Assert.Equal([1UL, 2, 3, 4, 5], Durable);
    }

    private SyncedTab[] Open(int count, SyncPolicy? policy = null)
    {
        var tabs = Enumerable.Range(0, count).Select(_ => new SyncedTab(_cluster, policy)).ToArray();
        _cluster.Run(0.3);
        return tabs;
    }
}
