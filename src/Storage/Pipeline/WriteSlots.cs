using System.Globalization;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Who writes in this tab: one piece of work at a time, in order, and what SQLite's transactions ask within it. Sees to it that the
/// tab may build on what its image shows: with the write turn of the leader, or without it as long as nobody else writes. Guarded by
/// the gate.
/// </summary>
internal sealed class WriteSlots(PipelineCore core, ImageFollower image, StoreLink link, LeaderRoute leader, Outbox outbox, ReadChecks reads)
    : IBatchOwner
{
    /// <summary>How often a turn is asked for, or waited for the image, when each time something came in between; then the work is told that it is stale.</summary>
    private const int MaxAlignAttempts = 8;

    private readonly LinkedList<(WriteSlot Slot, TaskCompletionSource Ready)> _queue = new();
    private WriteSlot? _current;

    /// <summary>The turn of a synchronous transaction on the leader, which has no slot; 0 for none.</summary>
    private long _implicitTurn;

    /// <summary>Whether another tab writes as well, as far as this one has seen: then the turn is asked for.</summary>
    private bool _isContended;

    /// <summary>Set once no more slots are given.</summary>
    private TaskCompletionSource? _ended;

    /// <summary>Whether this tab has the write turn.</summary>
    public bool HasTurn => _current is { Turn: > 0 } || _implicitTurn != 0;

    /// <summary>How many transactions that could write have ended in the current slot, committed or rolled back.</summary>
    public int EndedTransactions => _current?.Ends ?? 0;

    /// <summary>Whether nothing else of this tab is being written or on its way, so that its statements are the next in its history.</summary>
    public bool MaySendStatements =>
        _ended is null && _current is null or { IsForOthers: true } && _queue.Count == 0 && _implicitTurn == 0 && outbox.PendingCount == 0 && outbox.OvertakenCount == 0 && link.ReadOnlyReason is null;

    /// <summary>Another tab's commit came before one of this tab.</summary>
    public void OnOvertaken() => _isContended = true;

    /// <inheritdoc cref="CommitPipeline.BeginWriteAsync(WriteSlot, bool, CancellationToken)"/>
    public async ValueTask<WriteSlot> BeginAsync(WriteSlot slot, bool exclusive, CancellationToken cancellationToken)
    {
        if (core.Gate.Run(() => Enqueue(slot)) is { } ready) await WaitInQueueAsync(slot, ready, cancellationToken).ConfigureAwait(false);
        try
        {
            for (var attempt = 1; !core.Gate.Run(() => TryGoAhead(slot, exclusive)); attempt++)
            {
                if (slot.IsForOthers && image.IsBehind) throw new StaleCommitException(1); // somebody reads here, for who knows how long
                if (slot.IsBuffered && core.Gate.Run(() => leader.IsCut))
                {
                    await image.WaitUntilShownAsync(cancellationToken).ConfigureAwait(false);
                    continue;
                }

                slot.IsBuffered = false; // somebody else writes: what is buffered then only grows stale
                var grant = await outbox.AskForTurnAsync(slot.IsDeferred, cancellationToken).ConfigureAwait(false);
                slot.Turn = grant.Number;
                if (await AlignAsync(grant, mayWait: !slot.IsForOthers, cancellationToken).ConfigureAwait(false)) break;
                if (slot.IsForOthers) throw new StaleCommitException(1);
                core.Gate.Run(() =>
                {
                    ReturnTurn(slot);

                    // A commit of this tab that the leader never got is in the way: the answer to it comes before the next turn.
                    outbox.SendAgain();
                });
                if (attempt == MaxAlignAttempts) throw new StaleCommitException(attempt);
                await image.WaitUntilShownAsync(cancellationToken).ConfigureAwait(false);
            }

            slot.ReadySince = core.Now;
            return slot;
        }
        catch
        {
            slot.Dispose();
            throw;
        }
    }

    public void End(WriteSlot slot) => core.Gate.Run(() =>
    {
        if (slot.IsEnded) return;
        slot.IsEnded = true;
        if (_current != slot) return;
        if (slot.Pending is not null) outbox.CloseOpen();
        else if (image.IsOpen && image.Storage.ChainLength > 0) slot.ReadAt = image.Storage.Top;
        ReturnTurn(slot);
        _current = null;
        if (_ended is { } ended) core.Gate.Defer(() => ended.TrySetResult());
        image.Advance();
        PassOn();
    });

    /// <summary>The work of the current slot begins: what another connection of this tab has written in it before is not the work's.</summary>
    public void BeginWork() => core.Gate.Run(() =>
    {
        if (_current is not { } slot) return;
        outbox.Detach();
        if (slot.Pending is not null) outbox.CloseOpen();
        (slot.Pending, slot.Ends) = (null, 0);
    });

    public void Touch(WriteSlot slot) => slot.TouchedAt = core.Now;

    /// <summary>At each heartbeat: asks for the turn that this tab has once more while its work goes on, so that it counts from now.</summary>
    public void RenewTurn()
    {
        if (_current is { IsReady: true, Turn: > 0, TouchedAt: { } at } slot && core.Since(at) < core.Options.TurnDeadline) leader.AskTurn(slot.Turn);
    }

    public void Abandon(WriteSlot slot) => core.Gate.Run(() =>
    {
        if (slot.IsEnded || _current != slot || Sabotage.IsMissing(Guard.TakeBack)) return;
        if (outbox.Abandon()) slot.Pending = null;
        else if (slot.Pending is { IsOvertaken: true } overtaken)
        {
            overtaken.IsOvertaken = false; // it grew stale before; nobody runs it again
            outbox.OnRanAgain();
        }
    });

    public Task<CommitOutcome> Observe(WriteSlot slot) =>
        core.Gate.Run(() => slot.Pending is { } pending ? outbox.Observe(pending) : reads.Observe(slot.ReadAt));

    /// <summary>
    /// Gives no more slots: whoever waits for one is told that the database was closed. Returns when the current one has ended, so that
    /// nobody uses the connections any more.
    /// </summary>
    public Task CloseAsync() => core.Gate.Run(() =>
    {
        _ended ??= core.Gate.NewCompletion();
        FailQueue(PipelineCore.ClosedError());
        outbox.FailTurnRequest(PipelineCore.ClosedError());
        return _current is null ? Task.CompletedTask : _ended.Task;
    });

    /// <summary>The leader gave this tab the turn.</summary>
    public void OnTurnGranted(TurnGrant grant)
    {
        if (outbox.TryAnswerTurn(grant) || _current?.Turn == grant.Number) return;
        leader.ReleaseTurn(grant.Number); // nobody waits for it any more: a copy, or an answer that came after the wait had ended
    }

    public void EndOverdue()
    {
        if (_current?.ReadySince is not { } ready || !core.IsOverdue(ready)) return;
        FailQueue(new StorageException(string.Create(CultureInfo.InvariantCulture,
            $"The write was not begun: a transaction of this tab has not ended for {core.Options.WriteTimeout.TotalSeconds:0.#} s. Work that WriteAsync runs must end, and must not wait for other writes.")));
    }

    public void Stop(StorageException error) => FailQueue(error);

    string? IBatchOwner.TryBeginBatch()
    {
        string? refusal = null;
        core.Gate.RunInsideSqlite(() => refusal = FindRefusal());
        return refusal;
    }

    void IBatchOwner.OnSealed(CommitRecord commit) => core.Gate.RunInsideSqlite(() =>
    {
        if (_implicitTurn == 0 && _current is { IsForOthers: true } ours)
        {
            ours.Made = commit;
            return;
        }

        var pending = new PendingCommit(commit, core.Gate.NewCompletion<CommitOutcome>(), core.Now);
        if (_implicitTurn == 0 && _current is { } slot)
        {
            slot.Ends++;
            if (slot is { IsWhole: true, Pending: { } earlier }) earlier.IsObserved = true; // this one builds on it, and so fails with it
            slot.Pending = pending;
            (pending.IsDeferred, pending.IsBuffered, pending.IsOpen) = (slot.IsDeferred, slot.IsBuffered, true);
        }

        if (core.End is { } end) outbox.Settle(pending, end); // the transaction was open when the pipeline stopped
        else outbox.Add(pending);
        EndImplicitTurn();
    });

    void IBatchOwner.OnBatchEnded() => core.Gate.RunInsideSqlite(() =>
    {
        if (_implicitTurn == 0 && _current is { } slot) slot.Ends++;
        EndImplicitTurn();
    });

    void IBatchOwner.OnIdle() => core.Gate.RunInsideSqlite(image.Advance);

    private TaskCompletionSource? Enqueue(WriteSlot slot)
    {
        core.ThrowIfUnusable();
        if (_ended is not null) throw PipelineCore.ClosedError();
        if (link.ReadOnlyReason is { } reason) throw reason;
        if (_current is null && (slot.IsForOthers || (_queue.Count == 0 && outbox.Statements.IsEmpty)))
        {
            _current = slot;
            return null;
        }

        // Work of this tab waits for its statements, which may wait for a slot here: if they came to the end of the queue, for ever.
        var ready = core.Gate.NewCompletion();
        if (slot.IsForOthers) _queue.AddFirst((slot, ready));
        else _queue.AddLast((slot, ready));
        return ready;
    }

    private async Task WaitInQueueAsync(WriteSlot slot, TaskCompletionSource ready, CancellationToken cancellationToken)
    {
        using var registration = cancellationToken.CanBeCanceled
            ? cancellationToken.Register(() => core.Gate.Run(() =>
            {
                if (_queue.Remove((slot, ready))) core.Gate.Defer(() => ready.TrySetCanceled(cancellationToken));
            }))
            : default;
        await ready.Task.ConfigureAwait(false);
    }

    /// <summary>The next piece of work begins, if it may.</summary>
    public void PassOn()
    {
        if (_current is not null || _queue.First is not { } next || (!outbox.Statements.IsEmpty && !next.Value.Slot.IsForOthers)) return;
        _queue.RemoveFirst();
        _current = next.Value.Slot;
        core.Gate.Defer(() => next.Value.Ready.TrySetResult());
    }

    private void FailQueue(StorageException error)
    {
        foreach (var (_, ready) in _queue) core.Gate.Defer(() => ready.TrySetException(error));
        _queue.Clear();
    }

    private bool TryGoAhead(WriteSlot slot, bool exclusive)
    {
        core.ThrowIfUnusable();
        // Who leads now runs them; and a synchronous transaction of this tab keeps its turn, which would end with this slot's.
        if (slot.IsForOthers && (!leader.IsHere || _implicitTurn != 0)) throw new StaleCommitException(1);
        if (TryGoOnBuffering(slot, exclusive)) return true;
        outbox.SendBuffered();
        if (leader.IsHere || exclusive || _isContended || !leader.IsKnown || image.IsBehind) return TryTakeOwnTurn(slot);
        slot.Turn = 0;
        return true;
    }

    // On top of what is buffered there is no need for a leader, nor while none can be reached: at worst it grows stale with the rest.
    private bool TryGoOnBuffering(WriteSlot slot, bool exclusive)
    {
        if (!slot.IsBuffered || image.IsBehind) return false;
        if (!leader.IsCut && (exclusive || (!outbox.HasBuffered && (leader.IsHere || _isContended)))) return false;
        slot.Turn = 0;
        return true;
    }

    private bool TryTakeOwnTurn(WriteSlot slot)
    {
        if (!leader.IsHere || image.IsBehind) return false;
        var number = outbox.NextTurnNumber();
        if (leader.TryTakeTurn(number) is not { } grant) return false;
        slot.Turn = number;
        if (TryAlign(grant) == Alignment.Aligned)
        {
            slot.IsBuffered &= image.Storage.FindForeignTail() is null; // it stands and falls with another tab's commit, which is on its way
            return true;
        }

        ReturnTurn(slot);
        return false;
    }

    // Brings the image to where the turn starts. False: it cannot be done (a message was missed, a leader changed).
    private async Task<bool> AlignAsync(TurnGrant grant, bool mayWait, CancellationToken cancellationToken)
    {
        for (var attempt = 1; attempt <= MaxAlignAttempts; attempt++)
        {
            var alignment = core.Gate.Run(() => TryAlign(grant));
            if (alignment != Alignment.MustWait || !mayWait) return alignment == Alignment.Aligned;
            if (core.Gate.Run(() => image.Ledger.End.Marker < grant.Durable)) await CatchUpAsync(cancellationToken).ConfigureAwait(false);
            await image.WaitUntilShownAsync(cancellationToken).ConfigureAwait(false);
        }

        return false;
    }

    // The log may be out of reach for as long as a connection is away; a write is given up before, as where nobody answers.
    private async Task CatchUpAsync(CancellationToken cancellationToken)
    {
        try
        {
            await link.CatchUpAsync().WaitAsync(core.Options.WriteTimeout, core.Time, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new NoLeaderException();
        }
    }

    private Alignment TryAlign(TurnGrant grant)
    {
        var alignment = image.TryAlign(grant);
        if (alignment == Alignment.Aligned) _isContended = outbox.LastOwn != grant.Base;
        return alignment;
    }

    private void ReturnTurn(WriteSlot slot)
    {
        var isUsed = slot.Pending is { IsBuffered: false }; // the leader takes it back with the commit
        if (slot.Turn != 0 && !isUsed) leader.ReleaseTurn(slot.Turn);
        slot.Turn = 0;
        image.DropAcceptedTail();
    }

    private string? FindRefusal()
    {
        if (core.IsClosed) return "The database was closed.";
        if (core.Fault is { } fault) return fault.Message;
        if (link.ReadOnlyReason is { } reason and not CorruptStoreException) return reason.Message;
        if (link.ReadOnlyReason is not null) return "The store is damaged and was opened with CorruptionAction.Report, so it can only be read. Open it with CorruptionAction.Repair to write.";
        if (image.IsBeingPutBack) return "Other tabs' changes are waiting to be shown here. Finish reading, then try again.";
        if (outbox.OvertakenCount > 0 && _current is not ({ IsRerun: true } or { IsForOthers: true })) return "Deferred writes that another tab's commit came before are being run again. Try again.";
        if (_current is { IsReady: true } slot)
        {
            return !slot.IsForOthers || slot.RunsOn == Environment.CurrentManagedThreadId ? null
                : "Statements of another tab are being run here. Try again, or write with DataSyncDatabase.ExecuteAsync or WriteAsync, which wait for them.";
        }

        if (!leader.IsKnown)
        {
            return "No tab leads yet, so nothing can be written at this moment. Write with DataSyncDatabase.ExecuteAsync or WriteAsync, which wait for a leader, "
                + "or wait for TabCoordinator.WaitForLeaderAsync first.";
        }

        if (!leader.IsHere)
        {
            return "This tab is a follower and does not hold the write turn. Write with DataSyncDatabase.ExecuteAsync or WriteAsync, which work in every tab; "
                + "only the leader's tab may write synchronously.";
        }

        if (!outbox.Statements.IsEmpty) return "Statements of this tab are on their way. Try again, or write with DataSyncDatabase.ExecuteAsync or WriteAsync, which wait for them.";
        outbox.SendBuffered();
        var number = outbox.NextTurnNumber();
        if (leader.TryTakeTurn(number) is not { } grant) return "Another tab holds the write turn. Try again, or write with DataSyncDatabase.ExecuteAsync or WriteAsync, which wait for it.";
        if (grant.Base == image.Storage.Top && image.HasApplied)
        {
            _implicitTurn = number;
            return null;
        }

        leader.ReleaseTurn(number);
        return "Another tab's commit is on its way. Try again, or write with DataSyncDatabase.ExecuteAsync or WriteAsync, which wait for it.";
    }

    private void EndImplicitTurn()
    {
        if (_implicitTurn == 0) return;
        if (leader.IsHere) leader.ReleaseTurn(_implicitTurn);
        _implicitTurn = 0;
    }
}
