using System.Diagnostics.Metrics;
using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage.Tests.AutoSync;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>What the meters count over a known workload is what the workload itself, its store and its clock count.</summary>
public sealed class MetricsTests : IDisposable
{
    private readonly Cluster _cluster = new();
    private readonly Counts _counts = new();

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Commits_and_their_bytes_are_counted_by_every_tab_that_shows_them_and_timed_by_the_one_that_wrote(int count)
    {
        var tabs = _cluster.Open(count);
        for (var i = 0; i < 30; i++) Assert.Equal(1, _cluster.Wait(_cluster.Start(() => tabs[i % count].AppendAsync((ulong)i))));
        _cluster.Run(1.5); // a heartbeat, with which the gauges are written
        var log = ReadLog();
        Assert.Equal(30, log.Count);
        Assert.Equal(30 * count, _counts.Sum("datasync.commits"));
        Assert.Equal(log.Sum() * count, _counts.Sum("datasync.commit.bytes"));
        Assert.Equal(30, _counts.Number("datasync.commit.duration"));
        Assert.InRange(_counts.Sum("datasync.commit.duration"), 30 * 0.4, 30 * 3); // the store takes 0.4 ms, a message 0.2
        Assert.Equal((30.0, (double)log.Sum(), 0.0), (_counts.Last("datasync.log.records"), _counts.Last("datasync.log.bytes"), _counts.Last("datasync.commits.inflight")));
        AssertNothing("datasync.commits.stale", "datasync.commits.failed", "datasync.appends.fenced", "datasync.checkpoints", "datasync.messages.dropped", "datasync.catchups", "datasync.reloads");
    }

    [Fact]
    public void Checkpoints_are_counted_and_leave_the_log_that_the_gauges_tell()
    {
        _cluster.Options.CheckpointLogRecords = 8;
        var tab = _cluster.Open(); // a follower's gauges do not know of its leader's checkpoints
        for (var i = 0UL; i < 30; i++) _cluster.Wait(_cluster.Start(() => tab.AppendAsync(i)));
        _cluster.Run(1.5);
        Assert.InRange(_counts.Sum("datasync.checkpoints"), 3, 30);
        Assert.Equal(tab.Store.CountOf(StoreOperation.Checkpoint), _counts.Sum("datasync.checkpoints"));
        var log = ReadLog();
        Assert.Equal((log.Count, log.Sum()), (_counts.Last("datasync.log.records"), _counts.Last("datasync.log.bytes")));
    }

    [Fact]
    public void Refused_failed_and_fenced_commits_are_counted_once_each()
    {
        var tabs = _cluster.Open(3);
        var stale = 0;
        var writing = Enumerable.Range(0, 60).Select(i => _cluster.Start(() => AppendCountingAsync(tabs[i % 3], (ulong)i))).ToList();
        foreach (var write in writing) stale += _cluster.Wait(write);
        Assert.True(stale > 0);
        Assert.Equal(stale, _counts.Sum("datasync.commits.stale"));
        Assert.Equal(60, _counts.Number("datasync.commit.duration"));

        for (var i = 0; i < 4; i++)
        {
            tabs[0].Store.FailAt(StoreOperation.Append, new StorageQuotaException());
            Assert.Throws<StorageQuotaException>(() => _cluster.Wait(_cluster.Start(() => tabs[i % 2].AppendAsync(100))));
        }

        Assert.Equal(4, _counts.Sum("datasync.commits.failed"));
        var rival = new MemoryBlockStore(_cluster.Medium);
        _cluster.Wait(_cluster.Start(async () =>
        {
            var head = await rival.OpenAsync(default);
            return await rival.RaiseEpochAsync(head.Incarnation, default, TabId.New(TimeProvider.System), default);
        }));
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(200)));
        Assert.Equal(1, _counts.Sum("datasync.appends.fenced"));
        Assert.Equal((stale, 4.0), (_counts.Sum("datasync.commits.stale"), _counts.Sum("datasync.commits.failed")));

        static async Task<int> AppendCountingAsync(ClusterTab tab, ulong tag)
        {
            for (var stale = 0; ;)
            {
                var turn = await tab.Pipeline.BeginWriteAsync(exclusive: stale > 1).ConfigureAwait(false);
                var refusal = tab.TryAppend(tag);
                turn.Dispose();
                if (refusal is not null) continue;
                if (!(await turn.Outcome.ConfigureAwait(false)).IsStale) return stale;
                stale++;
            }
        }
    }

    [Fact]
    public void Messages_that_do_not_parse_or_do_not_come_are_counted_and_so_are_the_readings_that_make_up_for_them()
    {
        var tabs = _cluster.Open(3);
        var noise = _cluster.Bus.CreateChannel();
        _cluster.Wait(_cluster.Start(async () =>
        {
            await noise.OpenAsync(default, default);
            for (var i = 0; i < 5; i++) noise.Post([1, 2, 3, (byte)i], default);
            return 0;
        }));
        _cluster.Run(0.1);
        Assert.Equal(5 * 3, _counts.Sum("datasync.messages.dropped"));

        // Two commits whose announcements nobody hears: each follower reads the log once, the leader never.
        var reads = tabs.Sum(tab => tab.Store.CountOf(StoreOperation.Read));
        var route = _cluster.Route;
        for (var i = 0UL; i < 2; i++)
        {
            _cluster.Route = () => [];
            _cluster.Wait(_cluster.Start(() => tabs[0].AppendAsync(i)));
            _cluster.Route = route;
            _cluster.Run(2.5);
        }

        Assert.All(tabs, tab => Assert.Equal(2, tab.List().Count));
        Assert.Equal(4, _counts.Sum("datasync.catchups"));
        Assert.Equal(4, tabs.Sum(tab => tab.Store.CountOf(StoreOperation.Read)) - reads);
        AssertNothing("datasync.reloads");
    }

    [Fact]
    public void A_reading_of_the_whole_store_is_counted()
    {
        _cluster.Options.CheckpointLogRecords = 8;
        var tabs = _cluster.Open(2);
        tabs[1].Platform.Freeze();
        for (var i = 0UL; i < 20; i++) _cluster.Wait(_cluster.Start(() => tabs[0].AppendAsync(i)));
        var reads = tabs[1].Store.CountOf(StoreOperation.Read);
        tabs[1].Platform.Thaw();
        _cluster.Run(3);
        Assert.Equal(tabs[0].List(), tabs[1].List());
        Assert.Equal(1, _counts.Sum("datasync.reloads"));
        Assert.Equal(tabs[1].Store.CountOf(StoreOperation.Read) - reads, _counts.Sum("datasync.reloads") + _counts.Sum("datasync.catchups"));
    }

    [Fact]
    public void Deferred_writes_are_counted_while_they_are_not_durable_and_so_is_each_sync_and_each_rerun()
    {
        using var one = new SyncedTab(_cluster);
        using var other = new SyncedTab(_cluster);
        _cluster.Run(0.3);
        for (var i = 0UL; i < 10; i++) one.AppendNow(i);
        var (blocks, bytes) = (_counts.Last("datasync.dirty.blocks"), _counts.Last("datasync.dirty.bytes"));
        one.ForceSync();
        var log = ReadLog();
        Assert.Equal((10 * 2, log.Sum()), (blocks, bytes)); // the list's block and that of its length, each time
        Assert.Equal((0.0, 0.0), (_counts.Last("datasync.dirty.blocks"), _counts.Last("datasync.dirty.bytes")));

        for (var i = 0UL; i < 5; i++) other.AppendNow(100 + i);
        _cluster.Wait(_cluster.Start(() => one.Tab.AppendAsync(200)));
        other.ForceSync();
        Assert.Equal(5, _counts.Sum("datasync.reruns"));
        Assert.Equal(5, _counts.Sum("datasync.commits.stale"));

        one.Tab.Store.FailAt(StoreOperation.Append, new StorageQuotaException());
        one.AppendNow(300);
        _cluster.Run(1);
        Assert.Single(one.Failed);
        Assert.Equal(one.Succeeded.Count + other.Succeeded.Count, _counts.Number("datasync.sync.duration", "ok"));
        Assert.Equal(1, _counts.Number("datasync.sync.duration", "failed"));
        Assert.Equal(1, _counts.Number("datasync.sync.duration", nameof(SyncTrigger.Debounce)));
        Assert.Equal(1, _counts.Sum("datasync.commits.failed"));
    }

    [Fact]
    public void Backpressure_is_counted_up_and_down()
    {
        using var tab = new SyncedTab(_cluster, new SyncPolicy { DirtyBytes = 40_000, BackpressureBytes = 40_000 });
        _cluster.Run(0.3);
        var held = tab.Tab.Store.HoldAt(StoreOperation.Append);
        for (var i = 0UL; i < 20 && tab.Backpressure.Count == 0; i++) tab.AppendNow(i);
        Assert.Equal(1, _counts.Sum("datasync.backpressure"));
        held.Release();
        _cluster.Run(1);
        Assert.Equal([true, false], tab.Backpressure);
        Assert.Equal((0.0, 2), (_counts.Sum("datasync.backpressure"), _counts.Number("datasync.backpressure")));
    }

    [Fact]
    public void Members_leaders_and_leases_are_counted()
    {
        var changes = 0;
        var leases = 0;
        _cluster.Open(3);
        var before = _counts.Sum("datasync.coordination.leadership_changes");
        foreach (var tab in _cluster.Tabs) tab.Coordinator.LeadershipChanged += (_, e) => changes += e.NewLeader is null ? 0 : 1;
        var renewals = _counts.Sum("datasync.coordination.lease_renewals");
        var lease = _cluster.Browser.ReadLease(Cluster.Scope);
        Assert.Equal(3, _counts.Last("datasync.coordination.members"));
        Watch(4);
        _cluster.Tabs[0].CloseTab();
        Watch(2);
        Assert.Equal(2, _counts.Last("datasync.coordination.members"));
        Assert.True(leases > 4 && changes > 0);
        Assert.Equal(leases, _counts.Sum("datasync.coordination.lease_renewals") - renewals);
        Assert.Equal(changes, _counts.Sum("datasync.coordination.leadership_changes") - before);
        AssertNothing("datasync.coordination.lease_renewal_failures", "datasync.coordination.messages_dropped");

        // Each write of the lease is another text.
        void Watch(double seconds)
        {
            for (var passed = 0.0; passed < seconds; passed += 0.0005)
            {
                _cluster.Run(0.0005);
                if (_cluster.Browser.ReadLease(Cluster.Scope) is var now && now == lease) continue;
                lease = now;
                leases++;
            }
        }
    }

    public void Dispose()
    {
        _counts.Dispose();
        _cluster.Dispose();
    }

    private void AssertNothing(params string[] instruments) => Assert.All(instruments, name => Assert.Equal(0, _counts.Sum(name)));

    /// <summary>The sizes of the log's records, read past all that counts.</summary>
    private List<long> ReadLog()
    {
        var store = new MemoryBlockStore(_cluster.Medium);
        store.OpenAsync(default).AsTask().GetAwaiter().GetResult();
        return StoreContent.ReadAsync(store).GetAwaiter().GetResult().Log.ConvertAll(record => (long)record.Bytes.Length);
    }

    /// <summary>What was recorded on this thread: other tests run on others, and a cluster on one.</summary>
    private sealed class Counts : IDisposable
    {
        private readonly MeterListener _listener = new();
        private readonly int _thread = Environment.CurrentManagedThreadId;
        private readonly List<(string Name, double Value, string[] Tags)> _measured = [];

        public Counts()
        {
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name.StartsWith("DataSync.", StringComparison.Ordinal)) listener.EnableMeasurementEvents(instrument);
            };
            _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument, value, tags));
            _listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Add(instrument, value, tags));
            _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument, value, tags));
            _listener.Start();
        }

        public double Sum(string name) => _measured.Where(m => m.Name == name).Sum(m => m.Value);

        public int Number(string name, string? tag = null) => _measured.Count(m => m.Name == name && (tag is null || m.Tags.Contains(tag)));

        public double Last(string name) => _measured.FindLast(m => m.Name == name) is { Name: not null } measured ? measured.Value : double.NaN;

        public void Dispose() => _listener.Dispose();

        private void Add(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            if (Environment.CurrentManagedThreadId == _thread) _measured.Add((instrument.Name, value, [.. tags.ToArray().Select(tag => tag.Value!.ToString()!)]));
        }
    }
}
