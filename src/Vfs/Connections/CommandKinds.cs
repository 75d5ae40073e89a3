using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>What a command's text needs.</summary>
internal enum CommandKind
{
    /// <summary>Nothing: it cannot write.</summary>
    Reads,

    /// <summary>Leave to write, for itself.</summary>
    Writes,

    /// <summary>Leave to write until the transaction that it begins has ended.</summary>
    Begins,
}

/// <summary>Finds out what a text needs, from SQLite's own compiler, and remembers it.</summary>
internal sealed class CommandKinds
{
    // More than an app has of everyday; then it begins anew.
    private const int MaxTexts = 256;

    private readonly Dictionary<string, CommandKind> _known = [];

    public CommandKind Of(SqliteConnection connection, string sql)
    {
        if (_known.TryGetValue(sql, out var kind)) return kind;

        // What does not compile now may when its table is there; for the time being its own run says what is wrong.
        if (Compile(connection.Handle!, sql) is not { } compiled) return CommandKind.Reads;
        if (!IsLasting(sql)) return compiled;
        if (_known.Count == MaxTexts) _known.Clear();
        return _known[sql] = compiled;
    }

    // CREATE TABLE IF NOT EXISTS writes or does not, as the schema is; so do some pragmas.
    private static bool IsLasting(string sql) => SqlText.FirstWord(sql) is "SELECT" or "INSERT" or "UPDATE" or "DELETE" or "REPLACE" or "WITH" or "VALUES";

    /// <returns>Null when it does not compile.</returns>
    private static CommandKind? Compile(sqlite3 connection, string sql)
    {
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(sql);
        var begins = SqlText.FirstWord(sql) is "BEGIN" or "SAVEPOINT";
        while (rest.Length > 0)
        {
            if (raw.sqlite3_prepare_v2(connection, rest, out var statement, out rest) != raw.SQLITE_OK) return begins ? CommandKind.Begins : null;
            using (statement)
            {
                if (statement is null || statement.IsInvalid) continue;
                if (!begins && raw.sqlite3_stmt_readonly(statement) == 0) return CommandKind.Writes;
            }
        }

        return begins ? CommandKind.Begins : CommandKind.Reads;
    }
}
