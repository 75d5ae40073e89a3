using System.Collections;
using System.Text;

namespace DataSync.Vfs;

/// <summary>A statement and the values for its parameters, as they travel.</summary>
/// <param name="Sql">One or several statements.</param>
/// <param name="Parameters">Null, a list of values, names with values, or (see <paramref name="IsMany"/>) a list of such.</param>
/// <param name="IsMany">Whether it is run once for each set of parameters.</param>
internal readonly record struct TravellingStatement(string Sql, object? Parameters, bool IsMany);

/// <summary>Statements as bytes, for the leader's tab.</summary>
/// <remarks>
/// u64 hash of the <see cref="ConnectionTraits"/>, i32 statements; each: text, u8 whether it is run for many sets, then one set of parameters or i32 and so many. A set: u8 kind (0 none,
/// 1 values, 2 names and values), i32 count, each value with its type. Numbers are little-endian, texts UTF-8 with their length.
/// </remarks>
internal static class StatementBody
{
    /// <summary>More than that goes as blocks: the leader's page runs what it is sent in one go.</summary>
    public const int MaxBytes = 16 << 10;

    private const int MaxSets = 256;

    private enum ValueType : byte
    {
        Null,
        Integer,
        Real,
        Text,
        Blob,
    }

    /// <summary>Null: they cannot travel.</summary>
    /// <param name="traits">Of the connection that they would run on in this tab.</param>
    /// <param name="statements">The statements.</param>
    /// <param name="toSqlite">Makes a value that SQLite has a type for of any other.</param>
    /// <param name="maxBytes">The most bytes that they may take.</param>
    /// <param name="maxSets">The most sets of parameters of one.</param>
    public static byte[]? Encode(ulong traits, IReadOnlyCollection<TravellingStatement> statements, Func<object, object?> toSqlite, int maxBytes = MaxBytes, int maxSets = MaxSets)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write(traits);
        writer.Write(statements.Count);
        foreach (var (sql, parameters, isMany) in statements)
        {
            writer.Write(sql);
            writer.Write(isMany);
            if (!isMany)
            {
                if (!TryWriteSet(writer, parameters, toSqlite)) return null;
                continue;
            }

            var sets = (IReadOnlyCollection<object?>)parameters!;
            if (sets.Count > maxSets) return null;
            writer.Write(sets.Count);
            foreach (var set in sets) if (stream.Length > maxBytes || !TryWriteSet(writer, set, toSqlite)) return null;
        }

        return stream.Length <= maxBytes ? stream.ToArray() : null;
    }

    /// <exception cref="FormatException">It is nothing that <see cref="Encode"/> made.</exception>
    public static (ulong Traits, List<TravellingStatement> Statements) Decode(byte[] body)
    {
        try
        {
            using var reader = new BinaryReader(new MemoryStream(body), Encoding.UTF8);
            var traits = reader.ReadUInt64();
            var statements = new List<TravellingStatement>();
            for (var left = ReadCount(reader); left > 0; left--)
            {
                var (sql, isMany) = (reader.ReadString(), reader.ReadBoolean());
                statements.Add(new(sql, isMany ? ReadSets(reader) : ReadSet(reader), isMany));
            }

            return reader.BaseStream.Position == body.Length ? (traits, statements) : throw new FormatException("There is more than the statements.");
        }
        catch (Exception error) when (error is IOException or ArgumentException)
        {
            throw new FormatException("The statements are cut short.", error);
        }
    }

    private static bool TryWriteSet(BinaryWriter writer, object? parameters, Func<object, object?> toSqlite)
    {
        switch (parameters)
        {
            case null:
                writer.Write((byte)0);
                return true;
            case IEnumerable<Microsoft.Data.Sqlite.SqliteParameter>:
                return false; // they say more than their values
            case IEnumerable<KeyValuePair<string, object?>> named:
                WriteNamed(writer, [.. named], toSqlite);
                return true;
            case IEnumerable values when SqlParameters.ArePositional(parameters):
                object?[] list = [.. values.Cast<object?>()];
                writer.Write((byte)1);
                writer.Write(list.Length);
                foreach (var value in list) WriteValue(writer, value, toSqlite);
                return true;
            case string or byte[]:
                return false;
            default:
                WriteNamed(writer, [.. SqlParameters.PropertiesOf(parameters).Select(property => KeyValuePair.Create(property.Name, property.GetValue(parameters)))], toSqlite);
                return true;
        }
    }

    private static void WriteNamed(BinaryWriter writer, KeyValuePair<string, object?>[] named, Func<object, object?> toSqlite)
    {
        writer.Write((byte)2);
        writer.Write(named.Length);
        foreach (var (name, value) in named)
        {
            writer.Write(name);
            WriteValue(writer, value, toSqlite);
        }
    }

    private static void WriteValue(BinaryWriter writer, object? value, Func<object, object?> toSqlite)
    {
        switch (value)
        {
            case null or DBNull:
                writer.Write((byte)ValueType.Null);
                break;
            case long or int or bool:
                writer.Write((byte)ValueType.Integer);
                writer.Write(value switch { long number => number, int number => number, _ => (bool)value ? 1 : 0 });
                break;
            case double number when !double.IsNaN(number):
                writer.Write((byte)ValueType.Real);
                writer.Write(number);
                break;
            case string text:
                writer.Write((byte)ValueType.Text);
                writer.Write(text);
                break;
            case byte[] bytes:
                writer.Write((byte)ValueType.Blob);
                writer.Write(bytes.Length);
                writer.Write(bytes);
                break;
            default:
                WriteValue(writer, toSqlite(value), static other => throw new InvalidOperationException($"SQLite has no type for a {other.GetType()}."));
                break;
        }
    }

    private static object?[] ReadSets(BinaryReader reader)
    {
        var sets = new object?[ReadCount(reader)];
        for (var i = 0; i < sets.Length; i++) sets[i] = ReadSet(reader);
        return sets;
    }

    private static object? ReadSet(BinaryReader reader)
    {
        var kind = reader.ReadByte();
        if (kind == 0) return null;
        var count = ReadCount(reader);
        if (kind == 1)
        {
            var values = new object?[count];
            for (var i = 0; i < count; i++) values[i] = ReadValue(reader);
            return values;
        }

        if (kind != 2) throw new FormatException("There is no such kind of parameters.");
        var named = new KeyValuePair<string, object?>[count];
        for (var i = 0; i < count; i++) named[i] = KeyValuePair.Create(reader.ReadString(), ReadValue(reader));
        return named;
    }

    private static object? ReadValue(BinaryReader reader) => (ValueType)reader.ReadByte() switch
    {
        ValueType.Null => null,
        ValueType.Integer => reader.ReadInt64(),
        ValueType.Real => reader.ReadDouble(),
        ValueType.Text => reader.ReadString(),
        ValueType.Blob => reader.ReadBytes(ReadCount(reader)),
        _ => throw new FormatException("There is no such type of value."),
    };

    // A number that says more than there is must not take memory.
    private static int ReadCount(BinaryReader reader)
    {
        var count = reader.ReadInt32();
        return count >= 0 && count <= reader.BaseStream.Length - reader.BaseStream.Position ? count : throw new FormatException("A number is out of its range.");
    }
}
