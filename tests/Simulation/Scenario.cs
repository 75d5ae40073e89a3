using DataSync.Storage;

namespace DataSync.Simulation;

internal enum ActionKind
{
    // What applications do.
    Write,
    SyncWrite,
    Read,
    Sync,
    Flush,

    // What happens to tabs.
    Open,
    Crash,
    Close,
    Dispose,
    Hang,
    Freeze,
    Cache,
    Drain,
    Hide,
    Resign,
    RequestLeadership,

    // What happens to messages, storage and clocks.
    NetStorm,
    Partition,
    ControlStorm,
    StoreFault,
    Disconnect,
    QuotaWindow,
    SlowStore,
    DeleteStore,
    EvictStore,
    ReplaceStore,
    StrayAppend,
    ForgeLease,
    ClearLease,
    LeaseStorageFails,
    LockTrouble,
    WallJump,
    SlowPages,
    ForgeMessage,

    // What applications do where images load on demand.
    Load,
    LoadAll,
    LoadFault,
    LoadBehind,
}

/// <summary>One thing that is to happen; what it draws comes from its own seed, so that it stays the same when others are left out.</summary>
internal sealed record SimAction(double AtMs, ActionKind Kind, int Slot, ulong Seed)
{
    public bool IsWork => Kind is <= ActionKind.Flush or >= ActionKind.Load;

    public override string ToString() => $"{AtMs,9:0.00} ms  {Kind} slot {Slot}";
}

/// <summary>A run before it is run: the surroundings, and what happens when.</summary>
internal sealed record Scenario
{
    public required ulong Seed { get; init; }

    public required int Tabs { get; init; }

    public required bool WebLocks { get; init; }

    public required double StorageLagMs { get; init; }

    public required double MaxStepMs { get; init; }

    public required double MaxNetMs { get; init; }

    public required double MaxStoreMs { get; init; }

    public required double Drift { get; init; }

    public required int CheckpointRecords { get; init; }

    public required int AnnounceBytes { get; init; }

    public required double TurnDeadlineMs { get; init; }

    public required double ResendMs { get; init; }

    public required double WriteTimeoutMs { get; init; }

    /// <summary>One bit for each slot whose tabs defer their writes.</summary>
    public required int DeferredSlots { get; init; }

    public required double SyncIntervalMs { get; init; }

    public required int SyncBytes { get; init; }

    /// <summary>One bit for each slot whose tabs have no more in memory than <see cref="MaxBytes"/>.</summary>
    public int OnDemandSlots { get; init; }

    public long MaxBytes { get; init; }

    public required double DurationMs { get; init; }

    public required IReadOnlyList<SimAction> Actions { get; init; }

    /// <summary>Makes a run from a seed.</summary>
    /// <param name="seed">Decides everything.</param>
    /// <param name="focus">A kind of fault that comes more often than it would, for guards that only it puts to the test.</param>
    public static Scenario Generate(ulong seed, ActionKind? focus = null)
    {
        var dice = new Dice(seed * 0x9E3779B97F4A7C15 + 1);
        var tabs = dice.Pick(1, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7);
        var duration = dice.From(1000, dice.Chance(0.5) ? 4000 : 14000);
        var actions = new List<SimAction>();
        AddOpenings(dice.Fork(1), tabs, duration, actions);
        AddWork(dice.Fork(2), tabs, duration, actions);
        AddFaults(dice.Fork(3), tabs, duration, actions);
        for (var i = 0; focus is { } kind && i < 6; i++) actions.Add(new(dice.From(0, duration), kind, dice.Below(tabs), dice.Next()));

        // Dice of their own: seeds without them run as they always did.
        var residency = new Dice(seed * 0x9E3779B97F4A7C15 + 2);
        var onDemandSlots = residency.Chance(0.35) || focus >= ActionKind.Load ? residency.From(1, 127) | 1 << residency.Below(tabs) : 0;
        if (onDemandSlots != 0) AddLoads(residency.Fork(1), tabs, duration, actions);
        actions.Sort((a, b) => a.AtMs.CompareTo(b.AtMs));
        var turnDeadline = dice.Pick(100, 400, 1000, 5000);
        return new Scenario
        {
            Seed = seed,
            Tabs = tabs,
            WebLocks = dice.Chance(0.8),
            StorageLagMs = dice.Chance(0.4) ? dice.From(0, 400.0) : 0,
            MaxStepMs = dice.Pick(0, 0.5, 4, 20),
            MaxNetMs = dice.Pick(0.3, 1, 5, 40),
            MaxStoreMs = dice.Pick(0, 0.5, 3, 15, 60),
            Drift = dice.Chance(0.3) ? 0.01 : 0,
            CheckpointRecords = dice.Pick(1, 2, 3, 6, 10, 30),
            AnnounceBytes = dice.Pick(0, 4000, 9000, 262144, 262144, 262144),
            TurnDeadlineMs = turnDeadline,
            ResendMs = dice.Pick(30, 200, 500, 500),
            WriteTimeoutMs = turnDeadline + dice.Pick(2000, 6000, 10000, 25000),
            DurationMs = duration,
            Actions = actions,
            DeferredSlots = dice.Chance(0.4) ? dice.From(1, 127) | 1 << dice.Below(tabs) : 0,
            SyncIntervalMs = dice.Pick(10, 100, 700, 2000),
            SyncBytes = dice.Pick(4096, 20_000, 100_000, 2 << 20),
            OnDemandSlots = onDemandSlots,
            MaxBytes = residency.Pick(1L, 1, 2 * Extent.MaxRecordSize, 3 * Extent.MaxRecordSize),
        };
    }

    /// <summary>How a tab of this slot defers its writes; null when it does not.</summary>
    public SyncPolicy? PolicyOf(int slot) => (DeferredSlots >> slot & 1) == 0 ? null : new SyncPolicy
    {
        Interval = World.Ms(SyncIntervalMs),
        Debounce = World.Ms(Math.Max(1, SyncIntervalMs / (1 + (long)(Seed % 4) * 5))),
        DirtyBytes = SyncBytes,
        DirtyBlocks = Seed % 3 == 0 ? 8 : 512,
        BackpressureBytes = SyncBytes * (1 + (long)(Seed % 2) * 3),
    };

    public Residency ResidencyOf(int slot) => (OnDemandSlots >> slot & 1) == 0 ? Residency.Full : Residency.OnDemand(MaxBytes);

    private static void AddLoads(Dice dice, int tabs, double duration, List<SimAction> actions)
    {
        var work = actions.Where(a => a.IsWork).ToList();
        for (var i = dice.From(0, 16); i > 0; i--)
        {
            // Most where others write: what is read then is renewed by a checkpoint before it comes in.
            var at = work.Count > 0 && dice.Chance(0.7) ? work[dice.Below(work.Count)].AtMs + dice.From(0, dice.Pick(1, 10, 100.0)) : dice.From(0, duration);
            actions.Add(new(at, dice.Pick(ActionKind.Load, ActionKind.LoadAll, ActionKind.LoadFault, ActionKind.LoadBehind), dice.Below(tabs), dice.Next()));
        }
    }

    private static void AddOpenings(Dice dice, int tabs, double duration, List<SimAction> actions)
    {
        var at = 0.0;
        var late = dice.Chance(0.3);
        for (var slot = 0; slot < tabs; slot++)
        {
            at += dice.From(3, late ? duration / tabs : 80.0);
            actions.Add(new(at, ActionKind.Open, slot, dice.Next()));
        }
    }

    private static void AddWork(Dice dice, int tabs, double duration, List<SimAction> actions)
    {
        var bursts = dice.From(2, 14);
        var syncs = dice.Chance(0.4);
        for (var burst = 0; burst < bursts; burst++)
        {
            var at = dice.From(20, duration);
            var gap = dice.Pick(0, 0.1, 1, 8, 60);
            var count = dice.From(1, 8);
            var one = dice.Chance(0.4) ? dice.Below(tabs) : -1;
            for (var i = 0; i < count; i++)
            {
                var slot = one >= 0 ? one : dice.Below(tabs);
                var kind = dice.Below(12) switch { 0 => ActionKind.Read, 1 when syncs => ActionKind.SyncWrite, 2 when syncs => ActionKind.Flush, 3 when syncs => ActionKind.Sync, _ => ActionKind.Write };
                actions.Add(new(at, kind, slot, dice.Next()));
                at += gap * dice.Fraction();
            }
        }
    }

    private static void AddFaults(Dice dice, int tabs, double duration, List<SimAction> actions)
    {
        // A run with every fault at once is a run in which little happens besides: each seed has its own few kinds.
        var kinds = Enum.GetValues<ActionKind>().Where(k => k is > ActionKind.Flush and < ActionKind.Load && IsEnabled(k, dice)).ToList();
        if (kinds.Count == 0) return;
        var count = dice.From(0, dice.Pick(3, 10, 25));
        var work = actions.Where(a => a.IsWork).ToList();
        for (var i = 0; i < count; i++)
        {
            var kind = kinds[dice.Below(kinds.Count)];

            // Many faults come where something is going on.
            var at = work.Count > 0 && dice.Chance(0.6) ? work[dice.Below(work.Count)].AtMs + dice.From(0, dice.Pick(1, 10, 100.0)) : dice.From(0, duration);
            actions.Add(new(at, kind, dice.Below(tabs), dice.Next()));
        }
    }

    private static bool IsEnabled(ActionKind kind, Dice dice) => dice.Chance(kind switch
    {
        ActionKind.DeleteStore or ActionKind.EvictStore or ActionKind.ReplaceStore => 0.06,
        ActionKind.StrayAppend => 0.1,
        ActionKind.StoreFault => 0.6,
        ActionKind.Open or ActionKind.Crash or ActionKind.Hang => 0.45,
        _ => 0.25,
    });
}
