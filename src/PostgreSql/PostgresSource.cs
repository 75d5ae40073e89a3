using System.Transactions;
using DataSync.Storage;
using Microsoft.Extensions.Logging;
using Npgsql;
using NpgsqlTypes;

namespace DataSync.PostgreSql;

/// <summary>
/// Sessions with one PostgreSQL database, and how DataSync begins and ends transactions there. Callable from any thread; each session is one caller's.
/// </summary>
/// <param name="data">Npgsql's pool.</param>
/// <param name="isOwned">Whether it is disposed with this.</param>
/// <param name="options">Copied.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Where to log.</param>
internal sealed class PostgresSource(NpgsqlDataSource data, bool isOwned, PostgresOptions options, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    /// <summary>Read committed: what a statement finds after it waited for a lock is what the one before it left. Whatever the server's default is.</summary>
    public const string BeginWrite = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

    /// <summary>One moment for all statements, and nobody waits for them.</summary>
    public const string BeginRead = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

    public const string Commit = "COMMIT";

    /// <summary>COMMIT returns when it is on the server's disk (and on a synchronous standby's, if there is one), whatever the role's default is; what is more is kept.</summary>
    public const string Durable =
        "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

    /// <summary>For what may be lost with the server: leases, presence, messages.</summary>
    public const string Passing = "SELECT set_config('synchronous_commit', 'off', true)";

    private readonly SemaphoreSlim _schemaTurn = new(1, 1);
    private volatile bool _hasSchema;

    public PostgresOptions Options { get; } = options.Copy();

    public TimeProvider Time { get; } = time;

    public ILogger Logger { get; } = logger;

    /// <summary>The schema's name as SQL writes it.</summary>
    public string Schema { get; } = '"' + options.Schema.Replace("\"", "\"\"", StringComparison.Ordinal) + '"';

    /// <summary>A session from the pool. An ambient transaction of the caller is none of it.</summary>
    public async ValueTask<NpgsqlConnection> OpenAsync(CancellationToken cancellationToken)
    {
        using var outside = Transaction.Current is null ? null : new TransactionScope(TransactionScopeOption.Suppress, TransactionScopeAsyncFlowOption.Enabled);
        return await data.OpenConnectionAsync(cancellationToken).ConfigureAwait(false);
    }

    public NpgsqlCommand Command(NpgsqlConnection connection, string sql, params ReadOnlySpan<object?> values)
    {
        var command = new NpgsqlCommand(sql, connection) { CommandTimeout = (int)Options.CommandTimeout.TotalSeconds };
        foreach (var value in values) command.Parameters.Add(Parameter(value));
        return command;
    }

    /// <summary>Statements that go out together and come back together: one round trip.</summary>
    public NpgsqlBatch Batch(NpgsqlConnection connection) => new(connection) { Timeout = (int)Options.CommandTimeout.TotalSeconds };

    /// <summary>Makes the schema's tables, once; again after somebody dropped them.</summary>
    public async ValueTask EnsureSchemaAsync(CancellationToken cancellationToken)
    {
        if (_hasSchema) return;
        await _schemaTurn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (_hasSchema) return;
            var connection = await OpenAsync(cancellationToken).ConfigureAwait(false);
            await using var end = connection.ConfigureAwait(false);
            await PostgresSchema.EnsureAsync(connection, this, cancellationToken).ConfigureAwait(false);
            _hasSchema = true;
        }
        finally
        {
            _schemaTurn.Release();
        }
    }

    /// <summary>A connection was lost: those that lie in the pool are of no use either, and perhaps the schema is gone.</summary>
    public void OnLost(Exception error)
    {
        if (PostgresErrors.IsSchemaGone(error)) _hasSchema = false;
        try
        {
            data.Clear();
        }
        catch (ObjectDisposedException)
        {
            // Then there is nothing to clear.
        }
    }

    /// <summary>
    /// Waits for work that may have to wait for a lock. What holds it for longer than <see cref="PostgresOptions.BlockerGrace"/> is a process that stands still in
    /// the middle of its transaction, or whose network is cut: its session is ended, or it would keep everybody else from writing.
    /// </summary>
    public async Task<T> UnblockedAsync<T>(NpgsqlConnection connection, string scope, Task<T> work)
    {
        while (true)
        {
            try
            {
                return await work.WaitAsync(Options.BlockerGrace, Time).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                if (work.IsCompleted) return await work.ConfigureAwait(false);
                await EndBlockersAsync(connection.ProcessID, scope).ConfigureAwait(false);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (isOwned) await data.DisposeAsync().ConfigureAwait(false);
        _schemaTurn.Dispose();
    }

    internal static NpgsqlParameter Parameter(object? value) => value switch
    {
        null => new() { Value = DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
        byte[] bytes => new NpgsqlParameter<byte[]> { TypedValue = bytes, NpgsqlDbType = NpgsqlDbType.Bytea },
        ReadOnlyMemory<byte> bytes => new NpgsqlParameter<ReadOnlyMemory<byte>> { TypedValue = bytes, NpgsqlDbType = NpgsqlDbType.Bytea },
        byte[][] many => new NpgsqlParameter<byte[][]> { TypedValue = many, NpgsqlDbType = NpgsqlDbType.Bytea | NpgsqlDbType.Array },
        Guid[] many => new NpgsqlParameter<Guid[]> { TypedValue = many, NpgsqlDbType = NpgsqlDbType.Uuid | NpgsqlDbType.Array },
        int[] many => new NpgsqlParameter<int[]> { TypedValue = many, NpgsqlDbType = NpgsqlDbType.Integer | NpgsqlDbType.Array },
        long number => new NpgsqlParameter<long> { TypedValue = number, NpgsqlDbType = NpgsqlDbType.Bigint },
        int number => new NpgsqlParameter<int> { TypedValue = number, NpgsqlDbType = NpgsqlDbType.Integer },
        Guid id => new NpgsqlParameter<Guid> { TypedValue = id, NpgsqlDbType = NpgsqlDbType.Uuid },
        TimeSpan span => new NpgsqlParameter<TimeSpan> { TypedValue = span, NpgsqlDbType = NpgsqlDbType.Interval },
        string text => new NpgsqlParameter<string> { TypedValue = text, NpgsqlDbType = NpgsqlDbType.Text },
        _ => throw new ArgumentException($"No parameter is made of {value.GetType()}.", nameof(value)),
    };

    private async Task EndBlockersAsync(int session, string scope)
    {
        try
        {
            var connection = await OpenAsync(CancellationToken.None).ConfigureAwait(false);
            await using var end = connection.ConfigureAwait(false);

            // Not those that wait themselves: they stand in the same queue. The role's own sessions only, which every role may end.
            var command = Command(
                connection,
                """
                SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE pid = ANY (pg_blocking_pids($1)) AND wait_event_type IS DISTINCT FROM 'Lock' AND xact_start < clock_timestamp() - $2
                """,
                session, Options.BlockerGrace / 2);
            await using var commandEnd = command.ConfigureAwait(false);
            if ((long)(await command.ExecuteScalarAsync().ConfigureAwait(false))! is > 0 and var ended) Log.EndedBlockers(Logger, scope, (int)ended);
        }
        catch (Exception error) when (PostgresErrors.IsDatabaseError(error))
        {
            Log.BlockersStay(Logger, scope, error.Message);
        }
    }
}

/// <summary>Short ways to write a batch.</summary>
internal static class NpgsqlBatchExtensions
{
    public static NpgsqlBatchCommand Add(this NpgsqlBatch batch, string sql, params ReadOnlySpan<object?> values)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var value in values) command.Parameters.Add(PostgresSource.Parameter(value));
        batch.BatchCommands.Add(command);
        return command;
    }
}
