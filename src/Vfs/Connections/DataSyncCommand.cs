using System.Data;
using System.Data.Common;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>A command of a <see cref="DataSyncConnection"/>: its asynchronous members wait where they have to.</summary>
internal sealed class DataSyncCommand : SqliteCommand
{
    private RowReplay? _replay;
    private bool _isRunning;

    /// <summary>The transaction of either kind; the base takes only SQLite's own.</summary>
    protected override DbTransaction? DbTransaction
    {
        get => (DbTransaction?)Owner?.WrapperOf(Transaction) ?? Transaction;
        set => Transaction = value is DataSyncTransaction wrapper ? wrapper.Inner : (SqliteTransaction?)value;
    }

    private DataSyncConnection? Owner => Connection as DataSyncConnection;

    public override int ExecuteNonQuery() => Run(nameof(ExecuteNonQueryAsync), base.ExecuteNonQuery);

    public override object? ExecuteScalar() => Run(nameof(ExecuteScalarAsync), base.ExecuteScalar);

    public override SqliteDataReader ExecuteReader(CommandBehavior behavior) => Watched(Run(nameof(ExecuteReaderAsync), () => base.ExecuteReader(behavior)));

    public override Task<int> ExecuteNonQueryAsync(CancellationToken cancellationToken) => RunAsync(base.ExecuteNonQuery, cancellationToken);

    public override Task<object?> ExecuteScalarAsync(CancellationToken cancellationToken) => RunAsync(base.ExecuteScalar, cancellationToken);

    public override async Task<SqliteDataReader> ExecuteReaderAsync(CommandBehavior behavior, CancellationToken cancellationToken)
    {
        if (Owner is not { } owner || !owner.IsCommit(CommandText)) return Watched(await RunAsync(() => ReadResident(behavior), cancellationToken).ConfigureAwait(false));

        // A commit of its own: it has ended, and is durable, before anybody sees its rows.
        if (_replay is { IsOpen: true }) throw new InvalidOperationException("An open reader is already associated with this command. Close it before opening a new one.");
        _replay?.Dispose();
        _replay = await RunAsync(
            () =>
            {
                using var reader = base.ExecuteReader(behavior & ~CommandBehavior.CloseConnection);
                return RowReplay.Read(reader);
            },
            cancellationToken).ConfigureAwait(false);
        return _replay.Play(owner, behavior);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _replay?.Dispose();
        base.Dispose(disposing);
    }

    // What a reader comes upon later nobody could load for it: where something is missing the rows are gone through once before.
    private SqliteDataReader ReadResident(CommandBehavior behavior)
    {
        if (Owner is { IsPartial: true })
        {
            using var reader = base.ExecuteReader(behavior & ~CommandBehavior.CloseConnection);
            do
            {
                while (reader.Read())
                {
                }
            }
            while (reader.NextResult());
        }

        return base.ExecuteReader(behavior);
    }

    private SqliteDataReader Watched(SqliteDataReader reader) => Owner?.Watch(reader) ?? reader;

    private T Run<T>(string asynchronous, Func<T> run)
    {
        if (_isRunning || Owner is not { } owner) return run(); // the base calls its own members
        return owner.Run(CommandText, asynchronous, () => RunOnce(run));
    }

    private Task<T> RunAsync<T>(Func<T> run, CancellationToken cancellationToken)
    {
        if (Owner is { } owner) return owner.RunAsync(CommandText, () => RunOnce(run), cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        return Task.FromResult(run());
    }

    private T RunOnce<T>(Func<T> run)
    {
        _isRunning = true;
        try
        {
            Owner?.CommandRuns?.Invoke(CommandText);
            return run();
        }
        finally
        {
            _isRunning = false;
        }
    }
}
