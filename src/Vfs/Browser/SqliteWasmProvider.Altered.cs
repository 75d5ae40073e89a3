using System.Text;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

// Whether a connection may be used again by somebody else (PooledHandle): what there is on it that its next user would notice.
internal sealed unsafe partial class SqliteWasmProvider
{
    private const int CollationArity = -2;

    private readonly Dictionary<int, Changes> _changes = [];

    /// <summary>Whether it has settings, other databases, temporary tables, a hook or a limit that not every user gives it.</summary>
    internal bool IsAltered(sqlite3 db) => _changes.TryGetValue(Handle(db), out var changes) && changes.IsLasting;

    /// <summary>What was done so far is done by every user of the connection.</summary>
    internal void Accept(sqlite3 db) => ChangesOf(Handle(db)).IsLasting = false;

    /// <summary>
    /// Whether there were functions or collations that its present user has not registered, too. They were taken away, but SQLite keeps their places: a
    /// function of its own that was replaced does not come back, and one that takes any number of arguments is not found behind one that took just this number.
    /// </summary>
    internal bool HasGhosts(sqlite3 db) => _changes.TryGetValue(Handle(db), out var changes) && changes.Functions.ContainsValue(false);

    private Changes ChangesOf(int db)
    {
        if (!_changes.TryGetValue(db, out var changes)) _changes.Add(db, changes = new());
        return changes;
    }

    private void NoticeFunction(int db, byte[] name, int arguments, bool isThere)
    {
        var text = Encoding.UTF8.GetString(name, 0, Math.Max(Array.IndexOf(name, (byte)0), 0)).ToUpperInvariant();
        ChangesOf(db).Functions[(text, arguments)] = isThere;
    }

    private void NoticeStatement(int db, ReadOnlySpan<byte> sql)
    {
        sql = sql.TrimStart(" \t\r\n;"u8);

        // Nearly all begin with another letter.
        if (sql.IsEmpty || (sql[0] | 0x20) is not ('p' or 'a' or 'c' or '-' or '/')) return;
        var text = Encoding.UTF8.GetString(sql);
        var word = SqlText.FirstWord(text);
        if (word is "PRAGMA" or "ATTACH") ChangesOf(db).IsLasting = true;
        else if (word == "CREATE" && SqlText.FirstWord(text[(text.IndexOf(word, StringComparison.OrdinalIgnoreCase) + word.Length)..]) is "TEMP" or "TEMPORARY") ChangesOf(db).IsLasting = true;
    }

    private sealed class Changes
    {
        /// <summary>The functions and collations that there were, and whether they are there now.</summary>
        public Dictionary<(string Name, int Arity), bool> Functions { get; } = [];

        /// <summary>Something that nobody takes back.</summary>
        public bool IsLasting { get; set; }
    }
}
