namespace DataSync.Storage;

// What SQLite's transactions ask of the pipeline, from within calls of the VFS.
internal sealed partial class CommitPipeline : IBatchOwner
{
    string? IBatchOwner.TryBeginBatch()
    {
        string? refusal = null;
        _gate.RunInsideSqlite(() => refusal = FindRefusal());
        return refusal;
    }

    private string? FindRefusal()
    {
        if (_closed) return "The database was closed.";
        if (_fault is { } fault) return fault.Message;
        if (IsReadOnly) return "The store is damaged and was opened with CorruptionAction.Report, so it can only be read. Open it with CorruptionAction.Repair to write.";
        if (_undoFrom is not null || _reload is not null) return "Other tabs' changes are waiting to be shown here. Finish reading, then try again.";
        if (LostCount > 0 && _turn is not { IsRerun: true }) return "Deferred writes that another tab's commit came before are being run again. Try again.";
        if (_turn is { IsReady: true }) return null;
        if (_session is null)
        {
            return "This tab is a follower and does not hold the write turn. Write with DataSyncDatabase.ExecuteAsync or WriteAsync, which work in every tab; "
                + "only the leader's tab may write synchronously.";
        }

        ReleaseHeld();
        var number = ++_turnNumber;
        if (_session?.TryTakeTurn(number) is not { } grant) return "Another tab holds the write turn. Try again, or write with DataSyncDatabase.ExecuteAsync or WriteAsync, which wait for it.";
        if (grant.Base == Storage.Top && _toApply.Count == 0)
        {
            _implicitTurn = number;
            return null;
        }

        _session.ReleaseTurn(_coordinator.Id, number);
        return "Another tab's commit is on its way. Try again, or write with DataSyncDatabase.ExecuteAsync or WriteAsync, which wait for it.";
    }

    void IBatchOwner.OnSealed(CommitRecord commit) => _gate.RunInsideSqlite(() =>
    {
        var pending = new PendingCommit(commit, _gate.NewCompletion<CommitOutcome>(), _time.GetTimestamp());
        if (_implicitTurn == 0 && _turn is not null)
        {
            _turn.Ends++;
            _turn.Pending = pending;
            (pending.IsDeferred, pending.IsHeld, pending.IsOpen) = (_turn.IsDeferred, _turn.Holds, true);
        }

        if ((_closed ? ClosedError() : _fault) is { } end)
        {
            Settle(pending, end); // the transaction was open when the pipeline stopped
            EndImplicitTurn();
            return;
        }

        _pending.Add(pending);

        // Built on a commit that failed meanwhile, it fails with it when the image is put back.
        if (_undoFrom is not null) pending.Error = new StaleCommitException(1);
        else if (!pending.IsHeld)
        {
            ReleaseHeld(); // it builds on them
            Send(pending);
        }

        EndImplicitTurn();
    });

    void IBatchOwner.OnBatchEnded() => _gate.RunInsideSqlite(() =>
    {
        if (_implicitTurn == 0 && _turn is not null) _turn.Ends++;
        EndImplicitTurn();
    });

    void IBatchOwner.OnIdle() => _gate.RunInsideSqlite(Drain);

    private void EndImplicitTurn()
    {
        if (_implicitTurn == 0) return;
        _session?.ReleaseTurn(_coordinator.Id, _implicitTurn);
        _implicitTurn = 0;
    }
}
