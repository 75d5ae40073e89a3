using System.Collections.Immutable;

namespace DataSync.Coordination.Tests;

/// <summary>The rules of the election, one situation a row. Times are seconds; B is the tab under test.</summary>
public sealed class LeaseElectionTests
{
    private static readonly TabId A = TabId.Parse("00000000-0000-7000-8000-00000000000a");
    private static readonly TabId B = TabId.Parse("00000000-0000-7000-8000-00000000000b");
    private static readonly TabId C = TabId.Parse("00000000-0000-7000-8000-00000000000c");

    /// <summary>
    /// A script of events and the effects and role expected at its end. Events: <c>see:record</c>, <c>members:ABC</c>, <c>gone:A</c>,
    /// <c>ok</c> (the check-and-set under way succeeds), <c>fail:record</c> (it fails and finds that), <c>error</c> (it throws),
    /// <c>observer</c> (this tab never leads), <c>store</c> (there is one that grants epochs), <c>grant:n</c>, <c>refuse</c>, <c>overdue</c>, <c>resign</c>, <c>resign:C</c>, <c>fence:n</c>, <c>suspend</c>, <c>resume</c>, <c>tick</c>; <c>@t</c> sets the time.
    /// Records: <c>none</c>, <c>junk</c>, <c>newer</c>, <c>A5</c> (A leads under epoch 5), <c>a5</c> (A has claimed 5), <c>-5</c> (released), <c>-5C</c> (for C).
    /// </summary>
    [Theory]
    // At the start.
    [InlineData("members:B", "", TabRole.Follower, "nothing is claimed before the record was read")]
    [InlineData("see:none", "", TabRole.Follower, "nothing is claimed before the members are known")]
    [InlineData("members:B see:none", "set:b1", TabRole.Candidate, "alone without a record: claim epoch 1")]
    [InlineData("members:B see:junk", "set:b1", TabRole.Candidate, "garbage is no lease")]
    [InlineData("members:B see:-7", "set:b8", TabRole.Candidate, "a released lease keeps its epoch")]
    [InlineData("members:BC see:-7", "set:b8", TabRole.Candidate, "the lowest live id claims at once")]
    [InlineData("members:ABC see:-7", "", TabRole.Follower, "a higher id leaves it to the lower for one grace")]
    [InlineData("members:ABC see:-7 @0.05 tick", "set:b8", TabRole.Candidate, "after its grace the higher id claims")]
    [InlineData("members:ABC see:-7C", "", TabRole.Follower, "the named successor goes first")]
    [InlineData("members:ABC see:-7C @0.05 tick", "", TabRole.Follower, "and adds a grace to everybody else")]
    [InlineData("members:AB see:-7B", "set:b8", TabRole.Candidate, "a successor does not wait for lower ids")]
    [InlineData("members:AB see:-7C @0.05 tick", "set:b8", TabRole.Candidate, "a successor that is gone is not waited for")]
    // A lease held by another.
    [InlineData("members:AB see:A5", "watch:A", TabRole.Follower, "a held lease is respected and its holder watched")]
    [InlineData("members:BC see:C5", "watch:C", TabRole.Follower, "a lower id does not pre-empt")]
    [InlineData("members:AB see:A5 @4.9 tick", "", TabRole.Follower, "not void before the lease time")]
    [InlineData("members:AB see:A5 @5 tick", "set:b6", TabRole.Candidate, "void when unchanged for the lease time; its holder is not waited for")]
    [InlineData("members:AB see:A5 @4 see:A5.1 @8 tick", "", TabRole.Follower, "a renewal counts from when it was seen")]
    [InlineData("members:AB see:A5 gone:A", "set:b6", TabRole.Candidate, "a released tab lock frees the lease at once")]
    [InlineData("members:AB see:A5 gone:C", "", TabRole.Follower, "another tab's lock says nothing")]
    [InlineData("members:AB see:A5 gone:A fail:A5.1", "watch:A", TabRole.Follower, "a renewal seen after that: ask again")]
    [InlineData("members:AB see:A5 see:none", "", TabRole.Follower, "a wiped record: its holder will restore it")]
    [InlineData("members:AB see:A5 see:junk @5 tick", "set:b6", TabRole.Candidate, "unless it is dead, also when it was overwritten")]
    [InlineData("members:AB see:newer", "", TabRole.Follower, "a newer version's lease is respected")]
    [InlineData("members:B see:newer @5 tick", "set:b10", TabRole.Candidate, "until it stands still")]
    [InlineData("members:B see:B5", "set:-5", TabRole.Follower, "an own lease of a life before is released first")]
    // An observer.
    [InlineData("observer members:B see:none @20 tick", "", TabRole.Follower, "an observer claims nothing, though nobody leads")]
    [InlineData("observer members:AB see:A5", "watch:A", TabRole.Follower, "it sees who leads")]
    [InlineData("observer members:AB see:A5 gone:A @20 tick", "", TabRole.Follower, "and leaves the lease to others when that one is gone")]
    [InlineData("observer members:B see:B5", "", TabRole.Follower, "it releases nothing")]
    // Claiming.
    [InlineData("members:B see:-7 ok", "raise:8", TabRole.Candidate, "lease first, then the store's epoch")]
    [InlineData("members:B see:-7 ok grant:8", "set:B8", TabRole.Candidate, "then the record says leading")]
    [InlineData("members:B see:-7 ok grant:8 ok", "lead:8", TabRole.Leader, "and only then it leads")]
    [InlineData("members:B see:-7 ok grant:20 ok", "lead:20", TabRole.Leader, "under the epoch that the store granted")]
    [InlineData("members:B see:-7 fail:c8", "watch:C", TabRole.Follower, "a lost claim makes a follower")]
    [InlineData("members:B see:-7 fail:-9", "set:b10", TabRole.Candidate, "a claim on an old text is made again")]
    [InlineData("members:B see:-7 error", "", TabRole.Follower, "a failed write waits a heartbeat")]
    [InlineData("members:B see:-7 error @1 tick", "set:b9", TabRole.Candidate, "then claims again")]
    [InlineData("members:B see:-7 ok refuse", "lost:8 set:-8", TabRole.Follower, "a refused take-over releases the lease")]
    [InlineData("members:B see:-7 ok refuse ok", "", TabRole.Follower, "and pauses")]
    [InlineData("members:B see:-7 ok refuse ok @1 tick", "set:b9", TabRole.Candidate, "for a heartbeat")]
    [InlineData("members:B see:-7 ok @1 tick", "set:b8", TabRole.Candidate, "the lease is renewed while taking over")]
    [InlineData("members:BC see:-7 ok see:c8", "set:b8", TabRole.Candidate, "two claims at one epoch: the lower id keeps it")]
    [InlineData("members:AB see:-7 @0.05 tick ok see:a8", "lost:8 watch:A", TabRole.Follower, "and the higher gives way")]
    // Leading.
    [InlineData("LEAD @1 tick", "set:B1", TabRole.Leader, "a heartbeat renews")]
    [InlineData("LEAD @0.3 tick", "", TabRole.Leader, "not more often than needed")]
    [InlineData("LEAD @1 tick fail:a2", "lost:1 watch:A", TabRole.Follower, "a renewal that finds a newer epoch ends it")]
    [InlineData("LEAD @1 tick see:a2 fail:a2", "lost:1 watch:A", TabRole.Follower, "also when that was seen while the renewal was under way")]
    [InlineData("LEAD @1 tick fail:none", "set:B1", TabRole.Leader, "a wiped record is written again under the same epoch")]
    [InlineData("LEAD see:junk", "set:B1", TabRole.Leader, "garbage too")]
    [InlineData("LEAD see:a0", "set:B1", TabRole.Leader, "an older epoch is overwritten")]
    [InlineData("LEAD see:-1", "set:B1", TabRole.Leader, "a release that is not its own, too")]
    [InlineData("LEAD see:newer", "lost:1", TabRole.Follower, "a newer version's lease is left alone")]
    [InlineData("LEAD @5 tick", "set:B1", TabRole.Leader, "past the deadline, after a busy time, one renewal more tells")]
    [InlineData("LEAD @9 tick ok", "set:B1", TabRole.Leader, "that nobody has claimed the lease: it goes on, with a lease as short as before")]
    [InlineData("LEAD @9 tick ok ok", "", TabRole.Leader, "and that is all")]
    [InlineData("LEAD @9 tick fail:A2", "lost:1 watch:A", TabRole.Follower, "or that somebody leads")]
    [InlineData("LEAD @9 tick fail:-2", "lost:1 set:b3", TabRole.Candidate, "or did")]
    [InlineData("LEAD @9 tick error", "lost:1", TabRole.Follower, "when it cannot be told, the leadership is over")]
    [InlineData("LEAD @9 tick @19 tick", "lost:1 set:-1", TabRole.Follower, "also when no answer comes in the lease time, which has doubled")]
    [InlineData("LEAD @1 tick error @1.5 tick @2 tick error @3 tick error @4 tick error @5 tick error", "lost:1", TabRole.Follower, "without a renewal it ends at the deadline")]
    [InlineData("LEAD @1 tick @9 tick", "set:B1", TabRole.Leader, "a renewal whose answer got lost in the busy time is sent again")]
    [InlineData("LEAD @1 tick @9 tick fail:B1.1 ok ok", "", TabRole.Leader, "also if it had been written")]
    [InlineData("LEAD @1 tick @4 ok @6 tick", "", TabRole.Leader, "one that is under way at the deadline is waited for")]
    [InlineData("LEAD @1 tick @4 ok @6 tick @14 tick", "lost:1 set:-1", TabRole.Follower, "but not longer than a lease")]
    [InlineData("LEAD @9 resume tick see:B1 members:B ok ok", "", TabRole.Leader, "a page that was busy and not frozen asks, too")]
    [InlineData("members:B see:-7 ok @9 resume", "set:b8", TabRole.Candidate, "so does one that was taking over")]
    [InlineData("members:B see:-7 ok @9 resume tick ok grant:8 ok", "lead:8", TabRole.Leader, "and leads then")]
    [InlineData("LEAD @1 tick error @1.5 tick", "", TabRole.Leader, "a failed renewal does not end it")]
    [InlineData("LEAD @1 tick error @2 tick", "set:B1", TabRole.Leader, "it is sent again")]
    [InlineData("LEAD resign", "lost:1 set:-1", TabRole.Follower, "resigning releases")]
    [InlineData("LEAD resign:C", "lost:1 set:-1C", TabRole.Follower, "for a successor if there is one")]
    [InlineData("LEAD resign ok @1.9 tick", "", TabRole.Follower, "and leaves it to others")]
    [InlineData("LEAD resign ok @2 tick", "set:b2", TabRole.Candidate, "for two heartbeats")]
    [InlineData("LEAD fence:9", "lost:1 set:-9", TabRole.Follower, "a newer epoch in the store ends it, and the released lease tells the others of it")]
    [InlineData("LEAD fence:9 ok @1 tick", "set:b10", TabRole.Candidate, "the next proposal is above it")]
    [InlineData("LEAD fence:1", "", TabRole.Leader, "its own epoch does not")]
    [InlineData("LEAD suspend", "lost:1", TabRole.Follower, "a suspended page does not lead")]
    [InlineData("LEAD suspend see:-1 members:B", "", TabRole.Follower, "nor claims")]
    [InlineData("LEAD suspend resume see:-1 members:B", "set:b2", TabRole.Candidate, "until it is back and has looked")]
    [InlineData("LEAD @1 tick suspend resume see:B1 members:B", "set:-1", TabRole.Follower, "what it wrote before is released")]
    // Where a store grants epochs.
    [InlineData("store members:AB see:-7 @0.05 tick ok see:a8", "", TabRole.Candidate, "of two claims at one epoch the store chooses, whatever the ids")]
    [InlineData("store members:AB see:-7 @0.05 tick ok see:a8 @1 tick", "set:b8", TabRole.Candidate, "the lease is renewed no faster than always meanwhile")]
    [InlineData("store members:AB see:-7 @0.05 tick ok see:a8 grant:8", "set:B8", TabRole.Candidate, "the one that it chose writes its record over the other's")]
    [InlineData("store members:AB see:-7 @0.05 tick ok grant:8 ok see:a8", "set:B8", TabRole.Leader, "as often as it must")]
    [InlineData("store members:AB see:-7 @0.05 tick ok grant:8 ok see:A8", "lost:8 watch:A", TabRole.Follower, "a store that granted it twice is none: the lower id leads")]
    [InlineData("store members:BC see:-7 ok fence:8", "lost:8", TabRole.Follower, "the other one gives way and releases nothing, which would only call a third")]
    [InlineData("store members:BC see:-7 ok fence:8 refuse @1.9 tick", "", TabRole.Follower, "for two heartbeats")]
    [InlineData("store members:BC see:-7 ok fence:8 refuse see:C8 @2 tick", "", TabRole.Follower, "in which the chosen one's record comes")]
    [InlineData("store members:BC see:-7 ok fence:8 refuse @2 tick", "set:-8", TabRole.Follower, "if it does not, it is gone: the lease is released")]
    [InlineData("store members:BC see:-7 ok fence:8 refuse @2 tick ok", "set:b9", TabRole.Candidate, "and claimed with an epoch above it")]
    [InlineData("store members:BC see:-7 ok fence:9", "lost:8 set:-9", TabRole.Follower, "a higher epoch in the store is another leader's, as always")]
    public void Situation(string script, string effects, TabRole role, string because)
    {
        var election = new Script();
        foreach (var word in script.Replace("LEAD", "members:B see:none ok grant:1 ok", StringComparison.Ordinal).Split(' '))
            election.Play(word);
        Assert.True(effects == election.LastEffects && role == election.State.Role,
            $"{because}: expected [{effects}] {role}, got [{election.LastEffects}] {election.State.Role}");
    }

    /// <summary>How often a tab doubles the lease time of its next claim. <c>~n</c> behind a record: how often its holder did.</summary>
    [Theory]
    [InlineData("members:B see:-7 ok overdue", 1, "a take-over that took longer than it may gets more time")]
    [InlineData("members:B see:-7 ok refuse", 0, "one that failed does not")]
    [InlineData("members:AB see:a5 @5 tick", 1, "another tab's take-over that ran out was too slow, too")]
    [InlineData("members:AB see:A5 @5 tick", 0, "a leader that has gone was not")]
    [InlineData("members:B see:-7~3", 3, "what others had to do is done at once")]
    [InlineData("members:B see:-7 @5 tick", 1, "a write of the lease that was not answered in time")]
    [InlineData("LEAD @9 resume", 1, "a page that holds the lease and was busy for so long")]
    [InlineData("LEAD @1 tick suspend resume", 0, "one that was frozen was not busy")]
    [InlineData("members:B see:-7~3 ok grant:8 ok @2 tick @2.1 ok", 2, "renewals that are answered at once make it less")]
    public void Patience(string script, int patience, string because)
    {
        var election = new Script();
        foreach (var word in script.Replace("LEAD", "members:B see:none ok grant:1 ok", StringComparison.Ordinal).Split(' '))
            election.Play(word);
        Assert.True(patience == election.State.Patience, $"{because}: expected {patience}, got {election.State.Patience}");
    }

    [Fact]
    public void The_same_state_and_event_give_the_same_answer()
    {
        var state = new ElectionState(B, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5), TimeSpan.FromMilliseconds(50));
        var one = LeaseElection.Step(state, ElectionEvent.MembersSeen([B]), TimeSpan.FromSeconds(3));
        var two = LeaseElection.Step(state, ElectionEvent.MembersSeen(one.State.Members), TimeSpan.FromSeconds(3));
        Assert.Equal(one.State, two.State);
        Assert.Equal(one.Effects, two.Effects);
    }

    private sealed class Script
    {
        private TimeSpan _now;
        private ElectionEffect _set;
        private int _attempt;

        public ElectionState State { get; private set; } =
            new(B, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5), TimeSpan.FromMilliseconds(50));

        public string LastEffects { get; private set; } = "";

        public void Play(string word)
        {
            if (word[0] == '@')
            {
                _now = TimeSpan.FromSeconds(double.Parse(word[1..], System.Globalization.CultureInfo.InvariantCulture));
                return;
            }

            if (word == "store")
            {
                State = State with { StoreDecides = true };
                return;
            }

            if (word == "observer")
            {
                State = State with { IsObserver = true };
                return;
            }

            var (verb, rest) = word.Split(':') is [var v, var r] ? (v, r) : (word, "");
            var (state, effects) = LeaseElection.Step(State, Event(verb, rest), _now);
            State = state;
            // The end of a watch is housekeeping and not shown.
            LastEffects = string.Join(' ', effects.Where(effect => effect is not { Kind: ElectionEffectKind.Watch, Tab: null }).Select(Name));
            foreach (var effect in effects)
            {
                _set = effect.Kind == ElectionEffectKind.Set ? effect : _set;
                _attempt = effect.Kind == ElectionEffectKind.RaiseEpoch ? effect.Ticket : _attempt;
            }
        }

        private static TabId Tab(char letter) => letter switch { 'a' or 'A' => A, 'b' or 'B' => B, _ => C };

        private static string? Text(string record)
        {
            if (record is "none")
                return null;
            if (record is "junk" or "newer")
                return record is "junk" ? "junk" : "{\"v\":2,\"epoch\":9,\"renewal\":1}";
            var (lease, patience) = record.Split('~') is [var before, var times] ? (before, times[0] - '0') : (record, 0);
            record = lease;
            var parts = record.TrimEnd('A', 'B', 'C')[1..].Split('.');
            TabId? successor = record.Length > 1 && char.IsLetter(record[^1]) ? Tab(record[^1]) : null;
            return new LeaseRecord(record[0] == '-' ? null : Tab(record[0]), new Epoch(long.Parse(parts[0], System.Globalization.CultureInfo.InvariantCulture)),
                parts.Length > 1 ? 101 : 100, char.IsUpper(record[0]), successor, patience).ToText();
        }

        private static string Name(ElectionEffect effect)
        {
            LeaseRecord.Read(effect.Text, out var record);
            return effect.Kind switch
            {
                ElectionEffectKind.Set when record.Holder is null => $"set:-{record.Epoch}{Letter(record.Successor)}",
                ElectionEffectKind.Set => $"set:{(record.Leading ? Letter(record.Holder) : char.ToLowerInvariant(Letter(record.Holder)[0]))}{record.Epoch}",
                ElectionEffectKind.RaiseEpoch => $"raise:{effect.Epoch}",
                ElectionEffectKind.Lead => $"lead:{effect.Epoch}",
                ElectionEffectKind.Lost => $"lost:{effect.Epoch}",
                _ => $"watch:{Letter(effect.Tab)}",
            };
        }

        private static string Letter(TabId? tab) => tab is { } id ? char.ToUpperInvariant(id.Value[^1]).ToString() : "";

        private ElectionEvent Event(string verb, string rest) => verb switch
        {
            "see" => ElectionEvent.RecordSeen(Text(rest)),
            "members" => ElectionEvent.MembersSeen([.. rest.Select(Tab)]),
            "gone" => ElectionEvent.TabGone(Tab(rest[0])),
            "ok" => ElectionEvent.SetDone(_set.Ticket, _set.Text),
            "fail" => ElectionEvent.SetDone(_set.Ticket, Text(rest)),
            "error" => ElectionEvent.SetFailed(_set.Ticket),
            "grant" => ElectionEvent.Granted(_attempt, new Epoch(long.Parse(rest, System.Globalization.CultureInfo.InvariantCulture))),
            "refuse" => ElectionEvent.Refused(_attempt),
            "overdue" => ElectionEvent.Overdue(_attempt),
            "resign" => ElectionEvent.Resign(rest.Length > 0 ? Tab(rest[0]) : null),
            "fence" => ElectionEvent.Fenced(new Epoch(long.Parse(rest, System.Globalization.CultureInfo.InvariantCulture))),
            "suspend" => ElectionEvent.Suspended,
            "resume" => ElectionEvent.Resumed,
            "tick" => ElectionEvent.Tick,
            _ => throw new ArgumentException(verb),
        };
    }
}
