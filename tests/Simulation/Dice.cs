namespace DataSync.Simulation;

/// <summary>Repeatable chance (SplitMix64). Each purpose has its own, so that one more draw here changes nothing there.</summary>
internal sealed class Dice(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>From 0 to <paramref name="below"/> − 1.</summary>
    public int Below(int below) => (int)(Next() % (ulong)below);

    public int From(int least, int most) => least + Below(most - least + 1);

    public double Fraction() => (Next() >> 11) * (1.0 / (1UL << 53));

    public double From(double least, double most) => least + (most - least) * Fraction();

    public bool Chance(double probability) => Fraction() < probability;

    public T Pick<T>(params ReadOnlySpan<T> choices) => choices[Below(choices.Length)];

    public Dice Fork(ulong purpose) => new(Next() ^ (purpose * 0xD1342543DE82EF95));

    public Guid NextGuid()
    {
        Span<ulong> bits = [Next(), Next()];
        return new Guid(System.Runtime.InteropServices.MemoryMarshal.AsBytes(bits));
    }
}
