namespace DataSync.Storage;

/// <summary>What statements did, as their commit's record keeps it: any leader can then answer for any of them.</summary>
/// <param name="Changes">How many rows they inserted, changed or deleted, triggers and cascades included.</param>
/// <param name="LastInsertRowId">The row id of the last row that they inserted; null when they inserted none that has one.</param>
internal readonly record struct StatementResult(int Changes, long? LastInsertRowId);

/// <summary>A commit that a leader made of another tab's statements.</summary>
/// <param name="Position">Where it stands.</param>
/// <param name="Result">What the statements did.</param>
internal readonly record struct StatementCommit(Position Position, StatementResult Result);
