using System.Data;
using System.Data.Common;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>
/// A transaction that was begun by <see cref="DbConnection.BeginTransactionAsync(CancellationToken)"/> of a <see cref="DataSyncConnection"/>: it holds the write turn, so no other tab
/// writes until it ends.
/// </summary>
/// <remarks>
/// <see cref="CommitAsync"/> returns when it is durable. <see cref="Commit"/> cannot wait: what it committed is durable after <see cref="DataSyncDatabase.ForceSyncAsync"/>, which also
/// says so if it could not be made durable. Rolling back or disposing gives the turn back at once.
/// </remarks>
internal sealed class DataSyncTransaction : DbTransaction
{
    private readonly DataSyncConnection _connection;
    private readonly WriteUnit _unit;
    private bool _isOver;

    internal DataSyncTransaction(DataSyncConnection connection, SqliteTransaction inner, WriteUnit unit) => (_connection, Inner, _unit) = (connection, inner, unit);

    /// <inheritdoc/>
    public override IsolationLevel IsolationLevel => Inner.IsolationLevel;

    /// <inheritdoc/>
    public override bool SupportsSavepoints => true;

    /// <summary>SQLite's own, which commands carry.</summary>
    internal SqliteTransaction Inner { get; }

    /// <inheritdoc/>
    protected override DbConnection? DbConnection => _isOver ? null : _connection;

    /// <summary>Commits in this tab; see the remarks of the class.</summary>
    /// <exception cref="SqliteException">Another connection of this tab is reading (<c>SQLITE_BUSY</c>): the transaction is still open; commit again later.</exception>
    /// <exception cref="InvalidOperationException">The transaction is over.</exception>
    public override void Commit()
    {
        ThrowIfOver();
        Inner.Commit();
        if (EndUnit() is not { } unit) return;
        unit.End();
        _connection.DataSync!.EndLoads(_connection);
    }

    /// <summary>Commits, and returns when the commit is durable and shown here. Waits while other connections of this tab read.</summary>
    /// <param name="cancellationToken">Honoured until the commit is on its way.</param>
    /// <exception cref="StaleCommitException">Another tab was let in, since the leader changed or the turn was held too long. Nothing was changed; run the work again.</exception>
    /// <exception cref="StorageException">It could not be made durable; nothing was changed, unless the message says that the outcome is unknown.</exception>
    /// <exception cref="SqliteException">The SQL failed, or others did not stop reading within <see cref="SqliteConnection.DefaultTimeout"/>; the transaction is still open.</exception>
    /// <exception cref="InvalidOperationException">The transaction is over.</exception>
    public override async Task CommitAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        ThrowIfOver();
        var database = _connection.DataSync!;
        try
        {
            await database.CommitWhenUnlockedAsync(_connection, Inner, cancellationToken).ConfigureAwait(false);
        }
        catch (SqliteException error) when (error.SqliteExtendedErrorCode == VfsFailure.NotResident)
        {
            throw await database.LoadForTransactionAsync(_connection, error, cancellationToken).ConfigureAwait(false);
        }

        if (EndUnit() is not { } ending) return;
        await ending.EndAsync().ConfigureAwait(false);
        database.EndLoads(_connection);
    }

    /// <inheritdoc/>
    public override void Rollback()
    {
        ThrowIfOver();
        try
        {
            Inner.Rollback();
        }
        finally
        {
            EndUnit()?.End();
        }
    }

    /// <inheritdoc/>
    public override void Save(string savepointName) => Inner.Save(savepointName);

    /// <inheritdoc/>
    public override void Rollback(string savepointName) => Inner.Rollback(savepointName);

    /// <inheritdoc/>
    public override void Release(string savepointName) => Inner.Release(savepointName);

    /// <summary>Rolls back what was not committed.</summary>
    protected override void Dispose(bool disposing)
    {
        if (disposing && !_isOver)
        {
            try
            {
                Inner.Dispose();
            }
            finally
            {
                EndUnit()?.End();
            }
        }

        base.Dispose(disposing);
    }

    private void ThrowIfOver()
    {
        if (_isOver) throw new InvalidOperationException("This transaction has ended; it can no longer be used.");
    }

    /// <returns>The leave to write, if it ends with this transaction.</returns>
    private WriteUnit? EndUnit()
    {
        _isOver = true;
        _connection.OnEnded(this);
        return _unit.IsHeldByCaller ? null : _unit;
    }
}
