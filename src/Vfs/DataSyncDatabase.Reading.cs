using System.Diagnostics.CodeAnalysis;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// Reading: on a connection of its own, which sees what is committed here, and cannot write.
public sealed partial class DataSyncDatabase
{
    private const int SqliteReadOnly = 8;

    /// <summary>
    /// Runs a query here, without asking any other tab, and makes an object of each row: a scalar of the first column, or a
    /// class or record whose constructor parameters and properties are named as columns are. A statement that also writes
    /// (<c>INSERT … RETURNING</c>) is run as <see cref="ExecuteAsync(string, object?, CancellationToken)"/> runs it.
    /// </summary>
    /// <param name="sql">The query; of several statements, the rows of the first that has any.</param>
    /// <param name="parameters">As for <see cref="ExecuteAsync(string, object?, CancellationToken)"/>.</param>
    /// <param name="cancellationToken">Stops between rows, and (natively, where another thread can cancel) within a statement.</param>
    /// <exception cref="SqliteException">The SQL failed.</exception>
    /// <exception cref="StorageException">The database has stopped.</exception>
    /// <exception cref="InvalidCastException">A value does not fit the type.</exception>
    public Task<IReadOnlyList<T>> QueryAsync<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicProperties)] T>(
        string sql, object? parameters = null, CancellationToken cancellationToken = default) =>
        ReadAsync<IReadOnlyList<T>>(sql, parameters, reader =>
        {
            var rows = new List<T>();
            var mapper = new RowMapper<T>(reader);
            while (reader.Read())
            {
                cancellationToken.ThrowIfCancellationRequested();
                rows.Add(mapper.Map(reader));
            }

            return rows;
        }, cancellationToken);

    /// <summary>Runs a query here and returns columns and rows as they are.</summary>
    /// <inheritdoc cref="QueryAsync{T}"/>
    public Task<QueryResult> QueryAsync(string sql, object? parameters = null, CancellationToken cancellationToken = default) =>
        ReadAsync(sql, parameters, reader =>
        {
            var columns = Enumerable.Range(0, reader.FieldCount).Select(reader.GetName).ToArray();
            var rows = new List<IReadOnlyList<object?>>();
            while (reader.Read())
            {
                cancellationToken.ThrowIfCancellationRequested();
                var row = new object?[columns.Length];
                for (var i = 0; i < row.Length; i++) row[i] = reader.GetValue(i) is var value and not DBNull ? value : null;
                rows.Add(row);
            }

            return new QueryResult(columns, rows);
        }, cancellationToken);

    private async Task<TResult> ReadAsync<TResult>(string sql, object? parameters, Func<SqliteDataReader, TResult> read, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(sql);
        ThrowIfUnusable();

        // A large transaction that is still open has written to the image; its end is near, and waiting in SQLite would block it.
        while (_pipeline.Storage.DirtyBlocks > 0 && !_interactive.IsCompleted) await _interactive.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            lock (_readLock)
            {
                using var interruption = _reader!.InterruptOn(cancellationToken);
                return Run(_reader);
            }
        }
        catch (SqliteException error) when (CachedConnection.IsInterrupt(error, cancellationToken))
        {
            throw new OperationCanceledException(error.Message, error, cancellationToken);
        }
        catch (SqliteException error) when (error.SqliteErrorCode == SqliteReadOnly)
        {
            var needsTransaction = SqlParameters.HasSeveralStatements(sql);
            var (result, _) = await CommitAsync(
                writer =>
                {
                    if (needsTransaction) writer.Execute("BEGIN IMMEDIATE");
                    writer.CheckSchema(_pipeline.Storage);
                    var rows = Run(writer);
                    if (needsTransaction) writer.Execute("COMMIT");
                    return rows;
                },
                cancellationToken).ConfigureAwait(false);
            return result;
        }

        TResult Run(CachedConnection connection)
        {
            using var lease = connection.Prepare(sql, parameters);
            using var reader = lease.Command.ExecuteReader();
            var result = read(reader);
            while (reader.NextResult())
            {
                // Later statements run, too; a reader that is left early would skip them.
            }

            return result;
        }
    }
}
