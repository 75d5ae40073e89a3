using System.Collections.Immutable;

namespace DataSync.Contracts.Scripts;

/// <summary>How a table's key is declared.</summary>
public enum SqlKey
{
    RowId, AutoIncrement, WithoutRowId, Unique, None,
}

/// <summary>A column: its type is i(nteger), r(eal), t(ext), b(lob), or n for any.</summary>
public sealed record SqlColumn(string Name, char Type, bool IsUnique = false);

/// <summary>A table as the generator knows it; a virtual one has no key.</summary>
/// <param name="Schema">main, temp or aux1.</param>
/// <param name="Name">Its name.</param>
/// <param name="Key">How column k is declared.</param>
/// <param name="Columns">The other columns that can be written.</param>
public sealed record SqlTable(string Schema, string Name, SqlKey Key, ImmutableList<SqlColumn> Columns)
{
    public bool IsStrict { get; init; }

    /// <summary>An FTS5 table.</summary>
    public bool IsFullText { get; init; }

    /// <summary>A column r of it refers to this one.</summary>
    public SqlTable? Parent { get; init; }

    /// <summary>Only for statements that cannot fail, where no journal would undo them.</summary>
    public bool IsPlain { get; init; }

    /// <summary>The connection that has this temporary table; -1: all have it.</summary>
    public int Owner { get; init; } = -1;

    public string FullName => $"{Schema}.{Name}";
}

/// <summary>What exists, apart from rows.</summary>
/// <param name="Tables">The tables.</param>
/// <param name="Others">Indexes, views and triggers: type and full name.</param>
public sealed record SqlSchema(ImmutableList<SqlTable> Tables, ImmutableList<(string Type, string Name)> Others)
{
    public static SqlSchema Empty { get; } = new([], []);
}

/// <summary>What the generator knows of the databases: the schema, and which transactions each connection has open.</summary>
public sealed class SqlModel(int connections)
{
    private readonly List<(string? Savepoint, SqlSchema Before)>[] _transactions = [.. Enumerable.Range(0, connections).Select(_ => new List<(string?, SqlSchema)>())];
    private readonly bool[] _changed = new bool[connections];

    public SqlSchema Schema { get; private set; } = SqlSchema.Empty;

    /// <summary>Whether a connection has the second database.</summary>
    public bool[] HasAux { get; } = new bool[connections];

    public bool InTransaction(int connection) => _transactions[connection].Count > 0;

    public IReadOnlyList<string> Savepoints(int connection) => [.. _transactions[connection].Select(t => t.Savepoint).OfType<string>()];

    /// <summary>Tables that a connection can see.</summary>
    public IEnumerable<SqlTable> Tables(int connection) => Schema.Tables.Where(table =>
        (table.Owner < 0 || table.Owner == connection) && (table.Schema != "aux1" || HasAux[connection]));

    public void Change(int connection, SqlSchema schema) => (Schema, _changed[connection]) = (schema, true);

    public void Begin(int connection, string? savepoint)
    {
        if (!InTransaction(connection)) _changed[connection] = false;
        _transactions[connection].Add((savepoint, Schema));
    }

    public void Commit(int connection) => _transactions[connection].Clear();

    public void Rollback(int connection)
    {
        if (InTransaction(connection) && _changed[connection]) Schema = _transactions[connection][0].Before;
        _transactions[connection].Clear();
    }

    public void Release(int connection, string savepoint)
    {
        var list = _transactions[connection];
        if (list.FindLastIndex(t => t.Savepoint == savepoint) is var index and >= 0) list.RemoveRange(index, list.Count - index);
    }

    public void RollbackTo(int connection, string savepoint)
    {
        var list = _transactions[connection];
        if (list.FindLastIndex(t => t.Savepoint == savepoint) is not (var index and >= 0)) return;
        if (_changed[connection]) Schema = list[index].Before;
        list.RemoveRange(index + 1, list.Count - index - 1);
    }

    /// <summary>All connections were closed and opened again.</summary>
    public void Reopen()
    {
        for (var i = 0; i < HasAux.Length; i++)
        {
            Rollback(i);
            HasAux[i] = false;
        }

        Schema = Schema with { Tables = Schema.Tables.RemoveAll(table => table.Schema == "temp"), Others = Schema.Others.RemoveAll(o => o.Name.StartsWith("temp.", StringComparison.Ordinal)) };
    }
}
