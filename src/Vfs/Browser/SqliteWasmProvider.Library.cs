using System.Runtime.InteropServices;
using System.Text;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

// The library as a whole, and memory.
internal sealed unsafe partial class SqliteWasmProvider
{
    private const int ConfigLog = 16;

    private Hook<delegate_log>? _log;
    private int _logId;

    int ISQLite3Provider.sqlite3_threadsafe() => 0;

    // EF Core asks before anything is open, and so before the module is loaded.
    utf8z ISQLite3Provider.sqlite3_libversion() => utf8z.FromString(SqliteWasm.Version);

    int ISQLite3Provider.sqlite3_libversion_number() => System.Version.Parse(SqliteWasm.Version) is var version ? version.Major * 1_000_000 + version.Minor * 1000 + version.Build : 0;

    utf8z ISQLite3Provider.sqlite3_sourceid() => Constant(SqliteImports.SourceId());

    utf8z ISQLite3Provider.sqlite3_errstr(int rc) => Constant(SqliteImports.ErrStr(rc));

    int ISQLite3Provider.sqlite3_initialize() => SqliteImports.InitializeLibrary();

    int ISQLite3Provider.sqlite3_complete(utf8z sql)
    {
        using var text = new Argument(sql);
        return SqliteImports.Complete(text.At);
    }

    int ISQLite3Provider.sqlite3_compileoption_used(utf8z sql)
    {
        using var text = new Argument(sql);
        return SqliteImports.CompileOptionUsed(text.At);
    }

    utf8z ISQLite3Provider.sqlite3_compileoption_get(int n) => Constant(SqliteImports.CompileOptionGet(n));

    int ISQLite3Provider.sqlite3_keyword_count() => SqliteImports.KeywordCount();

    int ISQLite3Provider.sqlite3_keyword_name(int i, out string name)
    {
        var code = SqliteImports.KeywordName(i, Out(0), Out(1));
        name = "";
        if (code != SqliteResult.Ok) return code;

        // Not terminated by a zero.
        var bytes = new byte[ReadOut(1)];
        fixed (byte* at = bytes) SqliteImports.CopyOut(ReadOut(0), (int)at, bytes.Length);
        name = Encoding.UTF8.GetString(bytes);
        return code;
    }

    int ISQLite3Provider.sqlite3_status(int op, out int current, out int highwater, int resetFlag)
    {
        var code = SqliteImports.Status(op, Out(0), Out(1), resetFlag);
        (current, highwater) = (ReadOut(0), ReadOut(1));
        return code;
    }

    long ISQLite3Provider.sqlite3_memory_used()
    {
        SqliteImports.Status(0, Out(0), Out(1), 0);
        return ReadOut(0);
    }

    long ISQLite3Provider.sqlite3_memory_highwater(int resetFlag)
    {
        SqliteImports.Status(0, Out(0), Out(1), resetFlag);
        return ReadOut(1);
    }

    int ISQLite3Provider.sqlite3_stricmp(nint p, nint q) => Compare((byte*)p, (byte*)q, int.MaxValue);

    int ISQLite3Provider.sqlite3_strnicmp(nint p, nint q, int n) => Compare((byte*)p, (byte*)q, n);

    nint ISQLite3Provider.sqlite3_malloc(int n) => n <= 0 ? 0 : (nint)NativeMemory.Alloc((nuint)n);

    nint ISQLite3Provider.sqlite3_malloc64(long n) => n <= 0 ? 0 : (nint)NativeMemory.Alloc((nuint)n);

    void ISQLite3Provider.sqlite3_free(nint p) => NativeMemory.Free((void*)p);

    int ISQLite3Provider.sqlite3_config_log(delegate_log func, object v)
    {
        _log = func is null ? null : new(func, v);
        var id = _log is null ? 0 : SqliteExports.Register(_log);
        var code = SqliteImports.ConfigPointers(ConfigLog, id == 0 ? 0 : SqliteImports.PointerOf("log"), id);
        SqliteExports.Release(_logId);
        _logId = id;
        return code;
    }

    void ISQLite3Provider.sqlite3_log(int errcode, utf8z s)
    {
        if (_logId != 0) SqliteExports.CallLog(_logId, errcode, s.utf8_to_string());
    }

    int ISQLite3Provider.sqlite3__vfs__delete(utf8z vfs, utf8z pathname, int syncDir) =>
        vfs.utf8_to_string() is null or BlockVfs.Name ? BlockVfs.Shared.Delete(pathname.utf8_to_string()) : SqliteResult.Error;

    private static int Compare(byte* a, byte* b, int length)
    {
        if (a == null || b == null) return a == b ? 0 : a == null ? -1 : 1;
        for (var i = 0; i < length; i++)
        {
            var (x, y) = (Fold(a[i]), Fold(b[i]));
            if (x != y || x == 0) return x - y;
        }

        return 0;
    }

    private static int Fold(byte value) => value is >= (byte)'A' and <= (byte)'Z' ? value + 32 : value;

    private static nint CopyOf(ReadOnlySpan<byte> text)
    {
        var copy = (byte*)NativeMemory.Alloc((nuint)text.Length + 1);
        text.CopyTo(new(copy, text.Length));
        copy[text.Length] = 0;
        return (nint)copy;
    }
}
