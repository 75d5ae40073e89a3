using System.Globalization;
using System.Text;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>
/// What a connection has of its own that decides what a statement does: pragmas, functions and collations, what is attached or temporary.
/// Where two connections are alike in this, in tabs of one build of the app, a statement means the same on both.
/// </summary>
internal sealed record ConnectionTraits(ulong Hash)
{
    private static readonly string[] Settings =
    [
        "foreign_keys", "recursive_triggers", "ignore_check_constraints", "defer_foreign_keys", "legacy_alter_table",
        "reverse_unordered_selects", "writable_schema", "trusted_schema", "max_page_count",
    ];

    // Functions that an app brings are known by name only; which code is behind a name, its build tells (below). case_sensitive_like shows as a function.
    private static readonly string Query =
        "SELECT (SELECT group_concat(name || '/' || narg || '/' || flags, ' ') FROM (SELECT name, narg, flags FROM pragma_function_list WHERE NOT builtin ORDER BY 1, 2, 3)), "
        + "(SELECT group_concat(name, ' ') FROM (SELECT name FROM pragma_collation_list ORDER BY 1)), "
        + "(SELECT group_concat(name, ' ') FROM pragma_database_list), "
        + string.Join(", ", Settings.Select(setting => $"(SELECT {setting} FROM pragma_{setting})"));

    /// <summary>Looks at a connection; within a write slot, and outside of a transaction.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="configure">What the app has set it up with.</param>
    public static ConnectionTraits Of(CachedConnection connection, Action<SqliteConnection>? configure)
    {
        var text = new StringBuilder();
        connection.Run(Query, null, (row, _) =>
        {
            for (var i = 0; i < row.Columns.Length; i++) text.Append(CultureInfo.InvariantCulture, $"{row.GetValue(i)}|");
            return 0;
        });
        if (configure is not null) text.Append(configure.Method.Module.ModuleVersionId);
        return new(Checksum.Compute(ChecksumKind.FastHash, Encoding.UTF8.GetBytes(text.ToString())));
    }
}
