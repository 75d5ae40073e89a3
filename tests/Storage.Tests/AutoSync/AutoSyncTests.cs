using System.Diagnostics.Metrics;
using DataSync.Storage.Tests.Pipeline;
using Xunit;

namespace DataSync.Storage.Tests.AutoSync;

/// <summary>When held commits become durable, and what their writers and others see meanwhile.</summary>
public sealed class AutoSyncTests : IDisposable
{
    private readonly Cluster _cluster = new();

    public void Dispose() => _cluster.Dispose();

    private IReadOnlyList<ulong> Durable => ClusterTab.ReadList(_cluster.Load().Image);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Writes_are_acknowledged_at_once_and_durable_together_when_it_is_quiet(int writer)
    {
        var tabs = Open(2);
        var before = tabs[0].Appends;
        for (ulong i = 0; i < 20; i++) tabs[writer].AppendNow(i);
        Assert.Equal(20, tabs[writer].Tab.List().Count);
        Assert.Empty(tabs[1 - writer].Tab.List());
        Assert.Equal(20, tabs[writer].Sync.DirtyCommits);
        _cluster.Run(0.09);
        Assert.Empty(Durable);
        _cluster.Run(0.05);
        Assert.Equal(Enumerable.Range(0, 20).Select(i => (ulong)i), Durable);
        Assert.Equal(Durable, tabs[1 - writer].Tab.List());
        Assert.Equal(writer == 0 ? 1 : 2, tabs[0].Appends - before);
        Assert.Equal(SyncTrigger.Debounce, Assert.Single(tabs[writer].Started).Trigger);
        Assert.Equal(20, Assert.Single(tabs[writer].Succeeded).Commits);
        Assert.Equal((0, 0, 0L), (tabs[writer].Sync.DirtyCommits, tabs[writer].Sync.DirtyBlocks, tabs[writer].Sync.DirtyBytes));
    }

    [Fact]
    public void A_handler_that_throws_keeps_neither_the_others_from_hearing_nor_a_sync_from_its_end()
    {
        var tab = Open(1)[0];
        var heard = new List<string>();
        tab.Sync.SyncStarted += (_, _) => throw new InvalidOperationException("started");
        tab.Sync.SyncStarted += (_, _) => heard.Add("started");
        tab.Sync.SyncSucceeded += (_, _) => throw new InvalidOperationException("succeeded");
        tab.Sync.SyncSucceeded += (_, _) => heard.Add("succeeded");
        tab.AppendNow(1);
        tab.ForceSync();
        Assert.Equal(["started", "succeeded"], heard);
        Assert.Equal([1UL], Durable);
    }

    [Fact]
    public void No_commit_is_held_longer_than_the_interval_however_busy_the_tab_is()
    {
        var tab = Open(1)[0];
        for (ulong i = 0; i < 45; i++)
        {
            tab.AppendNow(i);
            _cluster.Run(0.05);
        }

        Assert.Equal(SyncTrigger.Interval, Assert.Single(tab.Started).Trigger);
        Assert.InRange(Durable.Count, 38, 42);
    }

    [Theory]
    [InlineData(SyncTrigger.DirtyBlocks, 8, 1 << 20)]
    [InlineData(SyncTrigger.DirtyBytes, 1000, 40_000)]
    public void A_threshold_starts_a_sync_without_any_time_passing(SyncTrigger expected, int blocks, long bytes)
    {
        var tab = Open(1, new SyncPolicy { DirtyBlocks = blocks, DirtyBytes = bytes })[0];
        ulong count = 0;
        while (tab.Started.Count == 0 && count < 100) tab.AppendNow(count++);
        Assert.Equal(expected, Assert.Single(tab.Started).Trigger);
        Assert.InRange(count, 4UL, 6UL);
        _cluster.Run(0.01);
        Assert.Equal((int)count, Durable.Count);
    }

    [Theory]
    [InlineData(SyncTrigger.Idle)]
    [InlineData(SyncTrigger.Hidden)]
    [InlineData(SyncTrigger.PageLeft)]
    public void The_browsers_moments_start_a_sync_at_once_if_anything_is_held(SyncTrigger trigger)
    {
        var triggers = new ManualTriggers();
        using var tab = new SyncedTab(_cluster, null, triggers);
        _cluster.Run(0.3);
        _cluster.Do(() => triggers.Fire(trigger));
        Assert.Empty(tab.Started);
        for (ulong i = 0; i < 5; i++) tab.AppendNow(i);
        Assert.True(triggers.IsScheduled);
        var appends = tab.Appends;
        _cluster.Do(() => triggers.Fire(trigger));

        // Nothing may be left to be done later: the page may not live to see it.
        Assert.Equal(appends + 1, tab.Appends);
        _cluster.Run(0.01);
        Assert.Equal(5, Durable.Count);
        Assert.Equal(trigger, Assert.Single(tab.Started).Trigger);
        Assert.False(triggers.IsScheduled);
    }

    [Fact]
    public void While_the_page_is_hidden_nothing_is_held()
    {
        var triggers = new ManualTriggers { IsHidden = true };
        using var tab = new SyncedTab(_cluster, null, triggers);
        _cluster.Run(0.3);
        tab.AppendNow(1);
        _cluster.Run(0.01);
        Assert.Equal([1UL], Durable);
        Assert.Equal(SyncTrigger.Hidden, Assert.Single(tab.Succeeded).Trigger);
    }

    [Fact]
    public void A_store_that_is_deleted_meanwhile_is_reported_as_a_failed_sync()
    {
        var tabs = Open(2);
        tabs[1].AppendNow(1);
        tabs[1].AppendNow(2);
        var eraser = new MemoryBlockStore(_cluster.Medium);
        _cluster.Do(() => _ = eraser.OpenAsync(default).AsTask());
        _cluster.Do(() => _ = eraser.DeleteAsync(default).AsTask());
        _cluster.Run(0.1);
        var failed = Assert.Single(tabs[1].Failed);
        Assert.IsType<StorageClosedException>(failed.Error);
        Assert.Equal(2, failed.Failed);
        Assert.Throws<StorageClosedException>(tabs[1].ForceSync);
    }

    [Fact]
    public void A_throttled_timer_is_made_up_for_by_the_heartbeat()
    {
        using var tab = new SyncedTab(_cluster, null, new ManualTriggers());
        _cluster.Run(0.3);
        tab.AppendNow(1);
        _cluster.Run(1.9);
        Assert.Empty(Durable);
        _cluster.Run(1.2);
        Assert.Equal([1UL], Durable);
    }

    [Fact]
    public void A_crash_loses_what_was_never_synced_and_nothing_else()
    {
        var tabs = Open(2);
        tabs[1].AppendNow(1);
        tabs[1].AppendNow(2);
        tabs[1].ForceSync();
        tabs[1].AppendNow(3);
        tabs[1].Tab.Crash();
        _cluster.Run(10);
        Assert.Equal([1UL, 2], tabs[0].Tab.List());
        tabs[0].AppendNow(4);
        tabs[0].ForceSync();
        Assert.Equal([1UL, 2, 4], Durable);
    }

    [Fact]
    public void Writes_are_acknowledged_without_a_leader_and_durable_under_the_next()
    {
        var tabs = Open(3);
        tabs[0].Tab.Platform.Hang();
        _cluster.Run(0.01);
        for (ulong i = 0; i < 5; i++) tabs[2].AppendNow(i);
        _cluster.Run(15);
        Assert.Equal([0UL, 1, 2, 3, 4], Durable);
        Assert.Empty(tabs[2].Failed);
    }

    [Fact]
    public void A_shutdown_in_the_middle_takes_no_new_writes_and_leaves_everything_durable()
    {
        var tabs = Open(2);
        for (ulong i = 0; i < 5; i++) tabs[1].AppendNow(i);
        var shutdown = _cluster.Start(async () =>
        {
            await tabs[1].Sync.DrainAndShutdownAsync().ConfigureAwait(false);
            return 0;
        });
        Assert.ThrowsAny<ObjectDisposedException>(() => _cluster.Wait(tabs[1].Append(9)));
        _cluster.Wait(shutdown);
        Assert.Equal([0UL, 1, 2, 3, 4], Durable);
        Assert.False(tabs[1].Sync.IsSyncing);
    }

    [Fact]
    public void A_shutdown_waits_for_writes_that_were_called_before_it()
    {
        var tab = Open(1, new SyncPolicy { DirtyBytes = 4096, BackpressureBytes = 20_000 })[0];
        var held = tab.Tab.Store.HoldAt(StoreOperation.Append);
        var writes = Enumerable.Range(0, 10).Select(i => tab.Append((ulong)i)).ToList();
        Assert.Contains(writes, w => !w.IsCompleted);
        var shutdown = _cluster.Start(async () =>
        {
            await tab.Sync.DrainAndShutdownAsync().ConfigureAwait(false);
            return 0;
        });
        _cluster.Run(0.1);
        Assert.False(shutdown.IsCompleted);
        _cluster.Do(held.Release);
        _cluster.Wait(shutdown);
        Assert.All(writes, w => Assert.True(w.IsCompletedSuccessfully));
        Assert.Equal(10, Durable.Count);
    }

    [Fact]
    public void What_the_store_has_no_room_for_is_reported_once_and_taken_back()
    {
        var tabs = Open(2);
        tabs[1].AppendNow(1);
        tabs[1].ForceSync();
        tabs[0].Tab.Store.FailAt(StoreOperation.Append, new StorageQuotaException());
        tabs[1].AppendNow(2);
        tabs[1].AppendNow(3);
        Assert.Throws<StorageQuotaException>(() => tabs[1].Wait(() => tabs[1].Sync.SyncAsync()));
        _cluster.Run(0.1);
        var failed = Assert.Single(tabs[1].Failed);
        Assert.IsType<StorageQuotaException>(failed.Error);
        Assert.InRange(failed.Failed, 1, 2);
        Assert.Throws<StorageQuotaException>(tabs[1].ForceSync);
        tabs[1].ForceSync();
        Assert.DoesNotContain(2UL, tabs[1].Tab.List());
        Assert.Equal(Durable, tabs[1].Tab.List());
        Assert.Equal(0, tabs[1].Sync.DirtyBytes);
        tabs[1].AppendNow(4);
        tabs[1].ForceSync();
        Assert.Equal(4UL, Durable[^1]);
    }

    [Fact]
    public void Writes_wait_when_too_much_is_not_durable_and_go_on_at_half_of_it()
    {
        var tab = Open(1, new SyncPolicy { DirtyBytes = 1 << 16, BackpressureBytes = 1 << 16 })[0];
        var held = tab.Tab.Store.HoldAt(StoreOperation.Append);
        long most = 0;
        var writes = new List<Task<long>>();
        for (ulong i = 0; i < 50; i++)
        {
            writes.Add(tab.Append(i));
            most = Math.Max(most, tab.Sync.DirtyBytes);
        }

        Assert.Contains(writes, w => !w.IsCompleted);
        Assert.InRange(most, 1 << 16, (1 << 16) + 16_384);
        Assert.Equal([true], tab.Backpressure);
        Assert.True(tab.Sync.IsBackpressured);
        _cluster.Do(held.Release);
        foreach (var write in writes) _cluster.Wait(write);
        tab.ForceSync();
        Assert.Equal(50, Durable.Count);
        Assert.Equal(50, Durable.Distinct().Count());
        Assert.False(tab.Backpressure[^1]);
    }

    [Fact]
    public void The_meter_counts_syncs_and_what_is_not_durable()
    {
        var seen = new Dictionary<string, List<double>>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Meter.Name == "DataSync.Storage") self.EnableMeasurementEvents(instrument);
            },
        };
        void Add(string name, double value) => (seen.TryGetValue(name, out var list) ? list : seen[name] = []).Add(value);
        var thread = Environment.CurrentManagedThreadId;
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => { if (Environment.CurrentManagedThreadId == thread) Add(instrument.Name, value); });
        listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => { if (Environment.CurrentManagedThreadId == thread) Add(instrument.Name, value); });
        listener.Start();
        var tab = Open(1)[0];
        for (ulong i = 0; i < 3; i++) tab.AppendNow(i);
        tab.ForceSync();
        tab.AppendNow(4);
        tab.ForceSync();
        Assert.Equal(4, seen["datasync.commits"].Sum());
        Assert.Equal(2, seen["datasync.sync.duration"].Count);
        Assert.Equal(tab.Succeeded[0].Duration.TotalMilliseconds, seen["datasync.sync.duration"][0]);
        Assert.Equal([2, 4, 6, 4, 2, 0, 2, 0], seen["datasync.dirty.blocks"]);
        Assert.Equal(0, seen["datasync.dirty.bytes"][^1]);
    }

    private SyncedTab[] Open(int count, SyncPolicy? policy = null)
    {
        var tabs = Enumerable.Range(0, count).Select(_ => new SyncedTab(_cluster, policy)).ToArray();
        _cluster.Run(0.3);
        return tabs;
    }
}
