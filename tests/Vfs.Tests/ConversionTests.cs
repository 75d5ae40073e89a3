using System.Globalization;
using System.Reflection;
using System.Text;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Vfs.Tests;

/// <summary>A column becomes of every type what Microsoft.Data.Sqlite makes of it.</summary>
public sealed class ConversionTests
{
    private static readonly string[] Values =
    [
        "0", "1", "-1", "7", "65", "127", "128", "-129", "255", "256", "32768", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296",
        "9007199254740993", "2461367", "5373484", "9223372036854775807", "-9223372036854775808",
        "0.0", "0.5", "-0.5", "1.0", "1.5", "-1.5", "0.1", "1e-7", "65.9", "300.5", "123456789.125", "2461367.5", "2461367.75123456", "2415020.999999999", "1721425.5",
        "5373484.4", "5373484.5", "1e19", "3.4e38", "1e300", "9e999", "-9e999",
        "''", "' '", "'0'", "'1'", "'-1'", "' 7 '", "'1.5'", "'0.5'", "'1e5'", "'12.34'", "'1,234.5'", "'300'", "'65'", "'A'", "'7'", "'ä'", "'😀'", "'text'", "'true'",
        "'9223372036854775808'", "'18446744073709551615'", "'79228162514264337593543950336'", "'NaN'", "'Infinity'", "'2461367.5'",
        "'2026-11-22'", "'2026-11-22 01:02:03.4567891'", "'2026-11-22T01:02:03Z'", "'2026-11-22 01:02:03+05:30'", "'2026-11-22T01:02:03-08:00'", "'2026-02-30'", "'soon'",
        "'01:02:03'", "'23:59:58.1234567'", "'24:00:00'", "'1.02:03:04'", "'-00:00:01'", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "'6F9619FF8B86D011B42D00C04FC964FF'",
        "x''", "x'00'", "x'31'", "x'312E35'", "x'41'", "x'0102'", "x'80FF'", "x'323032362D31312D3232'", "x'30313A30323A3033'", "x'00112233445566778899AABBCCDDEEFF'",
        "CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS BLOB)",
    ];

    private static readonly Type[] Types =
    [
        typeof(bool), typeof(byte), typeof(sbyte), typeof(short), typeof(ushort), typeof(int), typeof(uint), typeof(long), typeof(ulong), typeof(float),
        typeof(double), typeof(decimal), typeof(char), typeof(DateTime), typeof(DateTimeOffset), typeof(DateOnly), typeof(TimeOnly), typeof(TimeSpan), typeof(Guid),
        typeof(DayOfWeek), typeof(Tiny), typeof(Signed), typeof(Huge),
    ];

    private enum Tiny : byte;

    private enum Signed : sbyte;

    private enum Huge : ulong;

    [Fact]
    public void A_value_of_each_kind_is_read_as_each_type_as_SqliteDataReader_reads_it()
    {
        SQLitePCL.Batteries_V2.Init();
        using var connection = new SqliteConnection("Data Source=:memory:");
        connection.Open();

        // Not enums that may be null: SqliteDataReader refuses them all.
        Type[] types = [.. Types, .. Types.Where(type => !type.IsEnum).Select(type => typeof(Nullable<>).MakeGenericType(type)), typeof(string), typeof(byte[]), typeof(object)];
        var differences = new List<string>();
        var (read, refused) = (0, 0);
        foreach (var value in Values)
        {
            foreach (var type in types)
            {
                var plain = Nullable.GetUnderlyingType(type) ?? type;
                if (plain.IsEnum && value is "'A'" or "'ä'" or "'text'" or "'true'" or "'NaN'" or "'Infinity'" or "'soon'") continue; // names, which only DataSync reads
                var expected = Describe(() => Call(nameof(Read), type, connection, value));
                var actual = Describe(() => Call(nameof(Map), type, connection, value));
                if (expected != actual) differences.Add($"{value} as {type}: {actual} instead of {expected}");
                if (expected == "refused") refused++;
                else read++;
            }
        }

        Assert.True(differences.Count == 0, string.Join("\n", differences));
        Assert.True(read > 2000 && refused > 500, $"{read} were read, {refused} refused.");
    }

    private static object Call(string method, Type type, SqliteConnection connection, string value) => typeof(ConversionTests)
        .GetMethod(method, BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(type)
        .Invoke(null, BindingFlags.DoNotWrapExceptions, null, [connection, value], CultureInfo.InvariantCulture)!;

    private static T Read<T>(SqliteConnection connection, string value)
    {
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Literals of this test.
        command.CommandText = "SELECT " + value;
#pragma warning restore CA2100
        using var reader = command.ExecuteReader();
        Assert.True(reader.Read());
        return reader.GetFieldValue<T>(0);
    }

    private static T Map<T>(SqliteConnection connection, string value)
    {
        using var statement = Statement.Prepare(connection.Handle!, Encoding.UTF8.GetBytes("SELECT " + value), out _)!;
        Assert.True(statement.Step());
        return new RowMapper<T>(statement.Columns).Map(statement);
    }

    // With all that tells two values apart: their type, a time's kind and offset, a real's last bit.
    private static string Describe(Func<object> read)
    {
        try
        {
            return read() switch
            {
                byte[] bytes => $"bytes {Convert.ToHexString(bytes)}",
                DateTime time => $"{time:O} {time.Kind}",
                IFormattable other => $"{other.GetType().Name} {other.ToString(other is DateTimeOffset or DateOnly or TimeOnly ? "O" : null, CultureInfo.InvariantCulture)}",
                var other => $"{other.GetType().Name} {other}",
            };
        }
        catch (Exception error) when (error is FormatException or OverflowException or ArgumentException or InvalidCastException)
        {
            return "refused";
        }
    }
}
