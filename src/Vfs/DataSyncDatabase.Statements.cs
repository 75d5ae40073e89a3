using System.Collections.Concurrent;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// Writes that the leader runs for this tab, and this one for others.
public sealed partial class DataSyncDatabase
{
    /// <summary>Texts that the leader's tab cannot run; an app that makes its texts anew each time must not fill the memory with them.</summary>
    private const int MaxKeptAtHome = 256;

    private readonly ConcurrentDictionary<string, bool> _keptAtHome = [];
    private StatementHost? _host;

    /// <summary>What the writer's connection is like; null: it may have changed, or was never looked at.</summary>
    private ConnectionTraits? _traits;

    /// <summary>How many writes of other tabs were run here.</summary>
    internal int StatementRuns => _host?.Runs ?? 0;

    private void ServeStatements()
    {
        _host = new StatementHost(Name, _pipeline.Storage, _options.ConfigureConnection, _pipeline.Extents.IsOnDemand);
        _pipeline.StatementRunner = RunForAnother;
    }

    /// <summary>Runs statements of another tab, with leave to write.</summary>
    internal StatementRun RunForAnother(byte[] body)
    {
        var misses = _pipeline.Storage.Misses;
        var run = _host!.Run(body);
        if (_pipeline.Storage.Misses != misses) _ = EndQuietlyAsync(_pipeline.Extents.LoadWantedAsync(round: 1, CancellationToken.None)); // for the next ones; its own tab runs it
        return run;
    }

    /// <summary>Runs a write that the leader may run for this tab: there, or here.</summary>
    /// <param name="statements">The same as text, where the leader may run it; none where it is work of the app's own.</param>
    /// <param name="work">Runs it here.</param>
    /// <param name="needsTransaction">Whether it is to be made one.</param>
    /// <param name="cancellationToken">Stops waiting for leave to write.</param>
    /// <param name="unit">Where its changes are recorded; null: nowhere.</param>
    private async Task<ExecuteResult> RunAsync(
        TravellingStatement[] statements, Action<CachedConnection> work, Func<CachedConnection, bool> needsTransaction, CancellationToken cancellationToken, UndoUnit? unit = null)
    {
        for (var attempt = 1; ; attempt++)
        {
            var mayTravel = statements.Length > 0;
            if (mayTravel)
            {
                (var sent, mayTravel) = await TrySendAsync(statements, cancellationToken).ConfigureAwait(false);
                if (sent is { } result) return result;
            }

            try
            {
                return await RunHereAsync(statements, work, needsTransaction, unit, cancellationToken).ConfigureAwait(false);
            }
            catch (AccessDeniedException) when (mayTravel && !_pipeline.TakesCommits && attempt < _options.MaxAttempts)
            {
                // They do not fail, and change something, and their commit is not taken: the leader was not ready for them.
            }
        }
    }

    /// <summary>Has the leader run statements, where that is the faster way, or the only one.</summary>
    /// <returns>What they did; null: they are to be run here. And whether they may be sent again after that.</returns>
    private async Task<(ExecuteResult? Result, bool MayTravel)> TrySendAsync(TravellingStatement[] statements, CancellationToken cancellationToken)
    {
        var isOnlyWay = !_pipeline.TakesCommits;
        if (_traits is null && !isOnlyWay) return (null, false);
        if (Array.Exists(statements, statement => _keptAtHome.ContainsKey(statement.Sql))) return (null, false);
        if (isOnlyWay && (_traits is null || !_pipeline.PrefersStatements || !_pipeline.MaySendStatements)) await PrepareToSendAsync(cancellationToken).ConfigureAwait(false);
        if (_traits is not { } traits || (AutoSync.Durability == Durability.Deferred && !isOnlyWay) || !_pipeline.PrefersStatements) return (null, _traits is not null);
        using var admission = AdmitWrite(cancellationToken);
        if (StatementBody.Encode(traits.Hash, statements, ToSqlite) is not { } body) return (null, false);
        if (_pipeline.TrySendStatements(body, cancellationToken) is not { } sent) return (null, true);
        var outcome = await sent.ConfigureAwait(false);
        if (!outcome.IsStale) return (new ExecuteResult(outcome.Result?.Changes ?? -1, NoteLastInsertRowId(outcome.Result?.LastInsertRowId), outcome.Position.Marker), true);
        if (!outcome.IsUnfit) return (null, true);
        if (_keptAtHome.Count >= MaxKeptAtHome) _keptAtHome.Clear();
        foreach (var statement in statements) _keptAtHome.TryAdd(statement.Sql, true);
        return (null, false);
    }

    /// <summary>As if it had been run here. This tab may have been closed meanwhile, which does not wait for what others run: it is written all the same.</summary>
    private long NoteLastInsertRowId(long? row)
    {
        lock (_writerLock)
        {
            if (_writer?.Connection.State != System.Data.ConnectionState.Open) return row ?? 0;
            if (row is { } id) _writer.LastInsertRowId = id;
            return _writer.LastInsertRowId;
        }
    }

    /// <summary>Waits for a leader and for what else this tab writes, and looks what the writer's connection is like.</summary>
    private async Task PrepareToSendAsync(CancellationToken cancellationToken)
    {
        using var admission = AdmitWrite(cancellationToken);
        using var slot = await _pipeline.BeginWriteAsync(exclusive: false, cancellationToken).ConfigureAwait(false);
        NoteTraits(Writer, hasCommitted: true);
    }

    private object? ToSqlite(object value)
    {
        lock (_readLock) return (_reader ?? throw new ObjectDisposedException(Name)).ToSqlite(value);
    }

    /// <summary>After work on the writer's connection, within its slot: a statement that changed nothing in the database may have changed the connection.</summary>
    private void NoteTraits(CachedConnection writer, bool hasCommitted)
    {
        if (!hasCommitted) _traits = null;
        if (_traits is not null || !_pipeline.PrefersStatements) return;
        try
        {
            _traits = ConnectionTraits.Of(writer, _options.ConfigureConnection);
        }
        catch (SqliteException)
        {
            // The app's own authorizer may not let it look. The write was done, and the next ones stay here.
        }
    }
}
