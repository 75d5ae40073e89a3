namespace DataSync.Storage;

/// <summary>
/// The random name of a commit. It is chosen by the tab that wrote it and stays the same however often the commit is
/// sent, so that a store applies it at most once.
/// </summary>
/// <param name="Value">128 random bits.</param>
public readonly record struct CommitId(Guid Value)
{
    /// <summary>No commit: what precedes marker 1.</summary>
    public static CommitId None => default;

    /// <summary>Makes a new random id.</summary>
    public static CommitId New() => new(Guid.NewGuid());

    /// <inheritdoc/>
    public override string ToString() => Value.ToString("N");
}
