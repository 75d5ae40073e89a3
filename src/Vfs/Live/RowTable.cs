namespace DataSync.Vfs;

/// <summary>One table as it was in one of the two schemas that are compared.</summary>
/// <param name="Columns">What <c>SELECT *</c> gives.</param>
/// <param name="Key">The columns of the primary key, in its order; none where it has none.</param>
/// <param name="HasRowId">Whether its rows have rowids.</param>
/// <param name="IsVirtual">Whether a module keeps it, in tables of its own.</param>
internal sealed record TableShape(IReadOnlyList<string> Columns, IReadOnlyList<string> Key, bool HasRowId, bool IsVirtual)
{
    private const string Kinds = "SELECT type, wr FROM pragma_table_list WHERE schema = ? AND name = ? COLLATE NOCASE";
    private const string AllColumns = "SELECT name, pk FROM pragma_table_xinfo(?2, ?1) WHERE hidden <> 1 ORDER BY cid";

    /// <summary>Reads it; null where there is no such table.</summary>
    /// <exception cref="InvalidOperationException">It is a view.</exception>
    public static TableShape? Read(CachedConnection connection, string schema, string table)
    {
        object[] arguments = [schema, table];
        var (type, hasRowId) = connection.Run(Kinds, arguments, (row, isRow) => isRow ? (row.GetText(0), row.GetInt64(1) == 0) : default);
        if (type is null) return null;
        if (type == "view") throw new InvalidOperationException($"'{table}' is a view, and only tables have rows of their own. Use a live query with a key for it (LiveAsync): its Diff says what became of each row.");
        var columns = connection.Run(AllColumns, arguments, (row, isRow) =>
        {
            var found = new List<(string Name, long Key)>();
            for (; isRow; isRow = row.Step()) found.Add((row.GetText(0), row.GetInt64(1)));
            return found;
        })!;
        return new([.. columns.Select(column => column.Name)], [.. columns.Where(column => column.Key > 0).OrderBy(column => column.Key).Select(column => column.Name)], hasRowId, type == "virtual");
    }
}

/// <summary>The questions that compare a table (as <c>n</c>) with what it was (as <c>o</c>).</summary>
/// <remarks>Both give rows in the order of their keys. Their parameter, where only some rows are to be looked at, is a JSON array of the rowids.</remarks>
internal sealed class RowTable
{
    private static readonly string[] RowIdNames = ["rowid", "_rowid_", "oid"];

    private RowTable(string now, string gone) => (Now, Gone) = (now, gone);

    /// <summary>The rows that are other ones or new: the rowid, whether it is new, its columns, then those that it had before.</summary>
    public string Now { get; }

    /// <summary>The rows that are not there any more: the rowid, and the columns.</summary>
    public string Gone { get; }

    /// <summary>All rows of a table that is in one of the two only: the rowid, and the columns.</summary>
    public static string All(string table, string schema, TableShape shape) =>
        $"SELECT {RowIdOf(shape) ?? "NULL"}, {List("t", shape)} FROM {schema}.{SqlText.Quote(table)} AS t";

    /// <exception cref="InvalidOperationException">Its rows cannot be told apart.</exception>
    public static RowTable Of(string table, string schema, TableShape now, TableShape before, bool onlySome)
    {
        var name = SqlText.Quote(table);
        var rowId = RowIdOf(now) is { } id && id == RowIdOf(before) ? id : null;
        IReadOnlyList<string> key = now.Key.SequenceEqual(before.Key, StringComparer.OrdinalIgnoreCase) ? now.Key : [];
        if (key.Count == 0 && rowId is null)
            throw new InvalidOperationException($"The rows of '{table}' cannot be told apart: it has columns named rowid, _rowid_ and oid, or another primary key than before.");

        var match = key.Count == 0
            ? $"o.{rowId} = n.{rowId}"
            : string.Join(" AND ", key.Select(column => $"o.{SqlText.Quote(column)} IS n.{SqlText.Quote(column)}"));

        // SQLite lets the primary key of a table with rowids be NULL, in as many rows as one likes.
        if (key.Count > 0 && rowId is not null) match += $" AND (o.{rowId} = n.{rowId} OR ({string.Join(" AND ", key.Select(column => $"n.{SqlText.Quote(column)} IS NOT NULL"))}))";
        var present = rowId ?? SqlText.Quote(key[0]);
        var differs = string.Join(" OR ", now.Columns.Union(before.Columns, StringComparer.OrdinalIgnoreCase).Select(Differs));
        var order = key.Count == 0 ? [rowId!] : key.Select(SqlText.Quote).ToArray();
        return new(
            $"SELECT {(rowId is null ? "NULL" : $"n.{rowId}")}, o.{present} IS NULL, {List("n", now)}, {List("o", before)} FROM main.{name} AS n LEFT JOIN {schema}.{name} AS o ON {match} "
            + $"WHERE (o.{present} IS NULL OR {differs}){Some("n")} ORDER BY {Order("n")}",
            $"SELECT {(rowId is null ? "NULL" : $"o.{rowId}")}, {List("o", before)} FROM {schema}.{name} AS o LEFT JOIN main.{name} AS n ON {match} WHERE n.{present} IS NULL{Some("o")} ORDER BY {Order("o")}");

        // Values that a collation or an affinity takes for equal are not.
        string Differs(string column)
        {
            var (isNow, wasBefore) = (now.Columns.Contains(column, StringComparer.OrdinalIgnoreCase), before.Columns.Contains(column, StringComparer.OrdinalIgnoreCase));
            var quoted = SqlText.Quote(column);
            return !isNow ? $"o.{quoted} IS NOT NULL"
                : !wasBefore ? $"n.{quoted} IS NOT NULL"
                : $"n.{quoted} COLLATE BINARY IS NOT o.{quoted} OR typeof(n.{quoted}) <> typeof(o.{quoted})";
        }

        string Some(string alias) => onlySome ? $" AND {alias}.{rowId} IN (SELECT value FROM json_each(?))" : "";

        string Order(string alias) => string.Join(", ", order.Select(column => $"{alias}.{column}"));
    }

    private static string List(string alias, TableShape shape) => string.Join(", ", shape.Columns.Select(column => $"{alias}.{SqlText.Quote(column)}"));

    private static string? RowIdOf(TableShape shape) => shape.HasRowId ? RowIdNames.FirstOrDefault(id => !shape.Columns.Contains(id, StringComparer.OrdinalIgnoreCase)) : null;
}
