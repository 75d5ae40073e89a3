using System.Globalization;
using System.Text;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>
/// Reads a column as a .NET type, with the conversions of Microsoft.Data.Sqlite (<c>SqliteDataReader.GetFieldValue</c>): SQLite itself
/// makes integers, reals, texts and bytes of each other; a number as a time is a Julian day, or days. One thing is added: a text may be
/// the name of an enum's member.
/// </summary>
internal static class ColumnReader
{
    // Midnight at the start of 0001-01-01.
    private const long FirstJulianMillisecond = 148_731_163_200_000;
    private const double MillisecondsPerDay = 86_400_000;

    private static readonly Dictionary<Type, Func<Statement, int, object>> Readers = new()
    {
        [typeof(string)] = static (row, column) => row.GetText(column),
        [typeof(byte[])] = static (row, column) => row.GetBlob(column),
        [typeof(bool)] = static (row, column) => row.GetInt64(column) != 0,
        [typeof(long)] = static (row, column) => row.GetInt64(column),
        [typeof(int)] = static (row, column) => checked((int)row.GetInt64(column)),
        [typeof(short)] = static (row, column) => checked((short)row.GetInt64(column)),
        [typeof(sbyte)] = static (row, column) => checked((sbyte)row.GetInt64(column)),
        [typeof(byte)] = static (row, column) => checked((byte)row.GetInt64(column)),
        [typeof(ushort)] = static (row, column) => checked((ushort)row.GetInt64(column)),
        [typeof(uint)] = static (row, column) => checked((uint)row.GetInt64(column)),
        [typeof(ulong)] = static (row, column) => unchecked((ulong)row.GetInt64(column)), // as it is bound
        [typeof(double)] = static (row, column) => row.GetDouble(column),
        [typeof(float)] = static (row, column) => (float)row.GetDouble(column),
        [typeof(decimal)] = static (row, column) => decimal.Parse(row.GetText(column), NumberStyles.Number | NumberStyles.AllowExponent, CultureInfo.InvariantCulture),
        [typeof(char)] = static (row, column) => ReadChar(row, column),
        [typeof(Guid)] = static (row, column) => ReadGuid(row, column),
        [typeof(DateTime)] = static (row, column) => IsNumber(row, column)
            ? FromJulianDay(row.GetDouble(column))
            : DateTime.Parse(row.GetText(column), CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal),
        [typeof(DateTimeOffset)] = static (row, column) => IsNumber(row, column)
            ? new DateTimeOffset(FromJulianDay(row.GetDouble(column)), TimeSpan.Zero)
            : DateTimeOffset.Parse(row.GetText(column), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal),
        [typeof(DateOnly)] = static (row, column) => IsNumber(row, column)
            ? DateOnly.FromDateTime(FromJulianDay(row.GetDouble(column)))
            : DateOnly.Parse(row.GetText(column), CultureInfo.InvariantCulture),
        [typeof(TimeOnly)] = static (row, column) => TimeOnly.Parse(row.GetText(column), CultureInfo.InvariantCulture),
        [typeof(TimeSpan)] = static (row, column) => IsNumber(row, column)
            ? TimeSpan.FromDays(row.GetDouble(column))
            : TimeSpan.Parse(row.GetText(column), CultureInfo.InvariantCulture),
        [typeof(Uri)] = static (row, column) => new Uri(row.GetText(column), UriKind.RelativeOrAbsolute),
    };

    /// <summary>Whether values of a type are read from one column.</summary>
    /// <param name="type">Not a <see cref="Nullable{T}"/>.</param>
    public static bool IsScalar(Type type) => type.IsPrimitive || type.IsEnum || type == typeof(object) || Readers.ContainsKey(type);

    /// <summary>What reads a column, which is not NULL, as a type.</summary>
    /// <param name="type">Not a <see cref="Nullable{T}"/>.</param>
    public static Func<Statement, int, object> Of(Type type)
    {
        if (type.IsEnum) return OfEnum(type);
        return Readers.GetValueOrDefault(type) ?? ((row, column) =>
        {
            var value = row.GetValue(column)!;
            return type.IsInstanceOfType(value) ? value : throw new InvalidCastException($"no value of SQLite becomes a {type.Name}; read a number, text or bytes, and convert it");
        });
    }

    private static Func<Statement, int, object> OfEnum(Type type)
    {
        var number = Readers[Enum.GetUnderlyingType(type)];
        return (row, column) =>
        {
            if (row.GetType(column) == raw.SQLITE_TEXT && row.GetText(column).AsSpan().TrimStart() is { Length: > 0 } text && (char.IsLetter(text[0]) || text[0] == '_'))
                return Enum.Parse(type, text);
            return Enum.ToObject(type, number(row, column));
        };
    }

    private static bool IsNumber(Statement row, int column) => row.GetType(column) is raw.SQLITE_INTEGER or raw.SQLITE_FLOAT;

    private static DateTime FromJulianDay(double day)
    {
        var milliseconds = checked((long)(day * MillisecondsPerDay + 0.5)) - FirstJulianMillisecond;
        return new DateTime(checked(milliseconds * TimeSpan.TicksPerMillisecond));
    }

    private static Guid ReadGuid(Statement row, int column)
    {
        if (row.GetType(column) != raw.SQLITE_BLOB) return new Guid(row.GetText(column));
        var bytes = row.GetBlob(column);
        return bytes.Length == 16 ? new Guid(bytes) : new Guid(Encoding.UTF8.GetString(bytes));
    }

    private static char ReadChar(Statement row, int column) =>
        row.GetType(column) == raw.SQLITE_TEXT && row.GetText(column) is { Length: 1 } text ? text[0] : checked((char)row.GetInt64(column));
}
