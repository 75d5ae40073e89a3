using System.Buffers.Binary;
using DataSync.Storage;

namespace DataSync.Simulation;

/// <summary>What one transaction does; the same to the database and to the reference.</summary>
internal sealed class WritePlan
{
    private const int CountOffset = 24, ListOffset = 64, ListLength = 500;

    private readonly ulong _seed;

    public WritePlan(ulong seed)
    {
        var dice = new Dice(seed);
        IsExclusive = dice.Chance(0.3);
        RollsBack = dice.Chance(0.06);
        HoldMs = dice.Chance(0.15) ? dice.From(0.1, dice.Pick(2, 50, 700.0)) : 0;
        ThinkMs = dice.Chance(0.1) ? dice.From(0.1, dice.Pick(2, 50, 300.0)) : 0;
        CancelAfterMs = dice.Chance(0.05) ? dice.From(0.1, dice.Pick(2, 50, 700.0)) : 0;
        _seed = dice.Next();
        FailsLate = dice.Chance(0.06);
        AsStatements = dice.Chance(0.35);
        Reads = dice.Next();
    }

    public bool IsExclusive { get; init; }

    public bool RollsBack { get; init; }

    /// <summary>The work throws behind its own commit, as a statement with OR FAIL does.</summary>
    public bool FailsLate { get; init; }

    /// <summary>It is first sent to the leader as statements.</summary>
    public bool AsStatements { get; init; }

    /// <summary>Decides what it reads, where not everything is in memory.</summary>
    public ulong Reads { get; }

    public double HoldMs { get; init; }

    public double ThinkMs { get; init; }

    public double CancelAfterMs { get; init; }

    /// <summary>
    /// Counts up where SQLite keeps its change counter, and appends the operation's number to the list in block 0. Two
    /// histories that parted carry the same counts.
    /// </summary>
    public void First(SimConnection connection, ModelImage image, int operation)
    {
        Span<byte> number = stackalloc byte[8];
        var count = BinaryPrimitives.ReadInt64LittleEndian(connection.Page(0).AsSpan(CountOffset));
        BinaryPrimitives.WriteInt64LittleEndian(number, count + 1);
        Write(connection, image, CountOffset, number);
        BinaryPrimitives.WriteInt64LittleEndian(number, operation);
        Write(connection, image, ListOffset + count % ListLength * 8, number);
    }

    /// <summary>The operations in the order in which the database has them; null when the list has begun anew.</summary>
    public static IReadOnlyList<int>? ReadList(ReadOnlySpan<byte> block)
    {
        var count = BinaryPrimitives.ReadInt64LittleEndian(block[CountOffset..]);
        if (count > ListLength) return null;
        var list = new int[count];
        for (var i = 0; i < count; i++) list[i] = (int)BinaryPrimitives.ReadInt64LittleEndian(block[(ListOffset + i * 8)..]);
        return list;
    }

    public void Second(SimConnection connection, ModelImage image, int operation)
    {
        var dice = new Dice(_seed);
        for (var i = dice.From(0, 3); i > 0; i--)
        {
            var block = image.BlockIds[dice.From(1, image.BlockIds.Length - 1)];
            switch (dice.Below(8))
            {
                case 0:
                    var size = (long)block * Extent.BlockSize + (dice.Chance(0.2) ? dice.Below(Extent.BlockSize) : 0);
                    connection.Truncate(size);
                    image.Truncate(size);
                    break;
                case 1:
                    // Across the border of two blocks, where both are kept.
                    var at = (long)(image.BlockIds.Contains(block + 1) ? block : block - 1) * Extent.BlockSize + Extent.BlockSize - 20;
                    Write(connection, image, at, Pattern(operation, i, 40));
                    break;
                default:
                    Write(connection, image, (long)block * Extent.BlockSize, Pattern(operation, i, Extent.BlockSize));
                    break;
            }
        }
    }

    /// <summary>What differs from run to run, as <c>random()</c> does.</summary>
    public static void AtRandom(SimConnection connection, ModelImage image, long run)
    {
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(number, run);
        Write(connection, image, Extent.BlockSize + 128, number);
    }

    private static byte[] Pattern(int operation, int salt, int length)
    {
        var bytes = new byte[length];
        for (var i = 0; i + 4 <= length; i += 4) BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i), operation << 8 | salt + 1);
        return bytes;
    }

    private static void Write(SimConnection connection, ModelImage image, long offset, ReadOnlySpan<byte> bytes)
    {
        connection.Write(offset, bytes);
        image.Write(offset, bytes);
    }
}
