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
        _host = new StatementHost(Name, _pipeline.Storage, _options.ConfigureConnection);
        _pipeline.StatementRunner = body =>
        {
            var misses = _pipeline.Storage.Misses;
            var run = _host.Run(body);
            if (_pipeline.Storage.Misses != misses) _ = EndQuietlyAsync(_pipeline.Extents.LoadWantedAsync(round: 1, CancellationToken.None)); // for the next ones; its own tab runs it
            return run;
        };
    }

    /// <summary>Has the leader run statements, where that is the faster way. Null: it is not, or they mean something of their own here; they are to be run here.</summary>
    private async Task<ExecuteResult?> TrySendAsync(IReadOnlyCollection<TravellingStatement> statements, CancellationToken cancellationToken)
    {
        if (_traits is not { } traits || AutoSync.Durability == Durability.Deferred || !_pipeline.PrefersStatements) return null;
        foreach (var statement in statements) if (_keptAtHome.ContainsKey(statement.Sql)) return null;
        using var admission = AdmitWrite(cancellationToken);
        if (StatementBody.Encode(traits.Hash, statements, ToSqlite) is not { } body || _pipeline.TrySendStatements(body, cancellationToken) is not { } sent) return null;
        var outcome = await sent.ConfigureAwait(false);
        if (!outcome.IsStale)
        {
            // As if it had been run here.
            if (outcome.Result?.LastInsertRowId is { } row) Writer.LastInsertRowId = row;
            return new ExecuteResult(outcome.Result?.Changes ?? -1, Writer.LastInsertRowId, outcome.Position.Marker);
        }

        if (!outcome.IsUnfit) return null;
        if (_keptAtHome.Count >= MaxKeptAtHome) _keptAtHome.Clear();
        foreach (var statement in statements) _keptAtHome.TryAdd(statement.Sql, true);
        return null;
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
