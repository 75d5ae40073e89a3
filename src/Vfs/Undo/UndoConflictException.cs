namespace DataSync.Vfs;

/// <summary>What stands in the way of an undo or redo.</summary>
public enum UndoConflict
{
    /// <summary>A row has other values than the unit left there.</summary>
    RowChanged = 1,

    /// <summary>A row that the unit left is not there any more.</summary>
    RowMissing = 2,

    /// <summary>There is another row with the primary key of one that would come back.</summary>
    RowExists = 3,

    /// <summary>A UNIQUE, NOT NULL or CHECK constraint would be violated.</summary>
    Constraint = 4,

    /// <summary>A row would refer to one that is not there.</summary>
    ForeignKey = 5,

    /// <summary>A table is not the one any more that the unit wrote to: it was altered, or dropped.</summary>
    SchemaChanged = 6,
}

/// <summary>A unit cannot be undone or redone, because something else was changed since; the message says what. Nothing was changed.</summary>
public sealed class UndoConflictException : Exception
{
    internal UndoConflictException(UndoEntry unit, bool isRedo, UndoConflict conflict, string? table)
        : base($"“{unit.Name}” (unit {unit.Id}) was not {(isRedo ? "redone" : "undone")}, and nothing was changed: {Describe(conflict, table)}") =>
        (Unit, IsRedo, Conflict, Table) = (unit, isRedo, conflict, table);

    /// <summary>The unit.</summary>
    public UndoEntry Unit { get; }

    /// <summary>Whether it was to be redone.</summary>
    public bool IsRedo { get; }

    /// <summary>What stands in the way; the first that was met.</summary>
    public UndoConflict Conflict { get; }

    /// <summary>The table where it was met; null where SQLite does not tell (<see cref="UndoConflict.ForeignKey"/>).</summary>
    public string? Table { get; }

    private static string Describe(UndoConflict conflict, string? table) => conflict switch
    {
        UndoConflict.RowChanged => $"rows of the table {table} have other values by now. Undo what was done to them later, then try again.",
        UndoConflict.RowMissing => $"rows of the table {table} are not there any more. Undo what deleted them, then try again.",
        UndoConflict.RowExists => $"the table {table} has other rows with the same primary keys. Undo what put them there, or delete them, then try again.",
        UndoConflict.Constraint => $"a constraint of the table {table} would be violated. Change or delete the rows that are in the way, then try again.",
        UndoConflict.ForeignKey => "rows would refer to others that are not there. Undo what was done later with the rows that belong together, then try again.",
        _ => $"the table {table} was altered or dropped since. What was written before that cannot be undone any more.",
    };
}
