using System.Runtime.InteropServices;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

// User functions, aggregates, and the values that they take and give.
internal sealed unsafe partial class SqliteWasmProvider
{
    int ISQLite3Provider.sqlite3_create_function(sqlite3 db, byte[] name, int nArg, int flags, object v, delegate_function_scalar func) =>
        CreateFunction(db, name, nArg, flags, func is null ? null : new ScalarFunction(func, v), isAggregate: false);

    int ISQLite3Provider.sqlite3_create_function(
        sqlite3 db, byte[] name, int nArg, int flags, object v, delegate_function_aggregate_step func_step, delegate_function_aggregate_final func_final) =>
        CreateFunction(db, name, nArg, flags, func_step is null ? null : new AggregateFunction(func_step, func_final, v), isAggregate: true);

    int ISQLite3Provider.sqlite3_value_type(nint p) => SqliteImports.ValueType((int)p);

    int ISQLite3Provider.sqlite3_value_int(nint p) => SqliteImports.ValueInt((int)p);

    long ISQLite3Provider.sqlite3_value_int64(nint p) => SqliteImports.ValueInt64((int)p);

    double ISQLite3Provider.sqlite3_value_double(nint p) => SqliteImports.ValueDouble((int)p);

    int ISQLite3Provider.sqlite3_value_bytes(nint p) => SqliteImports.ValueBytes((int)p);

    utf8z ISQLite3Provider.sqlite3_value_text(nint p)
    {
        var length = SqliteImports.ValueText((int)p, 0, 0);
        if (length < 0) return utf8z.FromPtr(null);
        var copy = CallMemory.Allocate(length + 1);
        SqliteImports.ValueText((int)p, (int)copy, length + 1);
        return utf8z.FromPtrLen(copy, length);
    }

    ReadOnlySpan<byte> ISQLite3Provider.sqlite3_value_blob(nint p)
    {
        var length = SqliteImports.ValueBlob((int)p, 0, -1);
        if (length == 0) return [];
        var copy = CallMemory.Allocate(length);
        SqliteImports.ValueBlob((int)p, (int)copy, length);
        return new(copy, length);
    }

    void ISQLite3Provider.sqlite3_result_null(nint context) => SqliteImports.ResultNull((int)context);

    void ISQLite3Provider.sqlite3_result_int(nint context, int val) => SqliteImports.ResultInt((int)context, val);

    void ISQLite3Provider.sqlite3_result_int64(nint context, long val) => SqliteImports.ResultInt64((int)context, val);

    void ISQLite3Provider.sqlite3_result_double(nint context, double val) => SqliteImports.ResultDouble((int)context, val);

    void ISQLite3Provider.sqlite3_result_zeroblob(nint context, int n) => SqliteImports.ResultZeroBlob((int)context, n);

    void ISQLite3Provider.sqlite3_result_blob(nint context, ReadOnlySpan<byte> val) => Result(context, BlobResult, val);

    void ISQLite3Provider.sqlite3_result_text(nint context, ReadOnlySpan<byte> val) => Result(context, TextResult, val);

    void ISQLite3Provider.sqlite3_result_error(nint context, ReadOnlySpan<byte> strErr) => Result(context, ErrorResult, strErr);

    void ISQLite3Provider.sqlite3_result_text(nint context, utf8z val)
    {
        fixed (byte* at = val)
        {
            if (at == null) SqliteImports.ResultNull((int)context);
            else Result(context, TextResult, MemoryMarshal.CreateReadOnlySpanFromNullTerminated(at));
        }
    }

    void ISQLite3Provider.sqlite3_result_error(nint context, utf8z strErr)
    {
        fixed (byte* at = strErr) Result(context, ErrorResult, MemoryMarshal.CreateReadOnlySpanFromNullTerminated(at));
    }

    void ISQLite3Provider.sqlite3_result_error_code(nint context, int code) => SqliteImports.ResultErrorCode((int)context, code);

    void ISQLite3Provider.sqlite3_result_error_nomem(nint context) => SqliteImports.ResultErrorNoMem((int)context);

    void ISQLite3Provider.sqlite3_result_error_toobig(nint context) => SqliteImports.ResultErrorTooBig((int)context);

    private static void Result(nint context, int kind, ReadOnlySpan<byte> value)
    {
        fixed (byte* at = value) SqliteImports.ResultBytes((int)context, kind, (int)at, value.Length);
    }

    private int CreateFunction(sqlite3 db, byte[] name, int arguments, int flags, object? function, bool isAggregate) =>
        Register(Handle(db), name, arguments, flags, function, id =>
        {
            fixed (byte* at = name) return SqliteImports.CreateFunction(Handle(db), (int)at, arguments, flags | Utf8, id, isAggregate);
        });
}
