using DataSync.Coordination;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Storage;

/// <summary>
/// One tab's way from SQLite's transactions to durable commits, as leader or as follower, and the way back of all tabs' commits into
/// this tab's image. This class joins the parts; each owns its own state, and the constructor shows all that flows between them.
/// </summary>
/// <remarks>
/// What holds (S1–S7 in docs/DESIGN.md), and where: the store refuses stale leaders; <see cref="LeaderSession"/> accepts
/// commits only on top of what it accepted before; <see cref="ImageFollower"/> lets no other tab's commit into the image before it is
/// durable (but for the holder of the write turn); <see cref="Outbox"/> tells a writer the outcome only when the image shows it, and
/// settles what is unknown by looking at the marker that the commit hoped for. Members may be called from any thread; in the
/// browser there is one. Continuations and events run outside of all locks, and never inside a call of SQLite.
/// </remarks>
internal sealed partial class CommitPipeline : IAsyncDisposable
{
    private readonly IBlockStore _store;
    private readonly ICommitChannel _channel;
    private readonly TabCoordinator _coordinator;
    private readonly PipelineCore _core;
    private readonly ImageFollower _image;
    private readonly StoreLink _link;
    private readonly ExtentLoader _extents;
    private readonly Peers _peers;
    private readonly Leadership _leadership;
    private readonly LeaderRoute _route;
    private readonly Outbox _outbox;
    private readonly WriteSlots _slots;
    private readonly ReadChecks _reads;
    private readonly CopyKeeper _copy;
    private readonly TaskCompletionSource _opened;

    /// <summary>Makes a pipeline; <see cref="OpenAsync"/> starts it. It disposes store and channel, not the coordinator.</summary>
    /// <param name="store">Where commits become durable.</param>
    /// <param name="channel">Joins the tabs of this database.</param>
    /// <param name="coordinator">Elects the leader; not yet joined: <see cref="OpenAsync"/> joins it.</param>
    /// <param name="options">Null for the defaults; copied.</param>
    /// <param name="timeProvider">Null for the system's clock.</param>
    /// <param name="logger">Null for none.</param>
    /// <param name="sources">Null for chance and threads as they are; a simulation gives its own.</param>
    public CommitPipeline(
        IBlockStore store, ICommitChannel channel, TabCoordinator coordinator, PipelineOptions? options = null,
        TimeProvider? timeProvider = null, ILogger? logger = null, PipelineSources? sources = null)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(channel);
        ArgumentNullException.ThrowIfNull(coordinator);
        (_store, _channel, _coordinator) = (store, channel, coordinator);

        // Down: WriteSlots → Outbox → LeaderRoute → Leadership (or, by Peers, the leader's tab) → StoreLink.
        // Up, as below: StoreLink, Peers and Leadership → ImageFollower → Outbox → WriteSlots.
        _core = new PipelineCore(coordinator, (options ?? new()).Copy(), timeProvider ?? TimeProvider.System, logger ?? NullLogger.Instance, sources ?? PipelineSources.Default);
        _opened = _core.Gate.NewCompletion();
        _image = new ImageFollower(_core)
        {
            MaySeeAccepted = () => _slots!.HasTurn,
            GapFound = () => _link!.StartCatchUp(),
            Shown = Raise,
            CommitShown = commit =>
            {
                _outbox!.Statements.OnShown(commit);
                _copy!.OnShown(commit);
            },
            Confirmed = commit => _outbox!.OnConfirmed(commit),
            Superseded = () => _outbox!.OnSuperseded(),
            Reloaded = marker => _leadership!.OnReloaded(marker),
            Reinstalling = (last, kept) => _outbox!.OnReinstalling(last, kept),
            Undone = () => _outbox!.OnUndone(),
            Advanced = () =>
            {
                _reads!.Settle();
                _extents!.Trim();
            },
        };
        _link = new StoreLink(_core, store, _image)
        {
            HeadSeen = head =>
            {
                _image!.OnHead(head);
                _extents!.OnHead(head);
                _peers!.OnHeadSeen(head);
                _copy!.OnHead(head);
            },
            ConnectionLost = () => _leadership!.Resign(),
            Failed = FaultNow,
        };
        _extents = new ExtentLoader(_core, _link, _image);
        _peers = new Peers(_core, channel, _link, _image)
        {
            Received = Handle,
            LeaderFound = () => _outbox!.SendAgain(),
            EpochSeen = epoch => _leadership!.OnGranted(epoch),
        };
        _leadership = new Leadership(_core, coordinator, _link, _image, _extents, _peers)
        {
            Began = () => _outbox!.StartAnew(),
            Refused = (commit, code, text) => _outbox!.OnRefused(commit, code, text, _image.Ledger.End.Marker),
            TurnGranted = grant => _slots!.OnTurnGranted(grant),
            BeginForOthers = () => _slots!.BeginAsync(new(_slots) { IsForOthers = true }, exclusive: true, _core.Closing),
            Failed = FaultNow,
        };
        _route = new LeaderRoute(_core, _leadership, _peers, _link);
        _outbox = new Outbox(_core, _image, _route)
        {
            Overtaken = () => _slots!.OnOvertaken(),
            DoubtRaised = _link.StartCatchUp,
            StatementsEnded = () => _slots!.PassOn(),
        };
        _reads = new ReadChecks(_core, _image);
        _copy = new CopyKeeper(_core, _link, _image, store.Copy);
        _slots = new WriteSlots(_core, _image, _link, _route, _outbox, _reads);
    }

    /// <summary>A commit of any tab became durable and is in this tab's image. Raised in the order of the markers.</summary>
    public event EventHandler<CommittedEventArgs>? Committed;

    /// <summary>The pipeline stopped for good; every later call fails with the same exception.</summary>
    public event EventHandler<StorageFaultedEventArgs>? Faulted;

    /// <summary>The database's bytes. Available once <see cref="OpenAsync"/> has completed.</summary>
    public BlockStorage Storage => _image.Storage;

    /// <summary>Which store it is; see <see cref="Head.Incarnation"/>.</summary>
    internal Guid Incarnation => _link.Incarnation;

    /// <summary>What of the database is in memory.</summary>
    internal ExtentLoader Extents => _extents;

    /// <summary>The last durable commit in this tab's image.</summary>
    public Position Position => _image.Position;

    /// <summary>What was found when the store was opened; null before.</summary>
    public RecoveryReport? RecoveryReport => _link.Report;

    /// <summary>Log records that are not yet folded into extents, as far as this tab knows.</summary>
    public int LogRecords => _image.IsOpen ? _image.Ledger.LogRecords : 0;

    /// <summary>Bytes of <see cref="LogRecords"/>.</summary>
    public long LogBytes => _image.IsOpen ? _image.Ledger.LogBytes : 0;

    /// <summary>Why the pipeline stopped; null while it works.</summary>
    public StorageException? Fault => _core.Fault;

    /// <summary>Whether this tab accepts commits at this moment; information only.</summary>
    public bool IsLeading => _leadership.IsHere;

    /// <summary>Whether what is read at this moment is a copy, since the store was not reached yet.</summary>
    internal bool ReadsCopy => _store.Copy is { IsReadFrom: true };

    /// <summary>Whether this tab has the write turn at this moment, and so may see what is accepted but not durable.</summary>
    internal bool HasTurn => _slots.HasTurn;

    /// <summary>How many of this tab's commits have no outcome yet.</summary>
    internal int PendingCount => _outbox.PendingCount;

    /// <inheritdoc cref="Outbox.Unawaited"/>
    internal CommitRecord[] Unawaited => _core.Gate.Run(() => _outbox.Unawaited.ToArray());

    /// <inheritdoc cref="Outbox.OvertakenCount"/>
    internal int OvertakenCount => _core.Gate.Run(() => _outbox.OvertakenCount);

    /// <inheritdoc cref="WriteSlots.EndedTransactions"/>
    internal int EndedTransactions => _core.Gate.Run(() => _slots.EndedTransactions);

    /// <inheritdoc cref="Outbox.BufferSent"/>
    internal Action? BufferSent { get => _outbox.BufferSent; set => _outbox.BufferSent = value; }

    internal StorageMetrics Metrics => _core.Metrics;

    internal TimeProvider Time => _core.Time;

    /// <summary>
    /// Opens the store, loads the image, starts to listen, and joins the election. Returns when the image can be read;
    /// a leader may not be known yet.
    /// </summary>
    /// <exception cref="StorageException">The store cannot be opened or read; the message says why and what to do.</exception>
    public Task OpenAsync(RecoveryOptions? recovery = null, CancellationToken cancellationToken = default) => OpenInPartAsync(recovery, Residency.Full, cancellationToken);

    /// <summary>As <see cref="OpenAsync"/>, with as little of the database as is wanted.</summary>
    internal async Task OpenInPartAsync(RecoveryOptions? recovery, Residency residency, CancellationToken cancellationToken)
    {
        Listen();
        _extents.Begin(residency, recovery ?? new());
        try
        {
            var opening = _link.OpenAsync(recovery ?? new(), cancellationToken).AsTask();
            var listening = _peers.OpenAsync(cancellationToken).AsTask();
            await Task.WhenAll(opening, listening).ConfigureAwait(false);
            var loading = _link.LoadFirstAsync(await opening.ConfigureAwait(false), cancellationToken).AsTask();

            // While it is read. The election needs no image; taking over waits for it.
            var joined = _coordinator.JoinAsync(cancellationToken);
            var recovered = await loading.ConfigureAwait(false);
            _core.Gate.Run(() => Install(recovered));
            await joined.ConfigureAwait(false);
        }
        catch (Exception error)
        {
            // A store that stops in between ends the election, too, which then fails for no reason of its own.
            var cause = Fault ?? error;
            _core.Gate.Run(() => _opened.TrySetException(cause));
            _ = _opened.Task.Exception; // seen here; the election's wait for it may never come
            await DisposeAsync().ConfigureAwait(false);
            if (cause != error) throw cause;
            throw;
        }
    }

    /// <summary>
    /// Waits for leave to write. Between tabs: the leader takes the write turn at once; a follower goes ahead without asking as long
    /// as nobody else writes (its commit may turn out stale), or asks the leader for the turn.
    /// </summary>
    /// <param name="exclusive">Ask for the turn in any case: the commit is then stale only if the leader changes or the turn's deadline passes.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="NoLeaderException">No leader gave an answer in time.</exception>
    /// <exception cref="StorageException">The pipeline has stopped.</exception>
    public ValueTask<WriteSlot> BeginWriteAsync(bool exclusive = false, CancellationToken cancellationToken = default) =>
        BeginWriteAsync(MakeSlot(), exclusive, cancellationToken);

    /// <inheritdoc cref="BeginWriteAsync(bool, CancellationToken)"/>
    internal ValueTask<WriteSlot> BeginWriteAsync(WriteSlot slot, bool exclusive, CancellationToken cancellationToken) =>
        _slots.BeginAsync(slot, exclusive, cancellationToken);

    /// <summary>Makes a slot, to be given to <see cref="BeginWriteAsync(WriteSlot, bool, CancellationToken)"/>.</summary>
    internal WriteSlot MakeSlot(bool isDeferred = false, bool isBuffered = false, bool isRerun = false) =>
        new(_slots) { IsDeferred = isDeferred, IsBuffered = isBuffered, IsRerun = isRerun };

    /// <summary>The work of the slot that is held begins: what another connection of this tab has written in it before is not the work's.</summary>
    internal void BeginWork() => _slots.BeginWork();

    /// <inheritdoc cref="WriteSlots.CloseAsync"/>
    internal Task StopWritersAsync() => _slots.CloseAsync();

    /// <summary>
    /// Waits until every commit of this tab is durable. Fails with the first error of a commit that nobody awaited
    /// (a synchronous write on the leader) since the last call.
    /// </summary>
    public Task FlushAsync(CancellationToken cancellationToken = default) => _outbox.FlushAsync(cancellationToken);

    /// <inheritdoc cref="Outbox.SendBuffered"/>
    internal void SendBuffered() => _core.Gate.Run(_outbox.SendBuffered);

    /// <inheritdoc cref="Outbox.WaitForRerunsAsync"/>
    internal Task WaitForRerunsAsync(CancellationToken cancellationToken) => _outbox.WaitForRerunsAsync(cancellationToken);

    /// <inheritdoc cref="Outbox.OnRanAgain"/>
    internal void OnRanAgain() => _core.Gate.Run(_outbox.OnRanAgain);

    /// <inheritdoc cref="Recovery.VerifyAsync" path="//summary|//param[@name!='store']|//returns|//exception"/>
    public Task<RecoveryReport> VerifyAsync(
        RecoveryMode mode = RecoveryMode.Full, IProgress<RecoveryProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ThrowIfUnusable();
        if (cancellationToken.IsCancellationRequested) return Task.FromCanceled<RecoveryReport>(cancellationToken);
        return _link.VerifyAsync(mode, progress, cancellationToken).AsTask();
    }

    /// <inheritdoc cref="StoreLink.ProbeAsync"/>
    internal Task ProbeAsync(CancellationToken cancellationToken) => _link.ProbeAsync(cancellationToken);

    /// <summary>Throws what keeps this pipeline from working; returns when nothing does.</summary>
    /// <exception cref="StorageException">The fault.</exception>
    /// <exception cref="ObjectDisposedException">It was disposed.</exception>
    public void ThrowIfUnusable() => _core.ThrowIfUnusable();

    /// <summary>As <see cref="ThrowIfUnusable"/>, but what it holds may be read after any fault: only a deletion is meant to take it away.</summary>
    internal void ThrowIfUnreadable()
    {
        if (_core.IsClosed || Fault is StorageClosedException { Reason: StoreClosedReason.Deleted }) ThrowIfUnusable();
    }

    /// <inheritdoc cref="PipelineGate.NewCompletion()"/>
    internal TaskCompletionSource NewCompletion() => _core.Gate.NewCompletion();

    /// <summary>Raises an event outside of all locks: at once where events run in place, else in order on a thread of their own.</summary>
    internal void RaiseEvent(Action raise) => _core.Gate.RaiseNow(raise);

    /// <summary>
    /// Stops. Commits on their way are not awaited (call <see cref="FlushAsync"/> first): their tasks fail with
    /// <see cref="StorageClosedException"/>, though a leader may still make them durable.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        if (_core.IsClosed) return;
        StopListening();
        _core.Gate.Run(() =>
        {
            _core.Close();
            Stop(PipelineCore.ClosedError());
        });
        await _copy.DisposeAsync().ConfigureAwait(false);
        _core.CancelAll(); // CancelAsync hops to the thread pool, which in the browser is a timer
        await _channel.DisposeAsync().ConfigureAwait(false);
        await _store.DisposeAsync().ConfigureAwait(false);
        _core.Dispose();
    }

    private void Install(RecoveredStore recovered)
    {
        _link.Install(recovered);
        _image.Open(recovered, _slots);
        _extents.OnHead(recovered.Head);
        if (recovered.Report.IsCorrupt) Log.StoreDamaged(_core.Logger, recovered.Report.Describe());
        Log.Opened(_core.Logger, _core.Scope, recovered.Report.Position.Marker, recovered.Report.Extents, recovered.Report.LogRecords);
        _peers.Begin(recovered.Head);
        _copy.Begin(recovered);
        _core.Gate.Defer(() => _opened.TrySetResult());
    }

    /// <summary>Stops for good.</summary>
    private void FaultNow(StorageException error)
    {
        if (!_core.TryFault(error)) return;
        Log.Faulted(_core.Logger, _core.Scope, error.Message);
        Stop(error);
        if (error is StoreReplacedException && _store.Copy is { } copy) _core.Gate.Defer(() => _ = StoreLink.TryAsync(() => copy.ForgetAsync(CancellationToken.None).AsTask())); // it is a copy of what is gone

        // A tab that cannot reach the store must not keep others from leading. First: a handler may take its time.
        _core.Gate.Defer(() => _ = _coordinator.DisposeAsync().AsTask());
        _core.Gate.Raise(() => Handlers.Raise(Faulted, this, new StorageFaultedEventArgs(error), e => Log.HandlerFailed(_core.Logger, nameof(Faulted), e)));
    }

    private void Stop(StorageException error)
    {
        _leadership.Stop();
        _outbox.Stop(error);
        _reads.Stop(error);
        _slots.Stop(error);
        _image.Stop(error);
        _link.Stop();
        _core.Gate.Defer(() => _opened.TrySetException(error));
    }

    private void Raise(CommittedEventArgs args) =>
        _core.Gate.Raise(() => Handlers.Raise(Committed, this, args, e => Log.HandlerFailed(_core.Logger, nameof(Committed), e)));
}
