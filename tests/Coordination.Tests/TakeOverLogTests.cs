namespace DataSync.Coordination.Tests;

/// <summary>What a take-over that comes to nothing is worth telling.</summary>
public sealed class TakeOverLogTests : IDisposable
{
    private const int Failed = 1003;
    private const int GivenUp = 1010;

    private readonly Profile _profile = new();
    private readonly TaskCompletionSource<Epoch> _application = new();

    public void Dispose() => _profile.Dispose();

    [Fact]
    public void A_page_that_is_hidden_for_good_during_its_take_over_is_no_failure()
    {
        var tab = JoinForEver();
        _profile.Do(tab.Platform.Freeze);
        AssertLogged(GivenUp);
    }

    [Fact]
    public void A_coordinator_that_is_disposed_during_its_take_over_is_no_failure()
    {
        var tab = JoinForEver();
        _profile.Do(() => _ = tab.Coordinator.DisposeAsync().AsTask());
        AssertLogged(GivenUp);
    }

    [Fact]
    public void An_application_that_stops_its_own_take_over_is_no_failure()
    {
        JoinForEver();
        _profile.Do(_application.SetCanceled);
        AssertLogged(GivenUp);
    }

    [Fact]
    public void A_take_over_that_takes_too_long_is_a_failure()
    {
        JoinForEver();
        _profile.Run(31);
        AssertLogged(Failed);
    }

    [Fact]
    public void A_take_over_that_throws_is_a_failure()
    {
        _profile.Join((_, _) => throw new InvalidOperationException());
        AssertLogged(Failed);
    }

    private Tab JoinForEver() => _profile.Join((_, _) => new(_application.Task));

    private void AssertLogged(int id)
    {
        _profile.Run(0.1);
        Assert.Equal(id, _profile.Logger.Ids.First(logged => logged is Failed or GivenUp));
        if (id == GivenUp) Assert.DoesNotContain(Failed, _profile.Logger.Ids);
    }
}
