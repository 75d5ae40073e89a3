namespace DataSync.Coordination.Tests;

/// <summary>A simulated browser profile with coordinators in its tabs, under virtual time.</summary>
internal sealed class Profile : IDisposable
{
    public const string Scope = "app.db";

    public Profile(bool webLocks = true) => Browser = new InMemoryBrowser(Time, webLocks);

    public VirtualClock Time { get; } = new();

    public InMemoryBrowser Browser { get; }

    public List<Tab> Tabs { get; } = [];

    /// <summary>What all tabs log.</summary>
    public ListLogger Logger { get; } = new();

    public string? LeaseText
    {
        get => Browser.ReadLease(Scope);
        set => Browser.WriteLease(Scope, value);
    }

    public LeaseRecord Lease
    {
        get
        {
            Assert.Equal(LeaseReading.Valid, LeaseRecord.Read(LeaseText, out var record));
            return record;
        }
    }

    /// <summary>Opens a tab without joining; ids order by start, so time moves a little.</summary>
    public Tab Open(Func<Epoch, CancellationToken, ValueTask<Epoch>>? elected = null)
    {
        Run(0.002);
        var platform = Browser.OpenTab();
        var tab = new Tab(platform, new TabCoordinator(platform, new CoordinationOptions { Scope = Scope }, platform.Clock, Logger) { RunsInPlace = true, Elected = elected });
        Tabs.Add(tab);
        return tab;
    }

    public Tab Join(Func<Epoch, CancellationToken, ValueTask<Epoch>>? elected = null)
    {
        var tab = Open(elected);
        var join = tab.Coordinator.JoinAsync();
        Run(0.01);
        Assert.True(join.IsCompletedSuccessfully);
        return tab;
    }

    public Tab[] Join(int count) => [.. Enumerable.Range(0, count).Select(_ => Join())];

    /// <summary>Does something as from a timer of the virtual clock, without xunit's context.</summary>
    public void Do(Action action) => Time.Do(action);

    public void Run(double seconds) => Time.Advance(TimeSpan.FromSeconds(seconds));

    /// <summary>Runs until it holds and returns the seconds that it took.</summary>
    public double RunUntil(Func<bool> holds, double mostSeconds = 30)
    {
        for (var ms = 0; ms <= mostSeconds * 1000; ms++)
        {
            if (holds())
                return ms / 1000.0;
            Run(0.001);
        }

        throw new Xunit.Sdk.XunitException($"Did not come to hold within {mostSeconds} s.");
    }

    /// <summary>Exactly one of the tabs leads, and all agree on who, on the epoch and on the members.</summary>
    public static Tab AssertOneLeader(params Tab[] live)
    {
        var leader = Assert.Single(live, tab => tab.Coordinator.CurrentLease is not null);
        Assert.All(live, tab =>
        {
            Assert.Equal(leader.Id, tab.Coordinator.LeaderId);
            Assert.Equal(leader.Coordinator.Epoch, tab.Coordinator.Epoch);
            Assert.Equal(live.Select(other => other.Id).Order(), tab.Coordinator.Members);
            Assert.Equal(tab == leader ? TabRole.Leader : TabRole.Follower, tab.Coordinator.Role);
        });
        return leader;
    }

    public void Dispose() => Browser.Dispose();
}

internal sealed record Tab(InMemoryTabPlatform Platform, TabCoordinator Coordinator)
{
    public TabId Id => Coordinator.Id;
}
