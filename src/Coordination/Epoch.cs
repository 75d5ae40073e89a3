namespace DataSync.Coordination;

/// <summary>
/// Fencing token: rises with every leadership and never falls. The authority is the store that checks it; a
/// lease record only carries the highest one heard of.
/// </summary>
/// <param name="Value">0 means "no leadership yet". Stays below 2^53, so that JavaScript can hold it.</param>
public readonly record struct Epoch(long Value) : IComparable<Epoch>
{
    /// <summary>The largest epoch: 2^53 − 1, the largest whole number that JavaScript holds exactly.</summary>
    public const long MaxValue = (1L << 53) - 1;

    /// <summary>
    /// Nobody reaches a higher one by leading. What a record or a message says above it is not believed: a forged one would push the
    /// store's epoch to its end, where no later leader could rise above it.
    /// </summary>
    internal const long MaxPlausible = 1L << 40;

    /// <summary>The epoch after this one.</summary>
    public Epoch Next => new(Value + 1);

    /// <summary>The higher of two epochs.</summary>
    public static Epoch Max(Epoch left, Epoch right) => left.Value >= right.Value ? left : right;

    /// <inheritdoc />
    public int CompareTo(Epoch other) => Value.CompareTo(other.Value);

    /// <inheritdoc />
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Whether <paramref name="left"/> is the older epoch.</summary>
    public static bool operator <(Epoch left, Epoch right) => left.Value < right.Value;

    /// <summary>Whether <paramref name="left"/> is the newer epoch.</summary>
    public static bool operator >(Epoch left, Epoch right) => left.Value > right.Value;

    /// <summary>Whether <paramref name="left"/> is not newer.</summary>
    public static bool operator <=(Epoch left, Epoch right) => left.Value <= right.Value;

    /// <summary>Whether <paramref name="left"/> is not older.</summary>
    public static bool operator >=(Epoch left, Epoch right) => left.Value >= right.Value;
}
