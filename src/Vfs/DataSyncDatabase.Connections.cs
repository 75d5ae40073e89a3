using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// What connections of the application's own need: leave to write, its end, and waiting.
public sealed partial class DataSyncDatabase
{
    // Readers of this tab leave soon, and say nothing when they do.
    private static readonly TimeSpan UnlockPause = TimeSpan.FromMilliseconds(10);

    private readonly HashSet<string> _pools = [];
    private readonly Dictionary<DataSyncConnection, (LoadRounds Rounds, long Since)> _loads = [];

    /// <summary>Makes a connection whose asynchronous members work in every tab; it is not opened yet. Dispose it before this.</summary>
    public DataSyncConnection CreateConnection() => new(this);

    /// <summary>Whether this tab accepts commits at this moment; information only.</summary>
    internal bool IsLeading => _pipeline.IsLeading;

    internal void ThrowIfUnreadable()
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        _pipeline.ThrowIfUnreadable();
    }

    /// <summary>Sets a connection up as DataSync's own are; one that stands on a pooled handle needs only what goes with a connection.</summary>
    internal void SetUp(SqliteConnection connection, bool isNew)
    {
        if (isNew) CachedConnection.SetUp(connection, CachedConnection.Pragmas, _options.ConfigureConnection);
        else _options.ConfigureConnection?.Invoke(connection);
    }

    /// <summary>Connections with this string are pooled: their handles are closed with the database.</summary>
    /// <exception cref="ObjectDisposedException">It was closed.</exception>
    internal void Pools(string connectionString)
    {
        lock (_pools)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            _pools.Add(connectionString);
        }
    }

    /// <summary>
    /// A command of a transaction needed what was not in memory: SQLite has rolled the transaction back, and only who began it can do it again. What it needed is loaded, and stays until a
    /// transaction of this connection is committed (others' would drive it out again), so that one that needs more than may stay gets there.
    /// </summary>
    /// <returns>What to throw.</returns>
    internal async Task<NotResidentException> LoadForTransactionAsync(DataSyncConnection connection, Exception error, CancellationToken cancellationToken)
    {
        LoadRounds rounds;
        lock (_pools)
        {
            rounds = _loads.TryGetValue(connection, out var loads) ? loads.Rounds : NewLoading();
            _loads[connection] = (rounds, _time.GetTimestamp());
        }

        await rounds.LoadAsync(cancellationToken).ConfigureAwait(false);
        return new NotResidentException("A command of a transaction needed what was not in memory, so SQLite has rolled the transaction back. It was loaded: run the same work again.", error);
    }

    /// <summary>All that this connection did under its leave to write is committed.</summary>
    internal void EndLoads(DataSyncConnection connection)
    {
        (LoadRounds Rounds, long Since) loads;
        lock (_pools)
        {
            if (!_loads.Remove(connection, out loads)) return;
        }

        loads.Rounds.Dispose();
    }

    /// <summary>Transactions that failed for want of something long ago are not run again.</summary>
    private void EndOverdueLoads()
    {
        DataSyncConnection[] overdue;
        lock (_pools) overdue = [.. _loads.Where(loads => _time.GetElapsedTime(loads.Value.Since) >= _options.Pipeline.WriteTimeout).Select(loads => loads.Key)];
        foreach (var connection in overdue) EndLoads(connection);
    }

    private void ClearPools()
    {
        lock (_pools)
        {
            foreach (var connectionString in _pools)
            {
                using var any = new SqliteConnection(connectionString);
                SqliteConnection.ClearPool(any);
            }
        }
    }

    /// <summary>Returns when some tab leads, or as long after as the options say.</summary>
    internal async Task WaitForLeaderAsync(CancellationToken cancellationToken)
    {
        if (Coordinator.LeaderId is not null || _options.LeaderWait == TimeSpan.Zero || _pipeline.ReadsCopy) return;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            await Coordinator.WaitForLeaderAsync(limit.Token).WaitAsync(_options.LeaderWait, _time, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is TimeoutException or CoordinationException or ObjectDisposedException)
        {
            // Reading needs no leader, and a write waits for one by itself.
        }
        finally
        {
            limit.Cancel();
        }
    }

    /// <summary>Waits while another connection of this tab has written uncommitted pages into the image.</summary>
    internal async Task WaitForCleanImageAsync(CancellationToken cancellationToken)
    {
        while (IsImageDirty) await _interactive.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Runs a command of a connection as a commit of its own, until it is durable or fails.</summary>
    internal async Task<T> CommitOnAsync<T>(DataSyncConnection connection, string sql, Func<T> run, CancellationToken cancellationToken)
    {
        var needsTransaction = SqlText.HasSeveralStatements(sql);
        T Transact() => this.Transact(connection, connection.Schema, connection.RunText, needsTransaction, run);
        var (result, _) = await CommitAtOnceAsync<T>(
            attempt => new(RunWhenUnlockedAsync(
                () => (Attempt(connection, Transact, attempt, out var result, cancellationToken), result),
                () => BlockVfs.Shared.IsReadBeside(Name, connection.IsReading),
                connection,
                cancellationToken)),
            cancellationToken).ConfigureAwait(false);
        return result;
    }

    /// <summary>Waits for the write turn and begins a transaction, or whatever else holds it.</summary>
    internal async Task<T> BeginUnitAsync<T>(DataSyncConnection connection, Func<T> begin, CancellationToken cancellationToken)
    {
        using var loading = NewLoading();
        for (var attempt = 1; ; attempt++)
        {
            var unit = await TakeTurnAsync(cancellationToken).ConfigureAwait(false);
            connection.Adopt(unit);
            try
            {
                cancellationToken.ThrowIfCancellationRequested();
                var result = await RunWhenUnlockedAsync(begin, () => BlockVfs.Shared.IsReserved(Name), connection, cancellationToken).ConfigureAwait(false);
                BeginWork(connection.Schema, connection.RunText);
                return result;
            }
            catch (SqliteException error) when (error.SqliteExtendedErrorCode == SqliteResult.BusyRefused && attempt < _options.MaxAttempts)
            {
                // Between the turn's beginning and the statement another tab's commit came in that waits for this tab's readers.
                connection.Adopt(null);
                unit.End();
            }
            catch (SqliteException) when (loading.HasMissed)
            {
                connection.DropTurn();
                await loading.LoadAsync(cancellationToken).ConfigureAwait(false);
                attempt--;
            }
            catch
            {
                connection.DropTurn();
                throw;
            }
        }
    }

    /// <summary>Commits a transaction of a connection as soon as no other connection of this tab reads.</summary>
    internal Task CommitWhenUnlockedAsync(DataSyncConnection connection, SqliteTransaction transaction, CancellationToken cancellationToken) => RunWhenUnlockedAsync(
        () =>
        {
            transaction.Commit();
            return true;
        },
        () => BlockVfs.Shared.IsReadBeside(Name, connection.IsReading),
        connection,
        cancellationToken);

    /// <summary>Waits while another connection of this tab holds a lock that is needed, at most as long as the connection's timeout, and runs something.</summary>
    private async Task<T> RunWhenUnlockedAsync<T>(Func<T> run, Func<bool> isLocked, DataSyncConnection connection, CancellationToken cancellationToken)
    {
        var patience = TimeSpan.FromSeconds(connection.DefaultTimeout);
        var start = _time.GetTimestamp();
        while (true)
        {
            // Asked first, since Microsoft.Data.Sqlite would block the thread.
            while (isLocked() && _time.GetElapsedTime(start) < patience)
                await Task.Delay(UnlockPause, _time, cancellationToken).ConfigureAwait(false);
            try
            {
                return run();
            }
            catch (SqliteException error) when (IsLocked(error) && _time.GetElapsedTime(start) < patience)
            {
                // Waited for below: in the browser, whoever holds the lock needs this thread to let go of it.
            }

            await Task.Delay(UnlockPause, _time, cancellationToken).ConfigureAwait(false);
        }
    }

    private static bool IsLocked(SqliteException error) => error.SqliteErrorCode == SqliteResult.Busy && error.SqliteExtendedErrorCode != SqliteResult.BusyRefused;

    private async Task<WriteUnit> TakeTurnAsync(CancellationToken cancellationToken)
    {
        var admission = AdmitWrite(cancellationToken);
        try
        {
            var slot = await AutoSync.BeginWriteAsync(exclusive: true, cancellationToken).ConfigureAwait(false);
            var running = _pipeline.NewCompletion();
            _interactive = running.Task;
            return new WriteUnit(admission, slot, running);
        }
        catch
        {
            admission.Dispose();
            throw;
        }
    }
}
