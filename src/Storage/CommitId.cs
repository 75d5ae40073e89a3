using System.Runtime.CompilerServices;
using DataSync.Coordination;

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

    /// <summary>
    /// The request that a commit made by <see cref="Under"/> answers: its id without the epoch. (Of another commit: of no meaning.)
    /// </summary>
    internal CommitId Request => WithEpoch(0);

    /// <summary>The id of the commit that a leadership makes of a request, at most once in its epoch.</summary>
    /// <remarks>
    /// Two leaderships may both run it, of which one is never durable. Under one id they could be taken for each other: statements need
    /// not do the same twice (<c>random()</c>), and a position must tell what the database holds.
    /// </remarks>
    internal CommitId Under(Epoch epoch) => WithEpoch((ulong)epoch.Value);

    // The last six bytes; the ten before are the request's own.
    private CommitId WithEpoch(ulong epoch)
    {
        var (high, low) = Unsafe.BitCast<Guid, (ulong, ulong)>(Value);
        return new(Unsafe.BitCast<(ulong, ulong), Guid>((high, (low & 0xFFFF) | epoch << 16)));
    }

    /// <inheritdoc/>
    public override string ToString() => Value.ToString("N");
}
