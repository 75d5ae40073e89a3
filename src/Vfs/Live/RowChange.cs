namespace DataSync.Vfs;

/// <summary>What became of a row.</summary>
public enum RowChangeKind
{
    /// <summary>It was not there before.</summary>
    Inserted,

    /// <summary>At least one of its values is another one.</summary>
    Updated,

    /// <summary>It is not there any more.</summary>
    Deleted,
}

/// <summary>What became of one row of a table between two moments. Rows are told apart by the table's primary key; where it has none, by their rowid.</summary>
/// <param name="Table">The table, as it was asked for.</param>
/// <param name="Kind">What became of it.</param>
/// <param name="RowId">Its rowid; null where the table has none.</param>
/// <param name="Old">The row before; of <see cref="RowChangeKind.Inserted"/> the type's default.</param>
/// <param name="New">The row now; of <see cref="RowChangeKind.Deleted"/> the type's default.</param>
public sealed record RowChange<T>(string Table, RowChangeKind Kind, long? RowId, T? Old, T? New);
