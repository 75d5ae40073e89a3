using System.Runtime.InteropServices;

namespace DataSync.Vfs.Native;

/// <summary>The session extension of a native SQLite; SQLitePCLRaw has none of it.</summary>
internal static unsafe partial class NativeSession
{
    private const string Library = "e_sqlite3";

    [ThreadStatic]
    private static (int Kind, string? Table) _conflict;

    /// <inheritdoc cref="Undo.SessionApi.Create"/>
    public static int Create(nint db, byte* schema, out nint session) => SessionCreate(db, schema, out session);

    /// <summary>Switches an option of a session on.</summary>
    public static int SwitchOn(nint session, int option)
    {
        var on = 1;
        return SessionConfigure(session, option, ref on);
    }

    /// <summary>Records the changes to all tables, and has the database's file told of them.</summary>
    public static int AttachAll(nint session, nint db)
    {
        SessionFilter(session, &NoteRecorded, db);
        return SessionAttach(session, null);
    }

    /// <inheritdoc cref="Undo.SessionApi.Delete"/>
    [LibraryImport(Library, EntryPoint = "sqlite3session_delete")]
    public static partial void Delete(nint session);

    /// <inheritdoc cref="Undo.SessionApi.TakeChangeset"/>
    public static int TakeChangeset(nint session, out byte[] changeset)
    {
        changeset = [];
        var code = SessionChangeset(session, out var size, out var bytes);
        if (code == SqliteResult.Ok && size > 0) changeset = new ReadOnlySpan<byte>(bytes, size).ToArray();
        Free(bytes);
        return code;
    }

    /// <inheritdoc cref="Undo.SessionApi.Apply"/>
    public static int Apply(nint db, ReadOnlySpan<byte> changeset, int flags, out (int Kind, string? Table) conflict)
    {
        _conflict = default;
        fixed (byte* bytes = changeset)
        {
            var code = ChangesetApply(db, changeset.Length, bytes, null, &NoteConflict, null, null, null, flags);
            conflict = _conflict;
            return code;
        }
    }

    [UnmanagedCallersOnly]
    private static int NoteConflict(void* context, int kind, nint change)
    {
        _conflict.Kind = kind;
        _conflict.Table = kind != Undo.SessionApi.ForeignKeyConflict && ChangesetOperation(change, out var table, out _, out _, out _) == SqliteResult.Ok
            ? Marshal.PtrToStringUTF8(table)
            : null;
        return Undo.SessionApi.AbortApply;
    }

    // Asked once for each table, before its first row is looked at: so also of those whose rows cannot be recorded.
    [UnmanagedCallersOnly]
    private static int NoteRecorded(nint db, byte* table)
    {
        NativeVfs.Touch(db, null, table);
        return 1;
    }

    [LibraryImport(Library, EntryPoint = "sqlite3session_table_filter")]
    private static partial void SessionFilter(nint session, delegate* unmanaged<nint, byte*, int> filter, nint context);

    [LibraryImport(Library, EntryPoint = "sqlite3session_create")]
    private static partial int SessionCreate(nint db, byte* schema, out nint session);

    [LibraryImport(Library, EntryPoint = "sqlite3session_object_config")]
    private static partial int SessionConfigure(nint session, int option, ref int value);

    [LibraryImport(Library, EntryPoint = "sqlite3session_attach")]
    private static partial int SessionAttach(nint session, byte* table);

    [LibraryImport(Library, EntryPoint = "sqlite3session_changeset")]
    private static partial int SessionChangeset(nint session, out int size, out byte* bytes);

    [LibraryImport(Library, EntryPoint = "sqlite3changeset_apply_v2")]
    private static partial int ChangesetApply(
        nint db, int size, byte* bytes, void* filter, delegate* unmanaged<void*, int, nint, int> conflict, void* context, void** rebase, int* rebaseSize, int flags);

    [LibraryImport(Library, EntryPoint = "sqlite3changeset_op")]
    private static partial int ChangesetOperation(nint change, out nint table, out int columns, out int operation, out int isIndirect);

    [LibraryImport(Library, EntryPoint = "sqlite3_free")]
    private static partial void Free(byte* at);
}
