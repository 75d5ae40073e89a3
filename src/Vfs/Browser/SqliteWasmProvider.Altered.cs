using System.Text;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

// Connections that were changed in a way that nobody takes back when they are pooled.
internal sealed unsafe partial class SqliteWasmProvider
{
    private readonly HashSet<int> _altered = [];
    private HashSet<string>? _builtIns;

    /// <summary>
    /// Whether the next user of a connection would notice the one before it: it has settings, other databases, temporary tables, a hook or a limit,
    /// or a function or collation of SQLite's own was replaced. (Microsoft.Data.Sqlite takes its functions away, but that does not bring SQLite's
    /// own back.)
    /// </summary>
    internal bool IsAltered(sqlite3 db) => _altered.Contains(Handle(db));

    /// <summary>What was done so far is done to every connection.</summary>
    internal void Accept(sqlite3 db) => _altered.Remove(Handle(db));

    private void NoticeStatement(sqlite3 db, ReadOnlySpan<byte> sql)
    {
        sql = sql.TrimStart(" \t\r\n;"u8);

        // Nearly all begin with another letter.
        if (sql.IsEmpty || (sql[0] | 0x20) is not ('p' or 'a' or 'c' or '-' or '/')) return;
        var text = Encoding.UTF8.GetString(sql);
        var word = SqlText.FirstWord(text);
        if (word is "PRAGMA" or "ATTACH") _altered.Add(Handle(db));
        else if (word == "CREATE" && SqlText.FirstWord(text[(text.IndexOf(word, StringComparison.OrdinalIgnoreCase) + word.Length)..]) is "TEMP" or "TEMPORARY") _altered.Add(Handle(db));
    }

    private void NoticeName(sqlite3 db, byte[] name)
    {
        if ((_builtIns ??= FindBuiltIns(db)).Contains(Encoding.UTF8.GetString(name, 0, Math.Max(Array.IndexOf(name, (byte)0), 0)))) _altered.Add(Handle(db));
    }

    private static HashSet<string> FindBuiltIns(sqlite3 db)
    {
        var names = new HashSet<string>(["BINARY", "NOCASE", "RTRIM"], StringComparer.OrdinalIgnoreCase);
        if (raw.sqlite3_prepare_v2(db, "SELECT DISTINCT name FROM pragma_function_list WHERE builtin", out var statement) != raw.SQLITE_OK) return names;
        using (statement)
        {
            while (raw.sqlite3_step(statement) == raw.SQLITE_ROW) names.Add(raw.sqlite3_column_text(statement, 0).utf8_to_string());
        }

        return names;
    }
}
