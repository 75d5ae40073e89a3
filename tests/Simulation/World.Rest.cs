using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Simulation;

// After the last fault: somebody leads, writes go on, everything that was begun ends, and all tabs show the same.
internal sealed partial class World
{
    /// <summary>Lease time (longer where the one before was too short for slow pages), one heartbeat, and what claims and messages take.</summary>
    private double ElectionMs => LeaseTime.TotalMilliseconds * (1 << _patience) + 1000 + 600;

    private int _patience;

    private void ComeToRest()
    {
        Trace(null, "no more faults from here on");
        _isQuiet = true;
        Store.Heal();
        Store.MaxMs = Math.Min(Store.MaxMs, 3);
        Browser.StorageFailure = null;
        Browser.StorageLag = TimeSpan.FromMilliseconds(Math.Min(_scenario.StorageLagMs, 20));
        foreach (var tab in LiveTabs.ToList()) Thaw(tab);

        // What was stopped, slow, or is being reopened, comes back now; that is the last fault.
        RunUntil(Math.Max(Clock.NowMs + 1500, _lastStepEndsMs));
        foreach (var tab in LiveTabs.Where(t => t.IsDraining).ToList()) Leave(tab, ActionKind.Close);

        // A store that was replaced is noticed by whoever uses it next; here each page is loaded again before.
        foreach (var tab in LiveTabs.Where(t => t.Life is { IsOver: true }).ToList())
        {
            Leave(tab, ActionKind.Close);
            Open(tab.Slot);
        }

        if (!LiveTabs.Any()) Open(0);
        RunUntil(Clock.NowMs + 100);
        var last = Clock.NowMs;
        _ = LeaseRecord.Read(Browser.ReadLease(Scope), out var lease);
        _patience = Math.Max(lease.Patience, LiveTabs.Max(t => t.Page.RenewedPatience));
        RunUntil(last + ElectionMs, () => LiveTabs.All(t => t.IsUsable) && LiveTabs.Any(t => t.Pipeline.IsLeading));
        if (Violation is not null) return;
        if (!LiveTabs.Any(t => t.IsUsable && t.Pipeline.IsLeading))
        {
            Fail("L1", $"No tab leads {ElectionMs} ms after the last fault: {string.Join(", ", LiveTabs.Select(t => $"{t.Name} {t.Coordinator.Role}{(t.IsOpen ? "" : " not open")}{(t.Fault is null ? "" : " stopped")}"))}.");
            return;
        }

        Probe(last);
    }

    private void Probe(double last)
    {
        var plan = new Dice(_scenario.Seed + 77);
        var probes = LiveTabs.Where(t => t.IsUsable).Select(t => StartWrite(t, new WritePlan(plan.Next()) { RollsBack = false, FailsLate = false, HoldMs = 0, ThinkMs = 0, CancelAfterMs = 0 }, isProbe: true)).ToList();
        var bound = Math.Max(Clock.NowMs, last + ElectionMs) + _scenario.TurnDeadlineMs + _scenario.SyncIntervalMs + 4000;
        RunUntil(bound, () => probes.TrueForAll(p => !p.IsOpen));
        if (Violation is not null) return;
        if (probes.Find(p => p.IsOpen || p.Durable is null) is { } stuck)
        {
            Fail("L1", $"{stuck.Tab.Name}'s write {stuck.Number}, begun after the last fault, is {stuck.State} {stuck.Outcome} after {Clock.NowMs - stuck.StartMs:0} ms.");
            return;
        }

        // Half of the runs leave it to the policy to make durable what is held.
        foreach (var tab in LiveTabs) _ = tab.IsDeferred && _scenario.Seed % 2 == 0 ? Task.CompletedTask : tab.FlushAsync();

        // Outcomes that stay unknown are given up after the write timeout, at a heartbeat.
        RunUntil(last + Math.Max(_scenario.WriteTimeoutMs, ElectionMs) + _scenario.TurnDeadlineMs + _scenario.SyncIntervalMs + 5000, () => LiveTabs.All(HasEnded));
        if (Violation is not null) return;
        foreach (var tab in LiveTabs) CheckEnded(tab);
        if (Violation is not null) return;
        var loads = LiveTabs.Where(t => t.IsUsable && t.IsOnDemand).Select(t => (Tab: t, Loading: t.LoadAllAsync(1500))).ToList();
        RunUntil(Clock.NowMs + 1500);
        RunUntil(Clock.NowMs + 1500, () => loads.TrueForAll(l => l.Loading.IsCompleted));
        if (Violation is null && loads.Find(l => !l.Loading.IsCompleted).Tab is { } stuckTab) Fail("L1", $"{stuckTab.Name} does not load what is missing.");
        CheckEnd();
    }

    private bool HasEnded(SimTab tab) => !_operations.Exists(o => o.Tab == tab && o is { IsOpen: true, IsUnflushed: false });

    private void CheckEnded(SimTab tab)
    {
        if (_operations.Find(o => o.Tab == tab && o is { IsOpen: true, IsUnflushed: false } && tab.Holding == 0) is { } stuck)
            Fail("S7", $"{tab.Name}'s write {stuck.Number}, begun at {stuck.StartMs:0}, has no outcome at {Clock.NowMs:0}.");
    }

    private void CheckEnd()
    {
        if (Violation is not null) return;
        CheckStore("at the end");
        foreach (var tab in LiveTabs)
        {
            if (!tab.IsUsable || Violation is not null) continue;
            var storage = tab.Pipeline.Storage;
            if (storage.Top != _life?.End) Fail("S5", $"At the end {tab.Name} shows {Describe(storage.Top)}, the store ends at {Describe(_life!.End)}.");
            else if (storage.ChainLength > 0 || tab.Pipeline.PendingCount > 0) Fail("S7", $"At the end {tab.Name} still has commits on their way.");
            else CheckImage(tab, "at the end");
        }

        CheckHistory();
        Coverage.Hit("runs");
    }
}
