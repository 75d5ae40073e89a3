using System.Text;

namespace DataSync.Vfs.Undo;

/// <summary>What can be read of a changeset without asking SQLite.</summary>
/// <remarks>
/// For each table: 'T', the number of its columns, a byte for each (its place in the primary key), the name with a zero; then its changes. A change
/// is an operation, a byte that says whether a trigger made it, and one record of all columns, of an UPDATE two. A value of a record is its type and its bytes.
/// </remarks>
internal static class Changeset
{
    private const byte Table = (byte)'T', Update = 23;

    /// <summary>The names of the tables in their order.</summary>
    /// <exception cref="InvalidDataException">It is no changeset.</exception>
    public static IReadOnlyList<string> TablesOf(ReadOnlySpan<byte> changeset)
    {
        var names = new List<string>();
        var (at, columns) = (0, 0);
        try
        {
            while (at < changeset.Length)
            {
                var kind = changeset[at++];
                if (kind == Table)
                {
                    columns = (int)ReadVarint(changeset, ref at);
                    at += columns;
                    var length = changeset[at..].IndexOf((byte)0);
                    names.Add(Encoding.UTF8.GetString(changeset.Slice(at, length)));
                    at += length + 1;
                    continue;
                }

                at++;
                for (var values = kind == Update ? 2 * columns : columns; values > 0; values--) SkipValue(changeset, ref at);
            }
        }
        catch (Exception error) when (error is IndexOutOfRangeException or ArgumentOutOfRangeException or OverflowException)
        {
            throw new InvalidDataException("The changeset is cut short.", error);
        }

        return at == changeset.Length ? names : throw new InvalidDataException("The changeset is cut short.");
    }

    private static void SkipValue(ReadOnlySpan<byte> changeset, ref int at)
    {
        switch (changeset[at++])
        {
            case 0 or 5: // not there; NULL
                break;
            case 1 or 2: // a number
                at += sizeof(long);
                break;
            case 3 or 4: // a text, a blob
                var size = ReadVarint(changeset, ref at);
                at = checked(at + (int)size);
                break;
            case var type:
                throw new InvalidDataException($"The changeset has a value of type {type}.");
        }
    }

    // SQLite's: the high bits first, seven a byte, eight in the ninth.
    private static long ReadVarint(ReadOnlySpan<byte> bytes, ref int at)
    {
        long value = 0;
        for (var i = 0; i < 8; i++)
        {
            var next = bytes[at++];
            value = (value << 7) | (uint)(next & 0x7F);
            if (next < 0x80) return value;
        }

        return (value << 8) | bytes[at++];
    }
}
