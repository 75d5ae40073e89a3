using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>The checks that every store makes alike, so that they refuse alike.</summary>
internal static class StoreRules
{
    public static Head NewHead(ChecksumKind checksum) =>
        new() { Incarnation = Guid.NewGuid(), Epoch = new Epoch(0), Checksum = checksum };

    /// <summary>
    /// The head after a leader with this proposal has taken over. Of two tabs that propose the same epoch, since the lease record showed neither the
    /// other's claim, one gets it.
    /// </summary>
    public static Head Raise(Head head, Guid incarnation, Epoch proposed, TabId holder)
    {
        if (head.Incarnation != incarnation) throw new StoreReplacedException();
        if (head.Epoch == proposed && proposed.Value > 0)
            return head.Holder == holder ? head : throw new FencedException(proposed, head.Epoch, $"Another tab was granted epoch {proposed} first.") { Holder = head.Holder };
        return head with { Format = Head.CurrentFormat, Epoch = Epoch.Max(proposed, head.Epoch.Next), Holder = holder, Damage = null };
    }

    public static void CheckFence(Head head, Fence fence)
    {
        if (head.Incarnation != fence.Incarnation && !Sabotage.IsMissing(Guard.StoreIncarnation)) throw new StoreReplacedException();
        if (head.Epoch != fence.Epoch && !Sabotage.IsMissing(Guard.StoreEpoch)) throw new FencedException(fence.Epoch, head.Epoch);
    }

    /// <summary>Refuses what no caller may pass: nothing at all, markers with a gap, or records stamped for another fence.</summary>
    public static void CheckCommits(Fence fence, IReadOnlyList<CommitRecord> commits)
    {
        ArgumentNullException.ThrowIfNull(commits);
        ArgumentOutOfRangeException.ThrowIfZero(commits.Count);
        for (var i = 0; i < commits.Count; i++)
        {
            if (commits[i].Marker != commits[0].Marker + i) throw new ArgumentException("The commits' markers are not consecutive.", nameof(commits));
            if (commits[i].Incarnation != fence.Incarnation || commits[i].Epoch != fence.Epoch)
                throw new ArgumentException($"Commit {commits[i].Position} is not stamped with the fence.", nameof(commits));
        }
    }

    public static void CheckCheckpoint(Fence fence, Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        if (checkpoint.Head.Incarnation != fence.Incarnation || checkpoint.Head.Epoch != fence.Epoch)
            throw new ArgumentException("The checkpoint's head does not carry the fence.", nameof(checkpoint));
        if (checkpoint.DropFrom <= checkpoint.Head.Checkpoint.Marker)
            throw new ArgumentException("A checkpoint cannot drop what it folds.", nameof(checkpoint));
    }
}
