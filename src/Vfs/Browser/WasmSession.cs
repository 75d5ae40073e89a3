using System.Runtime.InteropServices.JavaScript;

namespace DataSync.Vfs.Browser;

/// <summary>The session extension of the WebAssembly build. Pointers are ints, as in <see cref="SqliteImports"/>.</summary>
internal static unsafe partial class WasmSession
{
    private const string Raw = "raw.sqlite3session_";

    /// <inheritdoc cref="Undo.SessionApi.Create"/>
    public static int Create(int db, byte* schema, out nint session)
    {
        int name = SqliteImports.CopyIn((int)schema, -1), result = SqliteImports.Malloc(sizeof(int));
        var code = name == 0 || result == 0 ? SqliteResult.NoMemory : SessionCreate(db, name, result);
        session = code == SqliteResult.Ok ? SqliteImports.ReadInt(result) : 0;
        SqliteImports.Free(name);
        SqliteImports.Free(result);
        return code;
    }

    /// <summary>Switches an option of a session on.</summary>
    public static int SwitchOn(int session, int option)
    {
        var on = 1;
        var value = SqliteImports.CopyIn((int)&on, sizeof(int));
        var code = value == 0 ? SqliteResult.NoMemory : SessionConfigure(session, option, value);
        SqliteImports.Free(value);
        return code;
    }

    /// <summary>Records the changes to all tables, and has the database's file told of them.</summary>
    public static int AttachAll(int session, int db)
    {
        SessionFilter(session, SqliteImports.PointerOf("record"), db);
        return SessionAttach(session, 0);
    }

    /// <inheritdoc cref="Native.NativeVfs.Watch"/>
    [JSImport("watch", SqliteImports.Module)]
    public static partial void Watch(int db);

    /// <inheritdoc cref="Undo.SessionApi.Delete"/>
    [JSImport(Raw + "delete", SqliteImports.Module)]
    public static partial void Delete(int session);

    /// <inheritdoc cref="Undo.SessionApi.TakeChangeset"/>
    public static int TakeChangeset(int session, out byte[] changeset)
    {
        changeset = [];
        var result = SqliteImports.Malloc(2 * sizeof(int));
        if (result == 0) return SqliteResult.NoMemory;
        var code = SessionChangeset(session, result, result + sizeof(int));
        if (code == SqliteResult.Ok)
        {
            int size = SqliteImports.ReadInt(result), bytes = SqliteImports.ReadInt(result + sizeof(int));
            changeset = new byte[size];
            fixed (byte* target = changeset)
            {
                if (size > 0) SqliteImports.CopyOut(bytes, (int)target, size);
            }

            SqliteImports.Free(bytes);
        }

        SqliteImports.Free(result);
        return code;
    }

    /// <inheritdoc cref="Undo.SessionApi.Apply"/>
    public static int Apply(int db, ReadOnlySpan<byte> changeset, int flags, out (int Kind, string? Table) conflict)
    {
        conflict = default;
        int bytes;
        fixed (byte* source = changeset) bytes = SqliteImports.CopyIn((int)source, changeset.Length);
        if (bytes == 0) return SqliteResult.NoMemory;
        ForgetConflict();
        var code = ChangesetApply(db, changeset.Length, bytes, 0, SqliteImports.PointerOf("conflict"), 0, 0, 0, flags);
        conflict = (ConflictKind(), ConflictTable());
        SqliteImports.Free(bytes);
        return code;
    }

    [JSImport(Raw + "create", SqliteImports.Module)] private static partial int SessionCreate(int db, int schema, int outSession);
    [JSImport(Raw + "object_config", SqliteImports.Module)] private static partial int SessionConfigure(int session, int option, int value);
    [JSImport(Raw + "table_filter", SqliteImports.Module)] private static partial void SessionFilter(int session, int filter, int context);
    [JSImport(Raw + "attach", SqliteImports.Module)] private static partial int SessionAttach(int session, int table);
    [JSImport(Raw + "changeset", SqliteImports.Module)] private static partial int SessionChangeset(int session, int outSize, int outBytes);
    [JSImport("raw.sqlite3changeset_apply_v2", SqliteImports.Module)] private static partial int ChangesetApply(int db, int size, int bytes, int filter, int conflict, int context, int outRebase, int outSize, int flags);
    [JSImport("forgetConflict", SqliteImports.Module)] private static partial void ForgetConflict();
    [JSImport("conflictKind", SqliteImports.Module)] private static partial int ConflictKind();
    [JSImport("conflictTable", SqliteImports.Module)] private static partial string? ConflictTable();
}
