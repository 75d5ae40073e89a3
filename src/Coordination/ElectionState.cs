using System.Collections.Immutable;

namespace DataSync.Coordination;

/// <summary>Everything that <see cref="LeaseElection"/> remembers. All times are readings of one monotonic clock.</summary>
internal sealed record ElectionState
{
    /// <summary>Starts as a follower that has observed nothing yet.</summary>
    public ElectionState(TabId self, TimeSpan heartbeat, TimeSpan lease, TimeSpan grace) =>
        (Self, Heartbeat, Lease, Grace) = (self, heartbeat, lease, grace);

    /// <summary>This tab.</summary>
    public TabId Self { get; }

    /// <summary>The interval between renewals.</summary>
    public TimeSpan Heartbeat { get; }

    /// <summary>How long a lease holds without a renewal.</summary>
    public TimeSpan Lease { get; }

    /// <summary>
    /// How often this tab doubles the lease time of its own claims. It rises when a step took longer than the lease, so that an
    /// election ends however slow the machine is, and falls while renewals are answered in time.
    /// </summary>
    public int Patience { get; init; }

    /// <summary>How long this tab's own lease holds.</summary>
    public TimeSpan OwnLease => Lease * (1 << Patience);

    /// <summary>How long the lease in the record holds.</summary>
    internal TimeSpan SeenLease => Lease * (1 << Record.Patience);

    /// <summary>How long each tab leaves the claim to the next lower one.</summary>
    public TimeSpan Grace { get; }

    /// <summary>Whether a store grants epochs: it settles which of two tabs that claimed the same one leads.</summary>
    public bool StoreDecides { get; init; }

    /// <summary>Whether this tab only follows: whatever the record says, it writes nothing.</summary>
    public bool IsObserver { get; init; }

    /// <summary>This tab's role.</summary>
    public TabRole Role { get; init; }

    /// <summary>The leader as far as this tab can see; null while there is none.</summary>
    public TabId? Leader { get; init; }

    /// <summary>The epoch of the last leadership this tab saw.</summary>
    public Epoch Epoch { get; init; }

    /// <summary>The highest epoch heard of, also from claims; the next proposal is above it.</summary>
    public Epoch Known { get; init; }

    /// <summary>The live tabs; default until they are known.</summary>
    public ImmutableArray<TabId> Members { get; init; }

    /// <summary>The next moment at which a <see cref="ElectionEvent.Tick"/> is needed; null if none.</summary>
    public TimeSpan? WakeAt { get; init; }

    /// <summary>Whether the record may still name this tab as holder.</summary>
    internal bool Owns => Holding || Pending is not null || (Reading == LeaseReading.Valid && Record.Holder == Self);

    internal bool Suspended { get; init; }

    /// <summary>Whether the record was read since the start or the last suspension.</summary>
    internal bool Observed { get; init; }

    internal string? Text { get; init; }

    internal LeaseReading Reading { get; init; }

    internal LeaseRecord Record { get; init; }

    /// <summary>When this tab first saw the present renewal.</summary>
    internal TimeSpan SeenAt { get; init; }

    /// <summary>The last holder seen; stays after a release, because that tab is the one not to wait for.</summary>
    internal TabId? Holder { get; init; }

    /// <summary>Since when the lease is free in this tab's eyes; null while it is held.</summary>
    internal TimeSpan? VoidSince { get; init; }

    internal TimeSpan NotBefore { get; init; }

    internal TimeSpan QuietUntil { get; init; }

    internal int Failures { get; init; }

    /// <summary>Whether this tab's claim was written; its lease then lasts to <see cref="Deadline"/>.</summary>
    internal bool Holding { get; init; }

    internal Epoch Own { get; init; }

    internal long Renewal { get; init; }

    internal bool Granted { get; init; }

    internal int Attempt { get; init; }

    internal TimeSpan SentAt { get; init; }

    internal TimeSpan Deadline { get; init; }

    /// <summary>The check-and-set under way decides: the <see cref="Deadline"/> has passed.</summary>
    internal bool IsLastTry { get; init; }

    internal TabId? Successor { get; init; }

    internal int Ticket { get; init; }

    /// <summary>The text that a check-and-set under way wants to write; null when none is.</summary>
    internal string? Pending { get; init; }
}

/// <summary>The kinds of <see cref="ElectionEvent"/>.</summary>
internal enum ElectionEventKind
{
    /// <summary>Time passed.</summary>
    Tick,

    /// <summary>The lease record was read.</summary>
    RecordSeen,

    /// <summary>The live tabs were listed.</summary>
    MembersSeen,

    /// <summary>A tab's lock was released: it is gone.</summary>
    TabGone,

    /// <summary>A check-and-set ended.</summary>
    SetDone,

    /// <summary>A check-and-set failed with an error.</summary>
    SetFailed,

    /// <summary>The store granted an epoch.</summary>
    Granted,

    /// <summary>The store could not raise the epoch.</summary>
    Refused,

    /// <summary>Raising the epoch and catching up took longer than it may.</summary>
    Overdue,

    /// <summary>The application gives leadership up.</summary>
    Resign,

    /// <summary>The store refused a write: a newer epoch exists.</summary>
    Fenced,

    /// <summary>The page is being frozen or cached; it released its lease by itself.</summary>
    Suspended,

    /// <summary>The page is back.</summary>
    Resumed,
}

/// <summary>Something that happened; made by the factory methods.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Text">The record's text, for <see cref="ElectionEventKind.RecordSeen"/> and <see cref="ElectionEventKind.SetDone"/>.</param>
/// <param name="Tab">The tab that is gone or that should succeed.</param>
/// <param name="Epoch">The epoch granted or fencing.</param>
/// <param name="Ticket">Which check-and-set or take-over attempt this answers.</param>
/// <param name="Members">The live tabs.</param>
internal readonly record struct ElectionEvent(
    ElectionEventKind Kind, string? Text, TabId? Tab, Epoch Epoch, int Ticket, ImmutableArray<TabId> Members)
{
    /// <summary>Time passed.</summary>
    public static ElectionEvent Tick { get; } = new() { Kind = ElectionEventKind.Tick };

    /// <summary>The page is being frozen, cached or closed.</summary>
    public static ElectionEvent Suspended { get; } = new() { Kind = ElectionEventKind.Suspended };

    /// <summary>The page is back.</summary>
    public static ElectionEvent Resumed { get; } = new() { Kind = ElectionEventKind.Resumed };

    /// <summary>The record was read.</summary>
    public static ElectionEvent RecordSeen(string? text) => new() { Kind = ElectionEventKind.RecordSeen, Text = text };

    /// <summary>The live tabs were listed.</summary>
    public static ElectionEvent MembersSeen(ImmutableArray<TabId> members) => new() { Kind = ElectionEventKind.MembersSeen, Members = members };

    /// <summary>A tab's lock was released.</summary>
    public static ElectionEvent TabGone(TabId tab) => new() { Kind = ElectionEventKind.TabGone, Tab = tab };

    /// <summary>A check-and-set ended; <paramref name="text"/> is what is there now.</summary>
    public static ElectionEvent SetDone(int ticket, string? text) => new() { Kind = ElectionEventKind.SetDone, Ticket = ticket, Text = text };

    /// <summary>A check-and-set failed with an error.</summary>
    public static ElectionEvent SetFailed(int ticket) => new() { Kind = ElectionEventKind.SetFailed, Ticket = ticket };

    /// <summary>The store granted an epoch.</summary>
    public static ElectionEvent Granted(int attempt, Epoch epoch) => new() { Kind = ElectionEventKind.Granted, Ticket = attempt, Epoch = epoch };

    /// <summary>The store could not raise the epoch.</summary>
    public static ElectionEvent Refused(int attempt) => new() { Kind = ElectionEventKind.Refused, Ticket = attempt };

    /// <summary>Raising the epoch took too long.</summary>
    public static ElectionEvent Overdue(int attempt) => new() { Kind = ElectionEventKind.Overdue, Ticket = attempt };

    /// <summary>Leadership is given up, for <paramref name="successor"/> if one is named.</summary>
    public static ElectionEvent Resign(TabId? successor) => new() { Kind = ElectionEventKind.Resign, Tab = successor };

    /// <summary>The store holds a newer epoch.</summary>
    public static ElectionEvent Fenced(Epoch epoch) => new() { Kind = ElectionEventKind.Fenced, Epoch = epoch };
}

/// <summary>The kinds of <see cref="ElectionEffect"/>.</summary>
internal enum ElectionEffectKind
{
    /// <summary>Check-and-set the record and answer with <see cref="ElectionEventKind.SetDone"/> or <see cref="ElectionEventKind.SetFailed"/>.</summary>
    Set,

    /// <summary>Raise the store's epoch and answer with <see cref="ElectionEventKind.Granted"/> or <see cref="ElectionEventKind.Refused"/>.</summary>
    RaiseEpoch,

    /// <summary>This tab leads now.</summary>
    Lead,

    /// <summary>This tab's lease or claim is over.</summary>
    Lost,

    /// <summary>Watch this tab's lock instead of the one watched before; null: none.</summary>
    Watch,
}

/// <summary>Something to do, in the order given.</summary>
/// <param name="Kind">What to do.</param>
/// <param name="Ticket">To be sent back with the answer.</param>
/// <param name="Expected">The record's text that a check-and-set expects.</param>
/// <param name="Text">The text that it writes.</param>
/// <param name="Release">The text with which the page may release it; null if there is nothing to release.</param>
/// <param name="Epoch">The epoch proposed or led under.</param>
/// <param name="Tab">The tab to watch.</param>
internal readonly record struct ElectionEffect(
    ElectionEffectKind Kind, int Ticket = 0, string? Expected = null, string? Text = null, string? Release = null,
    Epoch Epoch = default, TabId? Tab = null);
