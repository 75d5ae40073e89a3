using System.Collections.Immutable;

namespace DataSync.Coordination;

/// <summary>
/// The rules of the election as a pure function: no clock, no timers, no I/O.
/// </summary>
/// <remarks>
/// Invariants:
/// the record changes only by check-and-set against the text last observed;
/// a lease is void when this tab has seen no change of it for the lease time, or knows that its holder is gone;
/// the holder counts its own lease from when the last successful renewal was sent, and does not hold it after that; one renewal more, of the record
/// as it last wrote it, then tells whether another tab has claimed it;
/// a lease time that was too short for a take-over is doubled for the next one, and everybody reads in the record how often;
/// a proposal is above every epoch heard of; of tabs with the same one the store grants it to one, and the others yield; without a store the lowest id wins;
/// one check-and-set is under way at a time.
/// Not guaranteed: that at most one tab believes it leads. Reads of the record may be stale, so two may; the
/// store's epoch makes that harmless, and the next renewal of one of them ends it.
/// </remarks>
internal static class LeaseElection
{
    /// <summary>Takes one event; returns the new state and what to do, in order.</summary>
    /// <param name="state">The state before.</param>
    /// <param name="happened">The event.</param>
    /// <param name="now">The monotonic clock; never earlier than in the step before.</param>
    public static (ElectionState State, ImmutableArray<ElectionEffect> Effects) Step(
        ElectionState state, ElectionEvent happened, TimeSpan now)
    {
        ArgumentNullException.ThrowIfNull(state);
        var step = new Transition(state, now);
        step.Expire();
        step.Take(happened);
        step.Decide();
        return step.End();
    }

    private sealed class Transition(ElectionState state, TimeSpan now)
    {
        private readonly ImmutableArray<ElectionEffect>.Builder _effects = ImmutableArray.CreateBuilder<ElectionEffect>();
        private ElectionState _s = state;

        private LeaseRecord OwnRecord => new(_s.Self, _s.Own, _s.Renewal, _s.Granted, Patience: _s.Patience);

        /// <summary>What time alone ends, before anything else is believed.</summary>
        public void Expire()
        {
            var isLate = false;
            if (_s.Pending is not null && now >= _s.SentAt + _s.OwnLease)
            {
                isLate = true;
                var wasLastTry = _s.IsLastTry;
                AbandonPending();
                if (_s.Holding && wasLastTry)
                    Lose(backOff: TimeSpan.Zero);
            }

            // Perhaps nobody has claimed it meanwhile, as when the only tab's page was busy: one more renewal tells, or the one under way. Until
            // then it is not held.
            if (_s.Holding && !_s.IsLastTry && now >= _s.Deadline)
            {
                isLate = true;
                if (_s.Pending is not null)
                    _s = _s with { IsLastTry = true };
                else if (now < _s.QuietUntil)
                    Lose(backOff: TimeSpan.Zero);
            }

            if (_s.Observed && !_s.Holding && _s.VoidSince is null && now >= _s.SeenAt + _s.SeenLease)
            {
                // A take-over that ran out was too slow for its lease, as far as one can tell: the next one gets more.
                isLate |= _s.Reading == LeaseReading.Valid && !_s.Record.Leading && _s.Record.Holder != _s.Self;
                Void();
            }

            if (isLate)
                BeMorePatient();
        }

        public void Take(ElectionEvent e)
        {
            switch (e.Kind)
            {
                case ElectionEventKind.RecordSeen:
                    if (!_s.Suspended)
                        Observe(e.Text);
                    break;
                case ElectionEventKind.MembersSeen:
                    _s = _s with { Members = e.Members };
                    break;
                case ElectionEventKind.TabGone:
                    if (_s.Holder == e.Tab && !_s.Holding && _s.VoidSince is null)
                        Void();
                    break;
                case ElectionEventKind.SetDone:
                    TakeSet(e);
                    break;
                case ElectionEventKind.SetFailed when e.Ticket == _s.Ticket && _s.Pending is not null:
                    var failedLastTry = _s.IsLastTry;
                    AbandonPending();
                    _s = _s with { QuietUntil = now + _s.Heartbeat };
                    if (failedLastTry && _s.Holding)
                        Lose(backOff: TimeSpan.Zero);
                    break;
                case ElectionEventKind.Granted when e.Ticket == _s.Attempt && _s.Holding && !_s.Granted:
                    _s = _s with { Granted = true, Own = Epoch.Max(_s.Own, e.Epoch), Known = Epoch.Max(_s.Known, e.Epoch) };
                    break;
                case ElectionEventKind.Overdue when e.Ticket == _s.Attempt && _s.Holding && !_s.Granted:
                    BeMorePatient();
                    Lose(NextBackOff());
                    break;
                case ElectionEventKind.Refused when e.Ticket == _s.Attempt && _s.Holding && !_s.Granted:
                    Lose(NextBackOff());
                    break;
                case ElectionEventKind.Resign when _s.Role != TabRole.Follower:
                    _s = _s with { Successor = e.Tab };
                    Lose(_s.Heartbeat * 2);
                    break;
                case ElectionEventKind.Fenced:
                    _s = _s with { Known = Epoch.Max(_s.Known, e.Epoch) };
                    if (_s.Role != TabRole.Follower && _s.Own < e.Epoch)
                        Lose(NextBackOff());
                    else if (_s.Holding && !_s.Granted && _s.Own == e.Epoch)
                        Yield();
                    break;
                case ElectionEventKind.Resumed when _s.Holding:
                    // Busy, not frozen. Whether another tab came in between, the next renewal tells.
                    break;
                case ElectionEventKind.Suspended:
                case ElectionEventKind.Resumed:
                    Forget(e.Kind == ElectionEventKind.Suspended);
                    break;
            }
        }

        /// <summary>What to write next, if anything. A check-and-set under way is awaited first.</summary>
        public void Decide()
        {
            if (_s.IsObserver || _s.Pending is not null || _s.Suspended || !_s.Observed || _s.Members.IsDefault || now < _s.QuietUntil)
                return;
            if (_s.Holding)
                Hold();
            else if (_s.Reading == LeaseReading.Valid && _s.Record.Holder == _s.Self)
                Release();
            else if (_s.VoidSince is not null && now >= ClaimAt())
                Claim();
        }

        public (ElectionState, ImmutableArray<ElectionEffect>) End()
        {
            TimeSpan? wake = null;
            if (_s.Pending is not null)
                Wake(_s.SentAt + _s.OwnLease);
            if (_s.Holding && now < _s.Deadline)
                Wake(_s.Deadline);
            else if (_s.Observed && _s.VoidSince is null)
                Wake(_s.SeenAt + _s.SeenLease);
            else if (_s.Observed && _s.Pending is null && !_s.Members.IsDefault && !_s.IsObserver)
                Wake(ClaimAt());
            return (_s with { WakeAt = wake }, _effects.ToImmutable());

            void Wake(TimeSpan at) => wake = wake < at ? wake : at;
        }

        private void TakeSet(ElectionEvent e)
        {
            // An answer that came after its question was given up still tells what the record is.
            var mine = e.Ticket == _s.Ticket && _s.Pending is not null;
            var written = mine && e.Text == _s.Pending;
            if (mine)
                _s = _s with { Pending = null, IsLastTry = false };
            if (_s.Suspended)
                return;
            if (!written || _s.Role == TabRole.Follower)
            {
                if (mine && !_s.Holding && _s.Role == TabRole.Candidate)
                    _s = _s with { Role = TabRole.Follower };
                Observe(e.Text);
                return;
            }

            // As long as the others read in what was written; this tab may have grown more patient since.
            Note(e.Text);
            _s = _s with { Deadline = _s.SentAt + _s.SeenLease };
            if (now - _s.SentAt < _s.Heartbeat && _s.Role == TabRole.Leader)
                _s = _s with { Patience = Math.Max(0, _s.Patience - 1) };
            if (!_s.Holding)
            {
                _s = _s with { Holding = true, Attempt = _s.Attempt + 1, Granted = false, Leader = null };
                Do(new(ElectionEffectKind.Watch));
                Do(new(ElectionEffectKind.RaiseEpoch, _s.Attempt, Epoch: _s.Own));
            }
            else if (_s.Role == TabRole.Candidate && _s.Record.Leading)
            {
                _s = _s with { Role = TabRole.Leader, Leader = _s.Self, Epoch = _s.Own };
                Do(new(ElectionEffectKind.Lead, Epoch: _s.Own));
            }
            else if (_s.Role == TabRole.Leader)
            {
                _s = _s with { Failures = 0 };
            }
        }

        private void BeMorePatient() =>
            _s = _s with { Patience = Math.Min(LeaseRecord.MaxPatience, Math.Max(_s.Patience, _s.Record.Patience) + 1) };

        /// <summary>One heartbeat, then two, four … so that tabs whose view of the record is stale stop disturbing each other.</summary>
        private TimeSpan NextBackOff()
        {
            var backOff = _s.Heartbeat * (1 << Math.Min(_s.Failures, 10));
            _s = _s with { Failures = _s.Failures + 1 };
            return backOff < _s.Lease ? backOff : _s.Lease;
        }

        /// <summary>Takes in the record's text: another holder, a renewal, a release, or nothing legible.</summary>
        private void Observe(string? text)
        {
            // A text that was seen while the own write was under way is judged when that has failed.
            var isNew = !_s.Observed || text != _s.Text;
            if (!isNew && !_s.Holding)
                return;
            var first = !_s.Observed;
            if (isNew)
                Note(text);
            if (_s.Holding)
            {
                // While the own write is under way its answer decides; before it, this may be an old text.
                if (_s.Pending is null && Beaten())
                    Lose(TimeSpan.Zero);
                if (_s.Holding)
                    return;
            }

            ObserveHolder(first);
        }

        private void ObserveHolder(bool first)
        {
            var record = _s.Record;
            var legible = _s.Reading is LeaseReading.Valid or LeaseReading.Newer;
            if (!legible)
            {
                // A record that was wiped says nothing about its holder, who will restore it: keep counting.
                if (first || _s.Holder is null)
                    Void();
                return;
            }

            if (_s.Reading == LeaseReading.Valid && record.Holder is null)
            {
                _s = _s with { SeenAt = now };
                Void();
                return;
            }

            var leader = _s.Reading == LeaseReading.Valid && record.Leading && record.Holder != _s.Self ? record.Holder : null;
            var watch = _s.Holder != record.Holder || _s.VoidSince is not null || first;
            _s = _s with { SeenAt = now, Holder = record.Holder, VoidSince = null, Leader = leader };
            if (leader is not null)
                _s = _s with { Epoch = record.Epoch, NotBefore = TimeSpan.Zero, Failures = 0 };
            if (watch)
                Do(new(ElectionEffectKind.Watch, Tab: record.Holder == _s.Self ? null : record.Holder));
        }

        /// <summary>Whether the record now belongs to somebody who goes before this tab.</summary>
        private bool Beaten()
        {
            var record = _s.Record;
            return _s.Reading switch
            {
                LeaseReading.Newer => true,
                LeaseReading.Valid when record.Holder == _s.Self => false,
                LeaseReading.Valid => record.Epoch > _s.Own || (record.Epoch == _s.Own && record.Holder < _s.Self && !IsForStoreToDecide(record)),
                _ => false,
            };
        }

        /// <summary>A claim, which the store grants or not. Two that lead under one epoch had no such store.</summary>
        private bool IsForStoreToDecide(in LeaseRecord claim) => _s.StoreDecides && !claim.Leading;

        private void Note(string? text)
        {
            var reading = LeaseRecord.Read(text, out var record);
            var known = record.Epoch.Value <= Epoch.MaxPlausible ? Epoch.Max(_s.Known, record.Epoch) : _s.Known;
            _s = _s with { Observed = true, Text = text, Reading = reading, Record = record, Known = known };
        }

        private void Void()
        {
            if (_s.VoidSince is null)
                Do(new(ElectionEffectKind.Watch));
            _s = _s with { VoidSince = _s.VoidSince ?? now, Leader = null };
        }

        private TimeSpan ClaimAt()
        {
            var rank = 0;
            foreach (var member in _s.Members)
                rank += member < _s.Self && member != _s.Holder ? 1 : 0;
            if (_s.Reading == LeaseReading.Valid && _s.Record.Successor is { } successor && _s.Members.Contains(successor))
                rank = successor == _s.Self ? 0 : rank + 1;
            var at = (_s.VoidSince ?? now) + (_s.Grace * rank);
            at = at > _s.NotBefore ? at : _s.NotBefore;
            return at > _s.QuietUntil ? at : _s.QuietUntil;
        }

        private void Claim()
        {
            _s = _s with { Role = TabRole.Candidate, Patience = Math.Max(_s.Patience, _s.Record.Patience), Own = _s.Known.Next, Known = _s.Known.Next, Renewal = 0, Granted = false, Successor = null };
            Set(OwnRecord, OwnRecord.Released());
        }

        private void Hold()
        {
            var current = _s.Reading == LeaseReading.Valid && _s.Record == OwnRecord;

            // Two that claim the same epoch, until the store has decided, would otherwise write in turns as fast as they can.
            var isContested = !_s.Granted && _s.Reading == LeaseReading.Valid && _s.Record.Holder != _s.Self && _s.Record.Epoch == _s.Own && IsForStoreToDecide(_s.Record);
            if ((current || isContested) && now - _s.SentAt < _s.Heartbeat / 2)
                return;
            _s = _s with { Renewal = _s.Renewal + 1 };
            Set(OwnRecord, OwnRecord.Released());
        }

        private void Release()
        {
            // With the greatest epoch heard of, which one who was refused has from the store: a lower proposal would only be refused as well.
            Set((_s.Record with { Epoch = Epoch.Max(_s.Record.Epoch, _s.Known) }).Released(_s.Successor), null);
            _s = _s with { Successor = null };
        }

        private void Set(LeaseRecord record, LeaseRecord? release)
        {
            var text = record.ToText();
            _s = _s with { Ticket = _s.Ticket + 1, Pending = text, SentAt = now, IsLastTry = _s.Holding && now >= _s.Deadline };
            Do(new(ElectionEffectKind.Set, _s.Ticket, _s.Text, text, release?.ToText()));
        }

        private void AbandonPending()
        {
            _s = _s with { Pending = null, Ticket = _s.Ticket + 1, IsLastTry = false };
            if (_s.Role == TabRole.Candidate && !_s.Holding)
                _s = _s with { Role = TabRole.Follower };
        }

        /// <summary>Gives the role up at once; what this tab still has written is released by <see cref="Decide"/>.</summary>
        private void Lose(TimeSpan backOff)
        {
            if (_s.Role == TabRole.Leader || _s.Holding)
                Do(new(ElectionEffectKind.Lost, Epoch: _s.Own));
            _s = _s with
            {
                Role = TabRole.Follower, Holding = false, Granted = false, Leader = null, Holder = _s.Self,
                SeenAt = now, VoidSince = null, NotBefore = now + backOff,
            };
            if (_s.Reading != LeaseReading.Valid || _s.Record.Holder != _s.Self)
                Void();
        }

        /// <summary>
        /// Another tab was granted the epoch that this one claimed, as where the record shows each tab its own claim for a while. That tab puts
        /// its record in place of this one's; releasing it would only call a third.
        /// </summary>
        private void Yield()
        {
            Lose(NextBackOff());
            _s = _s with { QuietUntil = now + (_s.Heartbeat * 2) };
        }

        private void Forget(bool suspended)
        {
            // A page that was busy for so long looks like one that was frozen; on a slow machine it is the ordinary thing.
            if (!suspended && !_s.Suspended && _s.Owns)
                BeMorePatient();
            Lose(TimeSpan.Zero);
            Do(new(ElectionEffectKind.Watch));
            _s = _s with
            {
                Suspended = suspended, Observed = false, Text = null, Reading = LeaseReading.Missing, Record = default, Holder = null,
                Members = default, VoidSince = null, Pending = null, Ticket = _s.Ticket + 1, Successor = null,
            };
        }

        private void Do(ElectionEffect effect) => _effects.Add(effect);
    }
}
