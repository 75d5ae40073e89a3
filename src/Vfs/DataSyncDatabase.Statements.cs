using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>A statement with its parameters.</summary>
/// <param name="Sql">One or several statements.</param>
/// <param name="Parameters">As for <see cref="DataSyncDatabase.ExecuteAsync"/>.</param>
public sealed record SqlStatement(string Sql, object? Parameters = null);

// Several statements with parameters of their own.
public sealed partial class DataSyncDatabase
{
    /// <summary>
    /// Runs statements, each with its own parameters, as one transaction: all or none. For work that needs the result of one
    /// statement to choose the next, use <see cref="WriteAsync(Action{SqliteConnection}, CancellationToken)"/>.
    /// </summary>
    /// <param name="statements">Run in this order; none may begin or end a transaction.</param>
    /// <param name="cancellationToken">Stops waiting for leave to write; a commit on its way is not taken back.</param>
    /// <exception cref="SqliteException">A statement failed; nothing was changed.</exception>
    /// <exception cref="StorageException">It could not be made durable; nothing was changed, unless the message says that the outcome is unknown.</exception>
    public async Task<ExecuteResult> ExecuteTransactionAsync(IReadOnlyList<SqlStatement> statements, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(statements);
        var (result, marker) = await CommitAsync(
            writer =>
            {
                var before = writer.TotalChanges;
                writer.Execute("BEGIN IMMEDIATE");
                foreach (var statement in statements) writer.Execute(statement.Sql, statement.Parameters);
                writer.Execute("COMMIT");
                return new ExecuteResult(writer.TotalChanges - before, writer.LastInsertRowId, 0);
            },
            cancellationToken).ConfigureAwait(false);
        return result with { Marker = marker };
    }
}
