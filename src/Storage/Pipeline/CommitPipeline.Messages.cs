using DataSync.Coordination;

namespace DataSync.Storage;

// Messages between the tabs of the database: sent, and taken in with distrust.
internal sealed partial class CommitPipeline
{
    private void Post(CommitMessageKind kind, Func<CommitMessage, CommitMessage> fill)
    {
        var isAnswer = kind is CommitMessageKind.Committed or CommitMessageKind.Refused or CommitMessageKind.TurnGrant or CommitMessageKind.Leading or CommitMessageKind.Missing;
        var isToAll = isAnswer || kind == CommitMessageKind.WhoLeads;
        if (_closed || (!isToAll && _leader is null)) return;
        var message = fill(new CommitMessage
        {
            Kind = kind,
            Epoch = _leader?.Epoch ?? default,
            Sender = _coordinator.Id,
            To = isToAll ? default : _leader!.Value.Id,
            Incarnation = _incarnation,
        });
        _channel.Post(message.Encode(), message.To);
    }

    private void OnReceived(byte[] bytes)
    {
        if (CommitMessage.TryParse(bytes) is not { } message)
        {
            _metrics.OnDropped();
            Log.MessageDropped(_logger, _coordinator.Scope, bytes.Length);
            return;
        }

        _gate.Run(() =>
        {
            if (_closed || _fault is not null || _ledger is null || message.Incarnation != _incarnation) return;
            _hasCompany = true;
            if (message.To != default && message.To != _coordinator.Id) return;
            Handle(message);
        });
    }

    private void Handle(CommitMessage message)
    {
        switch (message.Kind)
        {
            case CommitMessageKind.Commit or CommitMessageKind.TurnRequest or CommitMessageKind.TurnRelease or CommitMessageKind.Question:
                // A request names the leadership it means; a late copy must not reach a later one.
                if (_session is { } session && session.Epoch == message.Epoch) HandleRequest(session, message);
                break;
            case CommitMessageKind.Leading:
                HearOfLeader(message);
                if (message.Durable > _ledger!.End.Marker) StartCatchUp();
                break;
            case CommitMessageKind.WhoLeads:
                AnnounceLeading(hasJustBegun: false);
                break;
            case CommitMessageKind.Committed:
                OnCommittedMessage(message);
                break;
            case CommitMessageKind.Refused:
                if (IsFromLeader(message)) OnRefused(message);
                break;
            case CommitMessageKind.TurnGrant:
                if (IsFromLeader(message)) OnGrantMessage(message);
                break;
            case CommitMessageKind.Missing:
                if (IsFromLeader(message) && _pending.Find(p => p.Commit.Position == message.Position) is { } pending) SendBody(pending);
                break;
        }
    }

    private bool IsFromLeader(CommitMessage message) => _leader == (message.Sender, message.Epoch);

    private void HandleRequest(LeaderSession session, CommitMessage message)
    {
        if (message.Kind == CommitMessageKind.TurnRequest) session.RequestTurn(message.Sender, message.Turn);
        else if (message.Kind == CommitMessageKind.TurnRelease) session.ReleaseTurn(message.Sender, message.Turn);
        else if (message.Kind == CommitMessageKind.Question) session.Answer(message.Sender, message.Position);
        else if (message.Records.Count == 1 && CommitRecord.Parse(message.Records[0], verifyBlocks: true, out _) is { IsPlausible: true } commit && commit.Writer == message.Sender)
        {
            session.Commit(message.Sender, commit);
        }
        else
        {
            _metrics.OnDropped();
        }
    }

    // Taken at its word only from the leader that this tab knows: what anybody else says, the log tells.
    private void OnCommittedMessage(CommitMessage message)
    {
        if (message.Position.Marker <= _ledger!.End.Marker) return;
        if (!IsFromLeader(message))
        {
            StartCatchUp();
            return;
        }

        var own = _pending.Find(p => p.Commit.Position == message.Position)?.Commit;
        var commit = own ?? (message.Records.Count == 1 ? CommitRecord.Parse(message.Records[0], verifyBlocks: false, out _) : null);
        if (commit is not { IsPlausible: true } || commit.Position != message.Position) StartCatchUp();
        else OnDurable(commit);
    }

    private void OnRefused(CommitMessage message)
    {
        var index = _pending.FindIndex(p => p.Commit.Id == message.Position.Commit);
        if (index < 0) return;
        Refuse(index, message.Code, message.Text, message.Durable);
    }

    private void Refuse(int index, StorageErrorCode code, string text, long durable)
    {
        // The marker that it hoped for is taken: by whom, the log tells (it may be this very commit, sent twice).
        if (durable >= _pending[index].Commit.Marker)
        {
            if (_ledger!.End.Marker < durable) StartCatchUp();
            return;
        }

        if (code == StorageErrorCode.Stale) FailFrom(index, _ => new StaleCommitException(1));
        else FailFrom(index, _ => StorageException.FromCode(code, text));
    }

    private void OnGrantMessage(CommitMessage message)
    {
        var accepted = new List<CommitRecord>(message.Records.Count);
        foreach (var bytes in message.Records)
        {
            if (CommitRecord.Parse(bytes, verifyBlocks: false, out _) is not { IsPlausible: true } commit) return;
            accepted.Add(commit);
        }

        OnTurnGranted(new TurnGrant(message.Turn, message.Position, message.Durable, accepted));
    }

    CommitLedger ILeaderOutput.Ledger => _ledger!;
}
