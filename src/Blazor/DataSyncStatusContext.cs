using DataSync.Coordination;
using DataSync.Vfs;

namespace DataSync.Blazor;

/// <summary>What <see cref="DataSyncStatus"/> shows, at one moment.</summary>
public sealed record DataSyncStatusContext
{
    internal DataSyncStatusContext()
    {
    }

    /// <summary>This tab's role.</summary>
    public TabRole Role { get; internal init; }

    /// <summary>Who leads, as far as this tab can see; null while nobody does, and writes wait.</summary>
    public TabId? LeaderId { get; internal init; }

    /// <summary>How many tabs have the database open.</summary>
    public int Tabs { get; internal init; }

    /// <summary>Writes that are acknowledged and not durable yet.</summary>
    public int DirtyCommits { get; internal init; }

    /// <summary>Bytes of those writes.</summary>
    public long DirtyBytes { get; internal init; }

    /// <summary>Whether writes wait because too much is not durable yet.</summary>
    public bool IsBackpressured { get; internal init; }

    /// <summary>Whether the database has stopped for good; <see cref="Trouble"/> says why.</summary>
    public bool IsStopped { get; internal init; }

    /// <summary>
    /// Why the database has stopped, or why writes that were acknowledged had to be taken back, until others become durable; its message says what to do. Null where all is well.
    /// </summary>
    public Exception? Trouble { get; internal init; }

    /// <summary>How many writes were taken back because of it.</summary>
    public int TakenBack { get; internal init; }

    internal static DataSyncStatusContext Of(DataSyncDatabase database, Exception? syncError, int takenBack)
    {
        var (coordinator, fault) = (database.Coordinator, database.Fault);
        return new()
        {
            Role = coordinator.Role,
            LeaderId = coordinator.LeaderId,
            Tabs = coordinator.Members.Count,
            DirtyCommits = database.AutoSync.DirtyCommits,
            DirtyBytes = database.AutoSync.DirtyBytes,
            IsBackpressured = database.AutoSync.IsBackpressured,
            IsStopped = fault is not null,
            Trouble = fault ?? syncError,
            TakenBack = takenBack,
        };
    }
}
