namespace DataSync.Coordination;

/// <summary>What a tab is in the election. Information only: to act as leader, hold a <see cref="LeaderLease"/>.</summary>
public enum TabRole
{
    /// <summary>Does not lead and does not hold the lease.</summary>
    Follower,

    /// <summary>Has asked for or holds the lease, but the store has not granted an epoch yet.</summary>
    Candidate,

    /// <summary>Holds the lease and an epoch that the store granted.</summary>
    Leader,
}
