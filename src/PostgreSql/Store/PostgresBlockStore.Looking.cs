using DataSync.Storage;
using Npgsql;

namespace DataSync.PostgreSql;

/// <summary>What tools ask, without opening the store: nothing is made, and no schema either.</summary>
internal sealed partial class PostgresBlockStore
{
    /// <summary>Whether there is a database of this name.</summary>
    /// <exception cref="StorageUnavailableException">PostgreSQL cannot be reached, or refuses the session.</exception>
    public Task<bool> ExistsAsync(CancellationToken cancellationToken) => LookAsync(async connection =>
    {
        var hasTables = _source.Command(connection, "SELECT to_regclass($1) IS NOT NULL", _source.Schema + ".databases");
        await using (hasTables.ConfigureAwait(false))
        {
            if (await hasTables.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false) is not true) return false;
        }

        var isThere = _source.Command(connection, $"SELECT EXISTS (SELECT FROM {_source.Schema}.databases WHERE name = $1)", _name);
        await using var end = isThere.ConfigureAwait(false);
        return await isThere.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false) is true;
    }, cancellationToken);

    /// <summary>The records that repairs kept aside, oldest first.</summary>
    /// <exception cref="StorageUnavailableException">PostgreSQL cannot be reached, or refuses the session.</exception>
    public Task<IReadOnlyList<(string Kind, long Key, long Bytes)>> ListQuarantineAsync(CancellationToken cancellationToken) => LookAsync(async connection =>
    {
        var command = _source.Command(
            connection,
            $"""
            SELECT kind, key, sum(length(bytes))::bigint FROM {_source.Schema}.quarantine q JOIN {_source.Schema}.databases d ON d.id = q.database
            WHERE d.name = $1 GROUP BY kind, key, taken ORDER BY min(q.id)
            """,
            _name);
        await using var end = command.ConfigureAwait(false);
        var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        await using var readerEnd = reader.ConfigureAwait(false);
        var kept = new List<(string, long, long)>();
        while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false)) kept.Add((reader.GetString(0), reader.GetInt64(1), reader.GetInt64(2)));
        return (IReadOnlyList<(string Kind, long Key, long Bytes)>)kept;
    }, cancellationToken);

    private async Task<T> LookAsync<T>(Func<NpgsqlConnection, Task<T>> look, CancellationToken cancellationToken)
    {
        try
        {
            var connection = await _source.OpenAsync(cancellationToken).ConfigureAwait(false);
            await using var end = connection.ConfigureAwait(false);
            return await look(connection).ConfigureAwait(false);
        }
        catch (Exception error) when (PostgresErrors.IsDatabaseError(error))
        {
            throw PostgresErrors.ToOpening(error);
        }
    }
}
