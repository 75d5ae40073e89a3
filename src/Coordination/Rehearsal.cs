namespace DataSync.Coordination;

/// <summary>
/// Plays a take-over through once, without effect. In a browser .NET is interpreted and the first run of each method is
/// slow; better while a tab joins than while all tabs wait for the successor of a crashed leader.
/// </summary>
internal static class Rehearsal
{
    public static void Play(TabId self, CoordinationOptions options)
    {
        var state = new ElectionState(self, options.Heartbeat, options.Lease, options.Grace);
        var leader = TabId.Parse("00000000-0000-7000-8000-000000000001");
        var set = default(ElectionEffect);
        Step(ElectionEvent.MembersSeen([leader, self]));
        Step(ElectionEvent.RecordSeen(new LeaseRecord(leader, new Epoch(1), 1, true).ToText()));
        Step(ElectionEvent.TabGone(leader));
        Step(ElectionEvent.SetDone(set.Ticket, set.Text));
        Step(ElectionEvent.Granted(state.Attempt, state.Own));
        Step(ElectionEvent.SetDone(set.Ticket, set.Text));
        _ = new TabMessage(TabMessageKind.Leading, options.Scope, state.Own, self).ToText();

        void Step(ElectionEvent happened)
        {
            (state, var effects) = LeaseElection.Step(state, happened, TimeSpan.Zero);
            foreach (var effect in effects)
                set = effect.Kind == ElectionEffectKind.Set ? effect : set;
        }
    }
}
