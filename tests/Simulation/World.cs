using System.Globalization;
using System.Runtime.ExceptionServices;
using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Simulation;

/// <summary>A violation of what must always hold.</summary>
internal sealed record Violation(string Rule, string Message, double AtMs)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Rule} violated at {AtMs:0.000} ms: {Message}");
}

/// <summary>One run: the surroundings, the tabs, and what is done to them.</summary>
internal sealed partial class World : IDisposable
{
    public const string Scope = "app.db";
    private const double MaxEvents = 3_000_000;
    private static readonly TimeSpan LeaseTime = new CoordinationOptions().Lease;

    [ThreadStatic]
    private static World? _current;

    private readonly int _thread = Environment.CurrentManagedThreadId;
    private readonly Scenario _scenario;
    private readonly SimTab?[] _slots;
    private readonly List<SimTab> _tabs = [];
    private readonly List<string>? _trace;
    private readonly Dice _net, _control, _step, _grants;
    private readonly HashSet<string> _forged = [];
    private double _lockTroubleUntilMs;
    private readonly Dictionary<SimTab, double> _isolatedUntil = [];
    private (double UntilMs, double MaxMs, double Loss, double Copies) _storm, _controlStorm;
    private (double UntilMs, double MaxMs) _slowPages;
    private double _lastStepEndsMs;
    private readonly HashSet<long> _starts = [];
    private int _names;
    private int _operationCount;

    static World() => AppDomain.CurrentDomain.FirstChanceException += OnFirstChance;

    public World(Scenario scenario, bool traces = false)
    {
        _scenario = scenario;
        _trace = traces ? [] : null;
        _slots = new SimTab?[scenario.Tabs];
        var dice = new Dice(scenario.Seed ^ 0x5DEECE66D);
        (_net, _control, _step, Jitter, Ids) = (dice.Fork(1), dice.Fork(2), dice.Fork(3), dice.Fork(4), dice.Fork(5));
        Browser = new InMemoryBrowser(Clock, scenario.WebLocks)
        {
            StorageLag = TimeSpan.FromMilliseconds(scenario.StorageLagMs),
            Route = RouteControl,
            StepDelay = scenario.MaxStepMs > 0 || scenario.Actions.Any(a => a.Kind == ActionKind.SlowPages) ? DecideStep : null,
        };
        Bus = new SimBus(this);
        Store = new SimStore(this, dice.Fork(6)) { MaxMs = scenario.MaxStoreMs };
        _empty = ModelImage.MakeEmpty(scenario.OnDemandSlots == 0 ? ModelImage.InTwoExtents : ModelImage.InFourExtents);
        Options = new PipelineOptions
        {
            TurnDeadline = Ms(scenario.TurnDeadlineMs),
            ResendAfter = Ms(scenario.ResendMs),
            WriteTimeout = Ms(scenario.WriteTimeoutMs),
            CheckpointLogRecords = scenario.CheckpointRecords,
            AnnounceBytes = scenario.AnnounceBytes,
        };
        _drift = dice.Fork(7);
        _grants = dice.Fork(8);
    }

    /// <summary>The world that runs on this thread.</summary>
    public static World? Current => _current;

    public VirtualClock Clock { get; } = new();

    public InMemoryBrowser Browser { get; }

    public MemoryBlockMedium Medium { get; } = new();

    public SimBus Bus { get; }

    public SimStore Store { get; }

    public PipelineOptions Options { get; }

    public Coverage Coverage { get; } = new();

    public Dice Jitter { get; }

    public Dice Ids { get; }

    public Violation? Violation { get; private set; }

    public bool IsTracing => _trace is not null;

    public IReadOnlyList<string> TraceLines => _trace ?? [];

    public int Acknowledged { get; private set; }

    public int OperationCount => _operations.Count;

    public int DurableCount => _lives.Values.Sum(l => l.History.Count - 1 - l.Copied);

    private readonly Dice _drift;
    private bool _isQuiet;

    private IEnumerable<SimTab> LiveTabs => _tabs.Where(t => !t.IsGone);

    public static TimeSpan Ms(double ms) => TimeSpan.FromTicks((long)(ms * TimeSpan.TicksPerMillisecond));

    /// <summary>Runs the scenario to its end, or to the first violation.</summary>
    public Violation? Run()
    {
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        _current = this;
        try
        {
            foreach (var action in _scenario.Actions) Clock.At(action.AtMs, () => Do(action));
            RunUntil(_scenario.DurationMs);
            if (Violation is null) ComeToRest();
        }
        catch (Exception error)
        {
            Fail("unexpected exception", error.ToString());
        }
        finally
        {
            _current = null;
            SynchronizationContext.SetSynchronizationContext(context);
        }

        return Violation;
    }

    /// <summary>Everything happens on the thread that runs the world; anything else would be chance.</summary>
    public void CheckThread()
    {
        if (Environment.CurrentManagedThreadId != _thread) Fail("determinism", $"Another thread came in:\n{Environment.StackTrace}");
    }

    public void Fail(string rule, string message)
    {
        if (Violation is not null) return;
        Violation = new Violation(rule, message, Clock.NowMs);
        if (IsTracing) Trace(null, $"VIOLATION of {rule}: {message}");
    }

    /// <summary>Gets each line as it is traced, for a run that does not end.</summary>
    public Action<string>? Live { get; init; }

    public void Trace(SimTab? tab, string what)
    {
        if (_trace is null) return;
        _trace.Add(string.Create(CultureInfo.InvariantCulture, $"{Clock.NowMs,11:0.000} {tab?.Name ?? "",-5} {what}"));
        Live?.Invoke(_trace[^1]);
    }

    public void Dispose()
    {
        Browser.Dispose();
        foreach (var tab in _tabs)
        {
            // A crashed tab's pipeline never ends by itself; its instruments and memory would stay.
            _ = tab.Pipeline.DisposeAsync().AsTask();
            if (tab.IsOpen) tab.Pipeline.Storage.Dispose();
        }
    }

    private void RunUntil(double ms, Func<bool>? stop = null) => Clock.RunUntil(ms, () =>
    {
        if (Violation is null) AfterStep();
        if (Clock.Fired > MaxEvents) Fail("L1", "The run does not end: too many events.");
        return Violation is not null || stop?.Invoke() == true;
    });

    /// <summary>When a waiting tab gets the lock of one that is gone: so many ms late, or null for never.</summary>
    public double? DecideGrant()
    {
        if (_isQuiet || Clock.NowMs >= _lockTroubleUntilMs || _grants.Chance(0.2)) return 0;
        var isLost = _grants.Chance(0.5);
        Coverage.Hit(isLost ? "fault lock grant lost" : "fault lock grant late");
        return isLost ? null : _grants.From(1, 5000.0);
    }

    /// <summary>No tab lets the epoch of the record fall, neither when it claims nor when it releases.</summary>
    public void CheckLease(SimTab tab, string? before, string after)
    {
        if (before is null || _forged.Contains(before)) return;
        if (LeaseRecord.Read(before, out var old) != LeaseReading.Valid || LeaseRecord.Read(after, out var next) != LeaseReading.Valid) return;
        if (next.Epoch < old.Epoch) Fail("lease", $"{tab.Name} replaces the lease's epoch {old.Epoch} by {next.Epoch}.");
    }

    /// <summary>A leader acts only as long as its own lease lasts, counted from when it sent the renewal.</summary>
    public void CheckDeadline(SimTab tab)
    {
        if (tab.Page.RenewedAt is not { } at || tab.Clock.GetElapsedTime(at) > LeaseTime * (1 << tab.Page.RenewedPatience))
            Fail("lease", $"{tab.Name} appends and holds no lease{(tab.Page.RenewedAt is { } since ? $": it was renewed {tab.Clock.GetElapsedTime(since).TotalMilliseconds:0} ms ago" : "")}.");
    }

    private TimeSpan DecideStep()
    {
        var delayMs = _step.From(0, MaxStepMs);
        _lastStepEndsMs = Math.Max(_lastStepEndsMs, Clock.NowMs + delayMs);
        return Ms(delayMs);
    }

    /// <summary>The most that one step of a page takes at the moment.</summary>
    private double MaxStepMs => _isQuiet ? Math.Min(4, _scenario.MaxStepMs) : Clock.NowMs < _slowPages.UntilMs ? _slowPages.MaxMs : _scenario.MaxStepMs;

    private IReadOnlyList<TimeSpan> RouteControl(InMemoryMessage message)
    {
        if (_tabs.Exists(t => t.IsCached && t.Coordinator.Id == message.Receiver)) return [];
        if (_isQuiet) return [Ms(_control.From(0, 2.0))];
        var storm = Clock.NowMs < _controlStorm.UntilMs ? _controlStorm : (0, _scenario.MaxNetMs, 0, 0);
        if (_control.Chance(storm.Loss))
        {
            Coverage.Hit("fault control message lost");
            return [];
        }

        if (!_control.Chance(storm.Copies)) return [Ms(_control.From(0, storm.MaxMs))];
        Coverage.Hit("fault control message doubled");
        return [Ms(_control.From(0, storm.MaxMs)), Ms(_control.From(0, storm.MaxMs * 4))];
    }

    public Fate DecideFate(SimTab from, SimTab to)
    {
        if (to.IsCached)
        {
            Coverage.Hit("fault message to a cached tab lost");
            return new(true, 0, null);
        }

        if (_isQuiet) return new(false, _net.From(0.05, 2.0), null);
        if (Clock.NowMs < _isolatedUntil.GetValueOrDefault(from) || Clock.NowMs < _isolatedUntil.GetValueOrDefault(to))
        {
            Coverage.Hit("fault message lost in a partition");
            return new(true, 0, null);
        }

        var storm = Clock.NowMs < _storm.UntilMs ? _storm : (0, _scenario.MaxNetMs, 0, 0);
        if (_net.Chance(storm.Loss))
        {
            Coverage.Hit("fault message lost");
            return new(true, 0, null);
        }

        var delay = _net.From(0.05, Math.Max(0.1, storm.MaxMs));
        if (!_net.Chance(storm.Copies)) return new(false, delay, null);
        Coverage.Hit("fault message doubled");
        return new(false, delay, delay + _net.From(0, storm.MaxMs * 20));
    }

    private static void OnFirstChance(object? sender, FirstChanceExceptionEventArgs e)
    {
        // Assertions inside the code, wherever their exceptions end.
        if (_current is not { } world) return;
        var isBug = e.Exception switch
        {
            ObjectDisposedException disposed => disposed.ObjectName?.Contains("Extent", StringComparison.Ordinal) == true,
            InvalidOperationException or NullReferenceException or ArgumentException or KeyNotFoundException or IndexOutOfRangeException => true,
            _ => false,
        };
        if (isBug) world.Fail("assertion", $"{e.Exception.GetType().Name}: {e.Exception.Message}\n{Environment.StackTrace}");
    }
}
