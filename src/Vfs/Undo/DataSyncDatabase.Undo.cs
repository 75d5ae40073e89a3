using DataSync.Storage;
using DataSync.Vfs.Undo;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// Undo and redo of named units of work, of any tab.
public sealed partial class DataSyncDatabase
{
    /// <summary>
    /// Begins a unit of work that can be undone: what is written through it, in however many transactions. Nothing is written yet; several units may be
    /// open at once. The history lies in the database itself (tables <c>datasync_undo_unit</c> and <c>datasync_undo_step</c>): all tabs share it, and it outlives a reload.
    /// </summary>
    /// <param name="name">What the user does, in the user's words: <c>Rename list</c>.</param>
    /// <exception cref="ObjectDisposedException">The database was closed.</exception>
    /// <exception cref="StorageException">The database has stopped.</exception>
    public UndoUnit BeginUndoUnit(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        ThrowIfUnusable();
        return new UndoUnit(this, name);
    }

    /// <summary>
    /// Takes back all that a unit has written, as one transaction, in any tab. What triggers and foreign keys had done is taken back with it; they do not act anew.
    /// </summary>
    /// <param name="unit">
    /// Its <see cref="UndoEntry.Id"/>; null (the default): the newest that is not undone, of any tab. Should another tab undo that at the same moment, it is the one before it.
    /// </param>
    /// <param name="cancellationToken">As for <see cref="ExecuteAsync(string, object?, CancellationToken)"/>.</param>
    /// <returns>What was undone; null: there is no such unit, or it is undone already.</returns>
    /// <exception cref="UndoConflictException">Rows that the unit wrote were changed since, or their table was. Nothing was changed.</exception>
    /// <exception cref="InvalidOperationException">The call comes from within the work of a <c>WriteAsync</c>.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; nothing was changed.</exception>
    /// <exception cref="StorageException">It could not be made durable; nothing was changed, unless the message says that the outcome is unknown.</exception>
    public Task<UndoEntry?> UndoAsync(long? unit = null, CancellationToken cancellationToken = default) => ApplyUnitAsync(unit, isRedo: false, cancellationToken);

    /// <summary>Makes what was undone anew, as one transaction, in any tab. It is possible until the first write of a new unit, in any tab.</summary>
    /// <param name="unit">Its <see cref="UndoEntry.Id"/>; null (the default): the one that was undone last, in any tab.</param>
    /// <param name="cancellationToken">As for <see cref="ExecuteAsync(string, object?, CancellationToken)"/>.</param>
    /// <returns>What was redone; null: there is no such unit, or it is not undone.</returns>
    /// <inheritdoc cref="UndoAsync" path="/exception"/>
    public Task<UndoEntry?> RedoAsync(long? unit = null, CancellationToken cancellationToken = default) => ApplyUnitAsync(unit, isRedo: true, cancellationToken);

    /// <summary>The units that can be undone or redone, of all tabs, newest first; at most <see cref="DataSyncOptions.MaxUndoUnits"/>.</summary>
    /// <param name="cancellationToken">Stops between rows.</param>
    /// <exception cref="StorageException">The database has stopped.</exception>
    public async Task<IReadOnlyList<UndoEntry>> GetUndoHistoryAsync(CancellationToken cancellationToken = default)
    {
        var history = await QueryAsync(UndoHistory.Exists, null, cancellationToken).ConfigureAwait(false);
        if (history.Rows.Count == 0) return [];
        var units = await QueryAsync(UndoHistory.All, null, cancellationToken).ConfigureAwait(false);
        return [.. units.Rows.Select(row => UndoHistory.Read(column => row[column]))];
    }

    internal Task<ExecuteResult> RecordAsync(UndoUnit unit, Action<CachedConnection> work, CancellationToken cancellationToken) =>
        RunAsync([], work, NeedsTransaction, cancellationToken, unit);

    internal Task<ExecuteResult> RecordManyAsync(UndoUnit unit, string sql, IReadOnlyCollection<object?> parameterSets, CancellationToken cancellationToken) => IsLarge(parameterSets)
        ? ExecuteInPartsAsync(sql, parameterSets, cancellationToken, unit)
        : RecordAsync(unit, writer => writer.ExecuteMany(sql, parameterSets), cancellationToken);

    internal Task<ExecuteResult> RecordAsync(UndoUnit unit, Action<SqliteConnection> work, CancellationToken cancellationToken) =>
        RunAsync([], writer => Scoped(writer, () => work(writer.Connection)), NeedsTransaction, cancellationToken, unit);

    internal Task<ExecuteResult> RecordAsync(UndoUnit unit, Action<SqliteConnection, SqliteTransaction> work, CancellationToken cancellationToken) =>
        RunWithTransactionAsync(work, cancellationToken, unit);

    internal Task<ExecuteResult> RecordAsync(UndoUnit unit, Func<SqliteConnection, Task> work, CancellationToken cancellationToken) =>
        WriteInteractivelyAsync(BeginPlain, (connection, _) => work(connection), cancellationToken, unit);

    internal Task<ExecuteResult> RecordAsync(UndoUnit unit, Func<SqliteConnection, SqliteTransaction, Task> work, CancellationToken cancellationToken) =>
        WriteInteractivelyAsync(BeginWithTransaction, (connection, transaction) => work(connection, transaction!), cancellationToken, unit);

    private async Task<UndoEntry?> ApplyUnitAsync(long? unit, bool isRedo, CancellationToken cancellationToken)
    {
        var (entry, _) = await CommitAsync(writer => Transact(writer, needsTransaction: true, () => UndoHistory.Apply(writer, unit, isRedo)), written: null, cancellationToken).ConfigureAwait(false);
        return entry;
    }

    private static UndoRecording? BeginRecording(CachedConnection writer, UndoUnit? unit) => unit is null ? null : new(writer, unit);

    /// <summary>Stores what was recorded, where anything is.</summary>
    /// <returns>How many rows that took.</returns>
    private int StoreRecording(CachedConnection writer, UndoRecording? recording)
    {
        if (recording is null) return 0;
        CheckTransaction(writer.Connection, isBegun: true);
        return recording.Store(Coordinator.Id, _time, _options);
    }
}
