using System.Runtime.CompilerServices;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

// Incremental blob I/O. This build of SQLite does not export it, so WasmBlob does it with statements.
internal sealed unsafe partial class SqliteWasmProvider
{
    private readonly Dictionary<nint, WasmBlob> _blobs = [];
    private int _lastBlob;

    int ISQLite3Provider.sqlite3_blob_open(sqlite3 db, utf8z db_utf8, utf8z table_utf8, utf8z col_utf8, long rowid, int flags, out sqlite3_blob blob)
    {
        var opened = new WasmBlob(Handle(db), db_utf8.utf8_to_string() ?? "main", table_utf8.utf8_to_string(), col_utf8.utf8_to_string(), flags != 0);
        var code = opened.Open(rowid);
        if (code != SqliteResult.Ok)
        {
            opened.Close();
            blob = CreateBlob(null, 0);
            return Explain(Handle(db), code);
        }

        _blobs.Add(++_lastBlob, opened);
        blob = CreateBlob(null, _lastBlob);
        return code;
    }

    int ISQLite3Provider.sqlite3_blob_bytes(sqlite3_blob blob) => Find(blob)?.Size ?? 0;

    int ISQLite3Provider.sqlite3_blob_reopen(sqlite3_blob blob, long rowid) => Find(blob)?.Open(rowid) ?? SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_blob_write(sqlite3_blob blob, ReadOnlySpan<byte> b, int offset) => Find(blob)?.Write(b, offset) ?? SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_blob_read(sqlite3_blob blob, Span<byte> b, int offset) => Find(blob)?.Read(b, offset) ?? SqliteResult.Misuse;

    int ISQLite3Provider.sqlite3_blob_close(nint blob) => _blobs.Remove(blob, out var found) ? found.Close() : SqliteResult.Ok;

    [UnsafeAccessor(UnsafeAccessorKind.StaticMethod, Name = "From")]
    private static extern sqlite3_blob CreateBlob(sqlite3_blob? type, nint handle);

    private WasmBlob? Find(sqlite3_blob blob) => _blobs.GetValueOrDefault(blob.DangerousGetHandle());
}
