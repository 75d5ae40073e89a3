using DataSync.Vfs.Browser;
using DataSync.Vfs.Native;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs.Undo;

/// <summary>
/// SQLite's session extension, natively and in the browser: what changes rows is recorded as a changeset, which can be applied or taken back.
/// </summary>
internal static unsafe class SessionApi
{
    /// <summary>What SQLite calls the kinds of conflicts (<c>SQLITE_CHANGESET_*</c>).</summary>
    internal const int DataConflict = 1, NotFoundConflict = 2, ExistsConflict = 3, ConstraintConflict = 4, ForeignKeyConflict = 5;

    /// <summary>A conflict handler's answer: give up, and take back what was applied (<c>SQLITE_CHANGESET_ABORT</c>).</summary>
    internal const int AbortApply = 2;

    // Tables without a primary key have their rowid for one. SQLITE_SESSION_OBJCONFIG_ROWID.
    private const int RowIdOption = 2;

    // SQLITE_CHANGESETAPPLY_INVERT; …_FKNOACTION: what a foreign key's action did is in the changeset itself.
    private const int Invert = 0x2, NoForeignKeyActions = 0x8;

    /// <summary>Begins to record changes to all tables of the main database. It takes the place of the connection's preupdate hook, and tells the file what that would have told it.</summary>
    /// <exception cref="SqliteException">There is no memory.</exception>
    public static nint Create(sqlite3 db)
    {
        var connection = db.DangerousGetHandle();
        nint session;
        fixed (byte* schema = "main\0"u8)
        {
            Check(OperatingSystem.IsBrowser() ? WasmSession.Create((int)connection, schema, out session) : NativeSession.Create(connection, schema, out session));
        }

        try
        {
            Check(OperatingSystem.IsBrowser() ? WasmSession.SwitchOn((int)session, RowIdOption) : NativeSession.SwitchOn(session, RowIdOption));
            Check(OperatingSystem.IsBrowser() ? WasmSession.AttachAll((int)session, (int)connection) : NativeSession.AttachAll(session, connection));
            return session;
        }
        catch
        {
            Delete(session, db);
            throw;
        }
    }

    /// <summary>Ends the recording, and gives the connection its hook back: from here on that tells which tables are changed, as the recording did.</summary>
    public static void Delete(nint session, sqlite3 db)
    {
        var connection = db.DangerousGetHandle();
        if (OperatingSystem.IsBrowser())
        {
            WasmSession.Delete((int)session);
            WasmSession.Watch((int)connection);
        }
        else
        {
            NativeSession.Delete(session);
            NativeVfs.Watch(connection);
        }
    }

    /// <summary>What was recorded so far; nothing where each row is as it was.</summary>
    /// <exception cref="InvalidOperationException">The schema of a table was changed after its rows.</exception>
    /// <exception cref="SqliteException">It could not be read.</exception>
    public static byte[] TakeChangeset(nint session)
    {
        byte[] changeset;
        var code = OperatingSystem.IsBrowser() ? WasmSession.TakeChangeset((int)session, out changeset) : NativeSession.TakeChangeset(session, out changeset);
        if (code == SqliteResult.Schema)
        {
            throw new InvalidOperationException(
                "The work changed rows of a table and then the table itself (ALTER or DROP TABLE), which cannot be undone, so nothing of it was kept. Change schemas outside of an undo unit.");
        }

        Check(code);
        return changeset;
    }

    /// <summary>Makes a changeset's changes, or takes them back; all or, where one meets a conflict, none.</summary>
    /// <param name="db">The connection, in a transaction.</param>
    /// <param name="changeset">As it was recorded.</param>
    /// <param name="isInverted">Whether they are taken back.</param>
    /// <returns>The conflict: its kind, and its table where SQLite tells one; 0 for none.</returns>
    /// <exception cref="SqliteException">It failed otherwise.</exception>
    public static (int Kind, string? Table) Apply(sqlite3 db, ReadOnlySpan<byte> changeset, bool isInverted)
    {
        var connection = db.DangerousGetHandle();
        var flags = NoForeignKeyActions | (isInverted ? Invert : 0);
        (int Kind, string? Table) conflict;
        var code = OperatingSystem.IsBrowser()
            ? WasmSession.Apply((int)connection, changeset, flags, out conflict)
            : NativeSession.Apply(connection, changeset, flags, out conflict);
        if (conflict.Kind == 0 && code != SqliteResult.Ok) SqliteException.ThrowExceptionForRC(code, db);
        return conflict;
    }

    // The connection knows nothing of these codes.
    private static void Check(int code)
    {
        if (code != SqliteResult.Ok) throw new SqliteException($"SQLite Error {code}: '{raw.sqlite3_errstr(code).utf8_to_string()}'.", code & 0xFF, code);
    }
}
