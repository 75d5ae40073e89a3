using System.Globalization;
using System.Text;

namespace DataSync.Vfs;

/// <summary>What can be told of a text of SQL without compiling it.</summary>
internal static class SqlText
{
    /// <summary>
    /// Numbers the bare <c>?</c> of a text of several statements, so that they count on from one to the next: each gets one more
    /// than the greatest number before it, as SQLite does it within one statement.
    /// </summary>
    public static string NumberParameters(string sql)
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

    /// <summary>A name as it stands in SQL, whatever is in it.</summary>
    public static string Quote(string name) => '"' + name.Replace("\"", "\"\"", StringComparison.Ordinal) + '"';

    /// <summary>What may be names in a text: words, and what stands in quotation marks.</summary>
    public static IEnumerable<string> Words(string sql)
    {
        for (var i = 0; i < sql.Length;)
        {
            var end = i;
            while (end < sql.Length && (char.IsLetterOrDigit(sql[end]) || sql[end] is '_' or '$')) end++;
            if (end == i) end = sql[i] is '"' or '\'' or '`' or '[' ? SkipToken(sql, i) : i + 1;
            if (end - i > 2 && sql[i] is '"' or '\'' or '`' or '[') yield return sql[(i + 1)..(end - 1)];
            else if (char.IsLetterOrDigit(sql[i]) || sql[i] is '_') yield return sql[i..end];
            i = end;
        }
    }

    /// <summary>The word that the text begins with, in capital letters; empty where it begins with none.</summary>
    public static string FirstWord(string sql)
    {
        var from = 0;
        while (from < sql.Length && (char.IsWhiteSpace(sql[from]) || sql[from] == ';' || sql.AsSpan(from).StartsWith("--") || sql.AsSpan(from).StartsWith("/*"))) from = SkipToken(sql, from);
        var to = from;
        while (to < sql.Length && char.IsAsciiLetter(sql[to])) to++;
        return sql[from..to].ToUpperInvariant();
    }

    /// <summary>Whether the text holds more than one statement.</summary>
    public static bool HasSeveralStatements(string sql)
    {
        var from = sql.IndexOf(';', StringComparison.Ordinal);
        if (from < 0 || from == sql.Length - 1) return false;
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
}
