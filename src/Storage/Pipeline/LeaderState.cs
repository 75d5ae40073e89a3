using System.Collections.Immutable;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>The write turn: leave to build the next commit on a history that may not be durable yet.</summary>
/// <param name="Number">The number of the request that it answers.</param>
/// <param name="Base">What the next commit must be built on.</param>
/// <param name="Durable">The last durable marker at the leader.</param>
/// <param name="Accepted">The commits between the two, in order.</param>
internal sealed record TurnGrant(long Number, Position Base, long Durable, IReadOnlyList<CommitRecord> Accepted);

/// <summary>A tab that has, or waits for, the write turn.</summary>
/// <param name="Tab">The tab.</param>
/// <param name="Number">The number of its request.</param>
/// <param name="Since">When the turn began; zero while it is waited for.</param>
internal readonly record struct TurnHolder(TabId Tab, long Number, TimeSpan Since);

/// <summary>Statements that a tab wants run as one transaction.</summary>
/// <param name="From">The tab.</param>
/// <param name="Id">Its name for them: see <see cref="CommitId.Request"/>.</param>
/// <param name="Body">The statements, in a form that only the runner reads.</param>
internal readonly record struct StatementRequest(TabId From, CommitId Id, byte[] Body);

/// <summary>Everything that one leadership remembers. Times are readings of the tab's monotonic clock.</summary>
/// <remarks>
/// <see cref="LeaderSession"/> alone sets anything, in a copy of its own, and never changes what a list holds. With immutable collections and a
/// copy for each change, four tabs that write at once took 13 % longer (W6; bench/README.md).
/// </remarks>
internal sealed record LeaderState
{
    /// <summary>A leadership begins with nothing accepted beyond what is durable.</summary>
    public LeaderState(TabId self, Fence fence, Position durable, PipelineOptions options) =>
        (Self, Fence, Accepted, TurnDeadline, MaxLogBytes, MaxLogRecords) =
        (self, fence, durable, options.TurnDeadline, options.CheckpointLogBytes, options.CheckpointLogRecords);

    /// <summary>The tab that leads.</summary>
    public TabId Self { get; }

    /// <summary>What the store accepts its writes under.</summary>
    public Fence Fence { get; }

    public TimeSpan TurnDeadline { get; }

    public long MaxLogBytes { get; }

    public int MaxLogRecords { get; }

    /// <summary>The last commit accepted: what the next one must be built on.</summary>
    public Position Accepted { get; set; }

    /// <summary>Accepted, and to be appended.</summary>
    public CommitRecord[] Waiting { get; set; } = [];

    /// <summary>Being appended.</summary>
    public CommitRecord[] Appending { get; set; } = [];

    /// <summary>Commits that are never taken any more, however often they come.</summary>
    public ImmutableHashSet<CommitId> Refused { get; set; } = [];

    /// <summary>The same, oldest first.</summary>
    public ImmutableQueue<CommitId> RefusedOrder { get; set; } = [];

    /// <summary>Who has the write turn.</summary>
    public TurnHolder? Turn { get; set; }

    /// <summary>Who waits for it, in order; each tab once.</summary>
    public TurnHolder[] TurnQueue { get; set; } = [];

    /// <summary>Statements of other tabs that are to be run here, in the order in which they came.</summary>
    public StatementRequest[] Statements { get; set; } = [];

    /// <summary>Whether they are being run, or the leave to do so is waited for.</summary>
    public bool IsRunning { get; set; }

    /// <summary>Whether an append or a checkpoint is under way.</summary>
    public bool IsBusy { get; set; }

    /// <summary>Whether the log is to be folded as soon as it can be.</summary>
    public bool IsCheckpointDue { get; set; }

    /// <summary>When the store last said that it has no room; null when it had room since, as far as one knows.</summary>
    public TimeSpan? FullSince { get; set; }

    /// <summary>True at the start: whoever waited for a leader writes now.</summary>
    public bool WroteSinceHeartbeat { get; set; } = true;

    /// <summary>It takes nothing any more.</summary>
    public bool IsOver { get; set; }
}

/// <summary>What a step may look at besides its state; nothing of it changes during a step.</summary>
internal interface ILeaderView
{
    /// <summary>What is known to be durable; only read.</summary>
    CommitLedger Ledger { get; }

    /// <summary>Whether the leader's image is where the log ends, so that a checkpoint can be taken of it.</summary>
    bool IsImageAtEnd { get; }

    /// <summary>Whether this tab's lease has not run out, by its own clock.</summary>
    bool HoldsLease { get; }

    /// <summary>The monotonic clock.</summary>
    TimeSpan Now { get; }
}

/// <summary>What comes to a leadership.</summary>
internal abstract record LeaderRequest
{
    /// <summary>A tab sends commits of its own, each built on the one before.</summary>
    public sealed record Commit(TabId From, CommitRecord[] Commits) : LeaderRequest;

    /// <summary>
    /// A tab sends a group of statements, each to be a commit of its own, in order. It sends nothing else until each has an outcome, so
    /// its last commit here is either <paramref name="Previous"/> (none of them was run) or says how many were.
    /// </summary>
    public sealed record Statements(TabId From, CommitId Previous, StatementRequest[] Group) : LeaderRequest;

    /// <summary>The first of <see cref="LeaderState.Statements"/> was run, with the write turn. Null: it failed, or there was nothing to commit.</summary>
    public sealed record Ran(CommitId Id, CommitRecord? Made, bool IsUnfit) : LeaderRequest;

    /// <summary>No more statements are run for now; what is left waits for the next run, or cannot be run here.</summary>
    public sealed record RunEnded(bool HasFailed) : LeaderRequest;

    /// <summary>A tab asks what became of a commit.</summary>
    public sealed record Question(TabId From, Position Position) : LeaderRequest;

    /// <summary>A tab asks for the write turn; it may ask again.</summary>
    public sealed record AskTurn(TabId From, long Number) : LeaderRequest;

    /// <summary>The leader's own tab takes the turn if it can have it at once.</summary>
    public sealed record TakeTurn(long Number) : LeaderRequest;

    /// <summary>A tab gives the turn back, or withdraws its request.</summary>
    public sealed record ReleaseTurn(TabId From, long Number) : LeaderRequest;

    /// <summary>A tab is gone.</summary>
    public sealed record TabGone(TabId Tab) : LeaderRequest;

    /// <summary>The coordinator's heartbeat.</summary>
    public sealed record Heartbeat : LeaderRequest;

    /// <summary>A moment passed in which others could add to the next append, or the lease is this tab's again.</summary>
    public sealed record Continue : LeaderRequest;

    /// <summary>An append ended. What it wrote is in the ledger when it succeeded.</summary>
    public sealed record Appended(StorageException? Error) : LeaderRequest;

    /// <summary>A checkpoint ended.</summary>
    public sealed record Checkpointed(StorageException? Error) : LeaderRequest;
}

/// <summary>What a leadership wants done, in order.</summary>
internal abstract record LeaderEffect
{
    /// <summary>Write these in one transaction, then say <see cref="LeaderRequest.Appended"/>.</summary>
    public sealed record Append(CommitRecord[] Group) : LeaderEffect;

    /// <summary>Fold the log, then say <see cref="LeaderRequest.Checkpointed"/>.</summary>
    public sealed record Fold : LeaderEffect;

    /// <summary>Say <see cref="LeaderRequest.Continue"/> when the code that runs now is done.</summary>
    public sealed record ContinueSoon : LeaderEffect;

    /// <summary>Run <see cref="LeaderState.Statements"/> with the write turn, one after another, then say <see cref="LeaderRequest.RunEnded"/>.</summary>
    public sealed record RunStatements : LeaderEffect;

    /// <summary>Tell every tab that a commit is durable.</summary>
    public sealed record Announce(CommitRecord Commit) : LeaderEffect;

    /// <summary>Tell a tab that its commit is durable already.</summary>
    public sealed record AnswerCommitted(TabId To, Position Position) : LeaderEffect;

    /// <summary>Tell a tab that its commit was not taken and never will be.</summary>
    public sealed record AnswerRefused(TabId To, Position Position, StorageErrorCode Code, string Text) : LeaderEffect;

    /// <summary>Ask a tab for the bytes of a commit that never came.</summary>
    public sealed record AskForCommit(TabId From, Position Position) : LeaderEffect;

    /// <summary>Give a tab the write turn.</summary>
    public sealed record Grant(TabId To, TurnGrant Turn) : LeaderEffect;

    /// <summary>The leadership is over: the store refused it or was closed.</summary>
    public sealed record EndLeadership(StorageException Error) : LeaderEffect;
}
