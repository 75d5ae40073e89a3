using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>
/// One step of a user's work, as one entry of the undo history: all writes that are made through it, each of them a transaction of its own.
/// <see cref="DataSyncDatabase.BeginUndoUnit"/> makes one; it needs no end. Members may be called from any thread.
/// </summary>
/// <remarks>
/// A write that leaves every row as it was is not recorded. What is recorded, and what is not: docs/UNDO.md. A unit that was undone, or that was
/// dropped for its age or size, and is then written to again, begins anew: with another <see cref="Id"/>, and without its earlier writes.
/// </remarks>
public sealed class UndoUnit
{
    private readonly DataSyncDatabase _database;
    private bool _isWritten;

    internal UndoUnit(DataSyncDatabase database, string name) => (_database, Name) = (database, name);

    /// <summary>What the user did, in the user's words.</summary>
    public string Name { get; }

    /// <summary>
    /// The unit's place in the history; null until its first write returned, and for one that is too large to be kept. Under <see cref="Storage.Durability.Deferred"/> it
    /// may change until that write is durable.
    /// </summary>
    public long? Id => _isWritten ? Stored : null;

    /// <summary>Tells this unit from others of all tabs, whatever its id.</summary>
    internal byte[] Key { get; } = Guid.NewGuid().ToByteArray();

    /// <summary>Its id as the last run of a write found it or made it.</summary>
    internal long? Stored { get; set; }

    /// <inheritdoc cref="DataSyncDatabase.ExecuteAsync(string, object?, CancellationToken)"/>
    /// <remarks>It is run in a transaction also where it is one statement, so what refuses that (<c>VACUUM</c>) fails.</remarks>
    public Task<ExecuteResult> ExecuteAsync(string sql, object? parameters = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sql);
        return Written(_database.RecordAsync(this, writer => writer.Execute(sql, parameters), cancellationToken));
    }

    /// <inheritdoc cref="DataSyncDatabase.ExecuteAsync(IReadOnlyList{SqlStatement}, CancellationToken)"/>
    public Task<ExecuteResult> ExecuteAsync(IReadOnlyList<SqlStatement> statements, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(statements);
        return Written(_database.RecordAsync(
            this,
            writer =>
            {
                foreach (var (sql, parameters) in statements) writer.Execute(sql, parameters);
            },
            cancellationToken));
    }

    /// <inheritdoc cref="DataSyncDatabase.ExecuteManyAsync"/>
    public Task<ExecuteResult> ExecuteManyAsync(string sql, IReadOnlyCollection<object?> parameterSets, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sql);
        ArgumentNullException.ThrowIfNull(parameterSets);
        return Written(_database.RecordManyAsync(this, sql, parameterSets, cancellationToken));
    }

    /// <inheritdoc cref="DataSyncDatabase.WriteAsync(Action{SqliteConnection}, CancellationToken)"/>
    public Task<ExecuteResult> WriteAsync(Action<SqliteConnection> work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        return Written(_database.RecordAsync(this, work, cancellationToken));
    }

    /// <inheritdoc cref="DataSyncDatabase.WriteAsync(Action{SqliteConnection, SqliteTransaction}, CancellationToken)"/>
    public Task<ExecuteResult> WriteAsync(Action<SqliteConnection, SqliteTransaction> work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        return Written(_database.RecordAsync(this, work, cancellationToken));
    }

    /// <inheritdoc cref="DataSyncDatabase.WriteAsync(Func{SqliteConnection, Task}, CancellationToken)"/>
    public Task<ExecuteResult> WriteAsync(Func<SqliteConnection, Task> work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        return Written(_database.RecordAsync(this, work, cancellationToken));
    }

    /// <inheritdoc cref="DataSyncDatabase.WriteAsync(Func{SqliteConnection, SqliteTransaction, Task}, CancellationToken)"/>
    public Task<ExecuteResult> WriteAsync(Func<SqliteConnection, SqliteTransaction, Task> work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        return Written(_database.RecordAsync(this, work, cancellationToken));
    }

    private async Task<ExecuteResult> Written(Task<ExecuteResult> write)
    {
        var result = await write.ConfigureAwait(false);
        _isWritten = true;
        return result;
    }
}
