using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.Logging;

namespace DataSync.Simulation;

/// <summary>One tab: the real coordinator, pipeline and database files over simulated surroundings, and an application that reads and writes.</summary>
internal sealed partial class SimTab : ILogger
{
    private const int MaxAttempts = 40;
    private readonly World _world;
    private readonly TabRig _rig;
    private readonly List<TaskCompletionSource> _waitForReaders = [];
    private readonly List<Operation> _unflushed = [];
    private SimConnection? _reader, _writer;
    private (Operation? Operation, Position Base, ModelImage Image)? _sealing;
    private int _readers;
    private int _commits;
    private bool _flushing;

    public SimTab(World world, int slot, string name, double drift, SyncPolicy? deferred, Residency residency)
    {
        (_world, Slot, Name, _residency) = (world, slot, name, residency);
        var platform = world.Browser.OpenTab();
        Inner = new MemoryBlockStore(world.Medium);
        Page = new SimPlatform(world, this, platform);
        _rig = new TabRig(
            World.Scope, platform, Inner, world.Bus.CreateChannel(this), world.Options, Page,
            drift == 0 ? null : new DriftingClock(platform.Clock, 1 + drift), this, world.Jitter.Fraction, NewCommitId);
        Store.Before = call => world.Store.BeforeAsync(this, call);
        Store.After = call => world.Store.AfterAsync(this, call);
        Pipeline.Committed += OnCommitted;
        Pipeline.Faulted += (_, e) => world.OnFaulted(this, e.Error);
        Triggers = new SimTriggers(Clock);
        Policy = deferred ?? new SyncPolicy();
        Sync = new AutoSyncManager(
            Pipeline, World.Scope, deferred is null ? Durability.Immediate : Durability.Deferred, Policy, Triggers, this, MaxAttempts);
        WatchSyncs();
        Pipeline.StatementRunner = RunStatements;
    }

    public int Slot { get; }

    public string Name { get; }

    public InMemoryTabPlatform Platform => _rig.Platform;

    public SimPlatform Page { get; }

    /// <summary>The tab's own clock, which may drift.</summary>
    public TimeProvider Clock => _rig.Clock;

    public TabCoordinator Coordinator => _rig.Coordinator;

    public MemoryBlockStore Inner { get; }

    public FaultyBlockStore Store => _rig.Store;

    public CommitPipeline Pipeline => _rig.Pipeline;

    public AutoSyncManager Sync { get; }

    public SimTriggers Triggers { get; }

    public SyncPolicy Policy { get; }

    public bool IsDeferred => Sync.Durability == Durability.Deferred;

    /// <summary>Crashed, closed or disposed.</summary>
    public bool IsGone { get; set; }

    public bool IsStopped { get; set; }

    /// <summary>Stopped in the back/forward cache: no message reaches it.</summary>
    public bool IsCached { get; set; }

    public bool IsOpen { get; private set; }

    public StorageException? Fault => Pipeline.Fault;

    public StoreLife? Life { get; set; }

    /// <summary>What the checker saw last: checked again only after a change.</summary>
    public (Position Durable, Position Top, long Generation, int Chain, bool Idle, bool Turn, bool Batch) Seen { get; set; }

    public long CommittedMarker { get; private set; }

    public int Holding { get; private set; }

    /// <summary>Whether this tab works as far as it can know.</summary>
    public bool IsUsable => !IsGone && IsOpen && Fault is null;

    public async Task OpenAsync()
    {
        try
        {
            await Pipeline.OpenInPartAsync(null, _residency, default);
            var locks = new VfsLock(Pipeline.Storage);
            (_reader, _writer) = (new SimConnection(World.Scope, Pipeline.Storage, locks, this), new SimConnection(World.Scope, Pipeline.Storage, locks, this));
            await Sync.StartAsync(default);
            Coordinator.Heartbeat += (_, _) => Sync.MaybeAutoSync();
            IsOpen = true;
            CommittedMarker = Pipeline.Position.Marker;
            Trace($"is open at {_world.Describe(Pipeline.Position)}{(IsDeferred ? ", its writes are deferred" : "")}");
        }
        catch (Exception error) when (error is StorageException or OperationCanceledException or CoordinationException or SimStoreException)
        {
            _world.Coverage.Hit("open failed");
            Trace($"could not open: {error.Message}");
            _world.Leave(this, ActionKind.Close);
        }
    }

    public Task WriteAsync(Operation operation, WritePlan plan) => GuardAsync(operation, async () =>
    {
        using var cancellation = plan.CancelAfterMs > 0 ? new CancellationTokenSource(World.Ms(plan.CancelAfterMs), Clock) : null;
        await WriteAsync(operation, plan, cancellation?.Token ?? default);
    });

    /// <summary>Whatever a write ends with, the application learns it.</summary>
    private async Task GuardAsync(Operation operation, Func<Task> write)
    {
        try
        {
            await write();
        }
        catch (StorageException error) when (error is NoLeaderException or StorageClosedException || Fault is not null)
        {
            _world.End(operation, operation.WasSent || operation.Commits.Exists(c => !c.IsDead) ? OperationState.Unknown : OperationState.Failed, error.GetType().Name);
        }
        catch (StorageException error)
        {
            if (error is NotResidentException or CorruptStoreException) _world.Fail("residency", $"{Name} op {operation.Number}: {error}");
            _world.End(operation, OperationState.Failed, error.GetType().Name);
        }
        catch (OperationCanceledException)
        {
            _world.End(operation, OperationState.Failed, "cancelled");
        }
        catch (WorkFailedException error)
        {
            _world.End(operation, OperationState.Failed, error.Message);
        }
        catch (ObjectDisposedException error) when (error.ObjectName?.Contains("Extent", StringComparison.Ordinal) != true)
        {
            _world.End(operation, operation.WasSent || operation.Commits.Exists(c => !c.IsDead) ? OperationState.Unknown : OperationState.Failed, "disposed");
        }
        catch (Exception error)
        {
            _world.Fail("unexpected exception", $"{Name} op {operation.Number}: {error}");
        }
    }

    private async Task WriteAsync(Operation operation, WritePlan plan, CancellationToken cancellationToken)
    {
        using var admission = Sync.Admit();
        if (plan.AsStatements && !IsDeferred && await TrySendAsync(operation, plan, cancellationToken)) return;
        using var loading = NewLoading();
        for (var attempt = 1; attempt <= MaxAttempts; attempt++)
        {
            var turn = await Sync.BeginWriteAsync(plan.IsExclusive || attempt > 2, cancellationToken);
            var before = operation.Commits.Count;
            string? refusal;
            try
            {
                if (plan.ThinkMs > 0) await HoldAsync(plan.ThinkMs);
                refusal = await RunAsync(operation, plan);
            }
            catch (NotResidentException) when (loading.HasMissed)
            {
                turn.Abandon();
                turn.Dispose();
                await loading.LoadAsync(cancellationToken);
                attempt--;
                continue;
            }
            catch
            {
                turn.Abandon();
                throw;
            }
            finally
            {
                turn.Dispose();
            }

            if (refusal is not null)
            {
                _world.Coverage.Hit("batch refused");
                Trace($"op {operation.Number} refused: {refusal}");
                continue;
            }

            var outcome = await turn.Outcome;
            if (!outcome.IsStale)
            {
                _world.Acknowledge(operation, before < operation.Commits.Count ? outcome.Position : null);
                return;
            }

            _world.OnStale(operation);
        }

        throw new StaleCommitException(MaxAttempts);
    }

    /// <summary>One transaction that takes time, as SQLite would do it.</summary>
    private async Task<string?> RunAsync(Operation operation, WritePlan plan)
    {
        while (_readers > 0)
        {
            // As SQLite does: a writer waits until this tab's readers are gone.
            _world.Coverage.Hit("writer waits for a reader");
            var gone = new TaskCompletionSource();
            _waitForReaders.Add(gone);
            await gone.Task;
        }

        if (TryBegin(operation, plan, isWork: true) is { } refusal) return refusal;
        if (plan.HoldMs > 0)
        {
            _world.Coverage.Hit("transaction held open");
            await HoldAsync(plan.HoldMs);
        }

        Finish(operation, plan);
        return null;
    }

    private string? TryBegin(Operation operation, WritePlan plan, bool isWork = false)
    {
        var storage = Pipeline.Storage;
        if (_writer!.TryBegin() is { } refusal) return refusal;
        if (isWork) Pipeline.BeginWork(); // before it may fail: what another connection wrote in this slot stays
        _world.CheckImage(this, "at the start of a transaction");
        var image = _world.ImageAt(storage.Top).Copy();
        OrRollBack(() =>
        {
            CheckPages(_writer, image, "at the start of a transaction", Needs(plan.Reads));
            _sealing = (operation, storage.Top, image);
            plan.First(_writer, image, operation.Number);
        });
        return null;
    }

    private void Finish(Operation operation, WritePlan plan)
    {
        OrRollBack(() => plan.Second(_writer!, _sealing!.Value.Image, operation.Number));
        if (plan.RollsBack)
        {
            _world.Coverage.Hit("transaction rolled back");
            _writer!.Rollback();
            _sealing = null;
            throw new WorkFailedException("rolled back");
        }

        _writer!.Commit();
        _sealing = null;
        if (!plan.FailsLate) return;
        _world.Coverage.Hit("work failed behind its commit");
        throw new WorkFailedException("failed behind its commit");
    }

    private void CheckPages(SimConnection connection, ModelImage image, string when, int[]? only)
    {
        if (connection.Compare(image, only) is { } difference) _world.Fail("S5", $"{Name} {when}: SQLite sees {difference}");
    }

    /// <summary>A write that nobody awaits, as from synchronous code; only the leader may.</summary>
    public void WriteAtOnce(Operation operation, WritePlan plan)
    {
        if (_readers > 0 || Pipeline.Storage.InBatch)
        {
            _world.End(operation, OperationState.Failed, "busy");
            return;
        }

        string? refusal = null;
        try
        {
            refusal = TryBegin(operation, plan);
            if (refusal is null) Finish(operation, plan);
        }
        catch (Exception error) when (error is WorkFailedException or NotResidentException)
        {
            // It was rolled back.
        }

        _world.Coverage.Hit(refusal is null ? "synchronous write" : "synchronous write refused");
        if (refusal is not null || operation.Commits.Count == 0)
        {
            _world.End(operation, OperationState.Failed, refusal is null ? "nothing written" : "refused");
            return;
        }

        operation.IsUnflushed = true;
        _unflushed.Add(operation);
    }

    /// <summary>After a flush without an error, everything that was written before it is durable.</summary>
    public async Task FlushAsync()
    {
        if (_flushing) return;
        _flushing = true;
        var flushed = _unflushed.ToList();
        var deferred = Deferred;
        _unflushed.Clear();
        foreach (var operation in flushed) operation.IsUnflushed = false;
        try
        {
            await Sync.ForceSyncAsync();
            foreach (var operation in flushed) _world.Acknowledge(operation, new Position(operation.Commits[^1].Base.Marker + 1, operation.Commits[^1].Id));
            _world.OnSynced(deferred, "ForceSyncAsync");
        }
        catch (Exception error) when (error is StorageException or ObjectDisposedException or WorkFailedException or OperationCanceledException)
        {
            // One of them failed, or one that was written meanwhile; which, it does not say.
            Trace($"a flush failed: {error.Message}");
            flushed.AddRange(_unflushed);
            _unflushed.Clear();
            foreach (var operation in flushed) _world.End(operation, OperationState.Unknown, error.GetType().Name);
        }

        _flushing = false;
    }

    public void Trace(string what)
    {
        if (_world.IsTracing) _world.Trace(this, what);
    }

    public Task DelayAsync(double ms)
    {
        var passed = new TaskCompletionSource();
        Platform.Clock.CreateTimer(_ => passed.TrySetResult(), null, World.Ms(ms), Timeout.InfiniteTimeSpan);
        return passed.Task;
    }

    private async Task HoldAsync(double ms)
    {
        Holding++;
        await DelayAsync(ms);
        Holding--;
    }

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    bool ILogger.IsEnabled(LogLevel logLevel) => true;

    void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        _world.Coverage.Hit($"log {eventId.Id} {eventId.Name}");
        if (_world.IsTracing) _world.Trace(this, $"logs: {formatter(state, exception)}{(exception is null ? "" : $" ({exception.GetType().Name}: {exception.Message})")}");
    }

    private CommitId NewCommitId()
    {
        var id = new CommitId(_world.Ids.NextGuid());
        if (_sealing is { } sealing) _world.OnSealed(this, id, ++_commits, sealing.Operation, sealing.Base, sealing.Image);
        return id;
    }

    private void OnCommitted(object? sender, CommittedEventArgs e)
    {
        Trace($"shows {_world.Describe(e.Position)}");
        if (e.Position.Marker < CommittedMarker || (e.Position.Marker == CommittedMarker && e.Writer != default))
            _world.Fail("S5", $"{Name}: Committed was raised for {e.Position.Marker} after {CommittedMarker}");
        CommittedMarker = e.Position.Marker;
    }
}

/// <summary>What the application's own work ends with.</summary>
internal sealed class WorkFailedException(string message) : Exception(message);
