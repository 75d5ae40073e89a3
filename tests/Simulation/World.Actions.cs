using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Simulation;

// What is done to the tabs, and what their applications do.
internal sealed partial class World
{
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
            case ActionKind.SyncWrite:
                tab.WriteAtOnce(NewOperation(tab, false), new WritePlan(dice.Next()) { HoldMs = 0 });
                break;
            case ActionKind.Read:
                Trace(tab, "reads for a while");
                _ = tab.ReadAsync(dice.From(1, dice.Pick(20, 200, 1500.0)));
                break;
            case ActionKind.Flush:
                _ = tab.FlushAsync();
                break;
        }
    }

    private Operation StartWrite(SimTab tab, WritePlan plan, bool isProbe = false)
    {
        var operation = NewOperation(tab, isProbe);
        Coverage.Hit(plan.IsExclusive ? "write exclusive" : "write");
        _ = tab.WriteAsync(operation, plan);
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
            case ActionKind.Hang or ActionKind.Freeze when !tab.IsStopped:
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
                PlanStoreFault(tab, dice);
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
        StoreOperation? operation = dice.Below(8) switch
        {
            0 => StoreOperation.RaiseEpoch,
            1 => StoreOperation.Read,
            2 => StoreOperation.Checkpoint,
            3 => StoreOperation.Open,
            4 => null,
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
            case ActionKind.ForgeLease:
                Announce("fault lease forged");
                Browser.WriteLease(Scope, Forge(dice));
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
        }
    }

    private void Announce(string fault)
    {
        Coverage.Hit(fault);
        Trace(null, fault);
    }

    private string Forge(Dice dice)
    {
        var some = _tabs.Count > 0 ? _tabs[dice.Below(_tabs.Count)].Coordinator.Id : default(TabId?);
        return dice.Below(5) switch
        {
            0 => "garbage",
            1 => new LeaseRecord(TabId.New(Clock), new Epoch(dice.Below(50)), dice.Below(9), Leading: true).ToText(),
            2 => new LeaseRecord(null, new Epoch(dice.Below(5)), 1).ToText(),
            3 => new LeaseRecord(some, new Epoch(dice.Below(100)), dice.Below(9), Leading: dice.Chance(0.5)).ToText(),
            _ => "{\"v\":99}",
        };
    }

    private void DeleteStore(bool isEvicted)
    {
        if (Medium.GetRecord(StoreRecordKind.Head, 0) is null) return;
        Announce(isEvicted ? "fault store evicted" : "fault store deleted");
        if (_life is not null) _life.IsOver = true;
        _life = null;
        if (isEvicted)
        {
            // Evicted without a word: the connections are lost, and an empty store is found afterwards.
            for (var marker = 0; marker < 5000 && Medium.Log.Count > 0; marker++) Medium.SetRecord(StoreRecordKind.Log, Medium.Log.First().Key, null);
            while (Medium.Extents.Count > 0) Medium.SetRecord(StoreRecordKind.Extent, Medium.Extents.First().Key, null);
            Medium.SetRecord(StoreRecordKind.Head, 0, null);
            Medium.Disconnect();
            return;
        }

        var eraser = new MemoryBlockStore(Medium);
        _ = eraser.OpenAsync(default).AsTask();
        _ = eraser.DeleteAsync(default).AsTask();
        _ = eraser.DisposeAsync().AsTask();
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

        var tab = new SimTab(this, slot, $"T{slot}{(char)('a' + _names++ % 26)}", _scenario.Drift == 0 ? 0 : _drift.From(-_scenario.Drift, _scenario.Drift));
        _slots[slot] = tab;
        _tabs.Add(tab);
        Trace(tab, "opens");
        _ = tab.OpenAsync();
    }

    public void Leave(SimTab tab, ActionKind how)
    {
        if (tab.IsGone) return;
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
            _ = tab.Pipeline.DisposeAsync().AsTask();
            _ = tab.Coordinator.DisposeAsync().AsTask();
        }
        else
        {
            tab.Platform.Close();
        }
    }

    public void Stop(SimTab tab, ActionKind how, double ms)
    {
        if (tab.IsGone || tab.IsStopped) return;
        tab.IsStopped = true;
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
        tab.IsStopped = false;
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
