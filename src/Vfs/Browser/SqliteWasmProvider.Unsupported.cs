using SQLitePCL;

namespace DataSync.Vfs.Browser;

// What makes no sense in a browser, or what this build of SQLite leaves out. docs/VFS.md says why, one by one.
internal sealed unsafe partial class SqliteWasmProvider
{
    // Options that must be set before SQLite starts: it has started.
    int ISQLite3Provider.sqlite3_config(int op) => SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_config(int op, int val) => SqliteResult.Misuse;

    // Shutting the library down would pull it from under every other user in the tab.
    int ISQLite3Provider.sqlite3_shutdown() => SqliteResult.Misuse;

    // Not compiled in: shared cache, heap limits, native extensions, encryption, snapshots (they need a WAL).
    int ISQLite3Provider.sqlite3_enable_shared_cache(int enable) => enable == 0 ? SqliteResult.Ok : SqliteResult.Misuse;

    long ISQLite3Provider.sqlite3_soft_heap_limit64(long n) => 0;

    long ISQLite3Provider.sqlite3_hard_heap_limit64(long n) => 0;

    int ISQLite3Provider.sqlite3_enable_load_extension(sqlite3 db, int enable) => enable == 0 ? SqliteResult.Ok : SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_load_extension(sqlite3 db, utf8z zFile, utf8z zProc, out utf8z pzErrMsg)
    {
        pzErrMsg = utf8z.FromString("A browser cannot load a native extension.");
        return SqliteResult.Error;
    }

    int ISQLite3Provider.sqlite3_key(sqlite3 db, ReadOnlySpan<byte> key) => SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_key_v2(sqlite3 db, utf8z dbname, ReadOnlySpan<byte> key) => SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_rekey(sqlite3 db, ReadOnlySpan<byte> key) => SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_rekey_v2(sqlite3 db, utf8z dbname, ReadOnlySpan<byte> key) => SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_snapshot_get(sqlite3 db, utf8z schema, out nint snap)
    {
        snap = 0;
        return SqliteResult.Misuse;
    }

    int ISQLite3Provider.sqlite3_snapshot_cmp(sqlite3_snapshot p1, sqlite3_snapshot p2) =>
        throw new NotSupportedException("Snapshots need a write-ahead log, which a database on DataSync does not have.");

    int ISQLite3Provider.sqlite3_snapshot_open(sqlite3 db, utf8z schema, sqlite3_snapshot snap) => SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_snapshot_recover(sqlite3 db, utf8z name) => SqliteResult.Misuse;

    void ISQLite3Provider.sqlite3_snapshot_free(nint snap)
    {
    }

    // No write-ahead log: what SQLite answers for a database that is not in WAL mode.
    int ISQLite3Provider.sqlite3_wal_autocheckpoint(sqlite3 db, int n) => SqliteResult.Ok;

    int ISQLite3Provider.sqlite3_wal_checkpoint(sqlite3 db, utf8z dbName) => SqliteResult.Ok;

    int ISQLite3Provider.sqlite3_wal_checkpoint_v2(sqlite3 db, utf8z dbName, int eMode, out int logSize, out int framesCheckPointed)
    {
        (logSize, framesCheckPointed) = (-1, -1);
        return SqliteResult.Ok;
    }

    int ISQLite3Provider.sqlite3_win32_set_directory(int typ, utf8z path) => SqliteResult.Error;
}
