using DataSync.Coordination;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Polly;
using Polly.Retry;

namespace DataSync.Storage;

/// <summary>
/// One tab's way from SQLite's transactions to durable commits, as leader or as follower, and the way back of other
/// tabs' commits into this tab's image.
/// </summary>
/// <remarks>
/// What holds (S1–S7 in docs/DESIGN.md), and where: the store refuses stale leaders; <see cref="LeaderSession"/> accepts
/// commits only on top of what it accepted before; this class lets no other tab's commit into the image before it is
/// durable (but for the holder of the write turn), tells a writer the outcome only when its image shows it, and settles
/// what is unknown by looking at the marker that the commit hoped for. Members may be called from any thread; in the
/// browser there is one. Continuations and events run outside of all locks, and never inside a call of SQLite.
/// </remarks>
internal sealed partial class CommitPipeline : IAsyncDisposable
{
    private readonly IBlockStore _store;
    private readonly ICommitChannel _channel;
    private readonly TabCoordinator _coordinator;
    private readonly PipelineOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly PipelineSources _sources;
    private readonly PipelineGate _gate;
    private readonly StorageMetrics _metrics;
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _opened;
    private BlockStorage? _storage;
    private CommitLedger? _ledger;
    private RecoveredStore? _recovered;
    private Guid _incarnation;
    private RecoveryOptions _recoveryOptions = new();
    private StorageException? _fault;
    private bool _closed;

    /// <summary>Makes a pipeline; <see cref="OpenAsync"/> starts it. It disposes store and channel, not the coordinator.</summary>
    /// <param name="store">Where commits become durable.</param>
    /// <param name="channel">Joins the tabs of this database.</param>
    /// <param name="coordinator">Elects the leader; not yet joined: <see cref="OpenAsync"/> joins it.</param>
    /// <param name="options">Null for the defaults; copied.</param>
    /// <param name="timeProvider">Null for the system's clock.</param>
    /// <param name="logger">Null for none.</param>
    public CommitPipeline(
        IBlockStore store, ICommitChannel channel, TabCoordinator coordinator, PipelineOptions? options = null,
        TimeProvider? timeProvider = null, ILogger? logger = null)
        : this(store, channel, coordinator, options, timeProvider, logger, PipelineSources.Default)
    {
    }

    internal CommitPipeline(
        IBlockStore store, ICommitChannel channel, TabCoordinator coordinator, PipelineOptions? options,
        TimeProvider? timeProvider, ILogger? logger, PipelineSources sources)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(channel);
        ArgumentNullException.ThrowIfNull(coordinator);
        (_store, _channel, _coordinator) = (store, channel, coordinator);
        _options = (options ?? new()).Copy();
        _time = timeProvider ?? TimeProvider.System;
        _logger = logger ?? NullLogger.Instance;
        _sources = sources;
        _gate = new PipelineGate(sources, OnCallbackFailed);
        _opened = _gate.NewCompletion();
        _metrics = new StorageMetrics(coordinator.Scope);
        (_resend, _read, _reopen) = (new(MakeResendPolicy), new(MakeReadPolicy), new(MakeReopenPolicy));
    }

    /// <summary>A commit of any tab became durable and is in this tab's image. Raised in the order of the markers.</summary>
    public event EventHandler<CommittedEventArgs>? Committed;

    /// <summary>The pipeline stopped for good; every later call fails with the same exception.</summary>
    public event EventHandler<StorageFaultedEventArgs>? Faulted;

    /// <summary>The database's bytes. Available once <see cref="OpenAsync"/> has completed.</summary>
    public BlockStorage Storage => _storage ?? throw new InvalidOperationException("The pipeline is not open.");

    /// <summary>The last durable commit in this tab's image.</summary>
    public Position Position => _storage?.Durable ?? Position.Start;

    /// <summary>What was found when the store was opened; null before.</summary>
    public RecoveryReport? RecoveryReport => _recovered?.Report;

    /// <summary>Log records that are not yet folded into extents, as far as this tab knows.</summary>
    public int LogRecords => _ledger?.LogRecords ?? 0;

    /// <summary>Bytes of <see cref="LogRecords"/>.</summary>
    public long LogBytes => _ledger?.LogBytes ?? 0;

    /// <summary>Why the pipeline stopped; null while it works.</summary>
    public StorageException? Fault => _fault;

    /// <summary>Whether this tab may write at this moment, and so may see what is accepted but not durable.</summary>
    internal bool HoldsTurn => _turn is { Number: > 0 } || _implicitTurn != 0;

    /// <summary>How many of this tab's commits have no outcome yet.</summary>
    internal int PendingCount => _pending.Count;

    private bool IsReadOnly => _recovered is { Report.IsCorrupt: true } && _recoveryOptions.Action == CorruptionAction.Report;

    /// <summary>
    /// Opens the store, loads the image, starts to listen, and joins the election. Returns when the image can be read;
    /// a leader may not be known yet.
    /// </summary>
    /// <exception cref="StorageException">The store cannot be opened or read; the message says why and what to do.</exception>
    public async Task OpenAsync(RecoveryOptions? recovery = null, CancellationToken cancellationToken = default)
    {
        _recoveryOptions = recovery ?? new();
        _coordinator.Elected = OnElectedAsync;
        _coordinator.LeadershipChanged += OnLeadershipChanged;
        _coordinator.MembersChanged += OnMembersChanged;
        _coordinator.Heartbeat += OnHeartbeat;
        _coordinator.Resumed += OnResumed;
        _channel.Received += OnReceived;
        _store.Closed += OnStoreClosed;
        try
        {
            var opening = _store.OpenAsync(cancellationToken).AsTask();
            var listening = _channel.OpenAsync(_coordinator.Id, cancellationToken).AsTask();
            await Task.WhenAll(opening, listening).ConfigureAwait(false);
            var loading = Recovery.LoadAsync(_store, await opening.ConfigureAwait(false), _recoveryOptions, cancellationToken).AsTask();

            // While it is read. The election needs no image; taking over waits for it (OnElectedAsync).
            var joined = _coordinator.JoinAsync(cancellationToken);
            var recovered = await loading.ConfigureAwait(false);
            _gate.Run(() => Install(recovered));
            await joined.ConfigureAwait(false);
        }
        catch (Exception error)
        {
            // A store that stops in between ends the election, too, which then fails for no reason of its own.
            var cause = _fault ?? error;
            _gate.Run(() => _opened.TrySetException(cause));
            _ = _opened.Task.Exception; // seen here; the election's wait for it may never come
            await DisposeAsync().ConfigureAwait(false);
            if (cause != error) throw cause;
            throw;
        }
    }

    /// <summary>
    /// Waits until every commit of this tab is durable. Fails with the first error of a commit that nobody awaited
    /// (a synchronous write on the leader) since the last call.
    /// </summary>
    public async Task FlushAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            var (waiter, error) = _gate.Run(() =>
            {
                ReleaseHeld();
                if (_pending.Count > 0) return (AddWaiter(_durableWaiters), null);
                var failed = _unobserved.FirstOrDefault();
                _unobserved.Clear();
                return ((TaskCompletionSource?)null, failed?.Error);
            });
            if (waiter is null)
            {
                ThrowIfUnusable();
                if (error is not null) throw error;
                return;
            }

            await waiter.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc cref="Recovery.VerifyAsync" path="//summary|//param[@name!='store']|//returns|//exception"/>
    public Task<RecoveryReport> VerifyAsync(
        RecoveryMode mode = RecoveryMode.Full, IProgress<RecoveryProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ThrowIfUnusable();
        if (cancellationToken.IsCancellationRequested) return Task.FromCanceled<RecoveryReport>(cancellationToken);
        return Recovery.VerifyAsync(_store, mode, progress, cancellationToken).AsTask();
    }

    /// <summary>Throws what keeps this pipeline from working; returns when nothing does.</summary>
    /// <exception cref="StorageException">The fault.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    public void ThrowIfUnusable()
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        if (_fault is { } fault) throw fault;
    }

    /// <summary>As <see cref="ThrowIfUnusable"/>, but for a store that was lost and came back empty: the image is still to be read.</summary>
    internal void ThrowIfUnreadable()
    {
        if (_fault is not StoreReplacedException { IsEmpty: true } || _closed) ThrowIfUnusable();
    }

    /// <summary>
    /// Stops. Commits on their way are not awaited (call <see cref="FlushAsync"/> first): their tasks fail with
    /// <see cref="StorageClosedException"/>, though a leader may still make them durable.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        if (_closed) return;
        _coordinator.LeadershipChanged -= OnLeadershipChanged;
        _coordinator.MembersChanged -= OnMembersChanged;
        _coordinator.Heartbeat -= OnHeartbeat;
        _coordinator.Resumed -= OnResumed;
        _channel.Received -= OnReceived;
        _store.Closed -= OnStoreClosed;
        _gate.Run(() =>
        {
            _closed = true;
            _session?.Close();
            _session = null;
            FailEverything(ClosedError());
        });
#pragma warning disable CA1849 // CancelAsync hops to the thread pool, which in the browser is a timer.
        _closing.Cancel();
#pragma warning restore CA1849
        await _channel.DisposeAsync().ConfigureAwait(false);
        await _store.DisposeAsync().ConfigureAwait(false);
        _closing.Dispose();
        _metrics.Dispose();
    }

    private static StorageClosedException ClosedError() => new(StoreClosedReason.Lost, "The database was closed. Open it again.");

    private void Install(RecoveredStore recovered)
    {
        _recovered = recovered;
        _incarnation = recovered.Head.Incarnation;
        (_granted, _head) = (recovered.Head.Epoch, HolderOf(recovered.Head));
        _ledger = new CommitLedger(recovered);
        _storage = new BlockStorage(this, recovered.Image, recovered.Head.Checksum, _coordinator.Id, _time, _sources.NewCommitId, _options.MaxCommitBytes);
        if (recovered.Report.IsCorrupt) Log.StoreDamaged(_logger, recovered.Report.Describe());
        Log.Opened(_logger, _coordinator.Scope, recovered.Report.Position.Marker, recovered.Report.Extents, recovered.Report.LogRecords);
        Post(CommitMessageKind.WhoLeads, m => m);
        _gate.Defer(() => _opened.TrySetResult());
    }

    /// <summary>Stops for good.</summary>
    private void FaultNow(StorageException error)
    {
        if (_fault is not null || _closed) return;
        _fault = error;
        Log.Faulted(_logger, _coordinator.Scope, error.Message);
        if (_session is not null)
        {
            _session.Close();
            _session = null;
        }

        FailEverything(error);

        // A tab that cannot reach the store must not keep others from leading. First: a handler may take its time.
        _gate.Defer(() => _ = _coordinator.DisposeAsync().AsTask());
        _gate.Raise(() => Handlers.Raise(Faulted, this, new StorageFaultedEventArgs(error), e => Log.HandlerFailed(_logger, nameof(Faulted), e)));
    }

    private RetryStrategyOptions MakeRetry(int attempts, TimeSpan delay)
    {
        var retry = new RetryStrategyOptions
        {
            MaxRetryAttempts = attempts,
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
            Delay = delay,
        };
        if (_sources.Jitter is { } jitter) retry.Randomizer = jitter;
        return retry;
    }

    private void Raise(CommitRecord commit)
    {
        _metrics.OnCommitted(commit);
        Raise(new CommittedEventArgs(commit.Position, commit.Writer, commit.Writer == _coordinator.Id, commit.BlockCount, commit.Bytes.Length));
    }

    private void Raise(CommittedEventArgs args) =>
        _gate.Raise(() => Handlers.Raise(Committed, this, args, e => Log.HandlerFailed(_logger, nameof(Committed), e)));

    private void OnCallbackFailed(Exception error) => Log.HandlerFailed(_logger, "a completion", error);
}

/// <summary>A commit that became durable.</summary>
public sealed class CommittedEventArgs(Position position, TabId writer, bool isLocal, int blocks, int bytes) : EventArgs
{
    /// <summary>Where the commit stands.</summary>
    public Position Position { get; } = position;

    /// <summary>The tab that wrote it.</summary>
    public TabId Writer { get; } = writer;

    /// <summary>Whether this tab wrote it.</summary>
    public bool IsLocal { get; } = isLocal;

    /// <summary>How many blocks it wrote.</summary>
    public int Blocks { get; } = blocks;

    /// <summary>Bytes of its record.</summary>
    public int Bytes { get; } = bytes;
}

/// <summary>Why a pipeline stopped.</summary>
public sealed class StorageFaultedEventArgs(StorageException error) : EventArgs
{
    /// <summary>What every later call fails with.</summary>
    public StorageException Error { get; } = error;
}
