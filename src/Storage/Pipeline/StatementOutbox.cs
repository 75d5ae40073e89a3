using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// This tab's statements that the leader is to run, and that have no outcome yet. They go in groups, each when the one before has its
/// outcomes, and this tab commits nothing else meanwhile (<see cref="WriteSlots"/> sees to it): so the tab's last commit, which every
/// leader can tell, says which of a group were run, however late it is asked. Guarded by the gate.
/// </summary>
internal sealed class StatementOutbox(PipelineCore core, ImageFollower image, LeaderRoute leader)
{
    /// <summary>Of one group: what is behind it waits for its outcomes.</summary>
    private const int MaxGroup = 64, MaxGroupBytes = 256 << 10;

    private readonly List<PendingStatements> _waiting = [];
    private readonly List<PendingStatements> _sent = [];

    /// <summary>This tab's last commit before the group on its way.</summary>
    private CommitId _previous;

    /// <summary>This tab's last commit; it is durable.</summary>
    public required Func<Position?> LastOwn { private get; init; }

    /// <summary>Everything has its outcome: this tab may commit blocks again.</summary>
    public required Action Emptied { private get; init; }

    public bool IsEmpty => _sent.Count == 0 && _waiting.Count == 0;

    /// <summary>Sends statements to the leader, to be run as one transaction; behind those that are on their way.</summary>
    /// <param name="body">The statements, as the runner reads them.</param>
    /// <param name="cancellationToken">Withdraws them while they wait to be sent.</param>
    public Task<StatementOutcome> Send(byte[] body, CancellationToken cancellationToken)
    {
        var statements = new PendingStatements(core.Sources.NewCommitId().Request, body, core.Gate.NewCompletion<StatementOutcome>(), core.Now);
        _waiting.Add(statements);
        SendNext();
        return cancellationToken.CanBeCanceled && !_sent.Contains(statements) ? WithCancellation(statements, cancellationToken) : statements.Outcome.Task;
    }

    /// <summary>Sends once more what has no outcome; what was run is not run again.</summary>
    public void SendAgain()
    {
        if (_sent.Count > 0 && !Sabotage.IsMissing(Guard.Resend)) Post();
    }

    /// <summary>This tab leads: what waited for a leader has one, so that it is not given up while it is run.</summary>
    public void StartAnew()
    {
        foreach (var statements in _sent) statements.Since = core.Now;
    }

    /// <summary>A durable commit of any tab is in the image.</summary>
    public void OnShown(CommitRecord commit)
    {
        if (_sent.Count == 0 || commit.Result is not { } result) return;
        if (Take(commit.Id.Request) is not { } statements) return;
        core.Metrics.OnAcknowledged(core.Since(statements.Since));
        Settle(statements, new(false, false, commit.Position, result));
    }

    /// <summary>The image is replaced by one that was read from the store: what was run is in its history.</summary>
    public void OnReinstalling(Position? last)
    {
        var done = last is { } own ? IndexOf(own) : -1;
        foreach (var statements in _sent.Where((one, i) => i <= done || image.Ledger.FindRequest(one.Id) is not null).ToArray())
        {
            var found = image.Ledger.FindRequest(statements.Id);
            Take(statements.Id);
            Settle(statements, new(false, false, found?.Position ?? last!.Value, found?.Result));
        }
    }

    /// <summary>The leader did not run statements, or they did not become durable, and never will.</summary>
    public void OnRefused(CommitId id, StorageErrorCode code, string text)
    {
        if (image.Ledger.FindRequest(id) is not null || Take(id) is not { } refused) return;
        if (code == StorageErrorCode.Stale) Settle(refused, new(true, text == LeaderSession.Unfit, default, null));
        else Fail(refused, StorageException.FromCode(code, text));
    }

    /// <summary>At each heartbeat: gives up what was never answered, and asks again what is late.</summary>
    public void OnHeartbeat()
    {
        foreach (var overdue in _sent.Where(one => core.IsOverdue(one.Since)).ToArray())
        {
            Take(overdue.Id);
            Fail(overdue, NoLeaderException.OutcomeUnknown(core.Options.WriteTimeout));
        }

        if (_sent.Exists(one => core.IsLate(one.Since))) SendAgain();
    }

    public void Stop(StorageException error)
    {
        foreach (var statements in _sent.Concat(_waiting).ToArray()) Fail(statements, error);
        _sent.Clear();
        _waiting.Clear();
        Emptied();
    }

    private void SendNext()
    {
        if (_sent.Count > 0 || _waiting.Count == 0) return;
        var (count, bytes) = (0, 0L);
        while (count < _waiting.Count && count < MaxGroup && (count == 0 || bytes + _waiting[count].Body.Length <= MaxGroupBytes)) bytes += _waiting[count++].Body.Length;
        _sent.AddRange(_waiting[..count]);
        _waiting.RemoveRange(0, count);
        _previous = LastOwn()?.Commit ?? CommitId.None;
        foreach (var statements in _sent) statements.Since = core.Now;
        Post();
    }

    private void Post() => leader.SendStatements(_previous, [.. _sent.Select(one => new StatementRequest(core.Self, one.Id, one.Body))]);

    // Only what was run in this group can be this tab's last commit.
    private int IndexOf(Position commit) => _sent.FindLastIndex(one => one.Id == commit.Commit.Request);

    private PendingStatements? Take(CommitId id)
    {
        var index = _sent.FindIndex(one => one.Id == id);
        if (index < 0) return null;
        var taken = _sent[index];
        _sent.RemoveAt(index);
        return taken;
    }

    private void Settle(PendingStatements statements, StatementOutcome outcome)
    {
        core.Metrics.OnStatements(outcome.IsStale);
        core.Gate.Defer(() => statements.Outcome.TrySetResult(outcome));
        GoOn();
    }

    private void Fail(PendingStatements statements, StorageException error)
    {
        core.Metrics.OnFailed(error);
        core.Gate.Defer(() => statements.Outcome.TrySetException(error));
        GoOn();
    }

    private void GoOn()
    {
        if (!core.IsStopped) SendNext();
        if (IsEmpty) Emptied();
    }

    private async Task<StatementOutcome> WithCancellation(PendingStatements statements, CancellationToken cancellationToken)
    {
        using var registration = cancellationToken.Register(() => core.Gate.Run(() =>
        {
            if (!_waiting.Remove(statements)) return;
            core.Gate.Defer(() => statements.Outcome.TrySetCanceled(cancellationToken));
            if (IsEmpty) Emptied();
        }));
        return await statements.Outcome.Task.ConfigureAwait(false);
    }

    private sealed class PendingStatements(CommitId id, byte[] body, TaskCompletionSource<StatementOutcome> outcome, long since)
    {
        public CommitId Id { get; } = id;

        public byte[] Body { get; } = body;

        public TaskCompletionSource<StatementOutcome> Outcome { get; } = outcome;

        /// <summary>When they were sent, as a timestamp of the pipeline's clock.</summary>
        public long Since { get; set; } = since;
    }
}

/// <summary>What became of statements that were sent to the leader.</summary>
/// <param name="IsStale">Nothing of them was kept; they are to be run in their own tab.</param>
/// <param name="IsUnfit">And never sent again: they use what only their own tab has.</param>
/// <param name="Position">Where their commit stands, unless they are stale.</param>
/// <param name="Result">What they did; null when a tab that slept through more commits than the store keeps results of can only tell that they were run.</param>
internal readonly record struct StatementOutcome(bool IsStale, bool IsUnfit, Position Position, StatementResult? Result);
