namespace DataSync.Storage;

/// <summary>The way to whoever leads: this tab's own leadership, or messages to another tab. The same for those who write.</summary>
internal sealed class LeaderRoute(PipelineCore core, Leadership leadership, Peers peers, StoreLink link)
{
    /// <summary>Whether this tab leads.</summary>
    public bool IsHere => leadership.IsHere;

    /// <summary>Whether anybody is known to lead.</summary>
    public bool IsKnown => peers.Leader is not null;

    /// <summary>Whether this tab can neither lead nor reach who does: its connection is away. It goes on with what needs nobody.</summary>
    public bool IsCut => core.IsObserver && (peers.Leader is null || link.IsReopening);

    /// <summary>Sends commits, each built on the one before; asks about those whose bytes this leader was sent before.</summary>
    public void Send(IReadOnlyList<PendingCommit> commits)
    {
        if (leadership.IsHere)
        {
            var records = new CommitRecord[commits.Count];
            for (var i = 0; i < records.Length; i++) records[i] = commits[i].Commit;
            leadership.Take(new LeaderRequest.Commit(core.Self, records));
            return;
        }

        foreach (var pending in commits)
        {
            if (peers.Leader is { } leader && pending.SentTo == leader) peers.Post(CommitMessageKind.Question, m => m with { Position = pending.Commit.Position });
            else SendBytes(pending);
        }
    }

    /// <summary>Sends a commit's bytes to the leader in another tab.</summary>
    public void SendBytes(PendingCommit pending)
    {
        if (peers.Leader is not { } leader) return;
        pending.SentTo = leader;
        peers.Post(CommitMessageKind.Commit, m => m with { Position = pending.Commit.Position, Records = [pending.Commit.Segment.Array!] });
    }

    /// <summary>Sends a group of this tab's statements, to be run behind its last commit.</summary>
    public void SendStatements(CommitId previous, StatementRequest[] group)
    {
        if (leadership.IsHere) leadership.Take(new LeaderRequest.Statements(core.Self, previous, group));
        else peers.Post(CommitMessageKind.Statements, m => m with { Position = new(0, previous), Records = [.. group.Select(one => (byte[])[.. one.Id.Value.ToByteArray(), .. one.Body])] });
    }

    /// <summary>Asks for the write turn, or asks again.</summary>
    public void AskTurn(long number)
    {
        if (leadership.IsHere) leadership.Take(new LeaderRequest.AskTurn(core.Self, number));
        else peers.Post(CommitMessageKind.TurnRequest, m => m with { Turn = number });
    }

    /// <summary>Takes the turn at once, where this tab leads and nobody has or awaits it; null otherwise.</summary>
    public TurnGrant? TryTakeTurn(long number) => leadership.TryTakeTurn(number);

    /// <summary>Gives the turn back, or withdraws the request for it.</summary>
    public void ReleaseTurn(long number)
    {
        if (leadership.IsHere) leadership.Take(new LeaderRequest.ReleaseTurn(core.Self, number));
        else peers.Post(CommitMessageKind.TurnRelease, m => m with { Turn = number });
    }
}
