using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// This tab's own leaderships: taking over when elected, and doing what <see cref="LeaderSession"/> decides, on the store and towards
/// the tabs. Guarded by the gate.
/// </summary>
internal sealed partial class Leadership(PipelineCore core, TabCoordinator coordinator, StoreLink link, ImageFollower image, ExtentLoader extents, Peers peers)
{
    /// <summary>The one that was granted last; it begins when the election says so.</summary>
    private Term? _elected;
    private Term? _term;

    /// <summary>Durable commits that the other tabs are about to hear of, in the order of their markers.</summary>
    private readonly List<CommitRecord> _toAnnounce = [];

    /// <summary>This tab has begun to lead.</summary>
    public required Action Began { private get; init; }

    /// <summary>A commit of this tab was not taken and never will be. Told: which, and why.</summary>
    public required Action<CommitId, StorageErrorCode, string> Refused { private get; init; }

    /// <summary>This tab gets the write turn.</summary>
    public required Action<TurnGrant> TurnGranted { private get; init; }

    /// <summary>The store cannot be used any more.</summary>
    public required Action<StorageException> Failed { private get; init; }

    /// <summary>Whether this tab accepts commits at this moment.</summary>
    public bool IsHere => _term is not null;

    /// <summary>
    /// The election chose this tab. In this order: raise the epoch (that fences the old leader), then read what it still appended.
    /// </summary>
    /// <returns>The epoch that the store granted.</returns>
    public async ValueTask<Epoch> TakeOverAsync(Epoch proposed, CancellationToken cancellationToken)
    {
        try
        {
            if (link.ReadOnlyReason is { } reason) throw reason;
            var head = await RaiseAsync(proposed, cancellationToken).ConfigureAwait(false);
            var fence = new Fence(link.Incarnation, head.Epoch);
            core.Gate.Run(() => peers.OnGranted(head.Epoch));
            await link.WaitForCatchUpAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
            if (link.NeedsRepair || (!Sabotage.IsMissing(Guard.CatchUpBeforeLeading) && await link.ReadBehindAsync().ConfigureAwait(false)))
                await link.RepairAsync(fence, cancellationToken).ConfigureAwait(false);
            core.Gate.Run(() =>
            {
                core.ThrowIfUnusable();
                image.OnHead(head);

                // A take-over that was given up (the tab was frozen) may end behind the one that came after it.
                if (head.Epoch >= peers.Granted) _elected = new Term(core, coordinator, image, new LeaderState(core.Self, fence, image.Ledger.End, core.Options));
            });
            return head.Epoch;
        }
        catch (FencedException error)
        {
            coordinator.StepDown(error.StoreEpoch); // another tab has won: the election learns it before it hears that this one has not
            throw;
        }
        catch (StorageException error) when (error is StoreReplacedException or StorageClosedException)
        {
            core.Gate.Run(() => End(error));
            throw;
        }
    }

    private async ValueTask<Head> RaiseAsync(Epoch proposed, CancellationToken cancellationToken)
    {
        try
        {
            return await link.RaiseEpochAsync(proposed, cancellationToken).ConfigureAwait(false);
        }
        catch (FencedException error) when (error.Holder is { } holder && !coordinator.Members.Contains(holder))
        {
            // An earlier leader's, of which the lease record, lost meanwhile, did not tell. There is nobody to yield to.
            return await link.RaiseEpochAsync(error.StoreEpoch.Next, cancellationToken).ConfigureAwait(false);
        }
    }

    public void OnLeadershipChanged(LeadershipChangedEventArgs e)
    {
        if (core.IsStopped) return;
        if (e.Role != TabRole.Leader)
        {
            if (_term is not null) Stop();
            peers.OnElected(e.NewLeader, e.Epoch);
        }
        else if (e.Epoch < peers.Granted)
        {
            // The election does not know yet that another tab took over while this one was about to.
            var granted = peers.Granted;
            core.Gate.Defer(() => coordinator.StepDown(granted));
        }
        else if (_elected is { } elected && elected.State.Fence.Epoch == e.Epoch && _term != elected)
        {
            coordinator.LeaseRegained = () => core.Gate.Run(() => Take(new LeaderRequest.Continue()));
            _term = elected;
            peers.LeadHere(e.Epoch);
            Log.Leading(core.Logger, core.Scope, e.Epoch.Value, image.Ledger.End.Marker);
            Announce(hasJustBegun: true);
            Began();
        }
    }

    /// <summary>Takes a request of this tab or another; without effect when this tab does not lead.</summary>
    public void Take(LeaderRequest request)
    {
        if (_term is { } term) Run(term, request);
    }

    /// <summary>Takes the turn at once for this tab when nobody has or awaits it; null otherwise.</summary>
    public TurnGrant? TryTakeTurn(long number)
    {
        if (_term is not { } term) return null;
        (term.State, var effects) = LeaderSession.Step(term.State, new LeaderRequest.TakeTurn(number), term);
        return effects is [LeaderEffect.Grant(_, var grant)] ? grant : null;
    }

    /// <summary>Takes a message that names the leadership it means; a late copy must not reach a later one.</summary>
    public void Handle(CommitMessage message)
    {
        if (_term is not { } term || term.State.Fence.Epoch != message.Epoch) return;
        if (message.Kind == CommitMessageKind.TurnRequest) Run(term, new LeaderRequest.AskTurn(message.Sender, message.Turn));
        else if (message.Kind == CommitMessageKind.TurnRelease) Run(term, new LeaderRequest.ReleaseTurn(message.Sender, message.Turn));
        else if (message.Kind == CommitMessageKind.Statements) TakeStatements(term, message);
        else if (message.Kind == CommitMessageKind.Question) Run(term, new LeaderRequest.Question(message.Sender, message.Position));
        else if (message.ReadCommits(verifyBlocks: true) is [var commit] && commit.Writer == message.Sender)
        {
            Run(term, new LeaderRequest.Commit(message.Sender, [commit]));
        }
        else
        {
            core.Metrics.OnDropped();
        }
    }

    /// <summary>At each heartbeat of the coordinator.</summary>
    public void OnHeartbeat()
    {
        Take(new LeaderRequest.Heartbeat());
        Announce(hasJustBegun: false);
    }

    /// <summary>Says that this tab leads, if it does.</summary>
    public void Announce(bool hasJustBegun)
    {
        if (_term is not { } term) return;
        peers.Post(CommitMessageKind.Leading, m => m with
        {
            Epoch = term.State.Fence.Epoch,
            Position = image.Ledger.End,
            Durable = image.Ledger.End.Marker,
            HasJustBegun = hasJustBegun,
        });
    }

    /// <summary>The store granted this epoch: a leadership under a lower one is over.</summary>
    public void OnGranted(Epoch epoch)
    {
        if (_term is { } term && epoch > term.State.Fence.Epoch) End(new FencedException(term.State.Fence.Epoch, epoch));
    }

    /// <summary>The whole store was read anew, and a leadership builds on the ledger that it began with.</summary>
    public void OnReloaded(long marker)
    {
        if (_term is not null) End(new MarkerConflictException(marker));
    }

    /// <summary>Ends the leadership, if there is one, for what the store said.</summary>
    /// <param name="error">Null when only the lease ran out: the coordinator knows.</param>
    public void End(StorageException? error)
    {
        Stop();
        switch (error)
        {
            case null:
                break;
            case StoreReplacedException or StorageClosedException { Reason: not StoreClosedReason.Lost }:
                Failed(error);
                break;
            case StorageClosedException:
                link.StartReopen();
                break;
            default:
                Log.Fenced(core.Logger, core.Scope, error.Message);
                if (error is FencedException fenced)
                {
                    core.Metrics.OnFenced();
                    core.Gate.Defer(() => coordinator.StepDown(fenced.StoreEpoch));
                }
                else
                {
                    Resign();
                }

                link.StartCatchUp();
                break;
        }
    }

    /// <summary>Ends the leadership and lets another tab lead: the election does not know yet that it has ended.</summary>
    public void Resign()
    {
        Stop();
        core.Gate.Defer(() => _ = StoreLink.TryAsync(coordinator.ResignAsync));
    }

    /// <summary>Ends the leadership, if there is one, without a word.</summary>
    public void Stop()
    {
        if (_term is { } term) term.State = LeaderSession.End(term.State);
        _term = null;
        peers.EndHere();
    }

    private void Run(Term term, LeaderRequest request)
    {
        (term.State, var effects) = LeaderSession.Step(term.State, request, term);
        for (var i = 0; i < effects.Count; i++) Execute(term, effects[i]);
    }

    private void Execute(Term term, LeaderEffect effect)
    {
        switch (effect)
        {
            case LeaderEffect.Append(var group):
                _ = AppendAsync(term, group);
                break;
            case LeaderEffect.Fold:
                if (image.FindIncomplete().Length > 0) core.Gate.Defer(() => _ = LoadAndFoldAsync(term));
                else Fold(term);
                break;
            case LeaderEffect.ContinueSoon:
                core.Gate.Defer(() => core.Gate.Run(() => Run(term, new LeaderRequest.Continue())));
                break;
            case LeaderEffect.RunStatements:
                core.Gate.Defer(() => _ = RunStatementsAsync(term));
                break;
            case LeaderEffect.Announce(var commit):
                OnAppended([commit]);
                break;
            case LeaderEffect.AnswerCommitted(var to, var position) when to != core.Self: // here the ledger holds it, so the image does or will
                peers.Post(CommitMessageKind.Committed, m => m with { To = to, Position = position, Durable = image.Ledger.End.Marker });
                break;
            case LeaderEffect.AnswerRefused(var to, var position, var code, var text):
                if (to == core.Self) Refused(position.Commit, code, text);
                else peers.Post(CommitMessageKind.Refused, m => m with { To = to, Position = position, Durable = image.Ledger.End.Marker, Code = code, Text = text });
                break;
            case LeaderEffect.AskForCommit(var from, var position):
                peers.Post(CommitMessageKind.Missing, m => m with { To = from, Position = position });
                break;
            case LeaderEffect.Grant(var to, var grant):
                if (to == core.Self) TurnGranted(grant);
                else PostGrant(to, grant);
                break;
            case LeaderEffect.EndLeadership(var error):
                End(error);
                break;
        }
    }

    private void PostGrant(TabId to, TurnGrant grant) => peers.Post(CommitMessageKind.TurnGrant, m => m with
    {
        To = to,
        Position = grant.Base,
        Turn = grant.Number,
        Durable = grant.Durable,
        Records = [.. grant.Accepted.Select(c => c.Segment.Array!)],
    });

    private async Task AppendAsync(Term term, IReadOnlyList<CommitRecord> group)
    {
        var error = await link.AppendAsync(term.State.Fence, group).ConfigureAwait(false);
        core.Gate.Run(() =>
        {
            // Also when the leadership has ended meanwhile: durable is durable.
            if (error is null || Sabotage.IsMissing(Guard.AppendFailure)) OnAppended(group);
            Run(term, new LeaderRequest.Appended(error));
        });
    }

    private void Fold(Term term)
    {
        if (image.MakeCheckpoint(term.State.Fence) is { } checkpoint) _ = CheckpointAsync(term, checkpoint);
        else Run(term, new LeaderRequest.Checkpointed(null)); // an effect before it moved the image
    }

    /// <summary>Extents are written whole, so what is missing of those that the log touches comes first, and stays from before it is looked for: else one drives the other out, without an end.</summary>
    private async Task LoadAndFoldAsync(Term term)
    {
        var pins = !Sabotage.IsMissing(Guard.CheckpointPin);
        if (pins) extents.Pin();
        var error = await StoreLink.TryAsync(() => extents.LoadAsync(core.Gate.Run(image.FindIncomplete), core.Closing)).ConfigureAwait(false);
        core.Gate.Run(() =>
        {
            if (error is null && image.FindIncomplete().Length == 0 && term == _term) Fold(term);
            else Run(term, new LeaderRequest.Checkpointed(error));
            if (error is not null && !LeaderSession.EndsLeadership(error)) Log.CheckpointFailed(core.Logger, core.Scope, error.Message);
        });
        if (pins) extents.Unpin();
    }

    private async Task CheckpointAsync(Term term, Checkpoint checkpoint)
    {
        var error = await link.CheckpointAsync(term.State.Fence, checkpoint).ConfigureAwait(false);
        foreach (var extent in checkpoint.Extents) extent.Dispose();
        core.Gate.Run(() =>
        {
            if (error is null || Sabotage.IsMissing(Guard.CheckpointFailure))
            {
                image.Ledger.OnCheckpoint(checkpoint.Head);
                extents.OnHead(checkpoint.Head);
                core.Metrics.OnCheckpoint();
                Log.Checkpointed(core.Logger, core.Scope, checkpoint.Head.Checkpoint.Marker, checkpoint.Extents.Count);
            }
            else if (!LeaderSession.EndsLeadership(error))
            {
                Log.CheckpointFailed(core.Logger, core.Scope, error.Message);
            }

            Run(term, new LeaderRequest.Checkpointed(error));
        });
    }

    private void OnAppended(IReadOnlyList<CommitRecord> group)
    {
        // A writer here is answered first: what it does until its next wait, others need not have heard. They hear in order.
        var atOnce = 0;
        if (_toAnnounce.Count == 0) while (atOnce < group.Count && group[atOnce].Writer != core.Self) atOnce++;
        Announce(group, 0, atOnce);
        for (var i = 0; i < group.Count; i++) image.OnDurable(group[i]);
        if (atOnce == group.Count || !peers.HasCompany) return;
        if (_toAnnounce.Count == 0) core.Gate.Defer(() => core.Gate.Run(AnnounceLater));
        for (var i = atOnce; i < group.Count; i++) _toAnnounce.Add(group[i]);
    }

    private void AnnounceLater()
    {
        CommitRecord[] commits = [.. _toAnnounce];
        _toAnnounce.Clear(); // first: where a message cannot be sent, the next ones are all the same
        Announce(commits, 0, commits.Length);
    }

    /// <summary>Says that commits are durable; as many in one message as there is room for, since each wakes every tab.</summary>
    private void Announce(IReadOnlyList<CommitRecord> commits, int start, int end)
    {
        while (start < end)
        {
            var (next, bytes) = (start + 1, (long)commits[start].Bytes.Length);
            while (next < end && commits[next].Epoch == commits[start].Epoch && bytes + commits[next].Bytes.Length <= core.Options.AnnounceBytes) bytes += commits[next++].Bytes.Length;
            var (first, last) = (start, commits[next - 1]);

            // Nobody hears it where no other tab is known; one that has just come asks who leads, and reads the log.
            peers.Post(CommitMessageKind.Committed, m => m with
            {
                Epoch = last.Epoch,
                Position = last.Position,
                Durable = last.Marker,
                Records = bytes <= core.Options.AnnounceBytes ? [.. commits.Take(first..next).Select(commit => commit.Segment.Array!)] : [],
            });
            start = next;
        }
    }

    /// <summary>One leadership, from its epoch on.</summary>
    private sealed class Term(PipelineCore core, TabCoordinator coordinator, ImageFollower image, LeaderState state) : ILeaderView
    {
        public LeaderState State { get; set; } = state;

        public CommitLedger Ledger => image.Ledger;

        public bool IsImageAtEnd => image.IsAtEnd;

        public bool HoldsLease => coordinator.CurrentLease is { } lease && lease.Epoch == State.Fence.Epoch;

        public TimeSpan Now => core.Time.GetElapsedTime(0);
    }
}
