using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>What a leadership tells the tab that holds it. Called inside the pipeline's gate.</summary>
internal interface ILeaderOutput
{
    /// <summary>What is known to be durable.</summary>
    CommitLedger Ledger { get; }

    /// <summary>A commit is durable: every tab may hear of it.</summary>
    void OnAppended(CommitRecord commit);

    /// <summary>A commit that was sent again is durable already.</summary>
    void AnswerCommitted(TabId to, Position position);

    /// <summary>A commit was not taken and never will be.</summary>
    void AnswerRefused(TabId to, Position position, StorageErrorCode code, string message);

    /// <summary>A commit that a tab asks about never came.</summary>
    void AskForCommit(TabId from, Position position);

    /// <summary>A tab gets the write turn.</summary>
    void AnswerTurn(TabId to, TurnGrant grant);

    /// <summary>The checkpoint to write now, or null when the image is not where the log ends.</summary>
    Checkpoint? PrepareCheckpoint(Fence fence);

    /// <summary>The checkpoint was written.</summary>
    void OnCheckpoint(Checkpoint checkpoint);

    /// <summary>The store would not take a checkpoint; the log stays as it is until the next try.</summary>
    void OnCheckpointFailed(StorageException error);

    /// <summary>The leadership is over: the store refused it, was closed, or the lease ran out.</summary>
    void OnLost(StorageException? error);
}

/// <summary>The write turn: leave to build the next commit on a history that may not be durable yet.</summary>
/// <param name="Number">The number of the request that it answers.</param>
/// <param name="Base">What the next commit must be built on.</param>
/// <param name="Durable">The last durable marker at the leader.</param>
/// <param name="Accepted">The commits between the two, in order.</param>
internal sealed record TurnGrant(long Number, Position Base, long Durable, IReadOnlyList<CommitRecord> Accepted);

/// <summary>
/// One leadership's side of the write path: takes commits in order, appends them in groups, one store transaction at a
/// time, and hands out write turns. Invariants: what is accepted is the durable history, then the group being appended,
/// then those waiting, each built on the one before; nothing is answered before it is durable; a refused commit is never
/// taken later. Guarded by the pipeline's gate; becomes inert when closed.
/// </summary>
internal sealed class LeaderSession(
    IBlockStore store, Fence fence, TabId self, ILeaderOutput output, PipelineGate gate,
    PipelineOptions options, TimeProvider time)
{
    private const int MaxGroupBytes = 16 << 20;
    private const int MaxRefused = 4096;
    private const string OtherTabFirst = "Another tab committed first.";

    /// <summary>How long no checkpoint is tried after the store had no room: it needs room itself, and a full disk is not pushed further.</summary>
    private static readonly TimeSpan FullPause = TimeSpan.FromSeconds(30);

    private readonly List<CommitRecord> _waiting = [];
    private readonly HashSet<CommitId> _refused = [];
    private readonly Queue<CommitId> _refusedOrder = new();
    private readonly LinkedList<(TabId Tab, long Number)> _turnQueue = new();
    private List<CommitRecord> _appending = [];
    private (TabId Tab, long Number, long Since)? _turn;
    private Position _accepted = output.Ledger.End;
    private bool _busy;
    private bool _closed;
    private bool _checkpointDue;
    private long? _fullSince;

    // From the start: whoever waited for a leader writes now.
    private bool _wroteSinceHeartbeat = true;
    private bool _isCollecting;

    public Epoch Epoch => fence.Epoch;

    /// <summary>The lease under which this leadership acts; null until it is announced.</summary>
    public LeaderLease? Lease { get; set; }

    /// <summary>Takes a commit, answers it when it is durable already, or refuses it.</summary>
    public void Commit(TabId from, CommitRecord commit)
    {
        if (_closed || (!Sabotage.IsMissing(Guard.CommitId) && IsKnown(from, commit.Id))) return;
        var foreignTurn = _turn is { } turn && turn.Tab != from;
        var isMisplaced = commit.Base != _accepted && !Sabotage.IsMissing(Guard.Base);
        if (foreignTurn || isMisplaced || _refused.Contains(commit.Id))
        {
            Refuse(from, commit, StorageErrorCode.Stale, OtherTabFirst);
        }
        else
        {
            var accepted = commit.Stamp(fence);
            _waiting.Add(accepted);
            _accepted = accepted.Position;
            if (Sabotage.IsMissing(Guard.DurableBeforeAnswer)) output.OnAppended(accepted);
        }

        if (_turn?.Tab == from) EndTurn();
        if (from == self) Pump();
        else gate.Defer(() => gate.Run(Pump)); // a writer here that was just given the turn goes first, and shares the append
    }

    /// <summary>A writer asks what became of a commit: it is answered, is under way, was refused, or has to be sent again.</summary>
    public void Answer(TabId from, Position position)
    {
        if (_closed || IsKnown(from, position.Commit)) return;
        if (_refused.Contains(position.Commit)) output.AnswerRefused(from, position, StorageErrorCode.Stale, OtherTabFirst);
        else output.AskForCommit(from, position);
    }

    // Answered when it is durable, and answered later when it is under way.
    private bool IsKnown(TabId from, CommitId id)
    {
        if (output.Ledger.Find(id) is { } marker)
        {
            output.AnswerCommitted(from, new(marker, id));
            return true;
        }

        return _waiting.Exists(c => c.Id == id) || _appending.Exists(c => c.Id == id);
    }

    /// <summary>Appends what is committed meanwhile in one group, as far as nothing is being appended already.</summary>
    public void Collect(Action commits)
    {
        _isCollecting = true;
        commits();
        _isCollecting = false;
        Pump();
    }

    /// <summary>A tab asks for the turn; a repeated request is answered again.</summary>
    public void RequestTurn(TabId tab, long number)
    {
        if (_closed) return;
        if (_turn is { } turn && turn.Tab == tab)
        {
            if (number < turn.Number) return;
            if (number == turn.Number) Answer(tab, number);
            else Grant(tab, number);
            return;
        }

        for (var node = _turnQueue.First; node is not null; node = node.Next)
        {
            if (node.Value.Tab != tab) continue;
            node.Value = (tab, Math.Max(number, node.Value.Number));
            return;
        }

        _turnQueue.AddLast((tab, number));
        GrantNext();
    }

    /// <summary>Takes the turn at once for this tab when nobody has or awaits it; null otherwise.</summary>
    public TurnGrant? TryTakeTurn(long number)
    {
        if (_closed || _turn is not null || _turnQueue.Count > 0) return null;
        _turn = (self, number, time.GetTimestamp());
        return MakeGrant(number);
    }

    /// <summary>A tab gives the turn back, or withdraws its request.</summary>
    public void ReleaseTurn(TabId tab, long number)
    {
        if (_closed) return;
        if (_turn is { } turn && turn.Tab == tab && turn.Number <= number) EndTurn();
        RemoveRequests(tab, number);
    }

    /// <summary>A tab is gone: its turn goes to the next one.</summary>
    public void OnTabGone(TabId tab)
    {
        if (_closed) return;
        RemoveRequests(tab, long.MaxValue);
        if (_turn?.Tab == tab) EndTurn();
    }

    /// <summary>Looks for a turn that was held too long, and folds the log when nothing was written since the last heartbeat.</summary>
    public void OnHeartbeat()
    {
        if (_closed) return;
        if (_turn is { } turn && time.GetElapsedTime(turn.Since) > options.TurnDeadline && _turnQueue.Count > 0) EndTurn();
        _checkpointDue |= output.Ledger.LogRecords > 64 && !_busy && !_wroteSinceHeartbeat;
        _wroteSinceHeartbeat = false;
        Pump();
    }

    /// <summary>Ends this leadership: what was not appended is forgotten here (whoever sent it sends it to the next leader).</summary>
    public void Close()
    {
        _closed = true;
        _waiting.Clear();
        _turnQueue.Clear();
        _turn = null;
    }

    private void Refuse(TabId to, CommitRecord commit, StorageErrorCode code, string message)
    {
        // A copy of this message may still come, when the history has been put back to where it would fit again.
        if (_refused.Add(commit.Id)) _refusedOrder.Enqueue(commit.Id);
        if (_refusedOrder.Count > MaxRefused) _refused.Remove(_refusedOrder.Dequeue());
        output.AnswerRefused(to, commit.Position, code, message);
    }

    private void EndTurn()
    {
        _turn = null;
        GrantNext();
    }

    private void GrantNext()
    {
        if (_turn is not null || _turnQueue.First is not { } first) return;
        _turnQueue.RemoveFirst();
        Grant(first.Value.Tab, first.Value.Number);
    }

    private void Grant(TabId tab, long number)
    {
        _turn = (tab, number, time.GetTimestamp());
        Answer(tab, number);
    }

    private void Answer(TabId tab, long number) => output.AnswerTurn(tab, MakeGrant(number));

    private TurnGrant MakeGrant(long number) => new(number, _accepted, output.Ledger.End.Marker, [.. _appending, .. _waiting]);

    private void RemoveRequests(TabId tab, long number)
    {
        for (var node = _turnQueue.First; node is not null; node = node.Next)
        {
            if (node.Value.Tab != tab || node.Value.Number > number) continue;
            _turnQueue.Remove(node);
            return;
        }
    }

    private void Pump()
    {
        if (_closed || _busy || _isCollecting) return;
        _checkpointDue |= output.Ledger.LogBytes >= options.CheckpointLogBytes || output.Ledger.LogRecords >= options.CheckpointLogRecords;
        _checkpointDue &= !IsFull;
        if (_waiting.Count == 0 && !_checkpointDue) return;
        if (Lease is { IsHeld: false })
        {
            Lose(null);
            return;
        }

        if (_checkpointDue && output.PrepareCheckpoint(fence) is { } checkpoint)
        {
            _busy = true;
            _ = CheckpointAsync(checkpoint);
        }
        else
        {
            PumpAppends();
        }
    }

    private bool IsFull => _fullSince is { } since && time.GetElapsedTime(since) < FullPause;

    // Not later with each failure: an app that goes on writing must not keep off the checkpoint, which may give room back.
    private void NoteRoom(StorageException? error)
    {
        if (error is StorageQuotaException && !IsFull) _fullSince = time.GetTimestamp();
    }

    private List<CommitRecord> TakeGroup()
    {
        long bytes = 0;
        var count = 0;
        while (count < _waiting.Count && (count == 0 || bytes + _waiting[count].Bytes.Length <= MaxGroupBytes)) bytes += _waiting[count++].Bytes.Length;
        var group = _waiting.GetRange(0, count);
        _waiting.RemoveRange(0, count);
        return group;
    }

    private async Task AppendAsync(List<CommitRecord> group)
    {
        var error = await Attempt(() => store.AppendAsync(fence, group, CancellationToken.None)).ConfigureAwait(false);
        gate.Run(() =>
        {
            _busy = false;
            _appending = [];
            NoteRoom(error);
            if (error is null || Sabotage.IsMissing(Guard.AppendFailure)) group.ForEach(output.OnAppended);
            else OnAppendFailed(group, error);
            Pump();
        });
    }

    private async Task CheckpointAsync(Checkpoint checkpoint)
    {
        var error = await Attempt(() => store.CheckpointAsync(fence, checkpoint, CancellationToken.None)).ConfigureAwait(false);
        foreach (var extent in checkpoint.Extents) extent.Dispose();
        gate.Run(() =>
        {
            _busy = false;
            _checkpointDue = false;
            NoteRoom(error);
            if (error is null || Sabotage.IsMissing(Guard.CheckpointFailure)) output.OnCheckpoint(checkpoint);
            else if (EndsLeadership(error)) Lose(error);
            else output.OnCheckpointFailed(error);
            if (error is null) Pump();
            else PumpAppends();
        });
    }

    // After a failed checkpoint the log is still over its bound; appends go on until the next heartbeat tries again.
    private void PumpAppends()
    {
        if (_closed || _busy || _waiting.Count == 0) return;
        _busy = _wroteSinceHeartbeat = true;
        _appending = TakeGroup();
        _ = AppendAsync(_appending);
    }

    private void OnAppendFailed(List<CommitRecord> group, StorageException error)
    {
        if (_closed) return;
        if (EndsLeadership(error))
        {
            Lose(error);
            return;
        }

        var failed = group.Concat(_waiting).ToList();
        _waiting.Clear();
        _accepted = output.Ledger.End;
        foreach (var commit in failed) Refuse(commit.Writer, commit, error.Code, error.Message);
    }

    private void Lose(StorageException? error)
    {
        if (_closed) return;
        Close();
        output.OnLost(error);
    }

    private static bool EndsLeadership(StorageException error) =>
        error is FencedException or StoreReplacedException or MarkerConflictException or StorageClosedException;

    private static async ValueTask<StorageException?> Attempt(Func<ValueTask> work)
    {
        try
        {
            await work().ConfigureAwait(false);
            return null;
        }
        catch (StorageException error)
        {
            return error;
        }
#pragma warning disable CA1031 // What a store throws besides leaves the outcome unknown, as a lost connection does.
        catch (Exception error)
        {
            return new StorageClosedException(StoreClosedReason.Lost, $"The store failed unexpectedly: {error.Message}");
        }
#pragma warning restore CA1031
    }
}
