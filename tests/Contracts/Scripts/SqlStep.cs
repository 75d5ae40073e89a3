namespace DataSync.Contracts.Scripts;

/// <summary>What a step of a random script is about. Coverage is counted by it.</summary>
public enum SqlKind
{
    Table, Index, View, Trigger, FullText, Alter, Drop,
    Insert, Fill, Upsert, Returning, Update, Delete, Blob, Json, Violation, Mistake,
    Select, Match, Begin, Commit, Rollback, Savepoint, Release, RollbackTo,
    Vacuum, Pragma, JournalMode, WriteAheadLog, WithoutJournal, Attach, Detach,
    OpenCursor, StepCursor, CloseCursor, Reopen,
}

/// <summary>One step of a script, for one of its connections.</summary>
/// <param name="Kind">What it is about.</param>
/// <param name="Connection">Which connection runs it.</param>
/// <param name="Sql">One statement; <c>{aux}</c> stands for the file of the second database. Empty where the kind says it all.</param>
public sealed record SqlStep(SqlKind Kind, int Connection, string Sql)
{
    /// <summary>The value of the statement's parameter, if it has one.</summary>
    public byte[]? Blob { get; init; }

    /// <summary>Which of the connection's open statements is meant.</summary>
    public int Cursor { get; init; }

    /// <summary>What the reference runs in its place, where DataSync promises something else than SQLite's own VFS does.</summary>
    public string? ReferenceSql { get; init; }

    public override string ToString()
    {
        var about = Kind is SqlKind.OpenCursor or SqlKind.StepCursor or SqlKind.CloseCursor ? $" {Cursor}" : "";
        return $"[{Connection}] {Kind}{about}: {Sql}{(Blob is null ? "" : $" -- ?1 has {Blob.Length} bytes")}";
    }
}

/// <summary>All that a caller can see of a step's result.</summary>
/// <param name="Code">SQLite's extended result code.</param>
/// <param name="IsAutocommit">Whether no transaction is open after it.</param>
/// <param name="Text">Code, message, counters and rows.</param>
public sealed record SqlOutcome(int Code, bool IsAutocommit, string Text)
{
    public bool IsOk => Code is 0 or 100 or 101;
}
