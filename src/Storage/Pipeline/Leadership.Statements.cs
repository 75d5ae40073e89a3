using DataSync.Coordination;

namespace DataSync.Storage;

// Other tabs' statements: run here, each as a commit of its own.
internal sealed partial class Leadership
{
    /// <summary>With one turn; then those who wait for it come in between.</summary>
    private const int MaxRun = 64;

    /// <summary>Runs statements in this tab; null: it cannot, and whoever sent them runs them.</summary>
    public StatementRunner? Runner { private get; set; }

    /// <summary>Waits for leave to write in this tab for another one.</summary>
    public required Func<ValueTask<WriteSlot>> BeginForOthers { private get; init; }

    private void TakeStatements(Term term, CommitMessage message)
    {
        var group = new List<StatementRequest>(message.Records.Count);
        foreach (var record in message.Records)
        {
            if (record.Length < CommitMessage.RequestIdSize)
            {
                core.Metrics.OnDropped();
                return;
            }

            group.Add(new(message.Sender, new CommitId(new(record.AsSpan(0, CommitMessage.RequestIdSize))).Request, record[CommitMessage.RequestIdSize..]));
        }

        Run(term, new LeaderRequest.Statements(message.Sender, message.Position.Commit, [.. group]));
    }

    private async Task RunStatementsAsync(Term term)
    {
        var hasFailed = false;
        try
        {
            using var slot = await BeginForOthers().ConfigureAwait(false);
            for (var runs = 0; runs < MaxRun && FindNext(term) is { } next; runs++)
            {
                if (!RunOne(term, slot, next)) break;
            }
        }
        catch (Exception error) when (error is StorageException or OperationCanceledException or ObjectDisposedException)
        {
            hasFailed = true;
        }

        core.Gate.Run(() => Run(term, new LeaderRequest.RunEnded(hasFailed)));
    }

    private StatementRequest? FindNext(Term term) =>
        core.Gate.Run(() => _term == term && term.State.Statements is [var first, ..] ? first : default(StatementRequest?));

    /// <returns>Whether the next one may be run on top.</returns>
    private bool RunOne(Term term, WriteSlot slot, StatementRequest request)
    {
        var storage = image.Storage;
        (slot.Made, slot.RunsOn) = (null, Environment.CurrentManagedThreadId);
        var id = Sabotage.IsMissing(Guard.StatementEpoch) ? request.Id : request.Id.Under(term.State.Fence.Epoch);
        var run = new StatementRun(StatementEnd.Failed); // also where this tab is not ready for them, or somebody reads, who could keep them from their end
        storage.NextCommit = new(id, request.From, default(StatementResult)); // from the beginning: what is made of statements is nobody's own
        try
        {
            if (core.Gate.Run(() => storage.IsIdle) && Runner is { } runner) run = runner(request.Body);
        }
        finally
        {
            (storage.NextCommit, slot.RunsOn) = (null, 0);
        }

        return core.Gate.Run(() =>
        {
            if (run.End == StatementEnd.Committed) slot.Made?.SetResult(run.Result);
            Run(term, new LeaderRequest.Ran(request.Id, run.End == StatementEnd.Committed ? slot.Made : null, run.End == StatementEnd.Unfit));
            return slot.Made is null || term.State.Accepted == slot.Made.Position;
        });
    }
}

/// <summary>Runs statements as one transaction on a connection of this tab, within a write slot; never throws.</summary>
/// <param name="body">What their tab sent.</param>
internal delegate StatementRun StatementRunner(byte[] body);

/// <summary>What became of statements of another tab here.</summary>
/// <param name="End">How they ended.</param>
/// <param name="Result">What they did, if they were committed.</param>
internal readonly record struct StatementRun(StatementEnd End, StatementResult Result = default);

/// <summary>How statements of another tab ended here.</summary>
internal enum StatementEnd
{
    /// <summary>Committed, if they changed anything.</summary>
    Committed,

    /// <summary>They failed, and nothing of them was kept.</summary>
    Failed,

    /// <summary>They do not mean here what they mean in their own tab, or take too long.</summary>
    Unfit,
}
