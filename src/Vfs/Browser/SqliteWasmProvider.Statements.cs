using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

// Statements, parameters and columns: the members that run for every row.
internal sealed unsafe partial class SqliteWasmProvider
{
    private const int Reprepares = 5; // SQLITE_STMTSTATUS_REPREPARE
    private const int KindName = 1, KindDeclType = 2, KindDatabase = 3, KindTable = 4, KindOrigin = 5, KindParameter = 6, KindSql = 7;

    int ISQLite3Provider.sqlite3_prepare_v2(sqlite3 db, ReadOnlySpan<byte> sql, out nint stmt, out ReadOnlySpan<byte> remain) =>
        Prepare(db, sql, 0, out stmt, out remain);

    int ISQLite3Provider.sqlite3_prepare_v3(sqlite3 db, ReadOnlySpan<byte> sql, uint flags, out nint stmt, out ReadOnlySpan<byte> remain) =>
        Prepare(db, sql, flags, out stmt, out remain);

    int ISQLite3Provider.sqlite3_prepare_v2(sqlite3 db, utf8z sql, out nint stmt, out utf8z remain) =>
        Prepare(db, sql, 0, out stmt, out remain);

    int ISQLite3Provider.sqlite3_prepare_v3(sqlite3 db, utf8z sql, uint flags, out nint stmt, out utf8z remain) =>
        Prepare(db, sql, flags, out stmt, out remain);

    int ISQLite3Provider.sqlite3_step(sqlite3_stmt stmt)
    {
        var statement = Handle(stmt);
        var rows = Memory(statement).Rows;
        var code = rows.Step(out var isNew);
        if (isNew && CheckCollations(statement, code) is var checkedCode && checkedCode != code)
        {
            rows.Leave();
            return checkedCode;
        }

        if (isNew && rows.FailureAhead is var ahead and not 0)
        {
            // Kept until the rows before it are gone through: until then other calls may say other things of the connection.
            var db = SqliteImports.DbHandle(statement);
            Explain(db, ahead);
            rows.Failure = Message(db);
        }

        if (code is SqliteResult.Row or SqliteResult.Done) return code;
        return isNew ? ExplainOrThrow(SqliteImports.DbHandle(statement), code) : FailLate(SqliteImports.DbHandle(statement), code, rows.Failure!);
    }

    int ISQLite3Provider.sqlite3_reset(sqlite3_stmt stmt)
    {
        var statement = Handle(stmt);
        var memory = Memory(statement);
        memory.Rows.Leave();
        memory.Trim();
        return memory.Rows.IsReset ? SqliteResult.Ok : SqliteImports.Reset(statement);
    }

    int ISQLite3Provider.sqlite3_finalize(nint stmt)
    {
        var statement = (int)stmt;
        if (_statements.Remove(statement, out var memory)) memory.Free();
        if (statement == _lastStatement) _lastStatement = 0;
        return SqliteImports.Finalize(statement);
    }

    int ISQLite3Provider.sqlite3_clear_bindings(sqlite3_stmt stmt) => SqliteImports.ClearBindings(Handle(stmt));

    int ISQLite3Provider.sqlite3_stmt_status(sqlite3_stmt stmt, int op, int resetFlg)
    {
        if (op != Reprepares) return SqliteImports.StmtStatus(Handle(stmt), op, resetFlg);
        var rows = Rows(stmt);
        if (resetFlg == 0 && rows.Reprepares is { } known) return known;
        rows.Reprepares = null;
        return SqliteImports.StmtStatus(Handle(stmt), op, resetFlg);
    }

    int ISQLite3Provider.sqlite3_stmt_busy(sqlite3_stmt stmt) => Rows(stmt).HasRow ? 1 : SqliteImports.StmtBusy(Handle(stmt));

    int ISQLite3Provider.sqlite3_stmt_readonly(sqlite3_stmt stmt) => SqliteImports.StmtReadOnly(Handle(stmt));

    int ISQLite3Provider.sqlite3_stmt_isexplain(sqlite3_stmt stmt) => SqliteImports.StmtIsExplain(Handle(stmt));

    utf8z ISQLite3Provider.sqlite3_sql(sqlite3_stmt stmt) => StatementText(Handle(stmt), KindSql, 0, SqliteImports.Sql(Handle(stmt)));

    nint ISQLite3Provider.sqlite3_db_handle(nint stmt) => SqliteImports.DbHandle((int)stmt);

    nint ISQLite3Provider.sqlite3_next_stmt(sqlite3 db, nint stmt) => SqliteImports.NextStmt(Handle(db), (int)stmt);

    int ISQLite3Provider.sqlite3_bind_null(sqlite3_stmt stmt, int index) => SqliteImports.BindNull(Handle(stmt), index);

    int ISQLite3Provider.sqlite3_bind_int(sqlite3_stmt stmt, int index, int val) => SqliteImports.BindInt(Handle(stmt), index, val);

    // A number is cheaper to pass than a BigInt.
    int ISQLite3Provider.sqlite3_bind_int64(sqlite3_stmt stmt, int index, long val) => (int)val == val
        ? SqliteImports.BindInt(Handle(stmt), index, (int)val)
        : SqliteImports.BindInt64(Handle(stmt), index, val);

    int ISQLite3Provider.sqlite3_bind_double(sqlite3_stmt stmt, int index, double val) => SqliteImports.BindDouble(Handle(stmt), index, val);

    int ISQLite3Provider.sqlite3_bind_zeroblob(sqlite3_stmt stmt, int index, int size) => SqliteImports.BindZeroBlob(Handle(stmt), index, size);

    int ISQLite3Provider.sqlite3_bind_blob(sqlite3_stmt stmt, int index, ReadOnlySpan<byte> blob)
    {
        fixed (byte* at = blob) return SqliteImports.BindBlob(Handle(stmt), index, (int)at, blob.Length);
    }

    int ISQLite3Provider.sqlite3_bind_text(sqlite3_stmt stmt, int index, ReadOnlySpan<byte> text)
    {
        fixed (byte* at = text) return SqliteImports.BindText(Handle(stmt), index, (int)at, text.Length);
    }

    int ISQLite3Provider.sqlite3_bind_text(sqlite3_stmt stmt, int index, utf8z text)
    {
        fixed (byte* at = text)
        {
            return at == null
                ? SqliteImports.BindNull(Handle(stmt), index)
                : SqliteImports.BindText(Handle(stmt), index, (int)at, MemoryMarshal.CreateReadOnlySpanFromNullTerminated(at).Length);
        }
    }

    int ISQLite3Provider.sqlite3_bind_text16(sqlite3_stmt stmt, int index, ReadOnlySpan<char> text)
    {
        var bytes = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        var length = Encoding.UTF8.GetBytes(text, bytes);
        try
        {
            fixed (byte* at = bytes) return SqliteImports.BindText(Handle(stmt), index, (int)at, length);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    int ISQLite3Provider.sqlite3_bind_parameter_count(sqlite3_stmt stmt) => SqliteImports.BindParameterCount(Handle(stmt));

    int ISQLite3Provider.sqlite3_bind_parameter_index(sqlite3_stmt stmt, utf8z strName)
    {
        fixed (byte* name = strName)
        {
            if (name == null) return 0;
            var statement = Handle(stmt);
            var memory = Memory(statement);
            var key = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name);
            if (memory.TryFindParameter(key, out var index)) return index;
            index = SqliteImports.ParameterIndex(statement, (int)name);
            memory.AddParameter(key, index);
            return index;
        }
    }

    utf8z ISQLite3Provider.sqlite3_bind_parameter_name(sqlite3_stmt stmt, int index) =>
        StatementText(Handle(stmt), KindParameter, index, SqliteImports.BindParameterName(Handle(stmt), index));

    int ISQLite3Provider.sqlite3_column_count(sqlite3_stmt stmt) => SqliteImports.ColumnCount(Handle(stmt));

    int ISQLite3Provider.sqlite3_data_count(sqlite3_stmt stmt) => Rows(stmt).DataCount();

    int ISQLite3Provider.sqlite3_column_type(sqlite3_stmt stmt, int index) => Rows(stmt).Type(index);

    int ISQLite3Provider.sqlite3_column_int(sqlite3_stmt stmt, int index) => unchecked((int)Rows(stmt).Int64(index));

    long ISQLite3Provider.sqlite3_column_int64(sqlite3_stmt stmt, int index) => Rows(stmt).Int64(index);

    double ISQLite3Provider.sqlite3_column_double(sqlite3_stmt stmt, int index) => Rows(stmt).Double(index);

    int ISQLite3Provider.sqlite3_column_bytes(sqlite3_stmt stmt, int index)
    {
        var memory = Memory(Handle(stmt));
        return memory.Rows.TryGetBytes(index, memory.Column(index), out _, out var length) ? length : SqliteImports.ColumnBytes(Handle(stmt), index);
    }

    utf8z ISQLite3Provider.sqlite3_column_text(sqlite3_stmt stmt, int index)
    {
        var statement = Handle(stmt);
        var memory = Memory(statement);
        var buffer = memory.Column(index);
        if (memory.Rows.TryGetBytes(index, buffer, out var at, out var known)) return at == null ? utf8z.FromPtr(null) : utf8z.FromPtrLen(at, known);
        var length = SqliteImports.ColumnText(statement, index, (int)buffer.Address, buffer.Size);
        if (length < 0) return utf8z.FromPtr(null);
        if (length >= buffer.Size)
        {
            buffer.Reserve(length + 1);
            SqliteImports.ColumnText(statement, index, (int)buffer.Address, buffer.Size);
        }

        return utf8z.FromPtrLen(buffer.Address, length);
    }

    ReadOnlySpan<byte> ISQLite3Provider.sqlite3_column_blob(sqlite3_stmt stmt, int index)
    {
        var statement = Handle(stmt);
        var memory = Memory(statement);
        var buffer = memory.Column(index);
        if (memory.Rows.TryGetBytes(index, buffer, out var at, out var known)) return new(at, known);
        var length = SqliteImports.ColumnBlob(statement, index, (int)buffer.Address, buffer.Size);
        if (length > buffer.Size)
        {
            buffer.Reserve(length);
            SqliteImports.ColumnBlob(statement, index, (int)buffer.Address, buffer.Size);
        }

        return new(buffer.Address, length);
    }

    utf8z ISQLite3Provider.sqlite3_column_name(sqlite3_stmt stmt, int index) =>
        StatementText(Handle(stmt), KindName, index, SqliteImports.ColumnName(Handle(stmt), index));

    utf8z ISQLite3Provider.sqlite3_column_decltype(sqlite3_stmt stmt, int index) =>
        StatementText(Handle(stmt), KindDeclType, index, SqliteImports.ColumnDeclType(Handle(stmt), index));

    utf8z ISQLite3Provider.sqlite3_column_database_name(sqlite3_stmt stmt, int index) =>
        StatementText(Handle(stmt), KindDatabase, index, SqliteImports.ColumnDatabaseName(Handle(stmt), index));

    utf8z ISQLite3Provider.sqlite3_column_table_name(sqlite3_stmt stmt, int index) =>
        StatementText(Handle(stmt), KindTable, index, SqliteImports.ColumnTableName(Handle(stmt), index));

    utf8z ISQLite3Provider.sqlite3_column_origin_name(sqlite3_stmt stmt, int index) =>
        StatementText(Handle(stmt), KindOrigin, index, SqliteImports.ColumnOriginName(Handle(stmt), index));

    int ISQLite3Provider.sqlite3_exec(sqlite3 db, utf8z sql, delegate_exec callback, object user_data, out nint errMsg)
    {
        fixed (byte* at = sql)
        {
            var text = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(at);
            errMsg = 0;
            while (text.Length > 0)
            {
                var code = Prepare(db, text, 0, out var statement, out text);
                if (code == SqliteResult.Ok && statement != 0) code = Run((int)statement, callback, user_data);
                if (code == SqliteResult.Ok) continue;
                Explain(Handle(db), code);
                errMsg = CopyOf(Encoding.UTF8.GetBytes(Message(Handle(db))));
                return code;
            }

            return SqliteResult.Ok;
        }
    }

    private int Prepare(sqlite3 db, ReadOnlySpan<byte> sql, uint flags, out nint stmt, out ReadOnlySpan<byte> remain)
    {
        var results = stackalloc int[2];
        int code;
        fixed (byte* at = sql) code = SqliteImports.Prepare(Handle(db), (int)at, sql.Length, (int)flags, (int)results);
        stmt = results[0];
        remain = sql[Math.Clamp(results[1], 0, sql.Length)..];
        if (stmt != 0) NoticeStatement(Handle(db), sql[..^remain.Length]);
        return code == SqliteResult.Ok ? code : ExplainOrThrow(Handle(db), code);
    }

    private int Prepare(sqlite3 db, utf8z sql, uint flags, out nint stmt, out utf8z remain)
    {
        fixed (byte* at = sql)
        {
            var code = Prepare(db, MemoryMarshal.CreateReadOnlySpanFromNullTerminated(at), flags, out stmt, out var rest);
            fixed (byte* tail = rest) remain = utf8z.FromPtr(tail == null ? at + MemoryMarshal.CreateReadOnlySpanFromNullTerminated(at).Length : tail);
            return code;
        }
    }

    /// <summary>Runs a statement of <c>sqlite3_exec</c> to its end, and finalises it.</summary>
    private int Run(int statement, delegate_exec? callback, object userData)
    {
        var db = SqliteImports.DbHandle(statement);
        var mark = CallMemory.Mark;
        try
        {
            var columns = SqliteImports.ColumnCount(statement);
            int code;
            while ((code = SqliteImports.StepOnce(statement)) == SqliteResult.Row)
            {
                if (callback is null) continue;
                var (values, names) = (new nint[columns], new nint[columns]);
                for (var i = 0; i < columns; i++)
                {
                    names[i] = CopyName(SqliteImports.ColumnName(statement, i));
                    values[i] = CopyValue(statement, i);
                }

                var isStopped = callback(userData, values, names) != 0;
                CallMemory.FreeTo(mark);
                if (isStopped) return SqliteResult.Abort;
            }

            code = CheckCollations(statement, code);
            return code == SqliteResult.Done ? SqliteResult.Ok : ExplainOrThrow(db, code);
        }
        finally
        {
            CallMemory.FreeTo(mark);
            SqliteImports.Finalize(statement);
        }
    }

    private StatementRows Rows(sqlite3_stmt stmt) => Memory(Handle(stmt)).Rows;

    // A failure that was found while rows before it were still to be read.
    private static int FailLate(int db, int code, string message)
    {
        using (var text = new Argument(message)) SqliteImports.SetErrMsg(db, code, text.At);
        var primary = code & 0xFF;
        return primary is SqliteResult.Busy or SqliteResult.Locked ? throw new SqliteException($"SQLite Error {primary}: '{message}'.", primary, code) : code;
    }

    private static nint CopyName(int at)
    {
        var size = SqliteImports.TextLength(at) + 1;
        var copy = CallMemory.Allocate(size);
        SqliteImports.CopyOut(at, (int)copy, size);
        return (nint)copy;
    }

    private static nint CopyValue(int statement, int index)
    {
        var length = SqliteImports.ColumnText(statement, index, 0, 0);
        if (length < 0) return 0;
        var copy = CallMemory.Allocate(length + 1);
        SqliteImports.ColumnText(statement, index, (int)copy, length + 1);
        return (nint)copy;
    }
}
