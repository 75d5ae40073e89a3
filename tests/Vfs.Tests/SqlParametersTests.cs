using System.Text;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Vfs.Tests;

/// <summary>How SQL text is looked through, and what becomes a parameter.</summary>
public sealed class SqlParametersTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("SELECT ?", "SELECT ?1")]
    [InlineData("SELECT ?, ?,?", "SELECT ?1, ?2,?3")]
    [InlineData("SELECT ?2, ?", "SELECT ?2, ?3")]
    [InlineData("SELECT ?, ?1, ?", "SELECT ?1, ?1, ?2")]
    [InlineData("SELECT ?12,?", "SELECT ?12,?13")]
    [InlineData("SELECT '?', ? -- ?\n, ?", "SELECT '?', ?1 -- ?\n, ?2")]
    [InlineData("SELECT 'it''s ?', ?", "SELECT 'it''s ?', ?1")]
    [InlineData("SELECT \"a?b\", [c?d], `e?f`, /* ? */ ?", "SELECT \"a?b\", [c?d], `e?f`, /* ? */ ?1")]
    [InlineData("SELECT ? /* open ?", "SELECT ?1 /* open ?")]
    [InlineData("SELECT ? 'open ?", "SELECT ?1 'open ?")]
    [InlineData("SELECT ?->>'$.a', ?", "SELECT ?1->>'$.a', ?2")]
    public void Bare_question_marks_are_numbered_as_SQLite_numbers_them(string sql, string numbered) =>
        Assert.Equal(numbered, SqlText.NumberParameters(sql));

    [Theory]
    [InlineData("", false)]
    [InlineData("SELECT 1", false)]
    [InlineData("SELECT 1;", false)]
    [InlineData("SELECT 1; \n -- done\n /* really */ ", false)]
    [InlineData("SELECT ';'; -- ; SELECT", false)]
    [InlineData("SELECT \";\", [;], `;`", false)]
    [InlineData("SELECT 1;;", false)]
    [InlineData("SELECT 1; SELECT 2", true)]
    [InlineData("SELECT 1;SELECT 2;", true)]
    [InlineData("/* ; */ SELECT 1; -- x\n SELECT 2", true)]
    [InlineData(";SELECT 1", true)]
    public void Several_statements_are_told_from_one(string sql, bool several) =>
        Assert.Equal(several, SqlText.HasSeveralStatements(sql));

    [Fact]
    public void Parameters_come_from_objects_dictionaries_lists_and_ready_made_ones()
    {
        Assert.Equal([5L, "x", null], Bound("SELECT $id, @name, :none", new { id = 5, name = "x", none = (string?)null, more = 1 }));
        Assert.Equal([1L, null], Bound("SELECT $a, $b", new Dictionary<string, object?> { ["$a"] = 1L, ["b"] = null }));
        Assert.Equal([1L, 2L], Bound("SELECT $a, @a", new Dictionary<string, object?> { ["$a"] = 1, ["@a"] = 2 }));
        Assert.Equal([1L, "two", null], Bound("SELECT ?, ?, ?", new object?[] { 1L, "two", null }));
        Assert.Equal([2L, 1L, 3L], Bound("SELECT ?2, ?1, ?", new List<int> { 1, 2, 3 }));
        Assert.Equal(["b"], Bound("SELECT ?2", (string[])["a", "b"]));
        Assert.Equal([9L], Bound("SELECT @p", new[] { new SqliteParameter("@p", 9) }));
        Assert.Equal([1L], Bound("SELECT 1", null));
        Assert.Equal([7L], Bound("SELECT ?3", new Dictionary<string, object?> { ["?3"] = 7 }));
    }

    [Fact]
    public void Half_of_a_surrogate_pair_becomes_the_replacement_character_as_with_Microsoft_Data_Sqlite()
    {
        SQLitePCL.Batteries_V2.Init();
        using var connection = new SqliteConnection("Data Source=:memory:");
        connection.Open();
        foreach (var text in new[] { "\ud800", "a\udc00b", "\udc00\ud800", "😀\ud83d" })
        {
            using var command = connection.CreateCommand();
#pragma warning disable CA2100 // This test's own text.
            command.CommandText = $"SELECT hex($v), hex('{text}')";
#pragma warning restore CA2100
            command.Parameters.AddWithValue("$v", text);
            using var reader = command.ExecuteReader();
            reader.Read();
            Assert.Contains("EFBFBD", reader.GetString(0), StringComparison.Ordinal);
            Assert.Equal([reader.GetString(0), reader.GetString(1)], Bound(command.CommandText, new { v = text }));
        }
    }

    [Fact]
    public void A_parameter_without_a_value_is_an_error_that_names_it()
    {
        Assert.Contains("$b has no value", Assert.Throws<InvalidOperationException>(() => Bound("SELECT $a, $b", new { a = 1 })).Message, StringComparison.Ordinal);
        Assert.Contains("only 1 value was", Assert.Throws<InvalidOperationException>(() => Bound("SELECT ?, ?", (object[])[1])).Message, StringComparison.Ordinal);
        Assert.Contains("list of values", Assert.Throws<InvalidOperationException>(() => Bound("SELECT ?", new { a = 1 })).Message, StringComparison.Ordinal);
        Assert.Contains("$a has no value", Assert.Throws<InvalidOperationException>(() => Bound("SELECT $a", null)).Message, StringComparison.Ordinal);
        Assert.Contains("fits several", Assert.Throws<InvalidOperationException>(() => Bound("SELECT $a, @a", new { a = 1 })).Message, StringComparison.Ordinal);
    }

    public static TheoryData<object> Values { get; } =
    [
        true, (byte)1, (sbyte)-1, (short)-2, (ushort)3, -4, 5u, long.MinValue, 6ul, 1.5f, -2.25, double.PositiveInfinity, 12.340m, 'x', "", "text", "nul\0 inside", "\ud83d\ude00",
        Array.Empty<byte>(), new byte[] { 0, 1 }, new byte[100_000], new string('ä', 70_000), Guid.Parse("0195d0a4-0000-7000-8000-0000000000ff"),
        new DateTime(2026, 11, 22, 1, 2, 3, 456), new DateTimeOffset(2026, 11, 22, 1, 2, 3, TimeSpan.FromHours(-5)), new DateOnly(2026, 11, 22), new TimeOnly(23, 59, 58, 7),
        TimeSpan.FromHours(30.5), DayOfWeek.Friday,
    ];

    [Theory]
    [MemberData(nameof(Values))]
    public void Values_become_what_Microsoft_Data_Sqlite_makes_of_them(object value)
    {
        using var connection = Open();
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT typeof($v), $v";
        command.Parameters.AddWithValue("$v", value);
        using var reader = command.ExecuteReader();
        Assert.True(reader.Read());
        Assert.Equal([reader.GetValue(0), reader.GetValue(1)], Bound("SELECT typeof($v), $v", new Dictionary<string, object?> { ["$v"] = value }));
    }

    [Fact]
    public void What_Microsoft_Data_Sqlite_refuses_is_refused()
    {
        Assert.Throws<InvalidOperationException>(() => Bound("SELECT ?", (object[])[double.NaN]));
        Assert.Throws<InvalidOperationException>(() => Bound("SELECT ?", (object[])[new object()]));
    }

    [Fact]
    public void A_ready_made_parameter_keeps_its_type_and_size()
    {
        var id = Guid.NewGuid();
        Assert.Equal([id.ToByteArray()], Bound("SELECT @id", new[] { new SqliteParameter("@id", SqliteType.Blob) { Value = id } }));
        Assert.Equal(["ab"], Bound("SELECT $t", new[] { new SqliteParameter("t", "abcdef") { Size = 2 } }));
    }

    [Fact]
    public void A_text_or_bytes_alone_are_no_list_of_parameters()
    {
        Assert.False(SqlParameters.ArePositional("text"));
        Assert.False(SqlParameters.ArePositional(new byte[3]));
        Assert.True(SqlParameters.ArePositional(new List<string> { "text" }));
    }

    private static SqliteConnection Open()
    {
        SQLitePCL.Batteries_V2.Init();
        var connection = new SqliteConnection("Data Source=:memory:");
        connection.Open();
        return connection;
    }

    private static object?[] Bound(string sql, object? values)
    {
        using var connection = Open();
        using var statement = Statement.Prepare(connection.Handle!, Encoding.UTF8.GetBytes(sql), out _)!;
        using var parameters = new SqlParameters(connection);
        parameters.Bind(statement, values);
        Assert.True(statement.Step());
        return [.. statement.Columns.Select((_, i) => statement.GetValue(i))];
    }
}
