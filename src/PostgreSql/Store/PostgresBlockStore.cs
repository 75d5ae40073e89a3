using DataSync.Coordination;
using DataSync.Storage;
using Npgsql;

namespace DataSync.PostgreSql;

/// <summary>
/// A store in PostgreSQL, for processes on any number of machines. Durable when COMMIT has returned, with <c>synchronous_commit</c> at least <c>on</c>.
/// </summary>
/// <remarks>
/// Every write is one transaction that locks the database's row and compares incarnation, epoch and marker with what it finds there (S3); whoever raises the
/// epoch waits for that lock, and so for a write that is under way. The sessions come from a pool. One that is lost closes the store
/// (<see cref="StoreClosedReason.Lost"/>): whether its last write was done shows when it is opened again. A token stops a write before it was issued only.
/// Callable from any thread.
/// </remarks>
internal sealed partial class PostgresBlockStore : IBlockStore, IPostgresLinkMember
{
    /// <summary>How often a transaction that the server took back for another one's sake is tried.</summary>
    private const int Attempts = 4;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100), LongestPause = TimeSpan.FromSeconds(2);

    private readonly PostgresSource _source;
    private readonly PostgresLink _link;
    private readonly string _name;
    private readonly ChecksumKind _checksum;
    private readonly Lock _lock = new();
    private long _id; // of the row in databases; 0: not open
    private bool _isDisposed;
    private StoreClosedReason _reason = StoreClosedReason.Lost;
    private long? _lostSince;
    private SeenHistory _seen;

    /// <summary>Makes a store; nothing is opened yet.</summary>
    /// <param name="source">The server.</param>
    /// <param name="link">The session on which this process hears of the database.</param>
    /// <param name="name">The database's name.</param>
    /// <param name="checksum">How blocks are checksummed when this store creates the database.</param>
    public PostgresBlockStore(PostgresSource source, PostgresLink link, string name, ChecksumKind checksum)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        (_source, _link, _name, _checksum) = (source, link, name, checksum);
    }

    /// <inheritdoc/>
    public event Action<StoreClosedReason>? Closed;

    /// <inheritdoc/>
    public async ValueTask<Head> OpenAsync(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Disconnect(StoreClosedReason.Lost);
        var (pause, isFirst) = (FirstPause, true);
        while (true)
        {
            try
            {
                await _source.EnsureSchemaAsync(cancellationToken).ConfigureAwait(false);
                await _link.JoinAsync(this, cancellationToken).ConfigureAwait(false);
                var (id, head) = await OpenOnceAsync(cancellationToken).ConfigureAwait(false);
                lock (_lock)
                {
                    ObjectDisposedException.ThrowIf(_isDisposed, this);
                    (_id, _lostSince) = (id, null);
                }

                Log.Opened(_source.Logger, _name, _source.Options.Schema, head.Epoch.Value, head.Checkpoint.Marker);
                return head;
            }
            catch (Exception error) when (PostgresErrors.IsDatabaseError(error))
            {
                // A session that lay in the pool may be dead without anybody's knowing: once more in any case. A server that was there comes back, mostly.
                if (!PostgresErrors.IsLost(error)) throw PostgresErrors.ToOpening(error);
                _source.OnLost(error);
                var isPatient = _lostSince is { } since && _source.Time.GetElapsedTime(since) < _source.Options.ReconnectTimeout;
                if (!isFirst && !isPatient) throw PostgresErrors.ToOpening(error);
            }

            if (!isFirst) await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), _source.Time, cancellationToken).ConfigureAwait(false);
            if (!isFirst && pause < LongestPause) pause *= 2;
            isFirst = false;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DeleteAsync(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        cancellationToken.ThrowIfCancellationRequested();
        Disconnect(StoreClosedReason.Deleted); // before the others are told, of whom this one is one
        try
        {
            await _source.EnsureSchemaAsync(cancellationToken).ConfigureAwait(false);
            var connection = await _source.OpenAsync(cancellationToken).ConfigureAwait(false);
            await using var end = connection.ConfigureAwait(false);
            await DeleteOnceAsync(connection).ConfigureAwait(false);
        }
        catch (Exception error) when (PostgresErrors.IsDatabaseError(error))
        {
            throw PostgresErrors.ToOpening(error);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (_isDisposed) return;
            _isDisposed = true;
        }

        Disconnect(StoreClosedReason.Lost);
        await _link.LeaveAsync(this).ConfigureAwait(false);
    }

    IReadOnlyList<string> IPostgresLinkMember.Topics => [AdvisoryKey.Topic(_source.Options.Schema, _name)];

    ValueTask IPostgresLinkMember.EnterAsync(NpgsqlConnection connection) => default;

    ValueTask IPostgresLinkMember.ExitAsync(NpgsqlConnection connection) => default;

    void IPostgresLinkMember.OnNotified(PostgresNote note)
    {
        if (note.Kind == PostgresNoteKind.Deleted && note.TryReadNumber(out var id) && id == _id) Close(StoreClosedReason.Deleted);
    }

    void IPostgresLinkMember.OnLost()
    {
        // What this store writes and reads goes over other sessions, which tell by themselves.
    }

    /// <summary>A deletion may have been announced meanwhile.</summary>
    void IPostgresLinkMember.OnRestored() => _ = FindOutWhetherDeletedAsync();

    private async Task FindOutWhetherDeletedAsync()
    {
        try
        {
            await RunAsync(async (connection, id) =>
            {
                var command = _source.Command(connection, $"SELECT EXISTS (SELECT FROM {_source.Schema}.databases WHERE id = $1)", id);
                await using var end = command.ConfigureAwait(false);
                return await command.ExecuteScalarAsync().ConfigureAwait(false) is true ? true : throw Gone();
            }, CancellationToken.None).ConfigureAwait(false);
        }
        catch (StorageException)
        {
            // It was not open, or has been closed and has said so.
        }
    }

    private async Task<(long Id, Head Head)> OpenOnceAsync(CancellationToken cancellationToken)
    {
        var connection = await _source.OpenAsync(cancellationToken).ConfigureAwait(false);
        await using var end = connection.ConfigureAwait(false);
        while (true)
        {
            if (await FindAsync(connection, cancellationToken).ConfigureAwait(false) is { } found) return found;
            await CreateAsync(connection).ConfigureAwait(false); // or somebody else did at the same moment
        }
    }

    private async Task<(long Id, Head Head)?> FindAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var (schema, before) = (_source.Schema, Seen);
        var command = _source.Command(
            connection,
            $"""
            SELECT d.id, h.bytes, c.bytes, greatest(d.checkpoint, (SELECT max(marker) FROM {schema}.log WHERE database = d.id)), current_setting('fsync')
            FROM {schema}.databases d LEFT JOIN {schema}.heads h ON h.database = d.id LEFT JOIN {schema}.head_copies c ON c.database = d.id WHERE d.name = $1
            """,
            _name);
        await using var commandEnd = command.ConfigureAwait(false);
        var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        await using var readerEnd = reader.ConfigureAwait(false);
        if (!await reader.ReadAsync(cancellationToken).ConfigureAwait(false)) return null;
        if (reader.GetString(4) == "off") Log.NoFsync(_source.Logger);
        var head = ReadHead(BytesOf(reader, 1), BytesOf(reader, 2));
        See(before, head, reader.GetInt64(3));
        return (reader.GetInt64(0), head);
    }

    private async Task CreateAsync(NpgsqlConnection connection)
    {
        var head = StoreRules.NewHead(_checksum);
        var schema = _source.Schema;
        var batch = _source.Batch(connection);
        await using var batchEnd = batch.ConfigureAwait(false);
        var bytes = HeadCodec.Encode(head);
        batch.Add(PostgresSource.BeginWrite);
        batch.Add(PostgresSource.Durable);
        batch.Add(
            $"""
            WITH made AS (INSERT INTO {schema}.databases (name, incarnation, epoch, checkpoint) VALUES ($1, $2, 0, 0) ON CONFLICT (name) DO NOTHING RETURNING id),
                copied AS (INSERT INTO {schema}.head_copies SELECT id, $3 FROM made)
            INSERT INTO {schema}.heads SELECT id, $3 FROM made
            """,
            _name, head.Incarnation, bytes);
        batch.Add(PostgresSource.Commit);
        await _source.UnblockedAsync(connection, _name, batch.ExecuteNonQueryAsync()).ConfigureAwait(false);
    }

    private async Task DeleteOnceAsync(NpgsqlConnection connection)
    {
        var schema = _source.Schema;
        var batch = _source.Batch(connection);
        await using var end = batch.ConfigureAwait(false);
        batch.Add(PostgresSource.BeginWrite);
        batch.Add(PostgresSource.Durable);
        batch.Add($"SELECT id FROM {schema}.databases WHERE name = $1 FOR UPDATE", _name); // who writes now has finished, who writes next finds nothing
        foreach (var table in (string[])["heads", "head_copies", "log", "extents", "quarantine"])
            batch.Add($"DELETE FROM {schema}.{table} USING {schema}.databases d WHERE database = d.id AND d.name = $1", _name);
        batch.Add(
            $"""
            WITH gone AS (DELETE FROM {schema}.databases WHERE name = $1 RETURNING id) SELECT pg_notify($2, $3 || id) FROM gone
            """,
            _name, AdvisoryKey.Topic(_source.Options.Schema, _name), PostgresNote.Prefix(PostgresNoteKind.Deleted, default));
        batch.Add(PostgresSource.Commit);
        await _source.UnblockedAsync(connection, _name, batch.ExecuteNonQueryAsync()).ConfigureAwait(false);
    }

    /// <summary>Runs work on a session of the pool; what fails is a <see cref="StorageException"/>, and closes the store where the session is lost.</summary>
    private async Task<T> RunAsync<T>(Func<NpgsqlConnection, long, Task<T>> work, CancellationToken cancellationToken)
    {
        long id;
        lock (_lock) id = _id != 0 ? _id : throw new StorageClosedException(_reason);
        cancellationToken.ThrowIfCancellationRequested();
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                var connection = await _source.OpenAsync(cancellationToken).ConfigureAwait(false);
                await using var end = connection.ConfigureAwait(false);
                return await work(connection, id).ConfigureAwait(false);
            }
            catch (Exception error) when (PostgresErrors.IsRolledBackForOthers(error) && attempt < Attempts)
            {
                // Nothing of it was done.
            }
            catch (Exception error) when (PostgresErrors.IsDatabaseError(error))
            {
                throw OnFailed(error);
            }
        }
    }

    private StorageException OnFailed(Exception error)
    {
        if (!PostgresErrors.IsLost(error)) return PostgresErrors.ToStorage(error);
        _source.OnLost(error);
        if (Close(StoreClosedReason.Lost)) Log.StoreLost(_source.Logger, _name, error.Message);
        return PostgresErrors.ToStorage(error);
    }

    /// <summary>The row is not there any more: somebody deleted the database.</summary>
    private StorageClosedException Gone()
    {
        Close(StoreClosedReason.Deleted);
        return new StorageClosedException(StoreClosedReason.Deleted);
    }

    private bool Close(StoreClosedReason reason)
    {
        if (!Disconnect(reason)) return false;
        Closed?.Invoke(reason);
        return true;
    }

    private bool Disconnect(StoreClosedReason reason)
    {
        lock (_lock)
        {
            var wasOpen = _id != 0;
            (_id, _reason) = (0, reason);
            if (wasOpen && reason == StoreClosedReason.Lost) _lostSince ??= _source.Time.GetTimestamp();
            return wasOpen;
        }
    }

    private SeenHistory Seen
    {
        get
        {
            lock (_lock) return _seen;
        }
    }

    /// <summary>Takes in what the server holds, which cannot be behind what was known before it was asked.</summary>
    private void See(SeenHistory before, Head head, long end)
    {
        before.Check(head, end);
        lock (_lock) _seen = _seen.With(head);
    }

    private static Head ReadHead(byte[]? record, byte[]? copy) => HeadCodec.Read(record, () => copy) ?? throw HeadCodec.Missing();

    private static byte[]? BytesOf(NpgsqlDataReader reader, int column) => reader.IsDBNull(column) ? null : reader.GetFieldValue<byte[]>(column);
}
