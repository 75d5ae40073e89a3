using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>Turns what a caller gives as parameters into those of a command.</summary>
internal static class SqlParameters
{
    /// <summary>Whether these are values by position, for <c>?</c>.</summary>
    public static bool ArePositional(object? parameters) =>
        parameters is IEnumerable and not string and not byte[] and not IEnumerable<KeyValuePair<string, object?>> and not IEnumerable<SqliteParameter>;

    /// <summary>Replaces a command's parameters.</summary>
    public static void Bind(SqliteCommand command, object? parameters)
    {
        command.Parameters.Clear();
        switch (parameters)
        {
            case null:
                break;
            case IEnumerable<SqliteParameter> ready:
                command.Parameters.AddRange(ready);
                break;
            case IEnumerable<KeyValuePair<string, object?>> named:
                foreach (var (name, value) in named) command.Parameters.AddWithValue(name, value ?? DBNull.Value);
                break;
            case IEnumerable values when ArePositional(parameters):
                var number = 0;
                foreach (var value in values) command.Parameters.AddWithValue(string.Create(CultureInfo.InvariantCulture, $"?{++number}"), value ?? DBNull.Value);
                break;
            default:
                BindProperties(command, parameters);
                break;
        }
    }

    /// <summary>
    /// Numbers the bare <c>?</c> of a statement, so that Microsoft.Data.Sqlite can bind them by name: each gets one more than
    /// the greatest number before it, as SQLite does it.
    /// </summary>
    public static string Number(string sql)
    {
        var result = new StringBuilder(sql.Length + 8);
        var greatest = 0;
        for (var i = 0; i < sql.Length;)
        {
            var end = SkipToken(sql, i);
            if (sql[i] == '?')
            {
                while (end < sql.Length && char.IsAsciiDigit(sql[end])) end++;
                if (end == i + 1) result.Append(CultureInfo.InvariantCulture, $"?{++greatest}");
                else if (int.TryParse(sql.AsSpan(i + 1, end - i - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var given)) greatest = Math.Max(greatest, given);
            }

            if (sql[i] != '?' || end > i + 1) result.Append(sql, i, end - i);
            i = end;
        }

        return result.ToString();
    }

    /// <summary>Whether the text holds more than one statement.</summary>
    public static bool HasSeveralStatements(string sql)
    {
        var ended = false;
        for (var i = 0; i < sql.Length;)
        {
            var end = SkipToken(sql, i);
            var isBlank = char.IsWhiteSpace(sql[i]) || sql.AsSpan(i).StartsWith("--") || sql.AsSpan(i).StartsWith("/*");
            if (sql[i] == ';') ended = true;
            else if (ended && !isBlank) return true;
            i = end;
        }

        return false;
    }

    // Where the literal, quoted name or comment that starts here ends; otherwise the next character.
    private static int SkipToken(string sql, int start)
    {
        var rest = sql.AsSpan(start);
        if (rest[0] is '\'' or '"' or '`') return EndOf(sql, start + 1, rest[..1]);
        if (rest[0] == '[') return EndOf(sql, start + 1, "]");
        if (rest.StartsWith("--")) return EndOf(sql, start + 2, "\n");
        return rest.StartsWith("/*") ? EndOf(sql, start + 2, "*/") : start + 1;
    }

    private static int EndOf(string sql, int from, ReadOnlySpan<char> mark)
    {
        var at = sql.AsSpan(from).IndexOf(mark);
        return at < 0 ? sql.Length : from + at + mark.Length;
    }

    [UnconditionalSuppressMessage("Trimming", "IL2075", Justification =
        "A parameter object's properties are read where the caller made it, which keeps them; under full trimming pass a dictionary (docs/VFS.md).")]
    private static void BindProperties(SqliteCommand command, object parameters)
    {
        foreach (var property in parameters.GetType().GetProperties())
        {
            if (property.GetIndexParameters().Length == 0) command.Parameters.AddWithValue(property.Name, property.GetValue(parameters) ?? DBNull.Value);
        }
    }
}
