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
        Assert.Equal(numbered, SqlParameters.Number(sql));

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
        Assert.Equal(several, SqlParameters.HasSeveralStatements(sql));

    [Fact]
    public void Parameters_come_from_objects_dictionaries_lists_and_ready_made_ones()
    {
        Assert.Equal(["id=5", "name=x", "none=NULL"], Bound(new { id = 5, name = "x", none = (string?)null }));
        Assert.Equal(["$a=1", "b=NULL"], Bound(new Dictionary<string, object?> { ["$a"] = 1L, ["b"] = null }));
        Assert.Equal(["?1=1", "?2=two", "?3=NULL"], Bound(new object?[] { 1L, "two", null }));
        Assert.Equal(["?1=1", "?2=2"], Bound(new List<int> { 1, 2 }));
        Assert.Equal(["@p=9"], Bound(new[] { new SqliteParameter("@p", 9) }));
        Assert.Empty(Bound(null));
    }

    [Fact]
    public void A_text_or_bytes_alone_are_no_list_of_parameters()
    {
        Assert.False(SqlParameters.ArePositional("text"));
        Assert.False(SqlParameters.ArePositional(new byte[3]));
        Assert.True(SqlParameters.ArePositional(new List<string> { "text" }));
    }

    private static string[] Bound(object? parameters)
    {
        using var command = new SqliteCommand();
        command.Parameters.AddWithValue("left", "over");
        SqlParameters.Bind(command, parameters);
        return [.. command.Parameters.Cast<SqliteParameter>().Select(p => $"{p.ParameterName}={(p.Value is DBNull ? "NULL" : p.Value)}")];
    }
}
