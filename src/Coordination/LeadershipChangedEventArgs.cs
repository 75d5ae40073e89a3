namespace DataSync.Coordination;

/// <summary>Tells who led before and who leads now, as this tab sees it.</summary>
/// <param name="oldLeader">The leader before; null when there was none.</param>
/// <param name="newLeader">The leader now; null while there is none.</param>
/// <param name="epoch">The highest epoch heard of.</param>
/// <param name="role">This tab's role now.</param>
public sealed class LeadershipChangedEventArgs(TabId? oldLeader, TabId? newLeader, Epoch epoch, TabRole role) : EventArgs
{
    /// <summary>The leader before; null when there was none.</summary>
    public TabId? OldLeader { get; } = oldLeader;

    /// <summary>The leader now; null while there is none.</summary>
    public TabId? NewLeader { get; } = newLeader;

    /// <summary>The highest epoch heard of; the new leader's if there is one.</summary>
    public Epoch Epoch { get; } = epoch;

    /// <summary>This tab's role now.</summary>
    public TabRole Role { get; } = role;
}
