using System.Buffers.Binary;
using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;

namespace DataSync.Simulation;

/// <summary>One tab: the real coordinator and pipeline over simulated surroundings, and an application that reads and writes.</summary>
internal sealed class SimTab : ILogger
{
    private const int MaxAttempts = 40;
    private readonly World _world;
    private readonly TimeProvider _clock;
    private readonly List<TaskCompletionSource> _waitForReaders = [];
    private readonly List<Operation> _unflushed = [];
    private (Operation? Operation, Position Base, ModelImage Image)? _sealing;
    private int _readers;
    private int _commits;
    private bool _flushing;

    public SimTab(World world, int slot, string name, double drift)
    {
        (_world, Slot, Name) = (world, slot, name);
        Platform = world.Browser.OpenTab();
        _clock = drift == 0 ? Platform.Clock : new DriftingClock(Platform.Clock, 1 + drift);
        Coordinator = new TabCoordinator(Platform, new CoordinationOptions { Scope = World.Scope }, _clock, this);
        Inner = new MemoryBlockStore(world.Medium);
        Store = new FaultyBlockStore(Inner) { Before = call => world.Store.BeforeAsync(this, call), After = call => world.Store.AfterAsync(this, call) };
        Pipeline = new CommitPipeline(Store, world.Bus.CreateChannel(this), Coordinator, world.Options, _clock, this, new PipelineSources
        {
            NewCommitId = NewCommitId,
            Jitter = world.Jitter.Fraction,
            Later = action => Platform.Clock.CreateTimer(_ => action(), null, TimeSpan.Zero, Timeout.InfiniteTimeSpan),
        });
        Pipeline.Committed += OnCommitted;
        Pipeline.Faulted += (_, e) => world.OnFaulted(this, e.Error);
    }

    public int Slot { get; }

    public string Name { get; }

    public InMemoryTabPlatform Platform { get; }

    public TabCoordinator Coordinator { get; }

    public MemoryBlockStore Inner { get; }

    public FaultyBlockStore Store { get; }

    public CommitPipeline Pipeline { get; }

    /// <summary>Crashed, closed or disposed.</summary>
    public bool IsGone { get; set; }

    public bool IsStopped { get; set; }

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
            await Pipeline.OpenAsync();
            IsOpen = true;
            CommittedMarker = Pipeline.Position.Marker;
            Trace($"is open at {_world.Describe(Pipeline.Position)}");
        }
        catch (Exception error) when (error is StorageException or OperationCanceledException or CoordinationException or SimStoreException)
        {
            _world.Coverage.Hit("open failed");
            Trace($"could not open: {error.Message}");
            _world.Leave(this, ActionKind.Close);
        }
    }

    public async Task WriteAsync(Operation operation, WritePlan plan)
    {
        try
        {
            using var cancellation = plan.CancelAfterMs > 0 ? new CancellationTokenSource(World.Ms(plan.CancelAfterMs), _clock) : null;
            await WriteAsync(operation, plan, cancellation?.Token ?? default);
        }
        catch (StorageException error) when (error is NoLeaderException or StorageClosedException || Fault is not null)
        {
            _world.End(operation, operation.Commits.Exists(c => !c.IsDead) ? OperationState.Unknown : OperationState.Failed, error.GetType().Name);
        }
        catch (StorageException error)
        {
            _world.End(operation, OperationState.Failed, error.GetType().Name);
        }
        catch (OperationCanceledException)
        {
            _world.End(operation, OperationState.Failed, "cancelled");
        }
        catch (WorkFailedException)
        {
            _world.End(operation, OperationState.Failed, "rolled back");
        }
        catch (ObjectDisposedException error) when (error.ObjectName?.Contains("Extent", StringComparison.Ordinal) != true)
        {
            _world.End(operation, operation.Commits.Exists(c => !c.IsDead) ? OperationState.Unknown : OperationState.Failed, "disposed");
        }
        catch (Exception error)
        {
            _world.Fail("unexpected exception", $"{Name} op {operation.Number}: {error}");
        }
    }

    private async Task WriteAsync(Operation operation, WritePlan plan, CancellationToken cancellationToken)
    {
        for (var attempt = 1; attempt <= MaxAttempts; attempt++)
        {
            var turn = await Pipeline.BeginWriteAsync(plan.IsExclusive || attempt > 2, cancellationToken);
            var before = operation.Commits.Count;
            string? refusal;
            try
            {
                if (plan.ThinkMs > 0) await HoldAsync(plan.ThinkMs);
                refusal = await RunAsync(operation, plan);
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

    /// <summary>One transaction, as SQLite would do it: it holds its read and its batch until it is over.</summary>
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

        var storage = Pipeline.Storage;
        storage.EnterRead();
        try
        {
            if (storage.TryBeginBatch() is { } refusal) return refusal;
            _world.CheckImage(this, "at the start of a transaction");
            var image = _world.ImageAt(storage.Top).Copy();
            _sealing = (operation, storage.Top, image);
            plan.First(storage, image, operation.Number);
            if (plan.HoldMs > 0)
            {
                _world.Coverage.Hit("transaction held open");
                await HoldAsync(plan.HoldMs);
            }

            plan.Second(storage, image, operation.Number);
            if (plan.RollsBack)
            {
                _world.Coverage.Hit("transaction rolled back");
                storage.RollbackBatch();
                _sealing = null;
                throw new WorkFailedException();
            }

            storage.CommitBatch();
            _sealing = null;
            return null;
        }
        finally
        {
            storage.ExitRead();
        }
    }

    /// <summary>A write that nobody awaits, as from synchronous code; only the leader may.</summary>
    public void WriteAtOnce(Operation operation, WritePlan plan)
    {
        var storage = Pipeline.Storage;
        if (_readers > 0 || storage.InBatch)
        {
            _world.End(operation, OperationState.Failed, "busy");
            return;
        }

        storage.EnterRead();
        var refusal = storage.TryBeginBatch();
        if (refusal is null)
        {
            _world.CheckImage(this, "at the start of a synchronous transaction");
            var image = _world.ImageAt(storage.Top).Copy();
            _sealing = (operation, storage.Top, image);
            plan.First(storage, image, operation.Number);
            plan.Second(storage, image, operation.Number);
            if (plan.RollsBack) storage.RollbackBatch();
            else storage.CommitBatch();
            _sealing = null;
        }

        storage.ExitRead();
        _world.Coverage.Hit(refusal is null ? "synchronous write" : "synchronous write refused");
        if (refusal is not null || operation.Commits.Count == 0) _world.End(operation, OperationState.Failed, refusal is null ? "nothing written" : "refused");
        else
        {
            operation.IsUnflushed = true;
            _unflushed.Add(operation);
        }
    }

    /// <summary>After a flush without an error, every synchronous write before it is durable.</summary>
    public async Task FlushAsync()
    {
        if (_flushing) return;
        _flushing = true;
        var flushed = _unflushed.ToList();
        _unflushed.Clear();
        foreach (var operation in flushed) operation.IsUnflushed = false;
        try
        {
            await Pipeline.FlushAsync();
            foreach (var operation in flushed) _world.Acknowledge(operation, new Position(operation.Commits[^1].Base.Marker + 1, operation.Commits[^1].Id));
        }
        catch (Exception error) when (error is StorageException or ObjectDisposedException)
        {
            // One of them failed, or one that was written meanwhile; which, it does not say.
            flushed.AddRange(_unflushed);
            _unflushed.Clear();
            foreach (var operation in flushed) _world.End(operation, OperationState.Unknown, error.GetType().Name);
        }

        _flushing = false;
    }

    public async Task ReadAsync(double ms)
    {
        var storage = Pipeline.Storage;
        if (storage.InBatch) return;
        _readers++;
        storage.EnterRead();
        var (top, image) = (storage.Top, _world.ImageAt(storage.Top));
        _world.CheckImage(this, "at the start of a read");
        await HoldAsync(ms);
        if (storage.Top != top) _world.Fail("S5", $"{Name}: the image moved from {_world.Describe(top)} to {_world.Describe(storage.Top)} under a reader");
        else if (image.Compare(storage) is { } difference) _world.Fail("S5", $"{Name}: the image changed under a reader: {difference}");
        _readers--;
        storage.ExitRead();
        if (_readers > 0) return;
        var waiting = _waitForReaders.ToList();
        _waitForReaders.Clear();
        foreach (var one in waiting) one.TrySetResult();
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

internal sealed class WorkFailedException : Exception;

/// <summary>What one transaction does; the same to the database and to the reference.</summary>
internal sealed class WritePlan
{
    private readonly ulong _seed;

    public WritePlan(ulong seed)
    {
        var dice = new Dice(seed);
        IsExclusive = dice.Chance(0.3);
        RollsBack = dice.Chance(0.06);
        HoldMs = dice.Chance(0.15) ? dice.From(0.1, dice.Pick(2, 50, 700.0)) : 0;
        ThinkMs = dice.Chance(0.1) ? dice.From(0.1, dice.Pick(2, 50, 300.0)) : 0;
        CancelAfterMs = dice.Chance(0.05) ? dice.From(0.1, dice.Pick(2, 50, 700.0)) : 0;
        _seed = dice.Next();
    }

    public bool IsExclusive { get; init; }

    public bool RollsBack { get; init; }

    public double HoldMs { get; init; }

    public double ThinkMs { get; init; }

    public double CancelAfterMs { get; init; }

    /// <summary>Counts up in block 0 and appends the operation's number to the list behind the count.</summary>
    public void First(BlockStorage storage, ModelImage image, int operation)
    {
        Span<byte> number = stackalloc byte[8];
        storage.Read(0, number);
        var count = BinaryPrimitives.ReadInt64LittleEndian(number);
        BinaryPrimitives.WriteInt64LittleEndian(number, count + 1);
        Write(storage, image, 0, number);
        BinaryPrimitives.WriteInt64LittleEndian(number, operation);
        Write(storage, image, 8 + count % 1000 * 8, number);
    }

    public void Second(BlockStorage storage, ModelImage image, int operation)
    {
        var dice = new Dice(_seed);
        for (var i = dice.From(0, 3); i > 0; i--)
        {
            var block = ModelImage.BlockIds[dice.From(1, ModelImage.BlockIds.Length - 1)];
            switch (dice.Below(8))
            {
                case 0:
                    var size = (long)block * Extent.BlockSize + (dice.Chance(0.2) ? dice.Below(Extent.BlockSize) : 0);
                    storage.Truncate(size);
                    image.Truncate(size);
                    break;
                case 1:
                    // Across the border of two blocks, where both are kept.
                    var at = (long)(block is 6 or 66 ? block - 1 : block) * Extent.BlockSize + Extent.BlockSize - 20;
                    Write(storage, image, at, Pattern(operation, i, 40));
                    break;
                default:
                    Write(storage, image, (long)block * Extent.BlockSize, Pattern(operation, i, Extent.BlockSize));
                    break;
            }
        }
    }

    private static byte[] Pattern(int operation, int salt, int length)
    {
        var bytes = new byte[length];
        for (var i = 0; i + 4 <= length; i += 4) BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i), operation << 8 | salt + 1);
        return bytes;
    }

    private static void Write(BlockStorage storage, ModelImage image, long offset, ReadOnlySpan<byte> bytes)
    {
        storage.Write(offset, bytes);
        image.Write(offset, bytes);
    }
}
