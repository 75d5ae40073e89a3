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
        var message = Check(CommitMessage.TryParse(bytes));
        switch (message.Kind)
        {
            case CommitMessageKind.TurnRequest or CommitMessageKind.TurnRelease:
                if (session.Access != DatabaseAccess.Write) return;
                if (message.Kind == CommitMessageKind.TurnRequest && message.Turn >= (_turn?.Turn ?? 0)) _turn = message;
                break;
            case CommitMessageKind.Commit when (ReadOnly ?? NoPages) is { } objection:
                foreach (var commit in message.ReadCommits(verifyBlocks: false) ?? throw ProtocolException.Garbage("a commit")) session.Refuse(message, commit.Position, StorageErrorCode.Denied, objection);
                return;
            case CommitMessageKind.Statements when ReadOnly is not null || session.Options.StatementFilter is not null:
                var allowed = message.Records.Where(record => IsAllowed(message, record)).ToList();
                if (allowed.Count == message.Records.Count) break;
                if (allowed.Count == 0) return;

                // What is sent behind one that fails for good goes on, as if that one were not there.
                bytes = (message with { Records = allowed }).Encode();
                break;
        }

        channel.Post(bytes, message.To);
    }

    /// <summary>Answers a message that is larger than what is taken.</summary>
    /// <param name="beginning">Its first bytes; what follows is dropped.</param>
    /// <exception cref="ProtocolException">It is none, or not for this tab to send.</exception>
    public void RefuseTooLarge(ReadOnlySpan<byte> beginning)
    {
        var text = FormattableString.Invariant($"The server takes at most {session.Options.MaxMessageBytes} bytes at once, and the transaction changes more. Nothing was written; split it into smaller ones.");
        var message = Check(CommitMessage.TryParseHeader(beginning));
        if (message.Kind == CommitMessageKind.Commit) session.Refuse(message, message.Position, StorageErrorCode.TooLarge, text);
        else if (message.Kind == CommitMessageKind.Statements && CommitMessage.TryParse(beginning) is { } whole)
            foreach (var record in whole.Records) session.Refuse(whole, IdOf(record), StorageErrorCode.TooLarge, text);
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

    private string? ReadOnly => session.Access == DatabaseAccess.Write ? null : "The server lets this user read the database, and not write it.";

    private string? NoPages => session.Options.AllowPages ? null
        : "The server takes plain SQL only (ExecuteAsync and its other forms, up to 16 KiB, with nothing in it that means something else there), no transactions that were run elsewhere.";

    /// <summary>That it is a message, in this tab's name, and of a kind that a follower sends.</summary>
    private CommitMessage Check(CommitMessage? message)
    {
        if (message is null) throw ProtocolException.Garbage("a message");
        if (message.Sender != id) throw ProtocolException.Forbidden("A message came in another tab's name.");
        return message.Kind is CommitMessageKind.WhoLeads or CommitMessageKind.Question or CommitMessageKind.TurnRequest or CommitMessageKind.TurnRelease or CommitMessageKind.Commit or CommitMessageKind.Statements
            ? message
            : throw ProtocolException.Forbidden("A message came that only leaders send.");
    }

    /// <summary>Whether statements may be run; those that may not are refused.</summary>
    private bool IsAllowed(CommitMessage message, byte[] record)
    {
        var position = IdOf(record);
        if ((ReadOnly ?? FindObjection(record)) is not { } objection) return true;
        session.Refuse(message, position, StorageErrorCode.Denied, objection);
        return false;
    }

    private string? FindObjection(byte[] record)
    {
        if (session.Options.StatementFilter is not { } filter) return null;
        List<TravellingStatement> statements;
        try
        {
            statements = StatementBody.Decode(record[CommitMessage.RequestIdSize..]).Statements;
        }
        catch (FormatException)
        {
            throw ProtocolException.Garbage("a statement");
        }

        return statements.TrueForAll(statement => filter(session.Context, session.Database, statement.Sql)) ? null : "The server does not allow this statement.";
    }

    /// <summary>What statements are refused under.</summary>
    private static Position IdOf(byte[] record) =>
        record.Length < CommitMessage.RequestIdSize ? throw ProtocolException.Garbage("a statement") : new(0, new(new Guid(record.AsSpan(0, CommitMessage.RequestIdSize))));

    private void OnReceived(byte[] bytes)
    {
        if (CommitMessage.TryPeek(bytes) is not { } peek || (peek.To != default && peek.To != id)) return;
        if (peek.Kind is not (CommitMessageKind.Committed or CommitMessageKind.Refused or CommitMessageKind.TurnGrant or CommitMessageKind.Leading or CommitMessageKind.Missing)) return;
        if (peek.To == id) session.TellTab(id, bytes);
        else if (session.IsListener(this)) session.TellTab(default, bytes); // once for all tabs of the connection
    }
}
