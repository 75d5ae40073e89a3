namespace DataSync.Coordination.Tests;

public sealed class TabCoordinatorTests : IDisposable
{
    private readonly Profile _profile = new();

    public void Dispose() => _profile.Dispose();

    [Fact]
    public void A_tab_alone_leads_at_once()
    {
        var tab = _profile.Join();
        Assert.Equal(TabRole.Leader, tab.Coordinator.Role);
        Assert.Equal(new Epoch(1), tab.Coordinator.Epoch);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void Tabs_that_start_together_elect_one_leader_the_lowest_id(int count)
    {
        var tabs = Enumerable.Range(0, count).Select(_ => _profile.Open()).ToArray();
        foreach (var tab in tabs.Reverse())
            _ = tab.Coordinator.JoinAsync();
        _profile.Run(2);
        Assert.Equal(tabs[0], Profile.AssertOneLeader(tabs));
    }

    [Fact]
    public void A_lower_id_does_not_preempt_a_running_leader()
    {
        var lower = _profile.Open();
        var leader = _profile.Join();
        _ = lower.Coordinator.JoinAsync();
        _profile.Run(20);
        Assert.Equal(leader, Profile.AssertOneLeader(lower, leader));
        Assert.Equal(1, leader.Coordinator.Epoch.Value);
    }

    [Fact]
    public void A_crashed_leader_is_replaced_by_the_next_lowest_in_under_a_hundred_milliseconds()
    {
        var tabs = _profile.Join(4);
        tabs[0].Platform.Crash();
        Assert.InRange(_profile.RunUntil(() => tabs[1].Coordinator.CurrentLease is not null), 0, 0.005);
        _profile.Run(2);
        Profile.AssertOneLeader(tabs[1..]);
        Assert.Equal(2, tabs[1].Coordinator.Epoch.Value);
    }

    [Fact]
    public void The_crash_of_several_tabs_at_once_leaves_the_lowest_survivor_leading()
    {
        var tabs = _profile.Join(5);
        foreach (var tab in tabs[..3])
            tab.Platform.Crash();
        Assert.InRange(_profile.RunUntil(() => tabs[3].Coordinator.CurrentLease is not null), 0, 0.1);
        _profile.Run(2);
        Profile.AssertOneLeader(tabs[3..]);
    }

    [Fact]
    public void A_closed_leader_is_replaced_at_once_and_the_epoch_is_kept()
    {
        var tabs = _profile.Join(2);
        tabs[0].Platform.Close();
        Assert.Null(_profile.Lease.Holder);
        Assert.Equal(1, _profile.Lease.Epoch.Value);
        Assert.InRange(_profile.RunUntil(() => tabs[1].Coordinator.CurrentLease is not null), 0, 0.005);
        Assert.Equal(2, tabs[1].Coordinator.Epoch.Value);
    }

    [Fact]
    public void The_epoch_goes_on_after_all_tabs_were_closed()
    {
        _profile.Join().Platform.Close();
        _profile.Run(100);
        Assert.Equal(2, _profile.Join().Coordinator.Epoch.Value);
    }

    [Fact]
    public void A_lease_left_by_a_killed_browser_is_taken_at_once()
    {
        _profile.LeaseText = new LeaseRecord(TabId.New(_profile.Time), new Epoch(7), 3, true).ToText();
        var tab = _profile.Join();
        Assert.Equal(8, tab.Coordinator.CurrentLease!.Epoch.Value);
    }

    [Fact]
    public void A_hung_leader_is_replaced_within_lease_and_heartbeat_and_comes_back_as_follower()
    {
        var tabs = _profile.Join(3);
        _profile.Run(3.3);
        var lease = tabs[0].Coordinator.CurrentLease!;
        tabs[0].Platform.Hang();
        var took = _profile.RunUntil(() => tabs[1].Coordinator.CurrentLease is not null);
        Assert.InRange(took, 4, 6);
        Assert.False(lease.IsHeld);
        Assert.False(lease.LostToken.IsCancellationRequested);
        _profile.Run(2);
        var resumed = 0;
        tabs[0].Coordinator.Resumed += (_, _) => resumed++;
        tabs[0].Platform.Thaw();
        _profile.Run(0.1);
        Assert.True(lease.LostToken.IsCancellationRequested);
        Assert.Equal(tabs[1], Profile.AssertOneLeader(tabs));
        Assert.Equal(tabs[1].Id, _profile.Lease.Holder);
        Assert.Equal(1, resumed);
    }

    [Fact]
    public void A_leader_that_hung_for_less_than_the_lease_goes_on()
    {
        var tabs = _profile.Join(2);
        tabs[0].Platform.Hang();
        _profile.Run(3);
        tabs[0].Platform.Thaw();
        _profile.Run(3);
        Assert.Equal(1, Profile.AssertOneLeader(tabs).Coordinator.Epoch.Value);
    }

    [Fact]
    public void A_frozen_page_hands_over_at_once_and_distrusts_itself_when_it_comes_back()
    {
        var tabs = _profile.Join(2);
        var lease = tabs[0].Coordinator.CurrentLease!;
        var resumed = 0;
        tabs[0].Coordinator.Resumed += (_, _) => resumed++;
        tabs[0].Platform.Freeze();
        Assert.True(lease.LostToken.IsCancellationRequested);
        Assert.InRange(_profile.RunUntil(() => tabs[1].Coordinator.CurrentLease is not null), 0, 0.005);
        _profile.Run(60);
        Assert.Equal([tabs[1].Id], tabs[1].Coordinator.Members);
        tabs[0].Platform.Thaw();
        _profile.Run(2);
        Assert.Equal(tabs[1], Profile.AssertOneLeader(tabs));
        Assert.InRange(resumed, 1, 1);
    }

    [Fact]
    public void A_hung_lowest_tab_that_does_not_lead_delays_the_others_only_by_graces()
    {
        var lowest = _profile.Open();
        var tabs = _profile.Join(3);
        _ = lowest.Coordinator.JoinAsync();
        _profile.Run(2);
        Assert.Equal(tabs[0], Profile.AssertOneLeader([lowest, .. tabs]));
        lowest.Platform.Hang();
        tabs[0].Platform.Crash();
        Assert.InRange(_profile.RunUntil(() => tabs[1].Coordinator.CurrentLease is not null), 0.04, 0.1);
    }

    [Fact]
    public void Resigning_hands_over_to_another_tab()
    {
        var tabs = _profile.Join(3);
        var lease = tabs[0].Coordinator.CurrentLease!;
        var resign = tabs[0].Coordinator.ResignAsync();
        Assert.True(lease.LostToken.IsCancellationRequested);
        Assert.InRange(_profile.RunUntil(() => tabs[1].Coordinator.CurrentLease is not null), 0, 0.01);
        Assert.True(resign.IsCompletedSuccessfully);
        _profile.Run(20);
        Assert.Equal(tabs[1], Profile.AssertOneLeader(tabs));
    }

    [Fact]
    public void A_tab_that_resigned_while_alone_leads_again_after_two_heartbeats()
    {
        var tab = _profile.Join();
        _ = tab.Coordinator.CurrentLease!.DisposeAsync();
        _profile.Run(1.9);
        Assert.Null(tab.Coordinator.CurrentLease);
        Assert.Null(tab.Coordinator.LeaderId);
        _profile.Run(0.2);
        Assert.Equal(2, tab.Coordinator.CurrentLease!.Epoch.Value);
    }

    [Fact]
    public void A_follower_gets_leadership_by_asking_for_it()
    {
        var tabs = _profile.Join(4);
        var request = tabs[3].Coordinator.RequestLeadershipAsync();
        _profile.Run(0.02);
        Assert.True(request.IsCompletedSuccessfully);
        Assert.True(request.Result!.IsHeld);
        _profile.Run(5);
        Assert.Equal(tabs[3], Profile.AssertOneLeader(tabs));
    }

    [Fact]
    public void Asking_for_leadership_survives_a_lost_message()
    {
        var lost = 0;
        var tabs = _profile.Join(2);
        _profile.Browser.Route = message => message.Text.Contains("request", StringComparison.Ordinal) && lost++ == 0 ? [] : [TimeSpan.Zero];
        var request = tabs[1].Coordinator.RequestLeadershipAsync();
        _profile.Run(1.1);
        Assert.True(request.Result!.IsHeld);
    }

    [Fact]
    public void Asking_a_leader_that_never_answers_ends_without_a_lease()
    {
        var tabs = _profile.Join(2);
        _profile.Browser.Route = _ => [];
        var request = tabs[1].Coordinator.RequestLeadershipAsync();
        _profile.Run(10.1);
        Assert.Null(request.Result);
        Profile.AssertOneLeader(tabs);
    }

    [Fact]
    public void Disposing_the_leader_elects_the_next_at_once()
    {
        var tabs = _profile.Join(2);
        var dispose = tabs[0].Coordinator.DisposeAsync();
        Assert.InRange(_profile.RunUntil(() => tabs[1].Coordinator.CurrentLease is not null), 0, 0.005);
        Assert.True(dispose.IsCompletedSuccessfully);
        _profile.Run(1.1);
        Profile.AssertOneLeader(tabs[1]);
    }

    /// <summary>The third refusal in a row, during the disposal, used to keep the coordinator in the election, where it claimed the lease for nobody.</summary>
    [Theory]
    [InlineData(0.5)]
    [InlineData(1.5)]
    [InlineData(2.5)]
    [InlineData(5)]
    public void A_leader_that_is_disposed_while_the_lease_cannot_be_written_is_out_of_the_election_all_the_same(double secondsBefore)
    {
        var leader = _profile.Join();
        _profile.Browser.StorageFailure = new InvalidOperationException("QuotaExceededError");
        _profile.Run(secondsBefore);
        Task? dispose = null;
        _profile.Do(() => dispose = leader.Coordinator.DisposeAsync().AsTask());
        _profile.Run(3);
        Assert.True(dispose!.IsCompletedSuccessfully, dispose.Exception?.ToString());
        _profile.Browser.StorageFailure = null;
        var next = _profile.Join();
        _profile.Run(7); // the lease expires
        Profile.AssertOneLeader(next);
        Assert.Throws<ObjectDisposedException>(() => leader.Coordinator.JoinAsync().GetAwaiter().GetResult());
    }

    [Fact]
    public void Waits_end_when_the_coordinator_is_disposed()
    {
        var tabs = _profile.Join(2);
        var leadership = tabs[1].Coordinator.WaitForLeadershipAsync();
        Assert.Equal(tabs[0].Id, tabs[1].Coordinator.WaitForLeaderAsync().Result);
        _profile.Do(() => _ = tabs[1].Coordinator.DisposeAsync());
        _profile.Run(0.1);
        Assert.IsType<ObjectDisposedException>(leadership.Exception!.InnerException);
        Assert.Throws<ObjectDisposedException>(() => tabs[1].Coordinator.JoinAsync().GetAwaiter().GetResult());
    }

    [Fact]
    public void Cancelling_a_wait_ends_it()
    {
        var tabs = _profile.Join(2);
        using var cancel = new CancellationTokenSource();
        var wait = tabs[1].Coordinator.WaitForLeadershipAsync(cancel.Token);
        _profile.Do(cancel.Cancel);
        _profile.Run(0.1);
        Assert.True(wait.IsCanceled);
    }

    [Fact]
    public void A_wall_clock_that_jumps_changes_nothing()
    {
        var tabs = _profile.Join(2);
        _profile.Time.JumpWallClock(TimeSpan.FromDays(-400));
        _profile.Run(10);
        _profile.Time.JumpWallClock(TimeSpan.FromDays(800));
        _profile.Run(10);
        Assert.Equal(1, Profile.AssertOneLeader(tabs).Coordinator.Epoch.Value);
    }

    [Fact]
    public void Members_come_and_go()
    {
        var first = _profile.Join();
        var changes = 0;
        first.Coordinator.MembersChanged += (_, _) => changes++;
        var second = _profile.Join();
        Assert.Equal([first.Id, second.Id], first.Coordinator.Members);
        second.Platform.Close();
        _profile.Run(0.01);
        Assert.Equal([first.Id], first.Coordinator.Members);
        Assert.Equal(2, changes);
    }

    [Fact]
    public void Heartbeats_are_raised_every_second_and_a_faulty_handler_stops_nothing()
    {
        var tab = _profile.Join();
        var beats = 0;
        tab.Coordinator.Heartbeat += (_, _) =>
        {
            beats++;
            throw new InvalidOperationException("A faulty handler.");
        };
        _profile.Run(10);
        Assert.InRange(beats, 9, 10);
        Profile.AssertOneLeader(tab);
    }

    [Fact]
    public void Leadership_changes_are_told_with_old_and_new_leader()
    {
        var tabs = _profile.Join(2);
        var seen = new List<(TabId? Old, TabId? New, long Epoch, TabRole Role)>();
        tabs[1].Coordinator.LeadershipChanged += (_, e) => seen.Add((e.OldLeader, e.NewLeader, e.Epoch.Value, e.Role));
        tabs[0].Platform.Close();
        _profile.Run(1);
        Assert.Contains((tabs[0].Id, null, 1L, TabRole.Follower), seen.Select(x => (x.Old, x.New, x.Epoch, x.Role == TabRole.Candidate ? TabRole.Follower : x.Role)));
        Assert.Equal((null, tabs[1].Id, 2L, TabRole.Leader), seen[^1]);
    }
}
