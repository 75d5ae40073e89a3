using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>
/// What one version of a schema says of names: which tables are the shadow tables of a virtual one (SQLite tells of changes to those only),
/// and which other tables a virtual one was made over.
/// </summary>
internal sealed class SchemaNames
{
    private const string Query = """
        SELECT l.name, l.type, s.sql FROM pragma_table_list AS l LEFT JOIN sqlite_schema AS s ON s.name = l.name AND s.type IN ('table', 'view') WHERE l.schema = 'main'
        """;

    private readonly HashSet<string> _tables;
    private readonly Dictionary<string, string> _ownerOfShadow = [];
    private readonly Dictionary<string, string[]> _mentionedBy = [];

    private SchemaNames(List<(string Name, string Type, string Sql)> tables)
    {
        _tables = tables.Where(table => table.Type != "view").Select(table => table.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);
        var virtuals = tables.Where(table => table.Type == "virtual").OrderByDescending(table => table.Name.Length).ToList();
        if (virtuals.Count == 0) return;
        foreach (var (name, type, _) in tables)
        {
            if (type == "shadow" && virtuals.Find(v => name.StartsWith(v.Name + "_", StringComparison.OrdinalIgnoreCase)).Name is { } owner) _ownerOfShadow[name] = owner;
        }

        // FTS5's content=, fts5vocab's table, what a module of the app's own takes: any table that is named in its definition, or in that of a view there.
        var names = tables.Select(table => table.Name).ToLookup(name => name, StringComparer.OrdinalIgnoreCase);
        foreach (var (name, _, sql) in tables.Where(table => table.Type is "virtual" or "view")) _mentionedBy[name] = [.. SqlText.Words(sql).SelectMany(word => names[word]).Distinct().Where(other => other != name)];
    }

    /// <summary>Of which schema; see <see cref="BlockStorage.SchemaVersion"/>.</summary>
    public required (int Cookie, long Retractions) Version { get; init; }

    /// <summary>Reads it; whoever calls sees to it that the connection has the schema of this version.</summary>
    public static SchemaNames Read(CachedConnection connection, (int, long) version)
    {
        var tables = connection.Run(Query, null, (row, isRow) =>
        {
            var found = new List<(string, string, string)>();
            for (; isRow; isRow = row.Step()) found.Add((row.GetText(0), row.GetText(1), row.GetValue(2) as string ?? ""));
            return found;
        });
        return new SchemaNames(tables!) { Version = version };
    }

    /// <summary>Virtual tables under their own names.</summary>
    public IReadOnlyList<string> Resolve(IReadOnlyList<string> tables) =>
        _ownerOfShadow.Count == 0 ? tables : [.. tables.Select(table => _ownerOfShadow.GetValueOrDefault(table, table)).Distinct()];

    /// <summary>A table's name as it was created, whatever its case here.</summary>
    public string NameOf(string table) => _tables.TryGetValue(table, out var name) ? name : table;

    /// <summary>The same of what a query reads, with the tables that stand behind virtual ones, and without what is no table (views, table-valued functions).</summary>
    public IReadOnlySet<string> ResolveRead(IEnumerable<string> tables)
    {
        var all = new HashSet<string>();
        foreach (var table in tables)
        {
            var name = _ownerOfShadow.GetValueOrDefault(table, table);
            if (_tables.Contains(name)) Add(name); // of a view SQLite has told what it reads
        }

        all.IntersectWith(_tables);
        return all;

        void Add(string name)
        {
            if (!all.Add(name) || !_mentionedBy.TryGetValue(name, out var mentioned)) return;
            foreach (var other in mentioned) Add(_ownerOfShadow.GetValueOrDefault(other, other));
        }
    }
}
