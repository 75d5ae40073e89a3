using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>What Microsoft.Data.Sqlite does not offer, or only with more ado.</summary>
internal static class ConnectionExtensions
{
    /// <summary>Whether a transaction is open, begun by whatever means.</summary>
    public static bool InTransaction(this SqliteConnection connection) => connection.Handle is { } handle && raw.sqlite3_get_autocommit(handle) == 0;

    /// <summary>Ends a transaction that failed, whatever its state.</summary>
    /// <returns>Whether there was one.</returns>
    public static bool RollBack(this SqliteConnection connection)
    {
        if (!connection.InTransaction()) return false;
        raw.sqlite3_exec(connection.Handle, "ROLLBACK");
        return true;
    }

    /// <summary>A token that is cancelled makes the running statement fail; dispose of this when it has ended.</summary>
    public static CancellationTokenRegistration InterruptOn(this SqliteConnection connection, CancellationToken cancellationToken) =>
        cancellationToken.UnsafeRegister(static self => raw.sqlite3_interrupt(((SqliteConnection)self!).Handle), connection);

    /// <summary>Runs statements without rows, whatever transaction a command would have to carry.</summary>
    /// <exception cref="SqliteException">One failed.</exception>
    public static void RunText(this SqliteConnection connection, string sql)
    {
        var handle = connection.Handle!;
        SqliteException.ThrowExceptionForRC(raw.sqlite3_exec(handle, sql), handle);
    }
}
