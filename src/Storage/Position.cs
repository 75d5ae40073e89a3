namespace DataSync.Storage;

/// <summary>
/// One place in the history of a database: a marker together with the commit that holds it. Two histories that parted
/// after a refused commit can reach the same marker; the commit id tells them apart.
/// </summary>
/// <param name="Marker">The commit sequence number, 0 for the empty database.</param>
/// <param name="Commit">The commit at that marker; <see cref="CommitId.None"/> at marker 0.</param>
public readonly record struct Position(long Marker, CommitId Commit)
{
    /// <summary>The empty database.</summary>
    public static Position Start => default;

    /// <inheritdoc/>
    public override string ToString() => $"{Marker}:{Commit}";
}
