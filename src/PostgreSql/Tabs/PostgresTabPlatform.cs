using System.Globalization;
using System.Threading.Channels;
using DataSync.Coordination;
using Npgsql;

namespace DataSync.PostgreSql;

/// <summary>
/// A process as a tab of a database in PostgreSQL. Its lease is a row that changes by compare-and-set; that it is there an advisory lock of its own session says,
/// which the server lets go when the session ends, and a row that it renews with each heartbeat, by the server's clock.
/// </summary>
/// <param name="source">The server.</param>
/// <param name="link">The session that listens and holds the lock.</param>
internal sealed class PostgresTabPlatform(PostgresSource source, PostgresLink link) : ITabPlatform, IPostgresLinkMember
{
    /// <summary>How long a wait for another tab's lock lasts at most: it keeps the server from removing dead rows meanwhile.</summary>
    private static readonly TimeSpan WatchSlice = TimeSpan.FromSeconds(5);

    /// <summary>Of the stale time; rows of tabs that are silent for longer are removed.</summary>
    private const int ForgetAfter = 12;

    private readonly Lock _gate = new();
    private readonly Channel<TabSignal> _signals = Channel.CreateUnbounded<TabSignal>(new() { SingleReader = true });
    private readonly CancellationTokenSource _closing = new();
    private TabSession? _session;
    private ITimer? _timer;
    private Task _pump = Task.CompletedTask;
    private string? _armed;
    private string? _release;
    private int _beats;
    private bool _isBeating;

    private TabSession Session => _session ?? throw new CoordinationException("This tab is not open.");

    private string Topic => AdvisoryKey.Topic(source.Options.Schema, Session.Scope);

    private long LockKey => KeyOf(Session.Self);

    IReadOnlyList<string> IPostgresLinkMember.Topics => [Topic];

    /// <inheritdoc/>
    public async ValueTask OpenAsync(TabSession session, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(session);
        _session = session;
        try
        {
            await source.EnsureSchemaAsync(cancellationToken).ConfigureAwait(false);
            await link.JoinAsync(this, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (PostgresErrors.IsDatabaseError(error) || error is Storage.StorageException)
        {
            throw PostgresErrors.ToCoordination(error);
        }

        if (_timer is not null) return;
        _pump = Task.Run(PumpAsync, CancellationToken.None);
        _timer = source.Time.CreateTimer(static self => ((PostgresTabPlatform)self!).OnTimer(), this, session.Heartbeat, session.Heartbeat);
    }

    /// <inheritdoc/>
    public async ValueTask<string?> ReadLeaseAsync(CancellationToken cancellationToken) => await RunAsync(async connection =>
    {
        var command = source.Command(connection, $"SELECT record FROM {source.Schema}.leases WHERE name = $1", Session.Scope);
        await using var end = command.ConfigureAwait(false);
        return await command.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false) as string;
    }, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public async ValueTask<string?> CompareAndSetLeaseAsync(string? expected, string replacement, string? release, CancellationToken cancellationToken)
    {
        var present = await RunAsync(connection => SetLeaseAsync(connection, expected, replacement), cancellationToken).ConfigureAwait(false);
        if (present == replacement) lock (_gate) (_armed, _release) = (replacement, release);
        return present;
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<TabId>> QueryTabsAsync(CancellationToken cancellationToken) => await RunAsync(async connection =>
    {
        // Row and lock: a session that has ended, and one that hangs, are both not there. (A key of 64 bits is shown as two of 32.)
        var command = source.Command(
            connection,
            $"""
            SELECT tab FROM {source.Schema}.tabs t WHERE name = $1 AND seen > clock_timestamp() - $2 AND EXISTS (
                SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ExclusiveLock' AND l.objsubid = 1
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND l.classid = (t.lock >> 32 & 4294967295)::oid AND l.objid = (t.lock & 4294967295)::oid)
            """,
            Session.Scope, Session.StaleAfter);
        await using var end = command.ConfigureAwait(false);
        var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        await using var readerEnd = reader.ConfigureAwait(false);
        var tabs = new List<TabId>();
        while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false)) tabs.Add(TabId.FromGuid(reader.GetGuid(0)));
        return (IReadOnlyList<TabId>)tabs;
    }, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public async ValueTask WaitForTabExitAsync(TabId tab, CancellationToken cancellationToken)
    {
        while (!await RunAsync(connection => WatchAsync(connection, tab, cancellationToken), cancellationToken).ConfigureAwait(false))
            cancellationToken.ThrowIfCancellationRequested();
    }

    /// <inheritdoc/>
    public async ValueTask PostAsync(string message, CancellationToken cancellationToken) => await RunAsync(async connection =>
    {
        var body = PostgresNote.Prefix(PostgresNoteKind.Coordination, Session.Self) + message;
        var command = source.Command(connection, "SELECT pg_notify($1, $2)", Topic, body);
        await using var end = command.ConfigureAwait(false);
        await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        return true;
    }, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_closing.IsCancellationRequested) return;
        await _closing.CancelAsync().ConfigureAwait(false);
        if (_timer is not null) await _timer.DisposeAsync().ConfigureAwait(false);
        if (_session is { } session) await SayFarewellAsync(session).ConfigureAwait(false);
        await link.LeaveAsync(this).ConfigureAwait(false);
        _signals.Writer.TryComplete();
    }

    /// <summary>On each new session: the lock, then the row, so that whoever sees the row finds the lock held.</summary>
    async ValueTask IPostgresLinkMember.EnterAsync(NpgsqlConnection connection)
    {
        var attempts = 0;
        while (!await AskAsync(connection, "SELECT pg_try_advisory_lock($1)", LockKey).ConfigureAwait(false))
        {
            // The server has not noticed yet that this tab's session before is gone; nobody else takes this lock for longer than a moment.
            if (attempts++ % 10 == 0) await EndFormerSessionAsync(connection).ConfigureAwait(false);
            await Task.Delay(TimeSpan.FromMilliseconds(20), source.Time, _closing.Token).ConfigureAwait(false);
        }

        await BeatAsync(connection).ConfigureAwait(false);
    }

    async ValueTask IPostgresLinkMember.ExitAsync(NpgsqlConnection connection)
    {
        var batch = source.Batch(connection);
        await using var end = batch.ConfigureAwait(false);
        batch.Add(PostgresSource.BeginWrite);
        batch.Add(PostgresSource.Passing);
        batch.Add($"DELETE FROM {source.Schema}.tabs WHERE name = $1 AND tab = $2", Session.Scope, Session.Self.ToGuid());
        batch.Add(PostgresSource.Commit);
        batch.Add("SELECT pg_advisory_unlock($1)", LockKey);
        await batch.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    void IPostgresLinkMember.OnNotified(PostgresNote note)
    {
        if (note.Sender == Session.Self) return;
        if (note.Kind == PostgresNoteKind.Lease) Signal(new(TabSignalKind.LeaseChanged));
        else if (note.Kind == PostgresNoteKind.Coordination) Signal(new(TabSignalKind.Message, note.Body));
    }

    void IPostgresLinkMember.OnLost()
    {
        lock (_gate) (_armed, _release) = (null, null);
        Signal(new(TabSignalKind.Suspended));
    }

    void IPostgresLinkMember.OnRestored() => Signal(new(TabSignalKind.Resumed));

    private long KeyOf(TabId tab) => AdvisoryKey.Of(source.Options.Schema, Session.Scope, tab.Value);

    private void Signal(TabSignal signal) => _signals.Writer.TryWrite(signal);

    private async Task PumpAsync()
    {
        await foreach (var signal in _signals.Reader.ReadAllAsync().ConfigureAwait(false)) Session.Sink(signal);
    }

    /// <summary>Ticks go on whether the server answers or not: by them a tab knows that its lease has run out.</summary>
    private void OnTimer()
    {
        Signal(new(TabSignalKind.Tick));
        lock (_gate)
        {
            if (_isBeating) return;
            _isBeating = true;
        }

        _ = KeepAliveAsync();
    }

    private async Task KeepAliveAsync()
    {
        // On the session that holds the lock: where that hangs this tab is silent, and the timeout ends it.
        await link.RunAsync(BeatAsync).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_gate) _isBeating = false;
    }

    private async Task BeatAsync(NpgsqlConnection connection)
    {
        var batch = source.Batch(connection);
        await using var end = batch.ConfigureAwait(false);
        batch.Timeout = Math.Clamp((int)Math.Ceiling(Session.StaleAfter.TotalSeconds), 1, batch.Timeout);
        batch.Add(PostgresSource.BeginWrite);
        batch.Add(PostgresSource.Passing);
        batch.Add(
            $"INSERT INTO {source.Schema}.tabs VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT (name, tab) DO UPDATE SET seen = EXCLUDED.seen",
            Session.Scope, Session.Self.ToGuid(), LockKey);
        if (_beats++ % 60 == 0)
            batch.Add($"DELETE FROM {source.Schema}.tabs WHERE name = $1 AND seen < clock_timestamp() - $2", Session.Scope, Session.StaleAfter * ForgetAfter);
        batch.Add(PostgresSource.Commit);
        await batch.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    private Task<string?> SetLeaseAsync(NpgsqlConnection connection, string? expected, string replacement) =>
        source.UnblockedAsync(connection, Session.Scope, SetLeaseNowAsync(connection, expected, replacement));

    private async Task<string?> SetLeaseNowAsync(NpgsqlConnection connection, string? expected, string replacement)
    {
        var batch = source.Batch(connection);
        await using var end = batch.ConfigureAwait(false);
        batch.Add(PostgresSource.BeginWrite);
        batch.Add(PostgresSource.Passing);
        if (expected is null) batch.Add($"INSERT INTO {source.Schema}.leases VALUES ($1, $2) ON CONFLICT DO NOTHING", Session.Scope, replacement);
        else batch.Add($"UPDATE {source.Schema}.leases SET record = $2 WHERE name = $1 AND record = $3", Session.Scope, replacement, expected);
        batch.Add(
            $"SELECT pg_notify($3, $4) FROM {source.Schema}.leases WHERE name = $1 AND record = $2",
            Session.Scope, replacement, Topic, PostgresNote.Prefix(PostgresNoteKind.Lease, Session.Self));
        batch.Add($"SELECT record FROM {source.Schema}.leases WHERE name = $1", Session.Scope);
        batch.Add(PostgresSource.Commit);
        var reader = await batch.ExecuteReaderAsync(CancellationToken.None).ConfigureAwait(false);
        await using var readerEnd = reader.ConfigureAwait(false);
        for (var skipped = 0; skipped < 2; skipped++) await reader.NextResultAsync().ConfigureAwait(false);
        var present = await reader.ReadAsync().ConfigureAwait(false) ? reader.GetString(0) : null;
        while (await reader.NextResultAsync().ConfigureAwait(false))
        {
            // To the end: what fails behind the row is an error all the same.
        }

        return present;
    }

    /// <summary>Waits in line for the tab's lock, for a while; returns whether it is gone.</summary>
    private async Task<bool> WatchAsync(NpgsqlConnection connection, TabId tab, CancellationToken cancellationToken)
    {
        var key = KeyOf(tab).ToString(CultureInfo.InvariantCulture);
        var batch = source.Batch(connection);
        await using var end = batch.ConfigureAwait(false);
        batch.Timeout = (int)(source.Options.CommandTimeout + WatchSlice).TotalSeconds;
        batch.Add(PostgresSource.BeginWrite);

        // A block, since a time that runs out within it is no error for the server's log.
        batch.Add(
            $"""
            DO $$ BEGIN
                PERFORM set_config('lock_timeout', '{WatchSlice.TotalMilliseconds.ToString(CultureInfo.InvariantCulture)}', true);
                PERFORM pg_advisory_xact_lock_shared({key});
            EXCEPTION WHEN lock_not_available THEN NULL; END $$
            """);
        batch.Add(
            $"SELECT pg_try_advisory_xact_lock_shared($1) OR NOT EXISTS (SELECT FROM {source.Schema}.tabs WHERE name = $2 AND tab = $3 AND seen > clock_timestamp() - $4)",
            KeyOf(tab), Session.Scope, tab.ToGuid(), Session.StaleAfter);
        batch.Add(PostgresSource.Commit);
        return await batch.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false) is true;
    }

    private async Task SayFarewellAsync(TabSession session)
    {
        try
        {
            string? armed, release;
            lock (_gate) (armed, release, _armed) = (_armed, _release, null);
            if (armed is not null && release is not null) await link.RunLastAsync(connection => SetLeaseAsync(connection, armed, release)).ConfigureAwait(false);
            await link.RunLastAsync(async connection =>
            {
                var command = source.Command(connection, "SELECT pg_notify($1, $2)", Topic, PostgresNote.Prefix(PostgresNoteKind.Coordination, session.Self) + session.Farewell);
                await using var end = command.ConfigureAwait(false);
                await command.ExecuteNonQueryAsync().ConfigureAwait(false);
            }).ConfigureAwait(false);
        }
        catch (Exception error) when (PostgresErrors.IsDatabaseError(error) || error is CoordinationException)
        {
            // The others find out: by the lock, or by the lease's time.
        }
    }

    private async Task EndFormerSessionAsync(NpgsqlConnection connection)
    {
        var command = source.Command(
            connection,
            """
            SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted AND mode = 'ExclusiveLock' AND objsubid = 1
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
                AND classid = ($1 >> 32 & 4294967295)::oid AND objid = ($1 & 4294967295)::oid
            """,
            LockKey);
        await using var end = command.ConfigureAwait(false);
        await command.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    private async Task<bool> AskAsync(NpgsqlConnection connection, string sql, long key)
    {
        var command = source.Command(connection, sql, key);
        await using var end = command.ConfigureAwait(false);
        return await command.ExecuteScalarAsync().ConfigureAwait(false) is true;
    }

    private async Task<T> RunAsync<T>(Func<NpgsqlConnection, Task<T>> work, CancellationToken cancellationToken)
    {
        try
        {
            var connection = await source.OpenAsync(cancellationToken).ConfigureAwait(false);
            await using var end = connection.ConfigureAwait(false);
            return await work(connection).ConfigureAwait(false);
        }
        catch (Exception error) when (PostgresErrors.IsDatabaseError(error))
        {
            if (PostgresErrors.IsLost(error)) source.OnLost(error);
            throw PostgresErrors.ToCoordination(error);
        }
    }
}
