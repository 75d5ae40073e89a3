using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

/// <summary>
/// SQLitePCLRaw's provider over the official WebAssembly build of SQLite. <see cref="SqliteWasm.InitializeAsync"/> makes and
/// installs it. Call it from the thread that .NET runs on.
/// </summary>
/// <remarks>
/// <para>SQLite's memory is not .NET's: what is returned is a copy that lives as long as SQLite promises of the original.
/// Pointers that callers may read (<c>sqlite3_malloc</c>, <c>sqlite3_serialize</c>, error messages) lie in .NET's memory.</para>
/// <para><c>SQLITE_BUSY</c> and <c>SQLITE_LOCKED</c> of a running statement are thrown as <see cref="SqliteException"/>
/// instead of returned: a caller would answer them by sleeping (Microsoft.Data.Sqlite: up to 30 s), and on the only thread nobody
/// could release the lock meanwhile.</para>
/// </remarks>
internal sealed unsafe partial class SqliteWasmProvider : ISQLite3Provider
{
    /// <summary>The one that SQLitePCLRaw was given.</summary>
    internal static readonly SqliteWasmProvider Instance = new();

    internal const int TextResult = 0, BlobResult = 1, ErrorResult = 2;

    private const int Utf8 = 1, TextCount = 16;

    private readonly Dictionary<int, StatementMemory> _statements = [];
    private readonly Dictionary<int, nint> _constants = [];
    private readonly Dictionary<int, (int Code, string Text)> _explanations = [];
    private readonly NativeBuffer[] _texts = new NativeBuffer[TextCount];
    private int _out, _nextText, _lastStatement;
    private StatementMemory _lastMemory = new(0);

    internal SqliteWasmProvider()
    {
        for (var i = 0; i < TextCount; i++) _texts[i] = new();
    }

    /// <summary>A name by which Microsoft.Data.Sqlite knows that there is no encryption.</summary>
    string ISQLite3Provider.GetNativeLibraryName() => "e_sqlite3";

    private static int Handle(SafeHandle handle) => (int)handle.DangerousGetHandle();

    private int Out(int index) => (_out != 0 ? _out : _out = SqliteImports.Malloc(64)) + index * 8;

    private int ReadOut(int index) => SqliteImports.ReadInt(Out(index));

    private long ReadOut64(int index) => (uint)ReadOut(index) | (long)SqliteImports.ReadInt(Out(index) + 4) << 32;

    /// <summary>A short-lived text of SQLite: the copy lives for the next 15 of them.</summary>
    private utf8z Text(int at) => Copy(at, _texts[_nextText++ & (TextCount - 1)]);

    /// <summary>A text that SQLite never frees.</summary>
    private utf8z Constant(int at)
    {
        if (at == 0) return utf8z.FromPtr(null);
        if (!_constants.TryGetValue(at, out var copy))
        {
            var size = SqliteImports.TextLength(at) + 1;
            copy = (nint)NativeMemory.Alloc((nuint)size);
            SqliteImports.CopyOut(at, (int)copy, size);
            _constants.Add(at, copy);
        }

        return utf8z.FromIntPtr(copy);
    }

    /// <summary>A text that belongs to a statement.</summary>
    private utf8z StatementText(int statement, int kind, int index, int at) => Copy(at, Memory(statement).Name(kind, index));

    private static utf8z Copy(int at, NativeBuffer buffer)
    {
        if (at == 0) return utf8z.FromPtr(null);
        var length = SqliteImports.TextLength(at);
        SqliteImports.CopyOut(at, (int)buffer.Reserve(length + 1), length + 1);
        return utf8z.FromPtrLen(buffer.Address, length);
    }

    private StatementMemory Memory(int statement)
    {
        if (statement == _lastStatement) return _lastMemory;
        if (!_statements.TryGetValue(statement, out var memory)) _statements.Add(statement, memory = new(statement));
        (_lastStatement, _lastMemory) = (statement, memory);
        return memory;
    }

    /// <summary>Keeps the VFS's words with the error, and returns its code.</summary>
    private int Explain(int db, int code)
    {
        if (code is SqliteResult.Ok or SqliteResult.Row or SqliteResult.Done || db == 0) return code;
        if (VfsFailure.TakeFor(code) is { } text) _explanations[db] = (SqliteImports.ExtendedErrCode(db), text);
        else _explanations.Remove(db);
        return code;
    }

    /// <summary>As <see cref="Explain"/>, for a statement that ran: throws where the caller would wait in vain.</summary>
    internal int ExplainOrThrow(int db, int code)
    {
        Explain(db, code);
        var primary = code & 0xFF;
        if (primary is not (SqliteResult.Busy or SqliteResult.Locked)) return code;
        throw new SqliteException($"SQLite Error {primary}: '{Message(db)}'.", primary, SqliteImports.ExtendedErrCode(db));
    }

    private string Message(int db)
    {
        var message = Text(SqliteImports.ErrMsg(db)).utf8_to_string();
        return _explanations.TryGetValue(db, out var explanation) && explanation.Code == SqliteImports.ExtendedErrCode(db)
            ? $"{message}: {explanation.Text}"
            : message;
    }

    /// <summary>A .NET text as argument of a call, in SQLite's memory until disposed.</summary>
    private readonly ref struct Argument
    {
        public Argument(utf8z text)
        {
            fixed (byte* at = text) At = SqliteImports.CopyIn((int)at, -1);
        }

        public Argument(byte[]? text)
        {
            fixed (byte* at = text) At = SqliteImports.CopyIn((int)at, -1);
        }

        public Argument(string text) => At = new Argument(Encoding.UTF8.GetBytes(text + '\0')).At;

        public int At { get; }

        public void Dispose()
        {
            if (At != 0) SqliteImports.Free(At);
        }
    }
}
