using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// The other tabs of the database, as far as this one knows them: who leads, under which epoch, and the messages between them. What
/// comes in is distrusted: a leader is believed when the store's head names it. Guarded by the gate.
/// </summary>
internal sealed class Peers(PipelineCore core, ICommitChannel channel, StoreLink link, ImageFollower image)
{
    /// <summary>Who said last that it leads.</summary>
    private (TabId Id, Epoch Epoch)? _claim;

    /// <summary>Whom the store's head named when it was last read.</summary>
    private (TabId Id, Epoch Epoch)? _head;

    private IReadOnlyList<TabId> _members = [];

    /// <summary>Observers are in no list: where one has been, there may always be another.</summary>
    private bool _hasObservers;

    /// <summary>A message that this tab is meant to hear.</summary>
    public required Action<CommitMessage> Received { private get; init; }

    /// <summary>Another tab leads, or has just begun to: what has no answer is sent to it.</summary>
    public required Action LeaderFound { private get; init; }

    /// <summary>The store's head holds this epoch: a leadership of this tab under a lower one is over.</summary>
    public required Action<Epoch> EpochSeen { private get; init; }

    /// <summary>
    /// Who leads, this tab included. Known from its own messages and the head only: the lease record can be forged or old, and must not
    /// keep anybody from writing.
    /// </summary>
    public (TabId Id, Epoch Epoch)? Leader { get; private set; }

    /// <summary>The highest epoch that the store granted, as far as this tab knows. Whoever leads under a lower one is over.</summary>
    public Epoch Granted { get; private set; }

    /// <summary>Whether another tab of the database is known to be there.</summary>
    public bool HasCompany { get; private set; }

    public ValueTask OpenAsync(CancellationToken cancellationToken) => channel.OpenAsync(core.Self, cancellationToken);

    /// <summary>The store was opened: what its head says of who leads is the beginning, and whoever leads is asked to say so.</summary>
    public void Begin(Head head)
    {
        (Granted, _head) = (head.Epoch, HolderOf(head));
        Post(CommitMessageKind.WhoLeads, m => m);
    }

    /// <summary>The store granted an epoch, to this tab or another.</summary>
    public void OnGranted(Epoch epoch) => Granted = Epoch.Max(Granted, epoch);

    /// <summary>This tab leads.</summary>
    public void LeadHere(Epoch epoch) => Leader = (core.Self, epoch);

    /// <summary>This tab does not lead any more.</summary>
    public void EndHere()
    {
        if (Leader?.Id == core.Self) Leader = null;
    }

    /// <summary>The election says that another tab leads, or nobody.</summary>
    public void OnElected(TabId? leader, Epoch epoch)
    {
        if (leader is not { } id) Leader = null;
        else if (id != core.Self && Leader != (id, epoch)) Post(CommitMessageKind.WhoLeads, m => m);
    }

    /// <summary>
    /// A tab says that it leads. Believed once the store's head says the same: a message from nowhere could otherwise make this tab wait
    /// for a leader that is not there, or propose epochs that nobody granted.
    /// </summary>
    public void HearOfLeader(CommitMessage message)
    {
        if (message.Epoch < Granted || message.Sender == core.Self) return;
        _claim = (message.Sender, message.Epoch);
        if (_claim == Leader)
        {
            if (message.HasJustBegun) LeaderFound();
        }
        else if (_claim == _head || Sabotage.IsMissing(Guard.LeaderByHead))
        {
            FollowClaim();
        }
        else
        {
            link.StartCatchUp();
        }
    }

    public void OnHeadSeen(Head head)
    {
        if (head.Epoch < Granted) return; // read before this tab or another one took over
        _head = HolderOf(head);
        OnGranted(head.Epoch);
        EpochSeen(head.Epoch);
        if (_claim == _head && _claim != Leader) FollowClaim();
    }

    public bool IsFromLeader(CommitMessage message) => Leader == (message.Sender, message.Epoch);

    /// <summary>The tabs that are there now. Returns those that are gone.</summary>
    public IReadOnlyList<TabId> SetMembers(IReadOnlyList<TabId> members)
    {
        var gone = _members.Where(m => !members.Contains(m)).ToList();
        _members = members;
        HasCompany = members.Count > 1 || _hasObservers;
        return gone;
    }

    /// <summary>Sends a message to the leader, or one that is for everybody or for whom <paramref name="fill"/> names.</summary>
    public void Post(CommitMessageKind kind, Func<CommitMessage, CommitMessage> fill)
    {
        var isAnswer = kind is CommitMessageKind.Committed or CommitMessageKind.Refused or CommitMessageKind.TurnGrant or CommitMessageKind.Leading or CommitMessageKind.Missing;
        var isToAll = isAnswer || kind == CommitMessageKind.WhoLeads;
        if (core.IsClosed || (!isToAll && Leader is null)) return;
        var message = fill(new CommitMessage
        {
            Kind = kind,
            Epoch = Leader?.Epoch ?? default,
            Sender = core.Self,
            To = isToAll ? default : Leader!.Value.Id,
            Incarnation = link.Incarnation,
            IsFromObserver = core.IsObserver,
        });
        channel.Post(message.Encode(), message.To);
    }

    public void OnReceived(byte[] bytes)
    {
        if (CommitMessage.TryParse(bytes) is not { } message)
        {
            core.Metrics.OnDropped();
            Log.MessageDropped(core.Logger, core.Scope, bytes.Length);
            return;
        }

        core.Gate.Run(() =>
        {
            if (core.IsStopped || !image.IsOpen || message.Incarnation != link.Incarnation) return;
            HasCompany = true;
            _hasObservers |= message.IsFromObserver;
            if (message.To == default || message.To == core.Self) Received(message);
        });
    }

    private void FollowClaim()
    {
        Leader = _claim;
        OnGranted(_claim!.Value.Epoch);
        Log.Following(core.Logger, core.Scope, _claim.Value.Id.Value, _claim.Value.Epoch.Value);
        LeaderFound();
    }

    private static (TabId Id, Epoch Epoch)? HolderOf(Head head) => head.Holder is { } holder ? (holder, head.Epoch) : null;
}
