namespace DataSync.Vfs;

/// <summary>What a write did.</summary>
/// <param name="Changes">
/// Rows inserted, updated or deleted, triggers included; -1 where a tab that was stopped in the middle of a write, for more than 256 commits of others, can only tell that it is durable.
/// </param>
/// <param name="LastInsertRowId">The rowid of the last insert of this tab's writes; 0 before the first.</param>
/// <param name="Marker">The marker at which it is durable.</param>
public readonly record struct ExecuteResult(int Changes, long LastInsertRowId, long Marker);

/// <summary>One statement of a transaction.</summary>
/// <param name="Sql">Its text.</param>
/// <param name="Parameters">As for <see cref="DataSyncDatabase.ExecuteAsync(string, object?, CancellationToken)"/>.</param>
public sealed record SqlStatement(string Sql, object? Parameters = null);

/// <summary>The rows of a query.</summary>
/// <param name="Columns">The columns' names.</param>
/// <param name="Rows">Each row's values: null, <see cref="long"/>, <see cref="double"/>, <see cref="string"/> or <c>byte[]</c>.</param>
public sealed record QueryResult(IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<object?>> Rows);

/// <summary>How far an import or export has come.</summary>
/// <param name="Done">Bytes done.</param>
/// <param name="Total">Bytes in all; 0 where the source does not say.</param>
public readonly record struct TransferProgress(long Done, long Total);

/// <summary>What a database takes.</summary>
/// <param name="DatabaseBytes">Size of the database file.</param>
/// <param name="Extents">Extents of 256 KiB that it fills.</param>
/// <param name="LogRecords">Commits not yet folded into extents.</param>
/// <param name="LogBytes">Bytes of those.</param>
/// <param name="UsageBytes">Bytes that the whole origin uses; null outside a browser.</param>
/// <param name="QuotaBytes">Bytes that the whole origin may use; null outside a browser.</param>
/// <param name="IsPersistent">Whether the browser has promised not to evict it.</param>
public sealed record StorageInfo(
    long DatabaseBytes, int Extents, int LogRecords, long LogBytes, long? UsageBytes, long? QuotaBytes, bool IsPersistent);

/// <summary>What was to be imported is no SQLite database, or not a whole one. Nothing was changed.</summary>
public sealed class DatabaseImportException(string message, Exception? innerException = null) : Exception(message, innerException);
