namespace DataSync.Storage;

// What comes from other tabs, and to whom it goes.
internal sealed partial class CommitPipeline
{
    private void Handle(CommitMessage message)
    {
        switch (message.Kind)
        {
            case CommitMessageKind.Commit or CommitMessageKind.Statements or CommitMessageKind.TurnRequest or CommitMessageKind.TurnRelease or CommitMessageKind.Question:
                _leadership.Handle(message);
                break;
            case CommitMessageKind.Leading:
                _peers.HearOfLeader(message);
                if (message.Durable > _image.Ledger.End.Marker) _link.StartCatchUp();
                break;
            case CommitMessageKind.WhoLeads:
                _leadership.Announce(hasJustBegun: false);
                break;
            case CommitMessageKind.Committed:
                OnCommittedMessage(message);
                break;
            case CommitMessageKind.Refused when _peers.IsFromLeader(message):
                _outbox.OnRefused(message.Position.Commit, message.Code, message.Text, message.Durable);
                break;
            case CommitMessageKind.TurnGrant when _peers.IsFromLeader(message) && message.ReadCommits(verifyBlocks: false) is { } accepted:
                _slots.OnTurnGranted(new TurnGrant(message.Turn, message.Position, message.Durable, accepted));
                break;
            case CommitMessageKind.Missing when _peers.IsFromLeader(message):
                _outbox.SendBytes(message.Position);
                break;
        }
    }

    // Taken at its word only from the leader that this tab knows: what anybody else says, the log tells.
    private void OnCommittedMessage(CommitMessage message)
    {
        if (message.Position.Marker <= _image.Ledger.End.Marker) return;
        if (_peers.IsFromLeader(message))
        {
            if (message.Records.Count <= 1 && _outbox.Find(message.Position) is { } own)
            {
                _image.OnDurable(own.Commit); // its bytes need not be read
                return;
            }

            if (message.ReadCommits(verifyBlocks: false) is [.., var last] commits && last.Position == message.Position)
            {
                foreach (var commit in commits) _image.OnDurable(_outbox.Find(commit.Position)?.Commit ?? commit);
                return;
            }
        }

        _link.StartCatchUp();
    }
}
