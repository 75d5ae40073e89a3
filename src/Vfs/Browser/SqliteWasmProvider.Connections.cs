using System.Runtime.InteropServices;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

// Connections.
internal sealed unsafe partial class SqliteWasmProvider
{
    private const int OpenReadWriteCreate = 6, OpenMemory = 0x80, OpenSharedCache = 0x20000, FreeOnClose = 1, NoCopy = 1, EnableForeignKeys = 1002;

    int ISQLite3Provider.sqlite3_open(utf8z filename, out nint db) => Open(filename, out db, OpenReadWriteCreate, utf8z.FromPtr(null));

    int ISQLite3Provider.sqlite3_open_v2(utf8z filename, out nint db, int flags, utf8z vfs) => Open(filename, out db, flags, vfs);

    int ISQLite3Provider.sqlite3_close_v2(nint db)
    {
        var code = SqliteImports.Close((int)db);
        _explanations.Remove((int)db);
        _changes.Remove((int)db);
        ReleaseHooks((int)db);
        return code;
    }

    // This build exports only close_v2, which never says BUSY.
    int ISQLite3Provider.sqlite3_close(nint db) => db != 0 && SqliteImports.NextStmt((int)db, 0) != 0
        ? SqliteResult.Busy
        : ((ISQLite3Provider)this).sqlite3_close_v2(db);

    void ISQLite3Provider.sqlite3_interrupt(sqlite3 db) => SqliteImports.Interrupt(Handle(db));

    int ISQLite3Provider.sqlite3_db_readonly(sqlite3 db, utf8z dbName)
    {
        using var name = new Argument(dbName);
        return SqliteImports.DbReadOnly(Handle(db), name.At);
    }

    utf8z ISQLite3Provider.sqlite3_db_filename(sqlite3 db, utf8z att)
    {
        using var name = new Argument(att);
        return Text(SqliteImports.DbFileName(Handle(db), name.At));
    }

    utf8z ISQLite3Provider.sqlite3_errmsg(sqlite3 db) => utf8z.FromString(Message(Handle(db)));

    int ISQLite3Provider.sqlite3_errcode(sqlite3 db) => SqliteImports.ErrCode(Handle(db));

    int ISQLite3Provider.sqlite3_extended_errcode(sqlite3 db) => SqliteImports.ExtendedErrCode(Handle(db));

    int ISQLite3Provider.sqlite3_extended_result_codes(sqlite3 db, int onoff) => SqliteImports.ExtendedResultCodes(Handle(db), onoff);

    long ISQLite3Provider.sqlite3_last_insert_rowid(sqlite3 db) => SqliteImports.LastInsertRowId(Handle(db));

    int ISQLite3Provider.sqlite3_changes(sqlite3 db) => SqliteImports.Changes(Handle(db));

    int ISQLite3Provider.sqlite3_total_changes(sqlite3 db) => SqliteImports.TotalChanges(Handle(db));

    int ISQLite3Provider.sqlite3_get_autocommit(sqlite3 db) => SqliteImports.GetAutocommit(Handle(db));

    int ISQLite3Provider.sqlite3_busy_timeout(sqlite3 db, int ms) => SqliteImports.BusyTimeout(Handle(db), ms);

    int ISQLite3Provider.sqlite3_limit(sqlite3 db, int id, int newVal)
    {
        if (newVal >= 0) ChangesOf(Handle(db)).IsLasting = true;
        return SqliteImports.Limit(Handle(db), id, newVal);
    }

    int ISQLite3Provider.sqlite3_db_status(sqlite3 db, int op, out int current, out int highest, int resetFlg)
    {
        var code = SqliteImports.DbStatus(Handle(db), op, Out(0), Out(1), resetFlg);
        (current, highest) = (ReadOut(0), ReadOut(1));
        return code;
    }

    int ISQLite3Provider.sqlite3_db_config(sqlite3 db, int op, utf8z val)
    {
        // SQLite keeps the pointer (SQLITE_DBCONFIG_MAINDBNAME), so the copy is never freed.
        return SqliteImports.DbConfigText(Handle(db), op, new Argument(val).At);
    }

    int ISQLite3Provider.sqlite3_db_config(sqlite3 db, int op, int val, out int result)
    {
        if (val >= 0) ChangesOf(Handle(db)).IsLasting = true;
        var code = SqliteImports.DbConfigInt(Handle(db), op, val, Out(0));
        result = code == SqliteResult.Ok ? ReadOut(0) : 0;
        return code;
    }

    // SQLITE_DBCONFIG_LOOKASIDE: memory of .NET is not SQLite's to use, so only "allocate it yourself" can be passed on.
    int ISQLite3Provider.sqlite3_db_config(sqlite3 db, int op, nint ptr, int int0, int int1) =>
        ptr == 0 ? SqliteImports.DbConfigPointer(Handle(db), op, 0, int0, int1) : SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_table_column_metadata(
        sqlite3 db, utf8z dbName, utf8z tblName, utf8z colName, out utf8z dataType, out utf8z collSeq, out int notNull, out int primaryKey, out int autoInc)
    {
        using var name = new Argument(dbName);
        using var table = new Argument(tblName);
        using var column = new Argument(colName);
        var code = SqliteImports.TableColumnMetadata(Handle(db), name.At, table.At, column.At, Out(0), Out(1), Out(2), Out(3), Out(4));
        var isFound = code == SqliteResult.Ok;
        dataType = Text(isFound ? ReadOut(0) : 0);
        collSeq = Text(isFound ? ReadOut(1) : 0);
        (notNull, primaryKey, autoInc) = isFound ? (ReadOut(2), ReadOut(3), ReadOut(4)) : (0, 0, 0);
        return Explain(Handle(db), code);
    }

    sqlite3_backup ISQLite3Provider.sqlite3_backup_init(sqlite3 destDb, utf8z destName, sqlite3 sourceDb, utf8z sourceName)
    {
        using var target = new Argument(destName);
        using var source = new Argument(sourceName);
        return sqlite3_backup.From(SqliteImports.BackupInit(Handle(destDb), target.At, Handle(sourceDb), source.At));
    }

    int ISQLite3Provider.sqlite3_backup_step(sqlite3_backup backup, int nPage) => SqliteImports.BackupStep(Handle(backup), nPage);

    int ISQLite3Provider.sqlite3_backup_remaining(sqlite3_backup backup) => SqliteImports.BackupRemaining(Handle(backup));

    int ISQLite3Provider.sqlite3_backup_pagecount(sqlite3_backup backup) => SqliteImports.BackupPageCount(Handle(backup));

    int ISQLite3Provider.sqlite3_backup_finish(nint backup) => SqliteImports.BackupFinish((int)backup);

    nint ISQLite3Provider.sqlite3_serialize(sqlite3 db, utf8z schema, out long size, int flags)
    {
        using var name = new Argument(schema);
        size = 0;

        // SQLITE_SERIALIZE_NOCOPY asks for SQLite's own memory, which callers cannot read; they then ask for a copy.
        if ((flags & NoCopy) != 0) return 0;
        var data = SqliteImports.Serialize(Handle(db), name.At, Out(0), flags);
        size = ReadOut64(0);
        if (data == 0) return 0;
        var copy = (nint)NativeMemory.Alloc((nuint)Math.Max(size, 1));
        SqliteImports.CopyOut(data, (int)copy, (int)size);
        SqliteImports.Free(data);
        return copy;
    }

    int ISQLite3Provider.sqlite3_deserialize(sqlite3 db, utf8z schema, nint data, long szDb, long szBuf, int flags)
    {
        using var name = new Argument(schema);
        var copy = SqliteImports.CopyIn((int)data, (int)szDb);
        if (copy == 0) return SqliteResult.NoMemory;
        var code = SqliteImports.Deserialize(Handle(db), name.At, copy, szDb, szDb, flags | FreeOnClose);
        if ((flags & FreeOnClose) != 0) NativeMemory.Free((void*)data);
        return Explain(Handle(db), code);
    }

    private int Open(utf8z filename, out nint db, int flags, utf8z vfs)
    {
        if (!SqliteWasm.IsLoaded) throw new InvalidOperationException("SQLite is not loaded yet. Await DataSyncFactory.OpenAsync (or SqliteWasm.InitializeAsync) before the first connection is opened, or open a DataSyncConnection with OpenAsync.");
        if ((flags & (OpenMemory | OpenSharedCache)) == (OpenMemory | OpenSharedCache))
        {
            // SQLite would give each connection a database of its own, without a word.
            throw new SqliteException(
                "Connections cannot share a memory database by Cache=Shared here: SQLite for the browser is built without shared caches. Use Data Source=file:/name?vfs=memdb, which all connections of the page share.",
                SqliteResult.CantOpen);
        }

        using var name = new Argument(filename);
        using var vfsName = new Argument(vfs);
        var code = SqliteImports.Open(name.At, Out(0), flags, vfsName.At);
        db = ReadOut(0);

        if (code == SqliteResult.Ok) SetDefaults((int)db);
        return Explain((int)db, code);
    }

    /// <summary>
    /// As in the SQLite that .NET apps use elsewhere (e_sqlite3): an app must not lose its constraints in the browser; and new
    /// databases have pages of a block, where this build's are twice as large.
    /// </summary>
    private static void SetDefaults(int db)
    {
        SqliteImports.DbConfigInt(db, EnableForeignKeys, 1, 0);
        var results = stackalloc int[2];
        var sql = "PRAGMA page_size=4096"u8;
        fixed (byte* at = sql) SqliteImports.Prepare(db, (int)at, sql.Length, 0, (int)results);
        SqliteImports.Finalize(results[0]);
    }
}
