using DataSync.Coordination;

namespace DataSync.Storage;

// The writer's side: turns, and the chain of commits on their way.
internal sealed partial class CommitPipeline
{
    private const int MaxAlignAttempts = 8, MaxUnobserved = 256;

    private readonly List<PendingCommit> _pending = [];
    private readonly LinkedList<(WriteTurn Turn, TaskCompletionSource Ready)> _writers = new();
    private readonly List<SettleWaiter> _settleWaiters = [];
    private WriteTurn? _turn;
    private long _implicitTurn;

    /// <summary>Set once no more leave to write is given.</summary>
    private TaskCompletionSource? _writersEnded;
    private TurnRequest? _turnRequest;
    private long _turnNumber;
    private bool _contended;
    private readonly List<PendingCommit> _unobserved = [];

    /// <summary>
    /// Waits for leave to write. Between tabs: the leader takes it at once; a follower goes ahead without asking as long
    /// as nobody else writes (its commit may turn out stale), or asks the leader for the turn.
    /// </summary>
    /// <param name="exclusive">Ask for the turn in any case: the commit is then stale only if the leader changes or the turn's deadline passes.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="NoLeaderException">No leader gave an answer in time.</exception>
    /// <exception cref="StorageException">The pipeline has stopped.</exception>
    public ValueTask<WriteTurn> BeginWriteAsync(bool exclusive = false, CancellationToken cancellationToken = default) =>
        BeginWriteAsync(new WriteTurn(this), exclusive, cancellationToken);

    internal async ValueTask<WriteTurn> BeginWriteAsync(WriteTurn turn, bool exclusive, CancellationToken cancellationToken)
    {
        if (_gate.Run(() => Enqueue(turn)) is { } ready) await WaitInQueueAsync(turn, ready, cancellationToken).ConfigureAwait(false);
        try
        {
            for (var attempt = 1; !_gate.Run(() => TryGoAhead(turn, exclusive)); attempt++)
            {
                turn.Holds = false; // somebody else writes: what is held then only grows stale
                var grant = await AskForTurnAsync(cancellationToken).ConfigureAwait(false);
                turn.Number = grant.Number;
                if (await AlignAsync(grant, cancellationToken).ConfigureAwait(false)) break;
                _gate.Run(() => ReturnTurn(turn));

                // A commit of this tab that the leader never got is in the way: the answer to it comes before the next turn.
                _gate.Run(SendAgain);
                if (attempt == MaxAlignAttempts) throw new StaleCommitException(attempt);
                await SettleAsync(cancellationToken).ConfigureAwait(false);
            }

            turn.ReadySince = _time.GetTimestamp();
            return turn;
        }
        catch
        {
            turn.Dispose();
            throw;
        }
    }

    internal void Release(WriteTurn turn) => _gate.Run(() =>
    {
        if (turn.IsReleased) return;
        turn.IsReleased = true;
        if (_turn != turn) return;
        CloseSealed(turn);
        if (turn.Pending is null && _storage is { ChainLength: > 0 }) turn.ReadAt = Storage.Top;
        ReturnTurn(turn);
        _turn = null;
        if (_writersEnded is { } ended) _gate.Defer(() => ended.TrySetResult());
        Drain();
        PassOn();
    });

    /// <summary>
    /// Gives no more leave to write: whoever waits for it is told that the database was closed. Returns when the work that has it has
    /// ended, so that nobody uses the connections any more.
    /// </summary>
    internal Task StopWritersAsync() => _gate.Run(() =>
    {
        _writersEnded ??= _gate.NewCompletion();
        foreach (var (_, ready) in _writers) _gate.Defer(() => ready.TrySetException(ClosedError()));
        _writers.Clear();
        if (_turnRequest is { } request) _gate.Defer(() => request.Grant.TrySetException(ClosedError()));
        _turnRequest = null;
        WakeAnswered();
        return _turn is null ? Task.CompletedTask : _writersEnded.Task;
    });

    /// <summary>How many transactions that could write have ended in the turn that is held, committed or rolled back.</summary>
    internal int EndedTransactions => _gate.Run(() => _turn?.Ends ?? 0);

    /// <summary>The work of the turn that is held begins: what another connection of this tab has written in it before is not the work's.</summary>
    internal void BeginWork() => _gate.Run(() =>
    {
        if (_turn is not { } turn) return;
        foreach (var pending in _pending.Where(p => p.IsOpen)) (pending.IsDeferred, pending.IsHeld) = (false, false);
        CloseSealed(turn);
        (turn.Pending, turn.Ends) = (null, 0);
    });

    internal void Abandon(WriteTurn turn) => _gate.Run(() =>
    {
        var first = _pending.FindIndex(p => p.IsOpen);
        if (turn.IsReleased || _turn != turn || first < 0 || Sabotage.IsMissing(Guard.TakeBack)) return;
        foreach (var pending in _pending.Where(p => p.IsOpen)) (pending.IsOpen, pending.IsDeferred, pending.IsObserved) = (false, false, true);
        turn.Pending = null;
        FailFrom(first, _ => new StorageException("The work failed, so nothing of it was kept."));
    });

    private void CloseSealed(WriteTurn turn)
    {
        if (turn.Pending is null) return;
        foreach (var pending in _pending.FindAll(p => p.IsOpen))
        {
            pending.IsOpen = false;
            Send(pending);
        }
    }

    internal Task<CommitOutcome> Observe(PendingCommit pending) => _gate.Run(() =>
    {
        pending.IsObserved = true;
        _unobserved.Remove(pending);
        return pending.Outcome.Task;
    });

    private TaskCompletionSource? Enqueue(WriteTurn turn)
    {
        ThrowIfUnusable();
        if (_writersEnded is not null) throw ClosedError();
        if (IsReadOnly) throw new CorruptStoreException(_recovered!.Report);
        if (_turn is null && _writers.Count == 0)
        {
            _turn = turn;
            return null;
        }

        var ready = _gate.NewCompletion();
        _writers.AddLast((turn, ready));
        return ready;
    }

    private async Task WaitInQueueAsync(WriteTurn turn, TaskCompletionSource ready, CancellationToken cancellationToken)
    {
        using var registration = cancellationToken.CanBeCanceled
            ? cancellationToken.Register(() => _gate.Run(() =>
            {
                for (var node = _writers.First; node is not null; node = node.Next)
                {
                    if (node.Value.Turn != turn) continue;
                    _writers.Remove(node);
                    _gate.Defer(() => ready.TrySetCanceled(cancellationToken));
                    return;
                }
            }))
            : default;
        await ready.Task.ConfigureAwait(false);
    }

    private void PassOn()
    {
        if (_turn is not null || _writers.First is not { } next) return;
        _writers.RemoveFirst();
        _turn = next.Value.Turn;
        _gate.Defer(() => next.Value.Ready.TrySetResult());
    }

    private bool TryGoAhead(WriteTurn turn, bool exclusive)
    {
        ThrowIfUnusable();
        if (TryGoOnHolding(turn, exclusive)) return true;
        ReleaseHeld();
        if (_session is not null || exclusive || _contended || _leader is null || IsUnsettled) return TryTakeOwnTurn(turn);
        turn.Number = 0;
        return true;
    }

    private bool TryTakeOwnTurn(WriteTurn turn)
    {
        var number = _turnNumber + 1;
        if (_session is null || IsUnsettled || _session.TryTakeTurn(number) is not { } grant) return false;
        turn.Number = _turnNumber = number;
        if (TryAlign(grant) == Alignment.Aligned)
        {
            turn.Holds &= Storage.FindForeignTail() is null; // it stands and falls with another tab's commit, which is on its way
            return true;
        }

        ReturnTurn(turn);
        return false;
    }

    private Task<TurnGrant> AskForTurnAsync(CancellationToken cancellationToken)
    {
        var request = _gate.Run(() =>
        {
            ThrowIfUnusable();
            var mine = _turnRequest = new TurnRequest(_gate.NewCompletion<TurnGrant>(), ++_turnNumber, _time.GetTimestamp());
            SendTurnRequest(); // a leader may get it at once
            return mine;
        });
        if (!cancellationToken.CanBeCanceled) return request.Grant.Task;
        return WithCancellation(request, cancellationToken);
    }

    private async Task<TurnGrant> WithCancellation(TurnRequest request, CancellationToken cancellationToken)
    {
        using var registration = cancellationToken.Register(() => _gate.Run(() =>
        {
            if (_turnRequest == request) _turnRequest = null;
            WakeAnswered();
            ReleaseAtLeader(request.Number);
            _gate.Defer(() => request.Grant.TrySetCanceled(cancellationToken));
        }));
        return await request.Grant.Task.ConfigureAwait(false);
    }

    // Brings the image to where the turn starts. False: it cannot be done (a message was lost, a leader changed).
    private async Task<bool> AlignAsync(TurnGrant grant, CancellationToken cancellationToken)
    {
        for (var attempt = 1; attempt <= MaxAlignAttempts; attempt++)
        {
            var alignment = _gate.Run(() => TryAlign(grant));
            if (alignment != Alignment.MustWait) return alignment == Alignment.Aligned;
            if (_gate.Run(() => _ledger!.End.Marker < grant.Durable)) await CatchUpAsync().ConfigureAwait(false);
            await SettleAsync(cancellationToken).ConfigureAwait(false);
        }

        return false;
    }

    private Alignment TryAlign(TurnGrant grant)
    {
        Drain();
        if (_ledger!.End.Marker < grant.Durable || IsUnsettled) return Alignment.MustWait;
        foreach (var commit in grant.Accepted)
        {
            if (commit.Marker <= Storage.Durable.Marker || Storage.IsInChain(commit.Id)) continue;
            if (commit.Writer == _coordinator.Id) return Alignment.Impossible; // it failed since the turn was granted
            lock (Storage.Sync)
            {
                if (!Storage.IsIdle) return Alignment.MustWait;
                if (commit.Base != Storage.Top) return Alignment.Impossible;
                Storage.ApplyAccepted(commit);
            }
        }

        if (grant.Base != Storage.Top) return Alignment.Impossible;
        var ownLast = _pending.Count > 0 ? _pending[^1].Commit.Position : _ledger.LastOf(_coordinator.Id);
        _contended = ownLast != grant.Base;
        return Alignment.Aligned;
    }

    private void ReturnTurn(WriteTurn turn)
    {
        var isUsed = turn.Pending is { IsHeld: false };
        if (turn.Number != 0 && !isUsed) ReleaseAtLeader(turn.Number);
        turn.Number = 0;
        DropAcceptedTail();
    }

    private void ReleaseAtLeader(long number)
    {
        if (_session is not null) _session.ReleaseTurn(_coordinator.Id, number);
        else Post(CommitMessageKind.TurnRelease, m => m with { Turn = number });
    }

    private void Send(PendingCommit pending)
    {
        if (pending.Error is not null || pending.IsHeld || pending.IsOpen) return;
        if (_session is not null) _session.Commit(_coordinator.Id, pending.Commit);
        else if (_leader is { } leader && pending.SentTo == leader) Post(CommitMessageKind.Question, m => m with { Position = pending.Commit.Position });
        else SendBody(pending);
    }

    private void SendBody(PendingCommit pending)
    {
        if (_leader is not { } leader) return;
        pending.SentTo = leader;
        Post(CommitMessageKind.Commit, m => m with { Position = pending.Commit.Position, Records = [pending.Commit.Segment.Array!] });
    }

    private void SendTurnRequest()
    {
        if (_turnRequest is not { } request) return;
        if (_session is not null) _session.RequestTurn(_coordinator.Id, request.Number);
        else if (_leader is not null) Post(CommitMessageKind.TurnRequest, m => m with { Turn = request.Number });
    }

    private void OnTurnGranted(TurnGrant grant)
    {
        if (_turnRequest?.Number == grant.Number)
        {
            var request = _turnRequest;
            _turnRequest = null;
            _gate.Defer(() => request.Grant.TrySetResult(grant));
            WakeAnswered();
        }
        else if (_turn?.Number != grant.Number)
        {
            // Nobody waits for it any more: a copy, or an answer that came after the wait had ended.
            ReleaseAtLeader(grant.Number);
        }
    }

    // Fails a commit, and every later one with it, as soon as the image can be put back.
    private void FailFrom(int index, Func<PendingCommit, StorageException> error)
    {
        for (var i = index; i < _pending.Count; i++) _pending[i].Error ??= error(_pending[i]);
        if (_undoFrom is null || _pending.FindIndex(p => p.Commit.Id == _undoFrom) > index) _undoFrom = _pending[index].Commit.Id;
        Drain();
    }

    private void SettleFailed()
    {
        foreach (var failed in _pending.Where(p => p.Error is not null).ToList())
        {
            _pending.Remove(failed);
            if (failed.Error is StaleCommitException) _contended = true;
            Settle(failed, failed.Error!);
        }

        WakeAnswered();
    }

    private void Settle(PendingCommit pending, StorageException error)
    {
        pending.Error = error;
        _metrics.OnFailed(error);
        if (pending.IsDeferred && error is StaleCommitException)
        {
            pending.IsLost = true;
            _lost++;
        }

        // A synchronous write's failure has nobody to await it: it is kept for FlushAsync.
        if (!pending.IsObserved && _unobserved.Count < MaxUnobserved) _unobserved.Add(pending);
        if (error is StaleCommitException) _gate.Defer(() => pending.Outcome.TrySetResult(new CommitOutcome(IsStale: true, pending.Commit.Position)));
        else
        {
            _gate.Defer(() =>
            {
                pending.Outcome.TrySetException(error);
                _ = pending.Outcome.Task.Exception; // a write whose caller went away is no unobserved exception
            });
        }
    }

    private void FailEverything(StorageException error)
    {
        foreach (var pending in _pending) Settle(pending, error);
        _pending.Clear();
        if (_turnRequest is { } request) _gate.Defer(() => request.Grant.TrySetException(error));
        _turnRequest = null;
        foreach (var (_, ready) in _writers) _gate.Defer(() => ready.TrySetException(error));
        _writers.Clear();
        WakeSettleWaiters(error);
        FailReaders(error);
        CompleteAll(_catchUpWaiters);
        WakeAnswered();
        _gate.Defer(() => _opened.TrySetException(error));
    }

    private enum Alignment
    {
        Aligned,
        MustWait,
        Impossible,
    }

    private sealed record TurnRequest(TaskCompletionSource<TurnGrant> Grant, long Number, long Since);
}
