using DataSync.Contracts;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

public sealed class PipelineTests : IDisposable
{
    private readonly Cluster _cluster = new();

    [Fact]
    public void One_tab_leads_and_its_commits_are_durable()
    {
        var tab = _cluster.Open();
        Assert.Equal(1, _cluster.Wait(_cluster.Start(() => tab.AppendAsync(7))));
        Assert.True(tab.Pipeline.IsLeading);
        Assert.Equal([7UL], tab.List());
        Assert.Equal([7UL], ClusterTab.ReadList(_cluster.Load().Image));
        Assert.Equal(new long[] { 1 }, tab.Seen);
    }

    [Fact]
    public void A_follower_commits_at_the_first_try_when_nobody_else_writes()
    {
        var tabs = _cluster.Open(2);
        for (ulong i = 0; i < 5; i++) Assert.Equal(1, _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(i))));
        _cluster.Run(0.1);
        Assert.Equal([0UL, 1, 2, 3, 4], tabs[0].List());
        Assert.Equal([0UL, 1, 2, 3, 4], tabs[1].List());
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Tabs_that_write_at_once_lose_and_double_nothing(int count)
    {
        var tabs = _cluster.Open(count);
        var writing = tabs.Select((tab, t) => _cluster.Start(() => AppendMany(tab, t, 50))).ToList();
        foreach (var task in writing) _cluster.Wait(task);
        _cluster.Run(1);
        var expected = Enumerable.Range(0, count).SelectMany(t => Enumerable.Range(0, 50).Select(i => Tag(t, i))).ToHashSet();
        Assert.All(tabs, tab => Assert.Equal(tabs[0].List(), tab.List()));
        Assert.Equal(expected.Order(), tabs[0].List().Order());
        Assert.Equal(Enumerable.Range(1, count * 50).Select(i => (long)i), tabs[^1].Seen);
    }

    [Fact]
    public void Writes_of_one_tab_form_a_chain_and_need_not_wait_for_each_other()
    {
        var tabs = _cluster.Open(2);
        var writes = Enumerable.Range(0, 20).Select(i => _cluster.Start(() => tabs[1].AppendAsync((ulong)i))).ToList();
        foreach (var write in writes) Assert.Equal(1, _cluster.Wait(write));
        Assert.Equal(Enumerable.Range(0, 20).Select(i => (ulong)i), tabs[1].List());
        Assert.True(tabs[0].Store.CountOf(StoreOperation.Append) < 20, "Commits that wait share a transaction.");
    }

    [Theory]
    [InlineData(256 << 10, "1; 2; 3 4 5 6")]
    [InlineData(20_000, "1; 2; 3 4; 5 6")]
    [InlineData(0, "1; 2; 3; 4; 5; 6")] // without their bytes: the others read the log
    public void Other_tabs_hear_of_commits_in_their_order_those_of_one_append_together(int announceBytes, string messages)
    {
        _cluster.Options.AnnounceBytes = announceBytes;
        var tabs = _cluster.Open(3);
        var heard = new List<string>();
        var listener = _cluster.Bus.CreateChannel(delivery => delivery());
        listener.Received += bytes =>
        {
            if (CommitMessage.TryParse(bytes) is not { Kind: CommitMessageKind.Committed, To.Value: var to } message || to != default(TabId).Value) return;
            long[] markers = announceBytes == 0 ? [message.Position.Marker] : [.. message.ReadCommits(verifyBlocks: true)!.Select(commit => commit.Marker)];
            Assert.Equal(message.Position.Marker, markers[^1]);
            heard.Add(string.Join(' ', markers));
        };
        _cluster.Do(() => listener.OpenAsync(default, default).AsTask().GetAwaiter().GetResult());
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(1)));

        // While one append is under way the others gather: they become durable together.
        var held = tabs[0].Store.HoldAt(StoreOperation.Append);
        var writes = new List<Task<int>>();
        foreach (var writer in new[] { 0, 0, 1, 0, 2 })
        {
            writes.Add(_cluster.Start(() => tabs[writer].AppendAsync(2)));
            _cluster.Run(0.05);
        }

        _cluster.Do(held.Release);
        foreach (var write in writes) _cluster.Wait(write);
        _cluster.Run(0.1);
        Assert.Equal(3, tabs[0].Store.CountOf(StoreOperation.Append));
        Assert.Equal(messages, string.Join("; ", heard));
        Assert.All(tabs, tab => Assert.Equal(6, tab.List().Count));
    }

    [Fact]
    public void When_the_leader_crashes_a_waiting_commit_goes_to_the_next_leader_once()
    {
        var tabs = _cluster.Open(3);
        var held = tabs[0].Store.HoldAt(StoreOperation.Append, after: true);
        var write = _cluster.Start(() => tabs[2].AppendAsync(5));
        _cluster.Run(0.05);
        Assert.True(held.Reached.IsCompleted);
        tabs[0].Crash();
        Assert.Equal(1, _cluster.Wait(write));
        _cluster.Run(0.5);
        Assert.Equal([5UL], tabs[1].List());
        Assert.Equal([5UL], tabs[2].List());
    }

    [Fact]
    public void A_leader_stopped_between_its_own_check_and_the_flush_cannot_write()
    {
        var tabs = _cluster.Open(2);
        var held = tabs[0].Store.HoldAt(StoreOperation.Append);
        var stale = _cluster.Start(() => tabs[0].AppendAsync(1));
        _cluster.Run(0.05);
        Assert.True(held.Reached.IsCompleted);
        tabs[0].Platform.Hang();
        _cluster.Run(7);
        Assert.True(tabs[1].Pipeline.IsLeading);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(2)));
        _cluster.Do(() =>
        {
            held.Release();
            tabs[0].Platform.Thaw();
        });
        Assert.Equal(2, _cluster.Wait(stale));
        _cluster.Run(1);
        Assert.Equal([2UL, 1], tabs[0].List());
        Assert.Equal([2UL, 1], tabs[1].List());
        Assert.False(tabs[0].Pipeline.IsLeading);
    }

    [Fact]
    public void A_failed_append_fails_its_commit_and_those_built_on_it_and_leaves_no_trace()
    {
        var tabs = _cluster.Open(2);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(1)));
        tabs[0].Store.FailAt(StoreOperation.Append, new StorageQuotaException());
        var first = _cluster.Start(() => tabs[1].AppendAsync(2));
        var second = _cluster.Start(() => tabs[1].AppendAsync(3));
        Assert.Throws<StorageQuotaException>(() => _cluster.Wait(first));
        Assert.Equal([1UL], tabs[1].List().Where(t => t != 3));
        try
        {
            _cluster.Wait(second);
        }
        catch (StorageQuotaException)
        {
        }

        _cluster.Wait(_cluster.Start(() => tabs[0].AppendAsync(4)));
        _cluster.Run(1);
        Assert.DoesNotContain(2UL, tabs[0].List());
        Assert.Equal(tabs[0].List(), tabs[1].List());
    }

    [Fact]
    public void A_commit_whose_answer_was_lost_is_not_applied_twice()
    {
        var tabs = _cluster.Open(2);
        var lose = true;
        _cluster.Route = () => lose && tabs[0].Store.CountOf(StoreOperation.Append) > 0 ? [] : [TimeSpan.FromMilliseconds(0.2)];
        var write = _cluster.Start(() => tabs[1].AppendAsync(9));
        _cluster.Run(0.4);
        Assert.False(write.IsCompleted);
        lose = false;
        Assert.Equal(1, _cluster.Wait(write));
        _cluster.Run(1);
        Assert.Equal([9UL], tabs[0].List());
    }

    [Fact]
    public void Only_the_leader_may_write_synchronously()
    {
        var tabs = _cluster.Open(2);
        string? refusal = null, leaders = null;
        _cluster.Do(() => refusal = tabs[1].TryAppend(1));
        Assert.Contains("ExecuteAsync", refusal);
        _cluster.Do(() => leaders = tabs[0].TryAppend(2));
        Assert.Null(leaders);
        _cluster.Wait(_cluster.Start(async () =>
        {
            await tabs[0].Pipeline.FlushAsync();
            return 0;
        }));
        _cluster.Run(0.1);
        Assert.Equal([2UL], tabs[1].List());
    }

    [Fact]
    public void A_failed_synchronous_write_is_reported_by_the_next_flush()
    {
        var tab = _cluster.Open();
        _cluster.Run(0.1);
        tab.Store.FailAt(StoreOperation.Append, new StorageQuotaException());
        _cluster.Do(() => Assert.Null(tab.TryAppend(2)));
        _cluster.Run(0.1);
        Assert.Throws<StorageQuotaException>(() => _cluster.Wait(_cluster.Start(async () =>
        {
            await tab.Pipeline.FlushAsync();
            return 0;
        })));
        Assert.Empty(tab.List());
    }

    [Fact]
    public void Other_tabs_commits_wait_until_nobody_reads()
    {
        var tabs = _cluster.Open(2);
        tabs[1].Pipeline.Storage.EnterRead();
        _cluster.Wait(_cluster.Start(() => tabs[0].AppendAsync(1)));
        _cluster.Run(0.1);
        Assert.Empty(tabs[1].List());
        _cluster.Do(tabs[1].Pipeline.Storage.ExitRead);
        Assert.Equal([1UL], tabs[1].List());
    }

    [Fact]
    public void The_log_is_folded_and_a_tab_that_slept_meanwhile_reloads()
    {
        _cluster.Options.CheckpointLogRecords = 8;
        var tabs = _cluster.Open(3);
        tabs[2].Platform.Freeze();
        for (var i = 0; i < 30; i++) _cluster.Wait(_cluster.Start(() => tabs[i % 2].AppendAsync((ulong)i)));
        Assert.True(tabs[0].Store.CountOf(StoreOperation.Checkpoint) >= 3);
        tabs[2].Platform.Thaw();
        _cluster.Run(3);
        Assert.Equal(tabs[0].List(), tabs[2].List());
        Assert.Equal(30, tabs[2].List().Count);
        _cluster.Wait(_cluster.Start(() => tabs[2].AppendAsync(99)));
        Assert.Equal(tabs[0].List(), _cluster.Load() is var loaded ? ClusterTab.ReadList(loaded.Image) : []);
    }

    [Fact]
    public void Deleting_the_store_stops_the_pipeline_with_a_typed_error()
    {
        var tabs = _cluster.Open(2);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(1)));
        var eraser = new MemoryBlockStore(_cluster.Medium);
        _cluster.Do(() => _ = eraser.OpenAsync(default).AsTask());
        _cluster.Do(() => _ = eraser.DeleteAsync(default).AsTask());
        _cluster.Run(0.1);
        Assert.Throws<StorageClosedException>(() => _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(2))));
        Assert.Throws<StorageClosedException>(() => _cluster.Wait(_cluster.Start(() => tabs[0].AppendAsync(2))));
    }

    [Fact]
    public void A_leader_that_stops_has_left_its_leadership_before_anybody_is_told_and_another_tab_leads()
    {
        var tabs = _cluster.Open(2);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(1)));
        bool? led = null;
        tabs[0].Pipeline.Faulted += (_, _) => led = tabs[0].Coordinator.CurrentLease is not null;
        tabs[0].Store.FailAt(StoreOperation.Append, new StoreReplacedException());
        Assert.Throws<StoreReplacedException>(() => _cluster.Wait(_cluster.Start(() => tabs[0].AppendAsync(2))));
        Assert.False(led);
        _cluster.Run(1);
        Assert.True(tabs[1].Pipeline.IsLeading);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(3)));
        Assert.Equal([1UL, 3], tabs[1].List());
    }

    [Fact]
    public void A_take_over_that_finds_another_store_in_place_of_its_own_stops_the_tab()
    {
        var tabs = _cluster.Open(2);
        tabs[1].Store.FailAt(StoreOperation.RaiseEpoch, new StoreReplacedException());
        tabs[0].CloseTab();
        _cluster.Run(5);
        Assert.IsType<StoreReplacedException>(tabs[1].Pipeline.Fault);
    }

    [Fact]
    public void A_turn_that_is_never_given_back_is_taken_back_after_its_deadline()
    {
        var tabs = _cluster.Open(3);
        var turn = _cluster.Wait(_cluster.Start(() => tabs[1].Pipeline.BeginWriteAsync(exclusive: true).AsTask()));
        var write = _cluster.Start(() => tabs[2].AppendAsync(3, exclusive: true));
        _cluster.Run(1);
        Assert.False(write.IsCompleted);
        _cluster.Wait(write, 10);
        _cluster.Do(turn.Dispose);
    }

    [Fact]
    public void Writes_behind_work_of_their_own_tab_that_does_not_end_are_not_begun_and_say_so()
    {
        var tabs = _cluster.Open(2);
        var turn = _cluster.Wait(_cluster.Start(() => tabs[1].Pipeline.BeginWriteAsync(exclusive: true).AsTask()));
        var waiting = Enumerable.Range(1, 3).Select(i => _cluster.Start(() => tabs[1].AppendAsync((ulong)i))).ToList();
        _cluster.Run(_cluster.Options.WriteTimeout.TotalSeconds - 1);
        Assert.All(waiting, write => Assert.False(write.IsCompleted));
        _cluster.Run(3);
        Assert.All(waiting, write => Assert.Contains("has not ended", Assert.Throws<StorageException>(() => _cluster.Wait(write)).Message, StringComparison.Ordinal));
        _cluster.Do(turn.Dispose);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(9)));
        Assert.Equal([9UL], tabs[1].List());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_write_that_was_on_its_way_when_its_tab_stood_still_is_not_given_up_when_it_goes_on(bool leads)
    {
        _cluster.Open(2);
        var tab = leads ? _cluster.Leader : _cluster.Live.Single(t => !t.Pipeline.IsLeading);
        tab.Store.Before = _ => Task.Delay(TimeSpan.FromMilliseconds(50), tab.Platform.Clock);
        var write = _cluster.Start(() => tab.AppendAsync(7));
        _cluster.Run(0.0001);
        Assert.False(write.IsCompleted);
        tab.Platform.Hang();
        _cluster.Run(60);
        tab.Platform.Thaw();

        _cluster.Wait(write);

        Assert.Equal([7UL], tab.List());
    }

    [Fact]
    public void A_write_that_nobody_answers_is_given_up_also_in_a_tab_that_rarely_runs()
    {
        _cluster.Open(2);
        var tab = _cluster.Live.Single(t => !t.Pipeline.IsLeading);
        _cluster.Route = () => [];
        var write = _cluster.Start(() => tab.AppendAsync(7));
        for (var minute = 0; minute < 10 && !write.IsCompleted; minute++)
        {
            tab.Platform.Hang();
            _cluster.Run(60);
            tab.Platform.Thaw();
            _cluster.Run(1.5);
        }

        Assert.IsType<NoLeaderException>(write.Exception?.InnerException);
    }

    [Theory]
    [InlineData(20)]
    [InlineData(150)]
    [InlineData(400)]
    public void Tabs_that_start_at_once_and_do_not_see_each_others_claims_settle_on_the_one_that_the_store_chose(int lag_ms)
    {
        _cluster.Browser.StorageLag = TimeSpan.FromMilliseconds(lag_ms);
        for (var i = 0; i < 4; i++) _cluster.Open();
        _cluster.Run(10);

        Assert.Equal(1, _cluster.Load().Head.Epoch.Value);
        Assert.Equal(_cluster.Leader.Coordinator.Id, _cluster.Load().Head.Holder);
        Assert.All(_cluster.Live, tab => Assert.Equal(_cluster.Leader.Coordinator.Id, tab.Coordinator.LeaderId));
        var writes = _cluster.Live.Select((tab, i) => _cluster.Start(() => tab.AppendAsync((ulong)i))).ToArray();
        foreach (var write in writes) _cluster.Wait(write);
        Assert.Equal(new ulong[] { 0, 1, 2, 3 }, _cluster.Leader.List().Order());
    }

    [Fact]
    public void A_turn_whose_tab_dies_is_taken_back_at_once()
    {
        var tabs = _cluster.Open(3);
        _cluster.Wait(_cluster.Start(() => tabs[1].Pipeline.BeginWriteAsync(exclusive: true).AsTask()));
        var write = _cluster.Start(() => tabs[2].AppendAsync(3, exclusive: true));
        _cluster.Run(0.1);
        Assert.False(write.IsCompleted);
        tabs[1].Crash();
        _cluster.Wait(write, 2.5);
    }

    [Fact]
    public void A_message_of_another_version_or_garbage_changes_nothing()
    {
        var tabs = _cluster.Open(2);
        var intruder = _cluster.Bus.CreateChannel(delivery => delivery());
        _cluster.Do(() => _ = intruder.OpenAsync(default, default).AsTask());
        var random = new Random(5);
        for (var i = 0; i < 200; i++)
        {
            var bytes = new byte[random.Next(400)];
            random.NextBytes(bytes);
            if (bytes.Length > 5) "DSM1"u8.CopyTo(bytes);
            if (bytes.Length > 5 && i % 2 == 0) bytes[4] = 1;
            intruder.Post(bytes, default);
        }

        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(1)));
        _cluster.Run(0.1);
        Assert.Equal([1UL], tabs[0].List());
    }

    public void Dispose() => _cluster.Dispose();

    internal static ulong Tag(int tab, int number) => (ulong)tab << 32 | (uint)number;

    internal static async Task<int> AppendMany(ClusterTab tab, int index, int count)
    {
        for (var i = 0; i < count; i++) await tab.AppendAsync(Tag(index, i)).ConfigureAwait(false);
        return count;
    }
}
