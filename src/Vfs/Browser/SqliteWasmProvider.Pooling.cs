using System.Text;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

// What a connection needs to be used again by somebody else (PooledHandle): knowing what its next user would notice, and leaving functions in their places.
internal sealed unsafe partial class SqliteWasmProvider
{
    private const int CollationArity = -2;

    private readonly Dictionary<int, Changes> _changes = [];

    /// <summary>Whether it has settings, other databases, temporary tables, a hook or a limit that not every user gives it.</summary>
    internal bool IsAltered(sqlite3 db) => _changes.TryGetValue(Handle(db), out var changes) && changes.IsLasting;

    /// <summary>What was done so far is done by every user of the connection.</summary>
    internal void Accept(sqlite3 db) => ChangesOf(Handle(db)).IsLasting = false;

    /// <summary>
    /// Its user leaves it to the next one. Until <see cref="TryTakeOver"/> functions and collations that are taken away stay in their places, and the next
    /// user's of the same names take these: it is much faster than making each anew.
    /// </summary>
    internal void HandOver(sqlite3 db) => ChangesOf(Handle(db)).IsHandedOver = true;

    /// <summary>
    /// Its next user has registered what it needs. False where one before had more: it must not be used. (Taking that away would not do: a function of
    /// SQLite's own that was replaced does not come back, and one that takes any number of arguments is not found behind one that took just this number.)
    /// </summary>
    internal bool TryTakeOver(sqlite3 db)
    {
        var changes = ChangesOf(Handle(db));
        changes.IsHandedOver = false;
        return changes.Functions.Values.All(place => place.IsThere);
    }

    private Changes ChangesOf(int db)
    {
        if (!_changes.TryGetValue(db, out var changes)) _changes.Add(db, changes = new());
        return changes;
    }

    /// <summary>Registers a function or collation, or takes it away, as <paramref name="register"/> does for the id of a callback (0 for none).</summary>
    private int Register(int db, byte[] name, int arguments, int flags, object? callback, Func<int, int> register)
    {
        var changes = ChangesOf(db);
        var key = (Encoding.UTF8.GetString(name, 0, Math.Max(Array.IndexOf(name, (byte)0), 0)).ToUpperInvariant(), arguments);
        if (changes.IsHandedOver && changes.Functions.TryGetValue(key, out var place) && place.Flags == flags && (callback is null || SqliteExports.TryReplace(place.Id, callback)))
        {
            changes.Functions[key] = place with { IsThere = callback is not null };
            return SqliteResult.Ok;
        }

        var id = callback is null ? 0 : SqliteExports.Register(callback);
        var code = register(id);
        changes.Functions[key] = new(code == SqliteResult.Ok ? id : 0, flags, callback is not null);
        return Explain(db, code);
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

    /// <summary>Where a function or collation is, and whether the present user has it.</summary>
    private readonly record struct Place(int Id, int Flags, bool IsThere);

    private sealed class Changes
    {
        /// <summary>The functions and collations that there were.</summary>
        public Dictionary<(string Name, int Arity), Place> Functions { get; } = [];

        /// <summary>Something that nobody takes back.</summary>
        public bool IsLasting { get; set; }

        public bool IsHandedOver { get; set; }
    }
}
