namespace DataSync.Coordination.Tests;

/// <summary>What happens when the lease record, the storage under it or the take-over misbehaves.</summary>
public sealed class LeaseTroubleTests : IDisposable
{
    private readonly Profile _profile = new();

    public void Dispose() => _profile.Dispose();

    [Fact]
    public void A_lease_cleared_by_the_user_is_written_again_under_the_same_epoch()
    {
        var tabs = _profile.Join(3);
        _profile.LeaseText = null;
        _profile.Run(1.1);
        Assert.Equal(tabs[0].Id, _profile.Lease.Holder);
        _profile.Run(10);
        Assert.Equal(1, Profile.AssertOneLeader(tabs).Coordinator.Epoch.Value);
    }

    [Theory]
    [InlineData("")]
    [InlineData("garbage")]
    [InlineData("{\"v\":1,\"epoch\":-4,\"renewal\":0}")]
    [InlineData("[1,2,3]")]
    [InlineData("{\"v\":1,\"epoch\":1,\"renewal\":0,\"holder\":\"me\"}")]
    public void Garbage_in_place_of_the_lease_is_replaced(string garbage)
    {
        var tabs = _profile.Join(2);
        _profile.LeaseText = garbage;
        _profile.Run(0.1);
        Assert.Equal(1, Profile.AssertOneLeader(tabs).Coordinator.Epoch.Value);
        tabs[0].Platform.Hang();
        _profile.LeaseText = garbage;
        _profile.RunUntil(() => tabs[1].Coordinator.CurrentLease is not null, 6);
        Assert.Equal(2, tabs[1].Coordinator.Epoch.Value);
    }

    [Fact]
    public void Garbage_found_at_the_start_does_not_keep_a_tab_from_leading()
    {
        _profile.LeaseText = new string('x', 100_000);
        Assert.NotNull(_profile.Join().Coordinator.CurrentLease);
    }

    [Theory]
    [InlineData(1, 3)]
    [InlineData(2, 10)]
    [InlineData(3, 5)]
    public void An_election_ends_however_much_longer_than_the_lease_each_step_takes(int seed, int count)
    {
        var random = new Random(seed);
        _profile.Browser.StepDelay = () => TimeSpan.FromSeconds(1 + random.NextDouble() * 8);
        var tabs = Enumerable.Range(0, count).Select(_ => _profile.Open(TakeOver)).ToArray();
        _profile.Do(() => Array.ForEach(tabs, tab => _ = tab.Coordinator.JoinAsync()));
        _profile.RunUntil(() => tabs.Count(tab => tab.Coordinator.CurrentLease is not null) == 1, 300);
        _profile.Run(200);
        var epoch = _profile.Lease.Epoch;
        _profile.Run(600);
        Assert.Equal(epoch, _profile.Lease.Epoch);
        Assert.Single(tabs, tab => tab.Coordinator.CurrentLease is not null);
        Assert.True(epoch.Value <= 12, $"Epoch {epoch}.");

        // Quick again: a hung leader is replaced as soon as ever.
        _profile.Browser.StepDelay = null;
        _profile.Run(20);
        Assert.Equal(0, _profile.Lease.Patience);
        var leader = Assert.Single(tabs, tab => tab.Coordinator.CurrentLease is not null);
        leader.Platform.Hang();
        _profile.RunUntil(() => tabs.Any(tab => tab != leader && tab.Platform != leader.Platform && tab.Coordinator.CurrentLease is not null), 6.1);

        async ValueTask<Epoch> TakeOver(Epoch epoch, CancellationToken cancellationToken)
        {
            if (_profile.Browser.StepDelay is not null) await Task.Delay(TimeSpan.FromSeconds(7), _profile.Time, cancellationToken);
            return epoch;
        }
    }

    [Fact]
    public void A_forged_lease_of_a_tab_that_does_not_exist_heals()
    {
        var tabs = _profile.Join(2);
        _profile.LeaseText = new LeaseRecord(TabId.New(_profile.Time), new Epoch(50), 0, true).ToText();
        _profile.Run(2);
        Assert.Equal(51, Profile.AssertOneLeader(tabs).Coordinator.Epoch.Value);
    }

    [Fact]
    public void A_forged_epoch_beyond_reason_does_not_reach_the_store()
    {
        var proposed = new List<long>();
        var tab = _profile.Join((epoch, _) =>
        {
            proposed.Add(epoch.Value);
            return new(epoch);
        });
        _profile.LeaseText = new LeaseRecord(TabId.New(_profile.Time), new Epoch(Epoch.MaxValue - 1), 0, true).ToText();
        _profile.Run(2);
        Assert.NotNull(tab.Coordinator.CurrentLease);
        Assert.All(proposed, epoch => Assert.InRange(epoch, 1, 10));
    }

    [Fact]
    public void A_lease_of_a_newer_version_is_respected_while_it_changes_and_replaced_when_it_stands_still()
    {
        _profile.LeaseText = "{\"v\":2,\"epoch\":9,\"renewal\":0,\"shape\":\"unknown\"}";
        var tab = _profile.Join();
        for (var renewal = 1; renewal < 10; renewal++)
        {
            _profile.Run(1);
            Assert.Null(tab.Coordinator.CurrentLease);
            _profile.LeaseText = $"{{\"v\":2,\"epoch\":9,\"renewal\":{renewal}}}";
        }

        _profile.Run(5.1);
        Assert.Equal(10, tab.Coordinator.CurrentLease!.Epoch.Value);
    }

    [Fact]
    public void The_granted_epoch_is_the_one_everybody_sees()
    {
        var tabs = new[] { _profile.Join((_, _) => new(new Epoch(40))), _profile.Join() };
        _profile.Run(1);
        Assert.Equal(40, Profile.AssertOneLeader(tabs).Coordinator.Epoch.Value);
        Assert.Equal(40, _profile.Lease.Epoch.Value);
    }

    [Fact]
    public void While_taking_over_the_lease_is_renewed_and_nobody_leads()
    {
        var store = new TaskCompletionSource<Epoch>();
        var first = _profile.Join((_, _) => new(store.Task));
        var second = _profile.Join();
        _profile.Run(20);
        Assert.Equal(TabRole.Candidate, first.Coordinator.Role);
        Assert.Equal(TabRole.Follower, second.Coordinator.Role);
        Assert.Null(second.Coordinator.LeaderId);
        _profile.Do(() => store.SetResult(new Epoch(1)));
        _profile.Run(0.01);
        Assert.Equal(first, Profile.AssertOneLeader(first, second));
    }

    [Fact]
    public void A_take_over_that_fails_lets_another_tab_try_first()
    {
        var first = _profile.Join((_, _) => throw new InvalidOperationException("The store is not there."));
        var second = _profile.Join();
        _profile.Run(3);
        Assert.Equal(second, Profile.AssertOneLeader(first, second));
    }

    [Fact]
    public void A_take_over_that_fails_is_tried_again_with_growing_pauses()
    {
        var tries = new List<TimeSpan>();
        var origin = _profile.Time.GetTimestamp();
        _profile.Join((epoch, _) =>
        {
            tries.Add(_profile.Time.GetElapsedTime(origin));
            throw new InvalidOperationException("The store is not there.");
        });
        _profile.Run(20);
        var pauses = tries.Zip(tries.Skip(1), (a, b) => Math.Round((b - a).TotalSeconds)).ToArray();
        Assert.Equal([1, 2, 4, 5], pauses[..4]);
    }

    [Fact]
    public void A_take_over_that_never_ends_is_given_up()
    {
        var cancelled = false;
        var first = _profile.Join((_, token) =>
        {
            token.Register(() => cancelled = true);
            return new(new TaskCompletionSource<Epoch>().Task);
        });
        var second = _profile.Join();
        _profile.Run(31);
        Assert.True(cancelled);
        Assert.Equal(second, Profile.AssertOneLeader(first, second));
    }

    [Fact]
    public void A_take_over_that_needs_longer_than_it_may_is_given_twice_the_time_until_it_ends()
    {
        var tab = _profile.Open(async (epoch, token) =>
        {
            await Task.Delay(TimeSpan.FromSeconds(100), _profile.Time, token);
            return epoch;
        });
        _profile.Do(() => _ = tab.Coordinator.JoinAsync());
        _profile.RunUntil(() => tab.Coordinator.CurrentLease is not null, 400);

        // A page as slow as that may be silent for longer than a lease of the ordinary length.
        var epoch = tab.Coordinator.Epoch;
        tab.Platform.Hang();
        _profile.Run(8);
        tab.Platform.Thaw();
        _profile.Run(1);
        Assert.Equal(epoch, tab.Coordinator.CurrentLease?.Epoch);
    }

    [Fact]
    public void What_is_called_when_the_lease_is_lost_may_throw_and_the_election_goes_on()
    {
        var tab = _profile.Join();
        tab.Coordinator.CurrentLease!.LostToken.Register(() => throw new InvalidOperationException("by the test"));
        _profile.Do(() => _ = tab.Coordinator.ResignAsync());
        _profile.Run(5);
        Assert.Equal(2, tab.Coordinator.CurrentLease?.Epoch.Value);
    }

    [Fact]
    public void A_leader_told_that_it_is_fenced_steps_down_and_proposes_a_higher_epoch_next()
    {
        var tab = _profile.Join();
        var lease = tab.Coordinator.CurrentLease!;
        tab.Coordinator.StepDown(new Epoch(12));
        Assert.False(lease.IsHeld);
        Assert.True(lease.LostToken.IsCancellationRequested);
        _profile.Run(1.2);
        Assert.Equal(13, tab.Coordinator.CurrentLease!.Epoch.Value);
        tab.Coordinator.StepDown(new Epoch(12));
        Assert.NotNull(tab.Coordinator.CurrentLease);
    }

    [Fact]
    public void Disposing_an_old_lease_does_not_touch_the_present_one()
    {
        var tab = _profile.Join();
        var old = tab.Coordinator.CurrentLease!;
        tab.Coordinator.StepDown(new Epoch(12));
        _profile.Run(1.2);
        Assert.True(old.DisposeAsync().IsCompletedSuccessfully);
        Assert.NotNull(tab.Coordinator.CurrentLease);
    }

    [Fact]
    public void A_storage_that_refuses_at_the_start_is_a_typed_error_and_joining_can_be_tried_again()
    {
        _profile.Browser.StorageFailure = new InvalidOperationException("SecurityError");
        var tab = _profile.Open();
        var join = tab.Coordinator.JoinAsync();
        _profile.Run(0.1);
        Assert.IsType<CoordinationException>(join.Exception!.InnerException);
        _profile.Browser.StorageFailure = null;
        _ = tab.Coordinator.JoinAsync();
        _profile.Run(0.1);
        Profile.AssertOneLeader(tab);
    }

    [Fact]
    public void A_storage_that_fills_up_ends_the_leadership_in_time_and_heals()
    {
        var tab = _profile.Join();
        var lease = tab.Coordinator.CurrentLease!;
        _profile.Browser.StorageFailure = new InvalidOperationException("QuotaExceededError");
        _profile.Run(5.1);
        Assert.True(lease.LostToken.IsCancellationRequested);
        var wait = tab.Coordinator.WaitForLeadershipAsync();
        _profile.Run(5);
        Assert.IsType<CoordinationException>(wait.Exception!.InnerException);
        _profile.Browser.StorageFailure = null;
        _profile.Run(5);
        Profile.AssertOneLeader(tab);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(200)]
    [InlineData(400)]
    public void Tabs_that_see_their_own_writes_first_end_with_one_leader(int lagMs)
    {
        _profile.Browser.StorageLag = TimeSpan.FromMilliseconds(lagMs);
        var store = new FencingStore();
        var tabs = Enumerable.Range(0, 4).Select(_ => _profile.Open((epoch, _) => new(store.Raise(epoch)))).ToArray();
        foreach (var tab in tabs)
            _ = tab.Coordinator.JoinAsync();
        for (var i = 0; i < 40; i++)
        {
            _profile.Run(0.5);
            foreach (var tab in tabs)
            {
                if (tab.Coordinator.CurrentLease is { } lease && lease.Epoch < store.Epoch)
                    tab.Coordinator.StepDown(store.Epoch);
            }
        }

        Assert.Equal(store.Epoch, Profile.AssertOneLeader(tabs).Coordinator.Epoch);
    }

    [Fact]
    public void Without_web_locks_one_tab_leads_in_the_end_and_a_crash_heals_within_the_lease()
    {
        using var profile = new Profile(webLocks: false);
        var tabs = Enumerable.Range(0, 4).Select(_ => profile.Open()).ToArray();
        foreach (var tab in tabs)
            _ = tab.Coordinator.JoinAsync();
        profile.Run(3);
        var leader = Profile.AssertOneLeader(tabs);
        leader.Platform.Crash();
        var rest = tabs.Where(tab => tab != leader).ToArray();
        Assert.InRange(profile.RunUntil(() => rest.Any(tab => tab.Coordinator.CurrentLease is not null)), 0, 6);
        profile.Run(6);
        var next = Profile.AssertOneLeader(rest);
        next.Platform.Close();
        rest = [.. rest.Where(tab => tab != next)];
        Assert.InRange(profile.RunUntil(() => rest.Any(tab => tab.Coordinator.CurrentLease is not null)), 0, 0.2);
    }

    [Fact]
    public void Messages_that_are_lost_doubled_or_garbage_change_nothing()
    {
        var random = new Random(7);
        _profile.Browser.Route = _ => random.Next(3) switch
        {
            0 => [],
            1 => [TimeSpan.FromMilliseconds(random.Next(500)), TimeSpan.Zero],
            _ => [TimeSpan.Zero],
        };
        var tabs = _profile.Join(4);
        _profile.Run(3);
        Profile.AssertOneLeader(tabs);
        tabs[0].Platform.Crash();
        _profile.Run(3);
        Assert.Equal(tabs[1], Profile.AssertOneLeader(tabs[1..]));
    }

    private sealed class FencingStore
    {
        public Epoch Epoch { get; private set; }

        public Epoch Raise(Epoch proposed) => Epoch = Epoch.Max(proposed, Epoch.Next);
    }
}
