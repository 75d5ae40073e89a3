using DataSync.Coordination;
using Polly;

namespace DataSync.Storage;

/// <summary>
/// What this tab has asked of the leader and has no answer to: commits on their way, in order, and the request for the write turn. Sent
/// again until it is answered, or given up when it took too long; settles each commit once, when the image shows its outcome. Guarded
/// by the gate.
/// </summary>
internal sealed partial class Outbox
{
    /// <summary>Failures that nobody has asked for; an app that never flushes must not fill the memory with them.</summary>
    private const int MaxUnobserved = 256;

    /// <summary>The first pause before a question is asked again, after <see cref="PipelineOptions.ResendAfter"/>: a lost message is seldom followed by another.</summary>
    private static readonly TimeSpan FirstResendDelay = TimeSpan.FromMilliseconds(20);

    private readonly PipelineCore _core;
    private readonly ImageFollower _image;
    private readonly LeaderRoute _leader;
    private readonly List<PendingCommit> _pending = [];
    private readonly List<PendingCommit> _unobserved = [];
    private readonly Waiters _flushed;
    private readonly Waiters _answered;
    private readonly Waiters _reruns;
    private readonly Lazy<ResiliencePipeline> _resend;
    private TurnRequest? _turnRequest;
    private long _turnNumber;
    private int _overtaken;
    private bool _resending;

    public Outbox(PipelineCore core, ImageFollower image, LeaderRoute leader)
    {
        (_core, _image, _leader) = (core, image, leader);
        (_flushed, _answered, _reruns) = (new(core), new(core), new(core));
        _resend = new(MakeResendPolicy);
        Statements = new StatementOutbox(core, image, leader) { LastOwn = () => LastOwn, Emptied = OnStatementsEnded };
    }

    /// <summary>What the leader is to run for this tab.</summary>
    public StatementOutbox Statements { get; }

    /// <summary>No statements of this tab are on their way any more.</summary>
    public required Action StatementsEnded { private get; init; }

    /// <summary>Another tab's commit came before one of this tab.</summary>
    public required Action Overtaken { private get; init; }

    /// <summary>A refusal that the log has to confirm: somebody holds the marker that the commit hoped for.</summary>
    public required Action DoubtRaised { private get; init; }

    /// <summary>What was buffered is on its way now. Called outside of all locks.</summary>
    public Action? BufferSent { get; set; }

    /// <summary>How many of this tab's commits have no outcome yet.</summary>
    public int PendingCount => _pending.Count;

    /// <summary>Commits that have no outcome yet and that nobody awaits: synchronous writes.</summary>
    public IEnumerable<CommitRecord> Unawaited => _pending.Where(p => !p.IsDeferred && !p.IsObserved).Select(p => p.Commit);

    /// <summary>Whether a leader was sent some of them, so that they may be durable.</summary>
    public bool HasSent => _pending.Exists(p => p.SentTo is not null);

    /// <summary>Whether some commits are kept in this tab.</summary>
    public bool HasBuffered => _pending.Exists(p => p.IsBuffered);

    /// <summary>The last commit of this tab that may still become durable or is; null when it never had one, as far as is known.</summary>
    public Position? LastOwn => _pending.Count > 0 ? _pending[^1].Commit.Position : _image.Ledger.LastOf(_core.Self);

    /// <summary>
    /// Acknowledged commits that another tab's came before and whose work has not been run again yet. Until it has, nothing else may
    /// write: it was acknowledged earlier.
    /// </summary>
    public int OvertakenCount => Sabotage.IsMissing(Guard.RerunsFirst) ? 0 : _overtaken;

    /// <summary>Takes a commit that was just sealed, and sends it unless it is open or buffered.</summary>
    public void Add(PendingCommit pending)
    {
        _pending.Add(pending);

        // Built on a commit that failed meanwhile, it fails with it when the image is put back.
        if (_image.UndoingFrom is not null) pending.Error = new StaleCommitException(1);
        else if (pending.IsBuffered) return;
        else if (HasBuffered) SendBuffered(); // it builds on them
        else Send(_pending.Count - 1);
    }

    /// <summary>Sends every commit that is buffered. From here on their time to be answered counts.</summary>
    public void SendBuffered()
    {
        var first = _pending.FindIndex(p => p.IsBuffered);
        if (first < 0) return;
        foreach (var pending in _pending.Where(p => p.IsBuffered)) (pending.IsBuffered, pending.Since) = (false, _core.Now);
        Send(first);
        _core.Gate.Defer(() => BufferSent?.Invoke());
    }

    /// <summary>The slot in which commits were sealed has ended: they are sent.</summary>
    public void CloseOpen()
    {
        var first = _pending.FindIndex(p => p.IsOpen);
        if (first < 0) return;
        for (var i = first; i < _pending.Count; i++) _pending[i].IsOpen = false;
        Send(first);
    }

    /// <summary>What is open was written before the work began, and so is neither deferred nor buffered with it.</summary>
    public void Detach()
    {
        foreach (var pending in _pending.Where(p => p.IsOpen)) (pending.IsDeferred, pending.IsBuffered) = (false, false);
    }

    /// <summary>Takes back what is open; nobody is told. False when nothing is.</summary>
    public bool Abandon()
    {
        var first = _pending.FindIndex(p => p.IsOpen);
        if (first < 0) return false;
        foreach (var pending in _pending.Where(p => p.IsOpen)) (pending.IsOpen, pending.IsDeferred, pending.IsObserved) = (false, false, true);
        FailFrom(first, new StorageException("The work failed, so nothing of it was kept."));
        return true;
    }

    /// <summary>Asks again whatever has no answer.</summary>
    public void SendAgain()
    {
        if (Sabotage.IsMissing(Guard.Resend)) return;
        Send(0);
        if (_turnRequest is { } request) _leader.AskTurn(request.Number);
        Statements.SendAgain();
    }

    /// <summary>This tab leads: what waited for a leader has one, so that it is not given up in the middle of its append.</summary>
    public void StartAnew()
    {
        foreach (var pending in _pending) pending.Since = _core.Now;
        Statements.StartAnew();
        SendAgain();
    }

    /// <summary>A number that no request of this tab had before.</summary>
    public long NextTurnNumber() => ++_turnNumber;

    /// <summary>Asks the leader for the write turn.</summary>
    /// <param name="isDeferred">Whether the work goes on without it when the leader is out of reach.</param>
    /// <param name="cancellationToken">Withdraws the request.</param>
    public Task<TurnGrant> AskForTurnAsync(bool isDeferred, CancellationToken cancellationToken)
    {
        var request = _core.Gate.Run(() =>
        {
            _core.ThrowIfUnusable();
            var mine = _turnRequest = new TurnRequest(_core.Gate.NewCompletion<TurnGrant>(), NextTurnNumber(), _core.Now, isDeferred);
            _leader.AskTurn(mine.Number); // a leader may get it at once
            return mine;
        });
        return cancellationToken.CanBeCanceled ? WithCancellation(request, cancellationToken) : request.Grant.Task;
    }

    /// <summary>Answers the request for the turn. False when this grant answers none.</summary>
    public bool TryAnswerTurn(TurnGrant grant)
    {
        if (_turnRequest is not { } request || request.Number != grant.Number) return false;
        _turnRequest = null;
        _core.Gate.Defer(() => request.Grant.TrySetResult(grant));
        WakeAnswered();
        return true;
    }

    /// <summary>Gives up the request for the turn.</summary>
    public void FailTurnRequest(StorageException error)
    {
        if (_turnRequest is not { } request) return;
        _turnRequest = null;
        _core.Gate.Defer(() => request.Grant.TrySetException(error));
        WakeAnswered();
    }

    public Task<CommitOutcome> Observe(PendingCommit pending)
    {
        pending.IsObserved = true;
        _unobserved.Remove(pending);
        return pending.Outcome.Task;
    }

    /// <summary>Waits until every commit of this tab has an outcome. Fails with the first failure that nobody asked for.</summary>
    public async Task FlushAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var (waiter, error) = _core.Gate.Run(() =>
            {
                SendBuffered();
                if (_pending.Count > 0 || !Statements.IsEmpty) return (_flushed.Add(), null);
                var failed = _unobserved.FirstOrDefault();
                _unobserved.Clear();
                return ((Task?)null, failed?.Error);
            });
            if (waiter is null)
            {
                _core.ThrowIfUnusable();
                if (error is not null) throw error;
                return;
            }

            await waiter.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Waits until all work whose acknowledged commits were overtaken has been run again.</summary>
    public Task WaitForRerunsAsync(CancellationToken cancellationToken) =>
        _core.Gate.Run(() => OvertakenCount > 0 ? _reruns.Add() : null)?.WaitAsync(cancellationToken) ?? Task.CompletedTask;

    /// <summary>Overtaken work was run again, or cannot be.</summary>
    public void OnRanAgain()
    {
        if (--_overtaken == 0) _reruns.Release();
    }

    /// <summary>This tab's commit at a position, while it has no outcome.</summary>
    public PendingCommit? Find(Position position) => _pending.Find(p => p.Commit.Position == position);

    /// <summary>The leader never got a commit's bytes.</summary>
    public void SendBytes(Position position)
    {
        if (Find(position) is { } pending) _leader.SendBytes(pending);
    }

    /// <summary>A commit of this tab is durable and in the image.</summary>
    public void OnConfirmed(CommitRecord commit)
    {
        if (_pending.Find(p => p.Commit.Id == commit.Id) is not { } pending) return;
        _pending.Remove(pending);
        _core.Metrics.OnAcknowledged(_core.Since(pending.Since));
        SetCommitted(pending);
        WakeAnswered();
    }

    /// <summary>The leader did not take a commit, and never will.</summary>
    public void OnRefused(CommitId commit, StorageErrorCode code, string text, long durable)
    {
        var index = _pending.FindIndex(p => p.Commit.Id == commit);
        if (index < 0)
        {
            Statements.OnRefused(commit, code, text);
            return;
        }

        // The marker that it hoped for is taken: by whom, the log tells (it may be this very commit, sent twice).
        if (durable >= _pending[index].Commit.Marker)
        {
            if (_image.Ledger.End.Marker < durable) DoubtRaised();
            return;
        }

        FailFrom(index, code == StorageErrorCode.Stale ? new StaleCommitException(1) : StorageException.FromCode(code, text));
    }

    /// <summary>Another commit holds the marker that the oldest one on its way hoped for.</summary>
    public void OnSuperseded()
    {
        foreach (var pending in _pending) pending.Error ??= new StaleCommitException(1);
    }

    /// <summary>
    /// The image is replaced by one that was read from the store. This tab's commits are a run of markers, so its last durable one tells
    /// how many of them were taken; those that do not fit on the new image were not.
    /// </summary>
    public void OnReinstalling(Position? last, IReadOnlyList<CommitRecord> kept)
    {
        var taken = last is null ? -1 : _pending.FindIndex(p => p.Commit.Id == last.Value.Commit);
        Statements.OnReinstalling(last);
        for (var i = 0; i <= taken; i++) SetCommitted(_pending[i]);
        _pending.RemoveRange(0, taken + 1);
        WakeAnswered();
        foreach (var pending in _pending.Where(p => !kept.Contains(p.Commit))) pending.Error ??= new StaleCommitException(1);
    }

    /// <summary>What failed is out of the image: its writers are told.</summary>
    public void OnUndone()
    {
        foreach (var failed in _pending.Where(p => p.Error is not null).ToList())
        {
            _pending.Remove(failed);
            if (failed.Error is StaleCommitException) Overtaken();
            Settle(failed, failed.Error!);
        }

        WakeAnswered();
    }

    /// <summary>Tells a commit's writer that it failed.</summary>
    public void Settle(PendingCommit pending, StorageException error)
    {
        pending.Error = error;
        _core.Metrics.OnFailed(error);
        if (pending.IsDeferred && error is StaleCommitException)
        {
            pending.IsOvertaken = true;
            _overtaken++;
        }

        // A synchronous write's failure has nobody to await it: it is kept for FlushAsync.
        if (!pending.IsObserved && _unobserved.Count < MaxUnobserved) _unobserved.Add(pending);
        if (error is StaleCommitException) _core.Gate.Defer(() => pending.Outcome.TrySetResult(new CommitOutcome(IsStale: true, pending.Commit.Position)));
        else
        {
            _core.Gate.Defer(() =>
            {
                pending.Outcome.TrySetException(error);
                _ = pending.Outcome.Task.Exception; // a write whose caller went away is no unobserved exception
            });
        }
    }

    /// <summary>At each heartbeat: gives up what was never answered, and asks again what is late.</summary>
    public void OnHeartbeat()
    {
        GiveUpOverdue();
        if (_turnRequest is { } request && (_core.IsOverdue(request.Since) || (request.IsDeferred && _leader.IsCut))) FailTurnRequest(new NoLeaderException());
        Statements.OnHeartbeat();
        var isLate = _pending.Exists(p => !p.IsBuffered && _core.IsLate(p.Since)) || (_turnRequest is { } asked && _core.IsLate(asked.Since));
        if (!isLate || _resending) return;
        _resending = true;
        _core.Gate.Defer(() => _ = ResendAsync());
    }

    public void Stop(StorageException error)
    {
        foreach (var pending in _pending) Settle(pending, error);
        _pending.Clear();
        Statements.Stop(error);
        FailTurnRequest(error);
        WakeAnswered();
    }

    private bool IsAnswered => _turnRequest is null && _pending.TrueForAll(p => p.IsBuffered);

    // The commits from one on, as far as they may leave this tab.
    private void Send(int first)
    {
        var ready = new List<PendingCommit>(_pending.Count - first);
        for (var i = first; i < _pending.Count; i++) if (_pending[i] is { Error: null, IsBuffered: false, IsOpen: false } pending) ready.Add(pending);
        if (ready.Count > 0) _leader.Send(ready);
    }

    // Fails a commit, and every later one with it, as soon as the image can be put back.
    private void FailFrom(int index, StorageException error)
    {
        for (var i = index; i < _pending.Count; i++) _pending[i].Error ??= error;
        if (_image.UndoingFrom is not { } first || _pending.FindIndex(p => p.Commit.Id == first) > index) _image.Undo(_pending[index].Commit.Id);
        else _image.Advance();
    }

    private void SetCommitted(PendingCommit pending) =>
        _core.Gate.Defer(() => pending.Outcome.TrySetResult(new CommitOutcome(IsStale: false, pending.Commit.Position)));

    private async Task<TurnGrant> WithCancellation(TurnRequest request, CancellationToken cancellationToken)
    {
        using var registration = cancellationToken.Register(() => _core.Gate.Run(() =>
        {
            if (_turnRequest == request) _turnRequest = null;
            WakeAnswered();
            _leader.ReleaseTurn(request.Number);
            _core.Gate.Defer(() => request.Grant.TrySetCanceled(cancellationToken));
        }));
        return await request.Grant.Task.ConfigureAwait(false);
    }

    private void OnStatementsEnded()
    {
        WakeAnswered();
        StatementsEnded();
    }

    private void WakeAnswered()
    {
        if (_pending.TrueForAll(p => p.IsBuffered) && Statements.IsEmpty) _flushed.Release();
        if (IsAnswered) _answered.Release();
    }

    private sealed record TurnRequest(TaskCompletionSource<TurnGrant> Grant, long Number, long Since, bool IsDeferred);
}
