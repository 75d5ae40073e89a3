using DataSync.Coordination;

namespace DataSync.Storage;

// Who leads: taking over, stepping down, what a leadership answers, and losing the store.
internal sealed partial class CommitPipeline : ILeaderOutput
{
    private LeaderSession? _session;
    private LeaderSession? _elected;

    // Known from its own messages only: the lease record can be forged or old, and must not keep anybody from writing.
    private (TabId Id, Epoch Epoch)? _leader;

    /// <summary>Who said last that it leads.</summary>
    private (TabId Id, Epoch Epoch)? _claim;

    /// <summary>Whom the store's head named when it was last read.</summary>
    private (TabId Id, Epoch Epoch)? _head;

    /// <summary>The highest epoch that the store granted, as far as this tab knows. Whoever leads under a lower one is over.</summary>
    private Epoch _granted;
    private IReadOnlyList<TabId> _members = [];
    private bool _reopening;
    private bool _hasRehearsed;

    /// <summary>Whether another tab of the database is known to be there.</summary>
    private bool _hasCompany;

    /// <summary>Durable commits that the other tabs are about to hear of.</summary>
    private int _toAnnounce;

    /// <summary>Whether this tab accepts commits at this moment; information only.</summary>
    public bool IsLeading => _session is not null;

    // Taking over, in this order: raise the epoch (that fences the old leader), then read what it still appended.
    private async ValueTask<Epoch> OnElectedAsync(Epoch proposed, CancellationToken cancellationToken)
    {
        await _opened.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await TakeOverAsync(proposed, cancellationToken).ConfigureAwait(false);
        }
        catch (StorageException error) when (EndsSession(error))
        {
            _gate.Run(() => OnLost(error));
            throw;
        }
    }

    private static bool EndsSession(StorageException error) => error is StoreReplacedException or StorageClosedException;

    private async ValueTask<Epoch> TakeOverAsync(Epoch proposed, CancellationToken cancellationToken)
    {
        var recovered = _recovered!;
        if (IsReadOnly) throw new CorruptStoreException(recovered.Report);
        var head = await _store.RaiseEpochAsync(_incarnation, proposed, _coordinator.Id, cancellationToken).ConfigureAwait(false);
        var fence = new Fence(_incarnation, head.Epoch);
        _gate.Run(() => _granted = Epoch.Max(_granted, head.Epoch));
        await WaitForCatchUpAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        if (recovered.NeedsRepair || !Sabotage.IsMissing(Guard.CatchUpBeforeLeading) && await ReadBehindAsync().ConfigureAwait(false)) await RepairAsync(fence, cancellationToken).ConfigureAwait(false);
        _gate.Run(() =>
        {
            ThrowIfUnusable();

            // A take-over that was given up (the tab was frozen) may end behind the one that came after it.
            if (head.Epoch >= _granted) _elected = new LeaderSession(_store, fence, _coordinator.Id, this, _gate, _options, _time);
        });
        return head.Epoch;
    }

    // Without effect, and once. Where .NET is interpreted the first run of each method is slow: better in a moment in which
    // nobody waits than while a tab takes over, sends again or reads what it missed.
    private void Rehearse()
    {
        if (_hasRehearsed) return;
        _hasRehearsed = true;
        var head = _recovered!.Head;
        _ = HeadCodec.Decode(HeadCodec.Encode(StoreRules.Raise(head, head.Incarnation, head.Epoch, _coordinator.Id)));
        _ = (_resend.Value, _read.Value, _reopen.Value);
    }

    // What a crash left behind the end of the history, or damage that the app wants repaired, goes before the first append.
    private async Task RepairAsync(Fence fence, CancellationToken cancellationToken)
    {
        var current = await Recovery.LoadAsync(_store, null, _recoveryOptions, cancellationToken).ConfigureAwait(false);
        var repaired = await Recovery.RepairAsync(_store, fence, current, cancellationToken).ConfigureAwait(false);
        _gate.Run(() =>
        {
            _recovered = repaired;
            Reload(repaired);
        });
    }

    private void OnLeadershipChanged(object? sender, LeadershipChangedEventArgs e) => _gate.Run(() =>
    {
        if (_closed || _fault is not null) return;
        if (e.Role == TabRole.Leader && e.Epoch < _granted)
        {
            // The election does not know yet that another tab took over while this one was about to.
            var granted = _granted;
            _gate.Defer(() => _coordinator.StepDown(granted));
            return;
        }

        if (e.Role == TabRole.Leader && _elected is { } elected && elected.Epoch == e.Epoch)
        {
            if (_session == elected) return;
            elected.Lease = _coordinator.CurrentLease;
            _session = elected;
            _leader = (_coordinator.Id, e.Epoch);
            Log.Leading(_logger, _coordinator.Scope, e.Epoch.Value, _ledger!.End.Marker);
            AnnounceLeading(hasJustBegun: true);

            // What waited for a leader has one now: its time begins anew, so that it is not given up in the middle of its append.
            foreach (var pending in _pending) pending.Since = _time.GetTimestamp();
            SendAgain();
            return;
        }

        if (_session is not null && e.Role != TabRole.Leader) EndSession();
        if (e.NewLeader is null) _leader = null;
        else if (e.NewLeader != _coordinator.Id && _leader != (e.NewLeader.Value, e.Epoch)) Post(CommitMessageKind.WhoLeads, m => m);
    });

    // Believed once the store's head says the same: a message from nowhere could otherwise make this tab wait for a leader that
    // is not there, or propose epochs that nobody granted.
    private void HearOfLeader(CommitMessage message)
    {
        if (message.Epoch < _granted || message.Sender == _coordinator.Id) return;
        _claim = (message.Sender, message.Epoch);
        if (_claim == _leader)
        {
            if (message.HasJustBegun) SendAgain();
        }
        else if (_claim == _head || Sabotage.IsMissing(Guard.LeaderByHead))
        {
            FollowClaim();
        }
        else
        {
            StartCatchUp();
        }
    }

    private void OnHeadSeen(Head head)
    {
        if (head.Epoch < _granted) return; // read before this tab or another one took over
        _head = HolderOf(head);
        _granted = Epoch.Max(_granted, head.Epoch);
        if (_session is { } session && head.Epoch > session.Epoch) OnLost(new FencedException(session.Epoch, head.Epoch));
        if (_claim == _head && _claim != _leader) FollowClaim();
    }

    private static (TabId Id, Epoch Epoch)? HolderOf(Head head) => head.Holder is { } holder ? (holder, head.Epoch) : null;

    private void FollowClaim()
    {
        _leader = _claim;
        _granted = Epoch.Max(_granted, _leader!.Value.Epoch);
        Log.Following(_logger, _coordinator.Scope, _leader.Value.Id.Value, _leader.Value.Epoch.Value);
        SendAgain();
    }

    private void EndSession()
    {
        _session?.Close();
        _session = null;
        if (_leader?.Id == _coordinator.Id) _leader = null;
    }

    private void OnMembersChanged(object? sender, EventArgs e) => _gate.Run(() =>
    {
        var members = _coordinator.Members;
        foreach (var gone in _members.Where(m => !members.Contains(m))) _session?.OnTabGone(gone);
        _members = members;
        _hasCompany = members.Count > 1;
    });

    private void OnHeartbeat(object? sender, EventArgs e) => _gate.Run(() =>
    {
        if (_closed || _fault is not null || _storage is null) return;
        _metrics.OnImage(_storage.ChainLength, LogRecords, LogBytes);
        if (_session is not null)
        {
            _session.OnHeartbeat();
            AnnounceLeading(hasJustBegun: false);
        }

        Rehearse();
        EndOverdue();
        if (_readers.Count > 0) SettleReaders();
        var late = _pending.Exists(p => !p.IsHeld && IsLate(p.Since)) || (_turnRequest is { } request && IsLate(request.Since));
        if (!late || _resending) return;
        _resending = true;
        _gate.Defer(() => _ = ResendAsync());
    });

    private bool IsLate(long since) => _time.GetElapsedTime(since) >= _options.ResendAfter;

    private void AnnounceLeading(bool hasJustBegun)
    {
        if (_session is null) return;
        Post(CommitMessageKind.Leading, m => m with
        {
            Epoch = _session.Epoch,
            Position = _ledger!.End,
            Durable = _ledger.End.Marker,
            HasJustBegun = hasJustBegun,
        });
    }

    void ILeaderOutput.OnAppended(CommitRecord commit)
    {
        // A writer here is answered first: what it does until its next wait, others need not have heard. They hear in order.
        var isLater = _toAnnounce > 0 || commit.Writer == _coordinator.Id;
        if (!isLater) Announce(commit);
        OnDurable(commit);
        if (!isLater || !_hasCompany) return;
        _toAnnounce++;
        _gate.Defer(() => _gate.Run(() =>
        {
            _toAnnounce--;
            Announce(commit);
        }));
    }

    // Nobody hears it where no other tab is known; one that has just come asks who leads, and reads the log.
    private void Announce(CommitRecord commit) => Post(CommitMessageKind.Committed, m => m with
    {
        Epoch = commit.Epoch,
        Position = commit.Position,
        Durable = commit.Marker,
        Records = commit.Bytes.Length <= _options.AnnounceBytes ? [commit.Segment.Array!] : [],
    });

    void ILeaderOutput.AnswerCommitted(TabId to, Position position)
    {
        if (to == _coordinator.Id) return; // the ledger holds it, so the image does or will
        Post(CommitMessageKind.Committed, m => m with { To = to, Position = position, Durable = _ledger!.End.Marker });
    }

    void ILeaderOutput.AnswerRefused(TabId to, Position position, StorageErrorCode code, string message)
    {
        if (to != _coordinator.Id)
        {
            Post(CommitMessageKind.Refused, m => m with { To = to, Position = position, Durable = _ledger!.End.Marker, Code = code, Text = message });
            return;
        }

        var index = _pending.FindIndex(p => p.Commit.Id == position.Commit);
        if (index >= 0) Refuse(index, code, message, _ledger!.End.Marker);
    }

    void ILeaderOutput.AskForCommit(TabId from, Position position) => Post(CommitMessageKind.Missing, m => m with { To = from, Position = position });

    void ILeaderOutput.AnswerTurn(TabId to, TurnGrant grant)
    {
        if (to == _coordinator.Id) OnTurnGranted(grant);
        else
        {
            Post(CommitMessageKind.TurnGrant, m => m with
            {
                To = to,
                Position = grant.Base,
                Turn = grant.Number,
                Durable = grant.Durable,
                Records = [.. grant.Accepted.Select(c => c.Segment.Array!)],
            });
        }
    }

    Checkpoint? ILeaderOutput.PrepareCheckpoint(Fence fence)
    {
        if (_toApply.Count > 0 || _reload is not null || Storage.Durable != _ledger!.End) return null;
        var extents = _ledger.DirtyExtents.Select(index => Storage.SnapshotDurable(index, _incarnation)).OfType<Extent>().ToList();
        return new Checkpoint(_ledger.NextHead(fence, _coordinator.Id, Storage.DurableFileSize), extents);
    }

    void ILeaderOutput.OnCheckpoint(Checkpoint checkpoint)
    {
        _ledger!.OnCheckpoint(checkpoint.Head);
        _metrics.OnCheckpoint();
        Log.Checkpointed(_logger, _coordinator.Scope, checkpoint.Head.Checkpoint.Marker, checkpoint.Extents.Count);
    }

    void ILeaderOutput.OnCheckpointFailed(StorageException error) => Log.CheckpointFailed(_logger, _coordinator.Scope, error.Message);

    void ILeaderOutput.OnLost(StorageException? error) => OnLost(error);

    private void OnLost(StorageException? error)
    {
        EndSession();
        switch (error)
        {
            case StoreReplacedException:
                FaultNow(error);
                break;
            case StorageClosedException { Reason: not StoreClosedReason.Lost }:
                FaultNow(error);
                break;
            case StorageClosedException:
                StartReopen();
                break;
            case null:
                break; // the lease ran out; the coordinator knows
            default:
                Log.Fenced(_logger, _coordinator.Scope, error.Message);
                if (error is FencedException fenced)
                {
                    _metrics.OnFenced();
                    _gate.Defer(() => _coordinator.StepDown(fenced.StoreEpoch));
                }
                else
                {
                    _gate.Defer(Resign);
                }

                StartCatchUp();
                break;
        }
    }

    // The election does not know yet that this leadership has ended: without a word to it nobody would lead.
    private void Resign() => _ = TryAsync(_coordinator.ResignAsync);

    private void OnStoreClosed(StoreClosedReason reason) => _gate.Run(() =>
    {
        if (_closed || _fault is not null) return;
        if (reason != StoreClosedReason.Lost) FaultNow(new StorageClosedException(reason));
        else StartReopen();
    });

    // The connection was lost, not the data (so far): open again, and settle what is unknown by reading the log.
    private void StartReopen()
    {
        if (_reopening || _closed || _fault is not null) return;
        _reopening = true;
        EndSession();
        _gate.Defer(() =>
        {
            Resign();
            _ = ReopenAsync();
        });
    }
}
