using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// The rules of one leadership's side of the write path as a pure function: takes commits in order, appends them in groups, one store
/// transaction at a time, and hands out write turns. No clock, no store, no messages.
/// </summary>
/// <remarks>
/// Invariants: what is accepted is the durable history, then the group being appended, then those waiting, each built on the one
/// before; nothing is answered before it is durable; a refused commit is never taken later; one tab has the turn; at most one store
/// transaction is under way; a leadership that is over takes nothing.
/// </remarks>
internal static class LeaderSession
{
    /// <summary>Of one append, so that nobody's answer waits long for others' bytes.</summary>
    private const int MaxGroupBytes = 16 << 20;

    /// <summary>Of refused commits that are remembered: more than can still be on their way in copies of messages.</summary>
    private const int MaxRefused = 4096;

    /// <summary>So few are soon read when a tab opens, and folding them would write whole extents of 256 KiB.</summary>
    private const int MinQuietRecords = 64;

    private const string OtherTabFirst = "Another tab committed first.";

    /// <summary>Says of statements that they failed here and may not elsewhere.</summary>
    private const string NotRun = "The statements were not run in the leader's tab.";

    /// <summary>Says of statements that they are nothing for another tab, however often they come.</summary>
    internal const string Unfit = "The statements use what only their own tab has.";

    /// <summary>How long no checkpoint is tried after the store had no room: it needs room itself, and a full disk is not pushed further.</summary>
    private static readonly TimeSpan FullPause = TimeSpan.FromSeconds(30);

    /// <summary>Takes one request; returns the new state and what to do, in order.</summary>
    public static (LeaderState State, IReadOnlyList<LeaderEffect> Effects) Step(LeaderState state, LeaderRequest request, ILeaderView view)
    {
        if (state.IsOver) return (state, []);
        var step = new Transition(state, view);
        step.Take(request);
        return step.End();
    }

    /// <summary>Ends a leadership: what was not appended is forgotten here (whoever sent it sends it to the next leader).</summary>
    public static LeaderState End(LeaderState state) => state with { IsOver = true, Waiting = [], TurnQueue = [], Turn = null, Statements = [] };

    /// <summary>Whether the store says that another tab leads, or cannot be reached.</summary>
    public static bool EndsLeadership(StorageException error) =>
        error is FencedException or StoreReplacedException or MarkerConflictException or StorageClosedException;

    private sealed class Transition(LeaderState state, ILeaderView view)
    {
        private readonly List<LeaderEffect> _effects = [];
        private LeaderState _s = state with { };

        public (LeaderState, IReadOnlyList<LeaderEffect>) End() => (_s, _effects);

        public void Take(LeaderRequest request)
        {
            switch (request)
            {
                case LeaderRequest.Commit(var from, var commits):
                    TakeCommits(from, commits);
                    break;
                case LeaderRequest.Statements(var from, var previous, var group):
                    TakeStatements(from, previous, group);
                    break;
                case LeaderRequest.Ran(var id, var commit, var isUnfit):
                    OnRan(id, commit, isUnfit);
                    break;
                case LeaderRequest.RunEnded(var hasFailed):
                    OnRunEnded(hasFailed);
                    break;
                case LeaderRequest.Question(var from, var position):
                    Answer(from, position);
                    break;
                case LeaderRequest.AskTurn(var from, var number):
                    AskTurn(from, number);
                    break;
                case LeaderRequest.TakeTurn(var number) when _s.Turn is null && _s.TurnQueue.Length == 0:
                    Grant(_s.Self, number);
                    break;
                case LeaderRequest.ReleaseTurn(var from, var number):
                    if (_s.Turn is { } turn && turn.Tab == from && turn.Number <= number) EndTurn();
                    Withdraw(from, number);
                    break;
                case LeaderRequest.TabGone(var tab):
                    Withdraw(tab, long.MaxValue);
                    if (_s.Turn?.Tab == tab) EndTurn();
                    break;
                case LeaderRequest.Heartbeat:
                    OnHeartbeat();
                    break;
                case LeaderRequest.Continue:
                    Pump();
                    break;
                case LeaderRequest.Appended(var error):
                    OnAppended(error);
                    break;
                case LeaderRequest.Checkpointed(var error):
                    OnCheckpointed(error);
                    break;
            }
        }

        private void TakeCommits(TabId from, CommitRecord[] commits)
        {
            var accepted = new List<CommitRecord>(commits.Length);
            var isNew = false;
            foreach (var commit in commits)
            {
                if (!Sabotage.IsMissing(Guard.CommitId) && IsKnown(from, commit.Id)) continue;
                isNew = true;
                var foreignTurn = _s.Turn is { } turn && turn.Tab != from;
                var isMisplaced = commit.Base != _s.Accepted && !Sabotage.IsMissing(Guard.Base);
                if (foreignTurn || isMisplaced || IsRefused(commit.Id))
                {
                    Refuse(from, commit.Position, StorageErrorCode.Stale, OtherTabFirst);
                    continue;
                }

                accepted.Add(commit.Stamp(_s.Fence));
                _s.Accepted = commit.Position;
                if (Sabotage.IsMissing(Guard.DurableBeforeAnswer)) _effects.Add(new LeaderEffect.Announce(accepted[^1]));
            }

            if (!isNew) return;
            if (accepted.Count > 0) _s.Waiting = Join(_s.Waiting, accepted.ToArray());
            if (_s.Turn?.Tab == from) EndTurn();

            // A writer here that was just given the turn goes first, and shares the append.
            if (from == _s.Self) Pump();
            else _effects.Add(new LeaderEffect.ContinueSoon());
        }

        private void TakeStatements(TabId from, CommitId previous, StatementRequest[] group)
        {
            foreach (var known in _s.Statements) if (known.From == from) return; // the same group once more
            var last = LastOf(from);
            var done = Array.FindLastIndex(group, one => one.Id == last?.Commit.Request || IsRun(one.Id));
            var isOld = done < 0 && last is { } other && other.Commit != previous;
            if (Sabotage.IsMissing(Guard.StatementOnce)) (done, isOld) = (-1, false);
            var isRefused = isOld;
            for (var i = done + 1; i < group.Length; i++)
            {
                // In order: what was sent behind one that failed is run again behind it, too.
                isRefused |= IsRefused(group[i].Id);
                if (isRefused) Refuse(from, new(0, group[i].Id), StorageErrorCode.Stale, NotRun);
                else _s.Statements = Join(_s.Statements, [group[i]]);
            }

            if (done >= 0 && view.Ledger.LastOf(from) is { } durable) _effects.Add(new LeaderEffect.AnswerCommitted(from, durable));
            StartRun();
        }

        private void StartRun()
        {
            if (_s.IsRunning || _s.Statements.Length == 0) return;
            _s.IsRunning = true;
            _effects.Add(new LeaderEffect.RunStatements());
        }

        private void OnRan(CommitId id, CommitRecord? commit, bool isUnfit)
        {
            if (_s.Statements.Length == 0 || _s.Statements[0].Id != id) return;
            var request = _s.Statements[0];
            var hasTurn = _s.Turn is { } turn && turn.Tab == _s.Self;
            if (commit is not null && hasTurn && (commit.Base == _s.Accepted || Sabotage.IsMissing(Guard.Base)))
            {
                _s.Statements = _s.Statements[1..];
                commit = commit.Stamp(_s.Fence);
                (_s.Waiting, _s.Accepted) = (Join(_s.Waiting, [commit]), commit.Position);
                if (Sabotage.IsMissing(Guard.DurableBeforeAnswer)) _effects.Add(new LeaderEffect.Announce(commit));
                _effects.Add(new LeaderEffect.ContinueSoon());
                return;
            }

            RefuseStatements(one => one.From == request.From, isUnfit ? Unfit : NotRun);
        }

        private void OnRunEnded(bool hasFailed)
        {
            _s.IsRunning = false;
            if (hasFailed) RefuseStatements(_ => true, NotRun);
            StartRun();
        }

        private void RefuseStatements(Predicate<StatementRequest> which, string text)
        {
            var refused = Array.FindAll(_s.Statements, which);
            _s.Statements = Array.FindAll(_s.Statements, one => !which(one));
            for (var i = 0; i < refused.Length; i++) Refuse(refused[i].From, new(0, refused[i].Id), StorageErrorCode.Stale, i == 0 ? text : NotRun);
        }

        // By what is remembered here; a forged message may name any commit as the one before.
        private bool IsRun(CommitId request) =>
            view.Ledger.FindRequest(request) is not null || Array.Exists(_s.Waiting, c => c.Id.Request == request) || Array.Exists(_s.Appending, c => c.Id.Request == request);

        // Durable or not.
        private Position? LastOf(TabId from)
        {
            for (var i = _s.Waiting.Length - 1; i >= 0; i--) if (_s.Waiting[i].Writer == from) return _s.Waiting[i].Position;
            for (var i = _s.Appending.Length - 1; i >= 0; i--) if (_s.Appending[i].Writer == from) return _s.Appending[i].Position;
            return view.Ledger.LastOf(from);
        }

        private void Answer(TabId from, Position position)
        {
            if (IsKnown(from, position.Commit)) return;
            _effects.Add(IsRefused(position.Commit)
                ? new LeaderEffect.AnswerRefused(from, position, StorageErrorCode.Stale, OtherTabFirst)
                : new LeaderEffect.AskForCommit(from, position));
        }

        // Answered when it is durable, and answered later when it is under way.
        private bool IsKnown(TabId from, CommitId id)
        {
            if (view.Ledger.Find(id) is { } marker)
            {
                _effects.Add(new LeaderEffect.AnswerCommitted(from, new(marker, id)));
                return true;
            }

            foreach (var commit in _s.Waiting) if (commit.Id == id) return true;
            foreach (var commit in _s.Appending) if (commit.Id == id) return true;
            return false;
        }

        private bool IsRefused(CommitId id) => _s.Refused.Count > 0 && _s.Refused.Contains(id);

        private void AskTurn(TabId tab, long number)
        {
            if (_s.Turn is { } turn && turn.Tab == tab)
            {
                // A repeated request is answered again, and counts from now: its tab is alive and at work, or did not get the answer. A later one
                // means that the tab knows nothing of the earlier.
                if (number >= turn.Number) Grant(tab, number);
                return;
            }

            var index = IndexInQueue(tab);
            if (index < 0) _s.TurnQueue = Join(_s.TurnQueue, [new(tab, number, default)]);
            else if (_s.TurnQueue[index].Number < number) _s.TurnQueue = [.. _s.TurnQueue[..index], new(tab, number, default), .. _s.TurnQueue[(index + 1)..]];
            GrantNext();
        }

        private int IndexInQueue(TabId tab)
        {
            for (var i = 0; i < _s.TurnQueue.Length; i++) if (_s.TurnQueue[i].Tab == tab) return i;
            return -1;
        }

        private void Withdraw(TabId tab, long number)
        {
            var index = IndexInQueue(tab);
            if (index >= 0 && _s.TurnQueue[index].Number <= number) _s.TurnQueue = [.. _s.TurnQueue[..index], .. _s.TurnQueue[(index + 1)..]];
        }

        private void EndTurn()
        {
            _s.Turn = null;
            GrantNext();
        }

        private void GrantNext()
        {
            if (_s.Turn is not null || _s.TurnQueue.Length == 0) return;
            var next = _s.TurnQueue[0];
            _s.TurnQueue = _s.TurnQueue[1..];
            Grant(next.Tab, next.Number);
        }

        private void Grant(TabId tab, long number)
        {
            _s.Turn = new(tab, number, view.Now);
            AnswerTurn(tab, number);
        }

        private void AnswerTurn(TabId tab, long number) =>
            _effects.Add(new LeaderEffect.Grant(tab, new(number, _s.Accepted, view.Ledger.End.Marker, Join(_s.Appending, _s.Waiting))));

        private void Refuse(TabId to, Position position, StorageErrorCode code, string text)
        {
            // A copy of this message may still come, when the history has been put back to where it would fit again.
            if (!IsRefused(position.Commit))
            {
                (_s.Refused, _s.RefusedOrder) = (_s.Refused.Add(position.Commit), _s.RefusedOrder.Enqueue(position.Commit));
                if (_s.Refused.Count > MaxRefused)
                {
                    _s.RefusedOrder = _s.RefusedOrder.Dequeue(out var oldest);
                    _s.Refused = _s.Refused.Remove(oldest);
                }
            }

            _effects.Add(new LeaderEffect.AnswerRefused(to, position, code, text));
        }

        /// <summary>Looks for a turn that was held too long, and folds the log when nothing was written since the last heartbeat.</summary>
        private void OnHeartbeat()
        {
            if (_s.Turn is { } turn && view.Now - turn.Since > _s.TurnDeadline && _s.TurnQueue.Length > 0) EndTurn();
            var isQuiet = !_s.IsBusy && !_s.WroteSinceHeartbeat;
            _s.IsCheckpointDue |= isQuiet && view.Ledger.LogRecords > MinQuietRecords;
            _s.WroteSinceHeartbeat = false;
            Pump();
        }

        private void OnAppended(StorageException? error)
        {
            var group = _s.Appending;
            (_s.IsBusy, _s.Appending) = (false, []);
            NoteRoom(error);
            if (error is not null && !Sabotage.IsMissing(Guard.AppendFailure))
            {
                if (EndsLeadership(error))
                {
                    Over(error);
                    return;
                }

                var failed = Join(group, _s.Waiting);
                (_s.Waiting, _s.Accepted) = ([], view.Ledger.End);
                foreach (var commit in failed) Refuse(commit.Writer, NameOf(commit), error.Code, error.Message);
            }

            Pump();
        }

        // As its writer knows it.
        private static Position NameOf(CommitRecord commit) => commit.Result is null ? commit.Position : new(0, commit.Id.Request);

        private void OnCheckpointed(StorageException? error)
        {
            _s.IsBusy = _s.IsCheckpointDue = false;
            NoteRoom(error);
            if (error is not null && EndsLeadership(error) && !Sabotage.IsMissing(Guard.CheckpointFailure)) Over(error);

            // After a failed checkpoint the log is still over its bound; appends go on until the next heartbeat tries again.
            else if (error is not null) PumpAppends();
            else Pump();
        }

        private void Pump()
        {
            if (_s.IsBusy) return;
            var isOverBound = view.Ledger.LogBytes >= _s.MaxLogBytes || view.Ledger.LogRecords >= _s.MaxLogRecords;
            var isDue = (_s.IsCheckpointDue || isOverBound) && !IsFull;
            _s.IsCheckpointDue = isDue;
            if (_s.Waiting.Length == 0 && !isDue) return;
            if (!view.HoldsLease) return; // it is found out whether another tab leads; if none does, this comes again

            if (isDue && view.IsImageAtEnd)
            {
                _s.IsBusy = true;
                _effects.Add(new LeaderEffect.Fold());
            }
            else
            {
                PumpAppends();
            }
        }

        private void PumpAppends()
        {
            if (_s.IsBusy || _s.Waiting.Length == 0) return;
            long bytes = 0;
            var count = 0;
            while (count < _s.Waiting.Length && (count == 0 || bytes + _s.Waiting[count].Bytes.Length <= MaxGroupBytes)) bytes += _s.Waiting[count++].Bytes.Length;
            var group = _s.Waiting[..count];
            _s.IsBusy = _s.WroteSinceHeartbeat = true;
            (_s.Appending, _s.Waiting) = (group, _s.Waiting[count..]);
            _effects.Add(new LeaderEffect.Append(group));
        }

        private static T[] Join<T>(T[] first, T[] second)
        {
            if (first.Length == 0) return second;
            if (second.Length == 0) return first;
            var all = new T[first.Length + second.Length];
            Array.Copy(first, all, first.Length);
            Array.Copy(second, 0, all, first.Length, second.Length);
            return all;
        }

        private bool IsFull => _s.FullSince is { } since && view.Now - since < FullPause;

        // Not later with each failure: an app that goes on writing must not keep off the checkpoint, which may give room back.
        private void NoteRoom(StorageException? error)
        {
            if (error is StorageQuotaException && !IsFull) _s.FullSince = view.Now;
        }

        private void Over(StorageException error)
        {
            _s = LeaderSession.End(_s);
            _effects.Add(new LeaderEffect.EndLeadership(error));
        }
    }
}
