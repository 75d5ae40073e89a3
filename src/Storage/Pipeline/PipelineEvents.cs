using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>A commit that became durable.</summary>
public sealed class CommittedEventArgs : EventArgs
{
    internal CommittedEventArgs(Position position, TabId writer, bool isLocal, int blocks, int bytes, TouchedTables tables)
    {
        (Position, Writer, IsLocal, Blocks, Bytes) = (position, writer, isLocal, blocks, bytes);
        (Tables, IsSchemaChanged) = (tables.Names, tables.IsSchemaChanged);
    }

    internal CommittedEventArgs(CommittedEventArgs other, IReadOnlyList<string>? tables)
        : this(other.Position, other.Writer, other.IsLocal, other.Blocks, other.Bytes, new(tables, other.IsSchemaChanged))
    {
    }

    /// <summary>Where the commit stands.</summary>
    public Position Position { get; }

    /// <summary>The tab that wrote it.</summary>
    public TabId Writer { get; }

    /// <summary>Whether this tab wrote it.</summary>
    public bool IsLocal { get; }

    /// <summary>How many blocks it wrote.</summary>
    public int Blocks { get; }

    /// <summary>Bytes of its record.</summary>
    public int Bytes { get; }

    /// <summary>
    /// The tables whose rows it inserted, updated or deleted, by triggers and cascades, too; a virtual table (FTS5, R-tree) under its own name. Null where that is not
    /// known, so that it may be any: an import, commits that were missed and came as a whole, one that touches hundreds of tables, or one written by an older version of DataSync.
    /// </summary>
    /// <remarks>Not told of: tables of SQLite's own (<c>sqlite_sequence</c>, <c>sqlite_stat1</c>). A change that a savepoint took back may be told of.</remarks>
    public IReadOnlyList<string>? Tables { get; }

    /// <summary>Whether tables, indexes, views or triggers may be others after it (also after VACUUM, which may give rows other rowids).</summary>
    public bool IsSchemaChanged { get; }

    /// <summary>Whether a table's rows or columns may be others after it.</summary>
    /// <param name="table">Its name, as it was created.</param>
    public bool Touches(string table) => IsSchemaChanged || Tables is null || Tables.Contains(table);
}

/// <summary>Why a pipeline stopped.</summary>
public sealed class StorageFaultedEventArgs(StorageException error) : EventArgs
{
    /// <summary>What every later call fails with.</summary>
    public StorageException Error { get; } = error;
}
