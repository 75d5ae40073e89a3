using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Simulation;

// What is done to the tabs, and what their applications do.
internal sealed partial class World
{
    /// <summary>Extents that the workload reaches where images load on demand.</summary>
    private const int ExtentCount = 4;

    private void Do(SimAction action)
    {
        if (Violation is not null || _isQuiet) return;
        var dice = new Dice(action.Seed);
        var tab = _slots[action.Slot];
        if (action.IsWork)
        {
            if (tab is { IsUsable: true, IsStopped: false }) Work(tab, action.Kind, dice);
            return;
        }

        if (action.Kind == ActionKind.Open) Open(action.Slot);
        else if (tab is { IsGone: false }) DoToTab(tab, action.Kind, dice);
        DoToAll(action.Kind, dice);
    }

    private void Work(SimTab tab, ActionKind kind, Dice dice)
    {
        switch (kind)
        {
            case ActionKind.Write:
                StartWrite(tab, new WritePlan(dice.Next()));
                break;
            case ActionKind.Sync:
                _ = tab.SyncAsync();
                break;
            case ActionKind.SyncWrite:
                tab.WriteAtOnce(NewOperation(tab, false), new WritePlan(dice.Next()) { HoldMs = 0 });
                break;
            case ActionKind.Read:
                Trace(tab, "reads for a while");
                _ = tab.ReadAsync(dice.From(1, dice.Pick(20, 200, 1500.0)), dice.Next());
                break;
            case ActionKind.Flush:
                _ = tab.FlushAsync();
                break;
            case ActionKind.Load when tab.IsOnDemand:
                _ = tab.LoadAsync([.. Enumerable.Range(0, ExtentCount).Where(_ => dice.Chance(0.4))]);
                break;
            case ActionKind.LoadAll when tab.IsOnDemand:
                _ = tab.LoadAllAsync(dice.From(0, dice.Pick(1, 50, 700.0)));
                break;
            case ActionKind.LoadBehind when tab.IsOnDemand:
                // A reader keeps the image back, and what is stored goes on: what is loaded then must wait.
                var ms = dice.From(5, dice.Pick(20, 200, 1500.0));
                _ = tab.ReadAsync(ms, dice.Next());
                Clock.At(Clock.NowMs + dice.From(0, ms), () =>
                {
                    if (tab is { IsUsable: true, IsStopped: false }) _ = tab.LoadAsync([.. Enumerable.Range(1, ExtentCount - 1)]);
                });
                break;
            case ActionKind.LoadFault when tab.IsOnDemand:
                Announce("fault load planned");
                Store.Plan(tab, StoreOperation.Read, (StoreEffect)dice.Below(Enum.GetValues<StoreEffect>().Length), dice.From(1, dice.Pick(5, 100, 1500.0)));
                _ = tab.LoadAsync([.. Enumerable.Range(1, ExtentCount - 1)]);
                break;
        }
    }

    private Operation StartWrite(SimTab tab, WritePlan plan, bool isProbe = false)
    {
        var operation = NewOperation(tab, isProbe);
        var isDeferred = tab.IsDeferred && plan.HoldMs == 0 && plan.ThinkMs == 0;
        Coverage.Hit(isDeferred ? "write deferred" : plan.IsExclusive ? "write exclusive" : "write");
        _ = isDeferred ? tab.WriteDeferredAsync(operation, plan) : tab.WriteAsync(operation, plan);
        return operation;
    }

    private void DoToTab(SimTab tab, ActionKind kind, Dice dice)
    {
        switch (kind)
        {
            case ActionKind.Crash or ActionKind.Close or ActionKind.Dispose when !tab.IsStopped || kind == ActionKind.Crash:
                Leave(tab, kind);
                if (dice.Chance(0.6)) Clock.At(Clock.NowMs + dice.From(2, 1500.0), () => Open(tab.Slot));
                break;
            case ActionKind.Drain when tab is { IsOpen: true, IsStopped: false }:
                Coverage.Hit("fault tab Drain");
                Trace(tab, "drains and shuts down");
                _ = tab.DrainAsync();
                Clock.At(Clock.NowMs + dice.From(2, 3000.0), () => Open(tab.Slot));
                break;
            case ActionKind.Hide when !tab.IsStopped:
                SetHidden(tab, true);
                Clock.At(Clock.NowMs + dice.From(1, dice.Pick(20, 700, 4000.0)), () => SetHidden(tab, false));
                break;
            case ActionKind.Hang or ActionKind.Freeze or ActionKind.Cache when !tab.IsStopped:
                Stop(tab, kind, dice.From(1, dice.Pick(20, 700, 4000, 7500.0)));
                break;
            case ActionKind.Resign when tab is { IsOpen: true, IsStopped: false }:
                Coverage.Hit("fault resign");
                Trace(tab, "resigns");
                _ = tab.Coordinator.ResignAsync();
                break;
            case ActionKind.RequestLeadership when tab is { IsOpen: true, IsStopped: false }:
                Coverage.Hit("fault leadership requested");
                Trace(tab, "requests leadership");
                _ = RequestAsync(tab);
                break;
            case ActionKind.Partition:
                Coverage.Hit("fault partition");
                _isolatedUntil[tab] = Clock.NowMs + dice.From(1, dice.Pick(50, 600, 6000.0));
                Trace(tab, $"is cut off from the data channel until {_isolatedUntil[tab]:0.#}");
                break;
            case ActionKind.StoreFault:
                for (var i = dice.From(1, 3); i > 0; i--) PlanStoreFault(tab, dice);
                break;
        }
    }

    private static async Task RequestAsync(SimTab tab)
    {
        try
        {
            await tab.Coordinator.RequestLeadershipAsync();
        }
        catch (Exception error) when (error is ObjectDisposedException or CoordinationException)
        {
            // The tab was closed meanwhile.
        }
    }

    private void PlanStoreFault(SimTab tab, Dice dice)
    {
        // Most interesting where the leader writes.
        if (dice.Chance(0.6)) tab = LiveTabs.FirstOrDefault(t => t.IsOpen && t.Pipeline.IsLeading) ?? tab;
        StoreOperation? operation = dice.Below(10) switch
        {
            0 or 1 => StoreOperation.RaiseEpoch,
            2 => StoreOperation.Read,
            3 or 4 => StoreOperation.Checkpoint,
            5 => StoreOperation.Open,
            6 => null,
            _ => StoreOperation.Append,
        };
        var effect = (StoreEffect)dice.Below(Enum.GetValues<StoreEffect>().Length);
        Store.Plan(tab, operation, effect, dice.From(1, dice.Pick(20, 500, 6500.0)));
    }

    private void DoToAll(ActionKind kind, Dice dice)
    {
        switch (kind)
        {
            case ActionKind.NetStorm:
                _storm = (Clock.NowMs + dice.From(5, dice.Pick(100, 1000, 5000.0)), dice.Pick(1, 20, 300.0), dice.Pick(0, 0.05, 0.3, 0.8), dice.Pick(0, 0.1, 0.4));
                Announce("fault storm on the data channel");
                break;
            case ActionKind.ControlStorm:
                _controlStorm = (Clock.NowMs + dice.From(5, dice.Pick(100, 1000, 5000.0)), dice.Pick(1, 20, 300.0), dice.Pick(0, 0.3, 1), dice.Pick(0, 0.3));
                Announce("fault storm on the control channel");
                break;
            case ActionKind.Disconnect:
                Announce("fault all connections to the store lost");
                Medium.Disconnect();
                break;
            case ActionKind.QuotaWindow:
                Announce("fault quota window");
                Store.QuotaUntilMs = Clock.NowMs + dice.From(1, dice.Pick(10, 300, 2000.0));
                break;
            case ActionKind.SlowStore:
                Announce("fault slow store");
                Store.SlowUntilMs = Clock.NowMs + dice.From(10, dice.Pick(100, 1000, 3000.0));
                break;
            case ActionKind.DeleteStore:
                DeleteStore(isEvicted: false);
                break;
            case ActionKind.EvictStore:
                DeleteStore(isEvicted: true);
                break;
            case ActionKind.ReplaceStore:
                ReplaceStore();
                break;
            case ActionKind.StrayAppend:
                StrayAppend(dice);
                break;
            case ActionKind.LockTrouble:
                Announce("fault lock grants late or lost");
                _lockTroubleUntilMs = Clock.NowMs + dice.From(10, dice.Pick(500, 3000, 8000.0));
                break;
            case ActionKind.ForgeLease:
                Announce("fault lease forged");
                Forge(dice);
                break;
            case ActionKind.ClearLease:
                Announce("fault lease cleared");
                Browser.WriteLease(Scope, null);
                break;
            case ActionKind.LeaseStorageFails:
                Announce("fault localStorage refuses writes");
                Browser.StorageFailure = new SimStoreException();
                Clock.At(Clock.NowMs + dice.From(1, dice.Pick(10, 500, 6000.0)), () => Browser.StorageFailure = null);
                break;
            case ActionKind.WallJump:
                Announce("fault wall clock jumps");
                Clock.JumpWallClock(Ms(dice.From(-1, 1.0) * dice.Pick(1000, 3_600_000, 400 * 86_400_000.0)));
                break;
            case ActionKind.ForgeMessage:
                Announce("fault message from nowhere");
                for (var i = dice.From(1, 4); i > 0; i--) Bus.Forge(ForgeMessage(dice), dice);
                break;
            case ActionKind.SlowPages:
                Announce("fault pages slower than a lease");
                _slowPages = (Clock.NowMs + dice.From(100, dice.Pick(3000, 12_000.0)), dice.Pick(1500, 6000, 11_000.0));
                break;
        }
    }

    private void Announce(string fault)
    {
        Coverage.Hit(fault);
        Trace(null, fault);
    }

    // Well formed, of this store, and not true: nobody who leads has sent it.
    private byte[] ForgeMessage(Dice dice)
    {
        var lease = LeaseRecord.Read(Browser.ReadLease(Scope), out var record) == LeaseReading.Valid ? record.Epoch.Value : 0;
        var end = _life?.End ?? Position.Start;
        var sender = dice.Chance(0.5) || _tabs.Count == 0 ? TabId.New(Clock) : _tabs[dice.Below(_tabs.Count)].Coordinator.Id;
        var epoch = new Epoch(dice.Pick(lease + 1, lease + 1, lease + 5, Epoch.MaxPlausible, (1L << 53) - 1));
        return new CommitMessage
        {
            Kind = dice.Pick(CommitMessageKind.Leading, CommitMessageKind.Leading, CommitMessageKind.Committed, CommitMessageKind.Refused, CommitMessageKind.TurnGrant, CommitMessageKind.Missing),
            Epoch = epoch,
            Sender = sender,
            Incarnation = _life?.Incarnation ?? Guid.NewGuid(),
            Position = dice.Chance(0.5) ? end : new Position(end.Marker + 1, new CommitId(Ids.NextGuid())),
            Durable = end.Marker + dice.Pick(0, 1, 1000),
            Turn = 1,
            Code = StorageErrorCode.Quota,
            HasJustBegun = dice.Chance(0.5),
        }.Encode();
    }

    private void Forge(Dice dice)
    {
        var some = _tabs.Count > 0 ? _tabs[dice.Below(_tabs.Count)].Coordinator.Id : default(TabId?);
        var text = dice.Below(5) switch
        {
            0 => "garbage",
            1 => new LeaseRecord(TabId.New(Clock), new Epoch(dice.Below(50)), dice.Below(9), Leading: true).ToText(),
            2 => new LeaseRecord(null, new Epoch(dice.Below(5)), 1).ToText(),
            3 => new LeaseRecord(some, new Epoch(dice.Below(100)), dice.Below(9), Leading: dice.Chance(0.5)).ToText(),
            _ => "{\"v\":99}",
        };
        _forged.Add(text);
        Browser.WriteLease(Scope, text);
    }

    public void Open(int slot)
    {
        if (_slots[slot] is { IsGone: false } || Violation is not null) return;

        // Ids order by the millisecond of the start; within one, chance would decide.
        if (!_starts.Add(Clock.GetUtcNow().ToUnixTimeMilliseconds()))
        {
            Clock.At(Clock.NowMs + 1, () => Open(slot));
            return;
        }

        if (_scenario.Drift > 0) Coverage.Hit("fault clock drifts");
        if (_slots[slot] is not null) Coverage.Hit("fault tab reopened");
        var drift = _scenario.Drift == 0 ? 0 : _drift.From(-_scenario.Drift, _scenario.Drift);
        var tab = new SimTab(this, slot, $"T{slot}{(char)('a' + _names++ % 26)}", drift, _scenario.PolicyOf(slot), _scenario.ResidencyOf(slot));
        _slots[slot] = tab;
        _tabs.Add(tab);
        Trace(tab, "opens");
        _ = tab.OpenAsync();
    }

    public void Leave(SimTab tab, ActionKind how)
    {
        if (tab.IsGone) return;
        if (how == ActionKind.Close && tab.IsUsable) tab.Triggers.OnLeft();
        if (tab.IsGone) return; // it crashed in the middle of that
        tab.IsGone = true;
        Coverage.Hit($"fault tab {how}");
        if (tab.IsOpen && tab.Pipeline.IsLeading) Coverage.Hit($"fault leader {how}");
        if (tab.IsOpen && tab.Holding > 0) Coverage.Hit($"fault {how} inside a transaction");
        Trace(tab, $"{how}");
        if (how == ActionKind.Crash)
        {
            tab.Platform.Crash();
        }
        else if (how == ActionKind.Dispose)
        {
            tab.Sync.Dispose();
            _ = tab.Pipeline.DisposeAsync().AsTask();
            _ = tab.Coordinator.DisposeAsync().AsTask();
        }
        else
        {
            tab.Platform.Close();
        }
    }

    private void SetHidden(SimTab tab, bool isHidden)
    {
        if (tab.IsGone || tab.IsStopped || tab.Triggers.IsHidden == isHidden) return;
        Trace(tab, isHidden ? "is hidden" : "is shown");
        if (isHidden) Coverage.Hit("fault tab Hide");
        tab.Triggers.Hide(isHidden);
    }

    public void Stop(SimTab tab, ActionKind how, double ms)
    {
        if (tab.IsGone || tab.IsStopped) return;
        (tab.IsStopped, tab.IsCached) = (true, how == ActionKind.Cache);
        Coverage.Hit($"fault tab {how}");
        if (tab.IsOpen && tab.Pipeline.IsLeading) Coverage.Hit($"fault leader {how}");
        Trace(tab, $"{how} for {ms:0.#} ms");
        if (how == ActionKind.Hang) tab.Platform.Hang();
        else tab.Platform.Freeze();
        Clock.At(Clock.NowMs + ms, () => Thaw(tab));
    }

    private void Thaw(SimTab tab)
    {
        if (tab.IsGone || !tab.IsStopped) return;
        if (tab.IsCached && !_isQuiet && _drift.Chance(0.25))
        {
            Coverage.Hit("fault tab evicted from the cache");
            Leave(tab, ActionKind.Crash);
            return;
        }

        (tab.IsStopped, tab.IsCached) = (false, false);
        Trace(tab, "thaws");
        tab.Platform.Thaw();
    }

    public void OnFaulted(SimTab tab, StorageException error)
    {
        Coverage.Hit($"state faulted {error.GetType().Name}");
        tab.Trace($"stopped: {error.Message}");

        // Its user reloads the page.
        Clock.At(Clock.NowMs + 200, () =>
        {
            if (tab.IsGone) return;
            CheckEnded(tab);
            Leave(tab, ActionKind.Close);
            Clock.At(Clock.NowMs + 50, () => Open(tab.Slot));
        });
    }
}
