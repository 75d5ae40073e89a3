using System.Diagnostics.CodeAnalysis;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// Reading: on a connection of its own, which sees what is committed here, and cannot write.
public sealed partial class DataSyncDatabase
{
    private const int SqliteReadOnly = 8;

    /// <summary>Something else of this thread may have missed something once, and need not again.</summary>
    private const int MostRoundsInVain = 2;

    /// <summary>Asks the store for something small, to see whether it answers.</summary>
    /// <exception cref="StorageException">It does not, or the database has stopped.</exception>
    internal Task ProbeAsync(CancellationToken cancellationToken)
    {
        ThrowIfUnusable();
        return _pipeline.ProbeAsync(cancellationToken);
    }

    /// <summary>
    /// Runs a query here, without asking any other tab, and makes an object of each row: a scalar of the first column, or a
    /// class or record whose constructor parameters and properties are named as columns are, or a tuple of the columns in order. Values are
    /// converted as <see cref="SqliteDataReader.GetFieldValue{T}(int)"/> converts them; a text may also be an enum member's name. A statement that also writes
    /// (<c>INSERT … RETURNING</c>) is run as <see cref="ExecuteAsync(string, object?, CancellationToken)"/> runs it.
    /// </summary>
    /// <param name="sql">The query; of several statements, the rows of the first that has any.</param>
    /// <param name="parameters">As for <see cref="ExecuteAsync(string, object?, CancellationToken)"/>.</param>
    /// <param name="cancellationToken">Stops between rows, and (natively, where another thread can cancel) within a statement.</param>
    /// <exception cref="SqliteException">The SQL failed.</exception>
    /// <exception cref="StorageException">The database has stopped.</exception>
    /// <exception cref="InvalidOperationException">It begins a transaction, or writes within the work of a <c>WriteAsync</c>.</exception>
    /// <exception cref="InvalidCastException">A value does not fit the type.</exception>
    public Task<IReadOnlyList<T>> QueryAsync<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicProperties)] T>(
        string sql, object? parameters = null, CancellationToken cancellationToken = default) =>
        ReadAsync<IReadOnlyList<T>>(sql, parameters, [], (statement, isRow) =>
        {
            var rows = new List<T>();
            if (statement.Mapper is not RowMapper<T> mapper) statement.Mapper = mapper = new RowMapper<T>(statement.Columns);
            for (; isRow; isRow = statement.Step())
            {
                cancellationToken.ThrowIfCancellationRequested();
                rows.Add(mapper.Map(statement));
            }

            return rows;
        }, mayWrite: true, cancellationToken);

    /// <summary>Runs a query here and returns columns and rows as they are.</summary>
    /// <inheritdoc cref="QueryAsync{T}"/>
    public Task<QueryResult> QueryAsync(string sql, object? parameters = null, CancellationToken cancellationToken = default) =>
        ReadAsync(sql, parameters, new QueryResult([], []), (statement, isRow) =>
        {
            var columns = statement.Columns;
            var rows = new List<IReadOnlyList<object?>>();
            for (; isRow; isRow = statement.Step())
            {
                cancellationToken.ThrowIfCancellationRequested();
                var row = new object?[columns.Length];
                for (var i = 0; i < row.Length; i++) row[i] = statement.GetValue(i);
                rows.Add(row);
            }

            return new QueryResult(columns, rows);
        }, mayWrite: true, cancellationToken);

    /// <summary>As <see cref="QueryAsync{T}"/>, for a query that is run often: one that writes fails.</summary>
    internal Task<TResult> ReadOnlyAsync<TResult>(
        string sql, object? parameters, TResult empty, Func<Statement, bool, TResult> read, CancellationToken cancellationToken) =>
        ReadAsync(sql, parameters, empty, read, mayWrite: false, cancellationToken);

    // Not async where nothing is waited for: that would cost as much as a small query.
    private Task<TResult> ReadAsync<TResult>(
        string sql, object? parameters, TResult empty, Func<Statement, bool, TResult> read, bool mayWrite, CancellationToken cancellationToken, int round = 1)
    {
        ArgumentNullException.ThrowIfNull(sql);
        if (cancellationToken.IsCancellationRequested) return Task.FromCanceled<TResult>(cancellationToken);
        var (misses, own) = (0L, 0L);
        try
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            _pipeline.ThrowIfUnreadable();
            (misses, own) = (BlockStorage.MissesHere, _pipeline.Storage.Misses);
            if (Within is { } scope) return Task.FromResult(scope.Writer.Run(sql, parameters, read, onlyReads: true) ?? empty);
            if (IsImageDirty) return ReadLaterAsync(sql, parameters, empty, read, mayWrite, cancellationToken);
            lock (_readLock)
            {
                ObjectDisposedException.ThrowIf(_closed, this); // closed while this waited
                using var interruption = _reader!.Connection.InterruptOn(cancellationToken);
                _reader.CheckSchema(_pipeline.Storage); // some pragmas (page_size) answer from it without looking
                TResult result;
                bool isLeftOpen;
                try
                {
                    result = _reader.Run(sql, parameters, read) ?? empty;
                    if (BlockStorage.MissesHere != misses) throw new NotResidentException(); // it went on, without what it needed
                }
                finally
                {
                    isLeftOpen = _reader.Connection.RollBack();
                }

                return isLeftOpen
                    ? throw new InvalidOperationException("QueryAsync cannot begin a transaction (BEGIN or SAVEPOINT), so it was ended. To read several things at one moment, or to write, use WriteAsync.")
                    : Task.FromResult(result);
            }
        }
        catch (Exception error) when (BlockStorage.MissesHere != misses && Within is null && error is SqliteException or NotResidentException)
        {
            BlockStorage.MissesHere = misses;

            // Another database that was attached: only who has opened that can load it.
            if (_pipeline.Storage.Misses == own && round > MostRoundsInVain) return Task.FromException<TResult>(error as NotResidentException ?? new NotResidentException(null, error));
            return LoadAndReadAsync(sql, parameters, empty, read, mayWrite, round, cancellationToken);
        }
        catch (SqliteException error) when (CachedConnection.IsInterrupt(error, cancellationToken))
        {
            return Task.FromException<TResult>(new OperationCanceledException(error.Message, error, cancellationToken));
        }
        catch (SqliteException error) when (error.SqliteErrorCode == SqliteReadOnly)
        {
            if (!mayWrite) return Task.FromException<TResult>(new InvalidOperationException("A live query must not write: it runs again whenever its tables change.", error));
            return WriteAndReadAsync(sql, parameters, empty, read, cancellationToken);
        }
#pragma warning disable CA1031 // It goes to whoever awaits the query.
        catch (Exception error)
        {
            return Task.FromException<TResult>(error);
        }
#pragma warning restore CA1031
    }

    // A large transaction that is still open has written to the image; its end is near, and waiting in SQLite would block it.
    private bool IsImageDirty => !_interactive.IsCompleted && _pipeline.Storage.DirtyBlocks > 0;

    private async Task<TResult> ReadLaterAsync<TResult>(
        string sql, object? parameters, TResult empty, Func<Statement, bool, TResult> read, bool mayWrite, CancellationToken cancellationToken)
    {
        await WaitForCleanImageAsync(cancellationToken).ConfigureAwait(false);
        return await ReadAsync(sql, parameters, empty, read, mayWrite, cancellationToken).ConfigureAwait(false);
    }

    private async Task<TResult> LoadAndReadAsync<TResult>(
        string sql, object? parameters, TResult empty, Func<Statement, bool, TResult> read, bool mayWrite, int round, CancellationToken cancellationToken)
    {
        _pipeline.Extents.Pin();
        try
        {
            await _pipeline.Extents.LoadWantedAsync(round, cancellationToken).ConfigureAwait(false);
            return await ReadAsync(sql, parameters, empty, read, mayWrite, cancellationToken, round + 1).ConfigureAwait(false);
        }
        finally
        {
            _pipeline.Extents.Unpin();
        }
    }

    private async Task<TResult> WriteAndReadAsync<TResult>(
        string sql, object? parameters, TResult empty, Func<Statement, bool, TResult> read, CancellationToken cancellationToken)
    {
        var needsTransaction = SqlText.HasSeveralStatements(sql);
        var written = Describe([new(sql, parameters, IsMany: false)]);
        var (result, _) = await CommitAsync(
            writer => Transact(writer, needsTransaction || written?.Body is not null, () =>
            {
                if (WasRun(writer, written)) return empty;
                var changes = writer.TotalChanges;
                var rows = writer.Run(sql, parameters, read) ?? empty;
                NoteRun(writer, written, changes);
                return rows;
            }),
            written,
            cancellationToken).ConfigureAwait(false);
        return result;
    }
}
