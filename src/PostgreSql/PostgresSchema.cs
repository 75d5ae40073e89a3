using System.Globalization;
using DataSync.Storage;
using Npgsql;

namespace DataSync.PostgreSql;

/// <summary>
/// The tables, made and changed by whoever comes first: in one transaction, under a lock, a step for each version. A version that a newer app made is refused.
/// </summary>
/// <remarks>
/// <code>
/// databases   one row for each database: its name, and the fence that every write checks and locks (incarnation, epoch, checkpoint)
/// heads, head_copies   the head's record, twice, in tables of their own: a damaged page of one leaves the other
/// log         the commits behind the checkpoint, in parts of at most 16 MiB
/// extents     64 blocks each
/// quarantine  what repairs took out
/// leases      the lease of each name; survives its database, as in a browser
/// tabs        who is there (unlogged: everybody is entered again within a heartbeat)
/// messages    what does not fit into a notification (unlogged, a minute)
/// </code>
/// Bytes are stored as they are (EXTERNAL): compressing pages would cost each append more than it saves.
/// </remarks>
internal static class PostgresSchema
{
    /// <summary>A version's statements; {0} is the schema. What was published is never changed, only followed by another.</summary>
    private static readonly string[] Steps =
    [
        """
        CREATE TABLE {0}.databases (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
            incarnation uuid NOT NULL, epoch bigint NOT NULL, checkpoint bigint NOT NULL) WITH (fillfactor = 50);
        CREATE TABLE {0}.heads (database bigint PRIMARY KEY, bytes bytea NOT NULL);
        CREATE TABLE {0}.head_copies (database bigint PRIMARY KEY, bytes bytea NOT NULL);
        CREATE TABLE {0}.log (database bigint, marker bigint, part int, id uuid NOT NULL, bytes bytea NOT NULL, PRIMARY KEY (database, marker, part));
        CREATE TABLE {0}.extents (database bigint, index int, bytes bytea NOT NULL, PRIMARY KEY (database, index));
        ALTER TABLE {0}.log ALTER bytes SET STORAGE EXTERNAL;
        ALTER TABLE {0}.extents ALTER bytes SET STORAGE EXTERNAL;
        CREATE TABLE {0}.quarantine (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, database bigint NOT NULL, kind text NOT NULL, key bigint NOT NULL, part int NOT NULL,
            bytes bytea NOT NULL, taken timestamptz NOT NULL DEFAULT now());
        CREATE TABLE {0}.leases (name text PRIMARY KEY, record text NOT NULL) WITH (fillfactor = 50);
        CREATE UNLOGGED TABLE {0}.tabs (name text, tab uuid, lock bigint NOT NULL, seen timestamptz NOT NULL, PRIMARY KEY (name, tab)) WITH (fillfactor = 50);
        CREATE UNLOGGED TABLE {0}.messages (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, made timestamptz NOT NULL DEFAULT clock_timestamp(), bytes bytea NOT NULL);
        ALTER TABLE {0}.messages ALTER bytes SET STORAGE EXTERNAL;
        CREATE INDEX ON {0}.messages (made);
        """,
    ];

    public static int Version => Steps.Length;

    /// <summary>Makes or changes what is missing; returns the version that was there (0: none).</summary>
    /// <exception cref="StoreFormatException">A newer version of DataSync made the schema.</exception>
    public static async Task<int> EnsureAsync(NpgsqlConnection connection, PostgresSource source, CancellationToken cancellationToken)
    {
        var present = await ReadVersionAsync(connection, source, cancellationToken).ConfigureAwait(false);
        if (present == Version) return present;

        var transaction = await connection.BeginTransactionAsync(System.Data.IsolationLevel.ReadCommitted, cancellationToken).ConfigureAwait(false);
        await using var disposal = transaction.ConfigureAwait(false);

        // Several processes start at once: one does it, the others find it done. A schema that is there is not asked for again, which would take a right.
        await RunAsync(string.Create(CultureInfo.InvariantCulture, $"SELECT pg_advisory_xact_lock({AdvisoryKey.Of(source.Options.Schema, "schema")})")).ConfigureAwait(false);
        present = await ReadVersionAsync(connection, source, cancellationToken).ConfigureAwait(false);
        if (present < 0)
        {
            await RunAsync($"CREATE SCHEMA {source.Schema}").ConfigureAwait(false);
            present = 0;
        }

        if (present == 0)
            await RunAsync($"CREATE TABLE IF NOT EXISTS {source.Schema}.versions (version int PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())").ConfigureAwait(false);
        for (var version = present; version < Version; version++)
        {
            await RunAsync(Steps[version].Replace("{0}", source.Schema, StringComparison.Ordinal)).ConfigureAwait(false);
            await RunAsync(string.Create(CultureInfo.InvariantCulture, $"INSERT INTO {source.Schema}.versions (version) VALUES ({version + 1})")).ConfigureAwait(false);
        }

        await transaction.CommitAsync(cancellationToken).ConfigureAwait(false);
        if (present < Version) Log.Migrated(source.Logger, source.Options.Schema, Version);
        return present;

        async Task RunAsync(string sql)
        {
            var command = source.Command(connection, sql);
            await using var end = command.ConfigureAwait(false);
            await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <returns>-1 without a schema, 0 without tables.</returns>
    private static async Task<int> ReadVersionAsync(NpgsqlConnection connection, PostgresSource source, CancellationToken cancellationToken)
    {
        // From the catalogue's tables: what to_regclass finds may be what this session remembers from before it waited for the lock.
        var asked = source.Command(
            connection,
            """
            SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
                EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'versions')
            """,
            source.Options.Schema);
        await using var end = asked.ConfigureAwait(false);
        var reader = await asked.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        bool hasSchema, hasTables;
        await using (reader.ConfigureAwait(false))
        {
            await reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            (hasSchema, hasTables) = (reader.GetBoolean(0), reader.GetBoolean(1));
        }

        if (!hasTables) return hasSchema ? 0 : -1;
        var versions = source.Command(connection, $"SELECT coalesce(max(version), 0) FROM {source.Schema}.versions");
        await using var versionsEnd = versions.ConfigureAwait(false);
        var version = (int)(await versions.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false))!;
        if (version > Version)
            throw new StoreFormatException(version, $"The schema {source.Schema} has version {version}, and this version of DataSync knows up to {Version}. Update the app.");
        return version;
    }
}
