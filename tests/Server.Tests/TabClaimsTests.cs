using DataSync.Coordination;

namespace DataSync.Server.Tests;

/// <summary>Who speaks for a tab, when its client comes back before the server has done with its earlier connections.</summary>
public sealed class TabClaimsTests
{
    private readonly TabClaims _claims = new();
    private readonly TabId _tab = TabId.New(TimeProvider.System);
    private readonly byte[] _secret = [1, 2, 3];

    [Fact]
    public void A_tab_is_taken_over_by_who_knows_its_secret_when_the_one_before_has_left()
    {
        var (first, second) = (new Speaker(), new Speaker());
        Assert.True(Claim(first).IsCompletedSuccessfully);
        Assert.False(_claims.TryClaim(_tab, [1, 2, 4], new Speaker(), out _));
        Assert.Null(first.Ended);
        var isFree = Claim(second);
        Assert.NotNull(first.Ended);
        Assert.False(isFree.IsCompleted);
        first.Leave(_claims, _tab);
        Assert.True(isFree.IsCompletedSuccessfully);
        Assert.False(_claims.TryClaim(_tab, [1, 2, 4], new Speaker(), out _)); // it is the second one's still
        second.Leave(_claims, _tab);
        Assert.True(_claims.TryClaim(_tab, [1, 2, 4], new Speaker(), out _));
    }

    /// <summary>Else what the first one does at its end (it stops to listen, gives the turn back) would hit the third, and nobody's answers would reach the tab.</summary>
    [Fact]
    public void The_third_waits_for_the_first_although_the_second_was_cut_off_while_it_waited()
    {
        var (first, second, third) = (new Speaker(), new Speaker(), new Speaker());
        Claim(first);
        Claim(second);
        var isFree = Claim(third);
        second.Leave(_claims, _tab);
        Assert.False(isFree.IsCompleted);
        first.Leave(_claims, _tab);
        Assert.True(isFree.IsCompletedSuccessfully);
    }

    [Fact]
    public void The_third_waits_for_the_first_also_when_the_second_had_left_before_it_came()
    {
        var (first, second, third) = (new Speaker(), new Speaker(), new Speaker());
        Claim(first);
        Claim(second);
        second.Leave(_claims, _tab);
        var isFree = Claim(third);
        Assert.False(isFree.IsCompleted);
        first.Leave(_claims, _tab);
        Assert.True(isFree.IsCompletedSuccessfully);
        third.Leave(_claims, _tab);
        Assert.True(_claims.TryClaim(_tab, [9], new Speaker(), out _));
    }

    [Fact]
    public void One_that_left_while_another_was_there_is_forgotten_with_it()
    {
        var (first, second) = (new Speaker(), new Speaker());
        Claim(first);
        Claim(second);
        second.Leave(_claims, _tab);
        first.Leave(_claims, _tab);
        Assert.True(_claims.TryClaim(_tab, [9], new Speaker(), out var isFree));
        Assert.True(isFree.IsCompletedSuccessfully);
    }

    private Task Claim(Speaker speaker)
    {
        Assert.True(_claims.TryClaim(_tab, _secret, speaker, out var isFree));
        return isFree;
    }

    private sealed class Speaker : ITabSpeaker
    {
        private readonly TaskCompletionSource _left = new();

        public string? Ended { get; private set; }

        public Task Left => _left.Task;

        public void End(string why) => Ended = why;

        public void Leave(TabClaims claims, TabId tab)
        {
            _left.SetResult();
            claims.Release(tab, this);
        }
    }
}
