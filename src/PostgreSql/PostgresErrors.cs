using System.Net.Sockets;
using DataSync.Coordination;
using DataSync.Storage;
using Npgsql;

namespace DataSync.PostgreSql;

/// <summary>What PostgreSQL and the network say, as the exceptions that say what to do. The one place that knows SQLSTATEs.</summary>
internal static class PostgresErrors
{
    /// <summary>Whether it came from the server, from Npgsql, or from the network between; anything else is a mistake of this library or of a sink.</summary>
    public static bool IsDatabaseError(Exception error) =>
        error is NpgsqlException or SocketException or IOException or TimeoutException
        || (error is ObjectDisposedException { ObjectName: var name } && name.Contains(nameof(Npgsql), StringComparison.Ordinal));

    /// <summary>
    /// Whether the connection is gone, or is of no use: then nobody knows what became of what was under way, and all is found out by connecting anew.
    /// So is a server that only reads: it was the primary, and another one is now.
    /// </summary>
    public static bool IsLost(Exception error) => error switch
    {
        PostgresException { SqlState: var state } => state.StartsWith("08", StringComparison.Ordinal) || state.StartsWith("57P", StringComparison.Ordinal)
            || state is PostgresErrorCodes.ReadOnlySqlTransaction or PostgresErrorCodes.TooManyConnections or PostgresErrorCodes.LockNotAvailable
            || IsSchemaGone(error) || IsRolledBackForOthers(error),
        _ => IsDatabaseError(error),
    };

    /// <summary>Whether the server took the transaction back because of another one, so that the same may be done once more, at once.</summary>
    public static bool IsRolledBackForOthers(Exception error) =>
        error is PostgresException { SqlState: PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected };

    /// <summary>Whether somebody dropped the schema or its tables under an open store.</summary>
    public static bool IsSchemaGone(Exception error) =>
        error is PostgresException { SqlState: PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.InvalidSchemaName };

    public static bool IsTaken(Exception error) => error is PostgresException { SqlState: PostgresErrorCodes.UniqueViolation };

    /// <summary>For an open store; a lost connection is the caller's to report.</summary>
    public static StorageException ToStorage(Exception error)
    {
        if (error is StorageException known) return known;
        if (error is not PostgresException { SqlState: var state } refused)
            return new StorageClosedException(StoreClosedReason.Lost, $"The connection to PostgreSQL was lost ({error.Message}). It is opened again; otherwise open the database again.") { PlatformName = NameOf(error) };
        return state switch
        {
            PostgresErrorCodes.DiskFull => new StorageQuotaException(
                "The disk of the PostgreSQL server is full, so the commit was not written. Free space there, then try again.", error) { PlatformName = state },
            PostgresErrorCodes.DataCorrupted or PostgresErrorCodes.IndexCorrupted => new CorruptStoreException(
                null, $"PostgreSQL reports damage in the database's tables: {refused.MessageText}. Restore the server from a back-up.") { PlatformName = state },
            _ when IsForbidden(state) => Unavailable(error),
            _ when IsLost(error) => new StorageClosedException(StoreClosedReason.Lost, $"PostgreSQL ended the session ({state}: {refused.MessageText}). Open the database again.") { PlatformName = state },
            _ => new StorageException($"PostgreSQL refused the work and changed nothing ({state}: {refused.MessageText}).", error) { PlatformName = state },
        };
    }

    /// <summary>For opening: there is no store to lose yet.</summary>
    public static StorageException ToOpening(Exception error) => error switch
    {
        StorageException known => known,
        PostgresException { SqlState: var state } when !IsForbidden(state) && !IsLost(error) => ToStorage(error),
        _ => Unavailable(error),
    };

    /// <summary>For the coordination.</summary>
    public static CoordinationException ToCoordination(Exception error) => error as CoordinationException ?? new(
        $"The processes cannot be coordinated: PostgreSQL cannot be reached or refused it ({error.Message}). Check the connection string and the server.", error);

    private static bool IsForbidden(string state) =>
        state.StartsWith("28", StringComparison.Ordinal) || state is PostgresErrorCodes.InsufficientPrivilege or PostgresErrorCodes.InvalidCatalogName;

    private static StorageUnavailableException Unavailable(Exception error) => error switch
    {
        PostgresException { SqlState: PostgresErrorCodes.InsufficientPrivilege } refused => new(
            $"The role may not do that ({refused.MessageText}). Grant it the schema: GRANT CREATE ON DATABASE … or, where the schema exists, GRANT USAGE, CREATE ON SCHEMA …", error)
        { PlatformName = refused.SqlState },
        PostgresException refused => new(
            $"PostgreSQL refused the session ({refused.SqlState}: {refused.MessageText}). Check the connection string and the server.", error) { PlatformName = refused.SqlState },
        _ => new($"PostgreSQL cannot be reached ({error.Message}). Check that the server runs, and the connection string.", error) { PlatformName = NameOf(error) },
    };

    private static string NameOf(Exception error) =>
        (error as SocketException ?? error.InnerException as SocketException) is { } socket ? socket.SocketErrorCode.ToString() : error.GetType().Name;
}
