using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>Writes that the leader runs for another tab: once each, with their results, whatever happens on the way.</summary>
public sealed class StatementTests : IDisposable
{
    private readonly Cluster _cluster = new();
    private readonly List<CommitMessage> _heard = [];

    public StatementTests() => _cluster.Bus.CreateChannel(deliver => deliver()).Received += bytes => _heard.Add(CommitMessage.TryParse(bytes)!);

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void The_leader_runs_them_and_every_tab_shows_the_commit_as_their_own_tabs()
    {
        var tabs = _cluster.Open(3);
        var writers = new List<string>();
        tabs[0].Pipeline.Committed += (_, e) => writers.Add(e.Writer.Value);
        var outcome = Send(tabs[1], 5);
        Assert.Equal((false, 1, new StatementResult(5, 10)), (outcome.IsStale, outcome.Position.Marker, outcome.Result));
        Assert.Equal(1, tabs[1].Pipeline.Position.Marker);
        _cluster.Run(0.1);
        Assert.All(tabs, tab => Assert.Equal([5UL], tab.List()));
        Assert.Equal([tabs[1].Coordinator.Id.Value], writers);
        Assert.Equal([1, 0, 0], tabs.Select(tab => tab.Runs));
    }

    [Fact]
    public void Those_that_several_tabs_send_at_once_share_a_transaction_and_need_no_turn()
    {
        var tabs = _cluster.Open(4);
        var held = tabs[0].Store.HoldAt(StoreOperation.Append);
        var first = Start(tabs[1], 1);
        _cluster.Run(0.1);
        var others = tabs[1..].Skip(1).Select((tab, i) => Start(tab, (ulong)i + 2)).ToList();
        var later = Start(tabs[1], 9); // goes when the first has its outcome
        _cluster.Run(0.1);
        Assert.Equal(0, tabs[0].Pipeline.Position.Marker);
        Assert.Equal(tabs[0].Pipeline.Storage.Durable, tabs[0].Pipeline.Storage.Top); // nobody sees what is not durable
        var appends = tabs[0].Store.CountOf(StoreOperation.Append);
        _cluster.Do(held.Release);
        foreach (var sent in others.Append(first).Append(later)) Assert.False(_cluster.Wait(sent).IsStale);
        Assert.Equal(appends + 2, tabs[0].Store.CountOf(StoreOperation.Append));
        Assert.DoesNotContain(_heard, m => m.Kind is CommitMessageKind.TurnRequest or CommitMessageKind.Commit);
        _cluster.Run(0.1);
        Assert.All(tabs, tab => Assert.Equal([1UL, 2, 3, 9], tab.List()));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_fails_at_the_leader_is_left_to_its_own_tab_and_so_is_what_came_behind_it(bool isUnfit)
    {
        var end = isUnfit ? StatementEnd.Unfit : StatementEnd.Failed;
        var tabs = _cluster.Open(2);
        tabs[0].RunsEnd = end;
        var (first, second) = (Start(tabs[1], 1), Start(tabs[1], 2));
        Assert.Equal((true, isUnfit), (_cluster.Wait(first).IsStale, _cluster.Wait(first).IsUnfit));
        tabs[0].RunsEnd = null;
        _ = _cluster.Wait(second);
        Assert.DoesNotContain(_cluster.Load().RecentResults.Values, result => result.Changes == 1);
        Append(tabs[1], 1);
    }

    [Fact]
    public void A_leader_that_goes_before_they_are_durable_leaves_them_to_the_next_one()
    {
        var tabs = _cluster.Open(3);
        _ = tabs[0].Store.HoldAt(StoreOperation.Append);
        var sent = Start(tabs[2], 7);
        _cluster.Run(0.1);
        Assert.Equal(1, tabs[0].Runs);
        _cluster.Do(tabs[0].Crash);
        Assert.Equal(new StatementResult(7, 14), _cluster.Wait(sent).Result);
        Assert.Equal(1, tabs[1].Runs);
        _cluster.Run(0.1);
        Assert.All(tabs[1..], tab => Assert.Equal([7UL], tab.List()));
    }

    /// <param name="isFolded">Whether the log is folded before anybody hears of it, so that the head alone can tell what they did.</param>
    /// <param name="isOwn">Whether their own tab is the next leader.</param>
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void What_was_durable_when_the_leader_went_is_not_run_again_and_its_result_is_known(bool isFolded, bool isOwn)
    {
        if (isFolded) _cluster.Options.CheckpointLogRecords = 1;
        var tabs = _cluster.Open(isOwn ? 2 : 3);
        var writer = tabs[^1];
        var route = _cluster.Route;
        var sent = Start(writer, 7);
        _cluster.Run(0.0003); // the message arrives; nothing arrives after it
        _cluster.Route = () => [];
        _cluster.Run(0.1);
        Assert.Equal((1, 1), (tabs[0].Runs, (int)tabs[0].Pipeline.Position.Marker));
        Assert.False(sent.IsCompleted);
        Assert.Equal(isFolded ? 0 : 1, _cluster.Medium.Log.Count);
        _cluster.Do(tabs[0].Crash);
        _cluster.Route = route;
        var outcome = _cluster.Wait(sent);
        Assert.Equal((1, new StatementResult(7, 14)), (outcome.Position.Marker, outcome.Result));
        Assert.Equal(0, tabs[1..].Sum(tab => tab.Runs));
        _cluster.Run(0.1);
        Assert.All(tabs[1..], tab => Assert.Equal([7UL], tab.List()));
    }

    [Fact]
    public void A_message_that_is_lost_is_sent_again_and_one_that_comes_twice_is_run_once()
    {
        var tabs = _cluster.Open(2);
        var route = _cluster.Route;
        _cluster.Route = () => [];
        var sent = Start(tabs[1], 3);
        _cluster.Run(0.1);
        _cluster.Route = () => [TimeSpan.FromMilliseconds(0.2), TimeSpan.FromMilliseconds(900)];
        Assert.False(_cluster.Wait(sent).IsStale);
        _cluster.Route = route;
        _cluster.Run(3);
        Assert.Equal((1, 1), (tabs[0].Runs, (int)tabs[1].Pipeline.Position.Marker));
    }

    [Fact]
    public void Blocks_are_not_committed_while_statements_are_on_their_way_nor_the_other_way_round()
    {
        var tabs = _cluster.Open(2);
        var held = tabs[0].Store.HoldAt(StoreOperation.Append);
        var sent = Start(tabs[1], 1);
        var append = _cluster.Start(() => tabs[1].AppendAsync(2));
        _cluster.Run(1);
        Assert.Throws<InvalidOperationException>(() => { _ = tabs[1].SendAsync(3); });
        Assert.DoesNotContain(_heard, m => m.Kind == CommitMessageKind.Commit);
        _cluster.Do(held.Release);
        Assert.False(_cluster.Wait(sent).IsStale);
        _cluster.Wait(append);
        Assert.Equal([1UL, 2], tabs[1].List());
        Assert.False(Send(tabs[1], 3).IsStale);
    }

    [Fact]
    public void A_synchronous_transaction_that_is_open_in_the_leaders_tab_stays_its_own()
    {
        var tabs = _cluster.Open(2);
        var storage = tabs[0].Pipeline.Storage;
        var writers = new List<string>();
        tabs[1].Pipeline.Committed += (_, e) => writers.Add(e.Writer.Value);
        _cluster.Do(() =>
        {
            storage.EnterRead();
            Assert.Null(storage.TryBeginBatch());
            storage.Write(8192 * 8, [1]);
        });
        Assert.True(Send(tabs[1], 1).IsStale);
        var append = _cluster.Start(() => tabs[1].AppendAsync(1, exclusive: true));
        _cluster.Run(0.2);
        Assert.False(append.IsCompleted); // the turn is still the transaction's
        _cluster.Do(() =>
        {
            storage.CommitBatch();
            storage.ExitRead();
        });
        _cluster.Wait(append);
        _cluster.Wait(_cluster.Start(async () =>
        {
            await tabs[0].Pipeline.FlushAsync();
            return 0;
        }));
        _cluster.Run(0.1);
        Assert.Equal(tabs[0].Coordinator.Id.Value, writers[0]);
        Assert.Equal(tabs[0].Pipeline.Position, tabs[1].Pipeline.Position);
    }

    [Fact]
    public void They_can_be_withdrawn_until_they_are_sent()
    {
        var tabs = _cluster.Open(2);
        var held = tabs[0].Store.HoldAt(StoreOperation.Append);
        using var cancel = new CancellationTokenSource();
        var (first, second) = (Start(tabs[1], 1, cancel.Token), Start(tabs[1], 2, cancel.Token));
        _cluster.Run(0.1);
        _cluster.Do(cancel.Cancel);
        Assert.True(second.IsCanceled);
        _cluster.Do(held.Release);
        Assert.False(_cluster.Wait(first).IsStale);
        _cluster.Run(1);
        Assert.Equal([1UL], tabs[1].List());
    }

    [Fact]
    public void A_store_without_room_fails_them_with_its_error_and_leaves_nothing()
    {
        var tabs = _cluster.Open(2);
        tabs[0].Store.FailAt(StoreOperation.Append, new StorageQuotaException(), 1);
        var sent = Start(tabs[1], 1);
        Assert.Throws<StorageQuotaException>(() => _cluster.Wait(sent));
        Assert.All(tabs, tab => Assert.Empty(tab.List()));
        Append(tabs[1], 2);
        Assert.False(Send(tabs[1], 3).IsStale);
        _cluster.Run(0.1);
        Assert.All(tabs, tab => Assert.Equal([2UL, 3], tab.List()));
    }

    [Fact]
    public void A_flush_waits_for_them()
    {
        var tabs = _cluster.Open(2);
        var held = tabs[0].Store.HoldAt(StoreOperation.Append);
        _ = Start(tabs[1], 1);
        var flush = _cluster.Start(async () =>
        {
            await tabs[1].Pipeline.FlushAsync();
            return tabs[1].Pipeline.Position.Marker;
        });
        _cluster.Run(0.1);
        Assert.False(flush.IsCompleted);
        _cluster.Do(held.Release);
        Assert.Equal(1, _cluster.Wait(flush));
    }

    [Fact]
    public void A_tab_prefers_them_while_another_one_commits_as_well_and_not_where_it_leads()
    {
        var tabs = _cluster.Open(3);
        for (var tag = 1UL; tag <= 3; tag++) Append(tabs[1], tag);
        Assert.False(tabs[1].Pipeline.PrefersStatements); // alone
        Append(tabs[2], 4);
        _cluster.Run(0.1);
        Assert.True(tabs[1].Pipeline.PrefersStatements);
        Assert.False(tabs[0].Pipeline.PrefersStatements);
        for (var tag = 5UL; tag <= 8; tag++) Append(tabs[1], tag);
        Assert.False(tabs[1].Pipeline.PrefersStatements);
    }

    private StatementOutcome Send(ClusterTab tab, ulong tag) => _cluster.Wait(Start(tab, tag));

    private Task<StatementOutcome> Start(ClusterTab tab, ulong tag, CancellationToken cancellationToken = default) =>
        _cluster.Start(() => tab.SendAsync(tag, cancellationToken));

    private void Append(ClusterTab tab, ulong tag)
    {
        _cluster.Wait(_cluster.Start(() => tab.AppendAsync(tag)));
        _cluster.Run(0.05);
    }
}
