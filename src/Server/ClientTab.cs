using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Server;

/// <summary>
/// A tab at the other end of a connection, among the tabs of its database: what it may say is passed on under its name, and what leaders say to it, or to all, comes back. What it asks of
/// the leader others never hear here.
/// </summary>
internal sealed class ClientTab(ClientSession session, TabId id, ICommitChannel channel) : ITabSpeaker, IAsyncDisposable
{
    private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isLeaving;

    /// <summary>Its last request for the write turn; null when it has asked for none.</summary>
    private CommitMessage? _turn;

    public TabId Id => id;

    public Task Left => _left.Task;

    /// <summary>Ends the connection, unless the tab is about to leave it by itself: others may share it.</summary>
    public void End(string why)
    {
        if (!Volatile.Read(ref _isLeaving)) session.End(why);
    }

    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        channel.Received += OnReceived;
        await channel.OpenAsync(id, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Takes a message of the client.</summary>
    /// <exception cref="ProtocolException">It is none, or not for this tab to send.</exception>
    public void Take(byte[] bytes)
    {
        if (CommitMessage.TryParse(bytes) is not { } message) throw ProtocolException.Garbage("a message");
        if (message.Sender != id) throw ProtocolException.Forbidden("A message came in another tab's name.");
        switch (message.Kind)
        {
            case CommitMessageKind.WhoLeads or CommitMessageKind.Question:
                break;
            case CommitMessageKind.TurnRequest or CommitMessageKind.TurnRelease:
                if (session.Access != DatabaseAccess.Write) return;
                if (message.Kind == CommitMessageKind.TurnRequest && message.Turn >= (_turn?.Turn ?? 0)) _turn = message;
                break;
            case CommitMessageKind.Commit:
                if (FindObjection(message) is not { } objection) break;
                foreach (var commit in message.ReadCommits(verifyBlocks: false) ?? throw ProtocolException.Garbage("a commit")) session.Refuse(message, commit.Position, objection);
                return;
            case CommitMessageKind.Statements:
                if (RefuseStatements(message)) return;
                break;
            default:
                throw ProtocolException.Forbidden("A message came that only leaders send.");
        }

        channel.Post(bytes, message.To);
    }

    /// <summary>The tab is gone, or cut off: what it had of the write turn goes back, so that nobody waits for it.</summary>
    public async ValueTask DisposeAsync()
    {
        Volatile.Write(ref _isLeaving, true);
        try
        {
            channel.Received -= OnReceived;
            if (_turn is { } turn) channel.Post((turn with { Kind = CommitMessageKind.TurnRelease }).Encode(), turn.To);
            await channel.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            _left.TrySetResult();
        }
    }

    private string? FindObjection(CommitMessage message) =>
        session.Access != DatabaseAccess.Write ? "The server lets this user read the database, and not write it."
        : !session.Options.AllowPages && message.Kind == CommitMessageKind.Commit ? "The server takes plain SQL only (ExecuteAsync), no commits that were made elsewhere."
        : null;

    /// <summary>All or nothing: what is sent behind one that is refused was meant to be run behind it.</summary>
    private bool RefuseStatements(CommitMessage message)
    {
        var objection = FindObjection(message);
        for (var i = 0; i < message.Records.Count && objection is null && session.Options.StatementFilter is { } filter; i++)
        {
            try
            {
                var statements = StatementBody.Decode(message.Records[i][CommitMessage.RequestIdSize..]).Statements;
                if (!statements.TrueForAll(statement => filter(session.Context, session.Database, statement.Sql))) objection = "The server does not allow this statement.";
            }
            catch (Exception error) when (error is FormatException or ArgumentOutOfRangeException)
            {
                throw ProtocolException.Garbage("a statement");
            }
        }

        if (objection is null) return false;
        foreach (var record in message.Records)
        {
            if (record.Length < CommitMessage.RequestIdSize) throw ProtocolException.Garbage("a statement");
            session.Refuse(message, new(0, new(new Guid(record.AsSpan(0, CommitMessage.RequestIdSize)))), objection);
        }

        return true;
    }

    private void OnReceived(byte[] bytes)
    {
        if (CommitMessage.TryPeek(bytes) is not { } peek || (peek.To != default && peek.To != id)) return;
        if (peek.Kind is not (CommitMessageKind.Committed or CommitMessageKind.Refused or CommitMessageKind.TurnGrant or CommitMessageKind.Leading or CommitMessageKind.Missing)) return;
        foreach (var part in MessageFragments.Split(bytes)) session.Tell(new(FrameKind.Message, 0, id, part));
    }
}
