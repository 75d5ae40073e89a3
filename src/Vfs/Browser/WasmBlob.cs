using System.Text;

namespace DataSync.Vfs.Browser;

/// <summary>
/// An open blob: a SELECT that stays on its row, which holds the read lock as SQLite's own blob handle does, and a copy of the
/// value. A write goes through at once, as an UPDATE of the whole value without triggers.
/// </summary>
internal sealed unsafe class WasmBlob(int db, string schema, string table, string column, bool isWritable)
{
    private const int EnableTrigger = 1003, TypeText = 3, TypeBlob = 4;

    private readonly NativeBuffer _value = new();
    private int _select, _update, _changes, _autocommit;
    private long _rowid;
    private bool _isText, _isGone;

    /// <summary>Bytes of the value.</summary>
    public int Size { get; private set; }

    /// <summary>Goes to a row.</summary>
    public int Open(long rowid)
    {
        _rowid = rowid;
        if (_select == 0 && Prepare($"SELECT {SqlText.Quote(column)} FROM {SqlText.Quote(schema)}.{SqlText.Quote(table)} WHERE rowid = ?1", out _select) is var code and not SqliteResult.Ok) return code;
        return Load();
    }

    public int Read(Span<byte> target, int offset)
    {
        if (Check(target.Length, offset) is var code and not SqliteResult.Ok) return code;
        new ReadOnlySpan<byte>(_value.Address + offset, target.Length).CopyTo(target);
        return SqliteResult.Ok;
    }

    public int Write(ReadOnlySpan<byte> source, int offset)
    {
        if (!isWritable) return SqliteResult.ReadOnly;
        var code = Check(source.Length, offset);
        if (code == SqliteResult.Ok && _update == 0) code = Prepare($"UPDATE {SqlText.Quote(schema)}.{SqlText.Quote(table)} SET {SqlText.Quote(column)} = ?1 WHERE rowid = ?2", out _update);
        if (code != SqliteResult.Ok) return code;
        source.CopyTo(new(_value.Address + offset, source.Length));
        if (_isText) SqliteImports.BindText(_update, 1, (int)_value.Address, Size);
        else SqliteImports.BindBlob(_update, 1, (int)_value.Address, Size);
        SqliteImports.BindInt64(_update, 2, _rowid);
        code = StepWithoutTriggers();
        if (code != SqliteResult.Done)
        {
            // The copy holds what the row does not.
            _isGone = true;
            return code;
        }

        Remember();
        return SqliteResult.Ok;
    }

    public int Close()
    {
        var code = SqliteImports.Finalize(_select);
        if (_update != 0) SqliteImports.Finalize(_update);
        _value.Free();
        return _isGone ? SqliteResult.Ok : code;
    }

    private int Check(int length, int offset)
    {
        if (_isGone) return Fail(SqliteResult.Abort, "query aborted");
        if (_changes != SqliteImports.TotalChanges(db) || _autocommit != SqliteImports.GetAutocommit(db))
        {
            // Something changed: SQLite ends a blob handle when that was its row.
            var before = new ReadOnlySpan<byte>(_value.Address, Size).ToArray();
            _isGone = Load() != SqliteResult.Ok || !before.AsSpan().SequenceEqual(new(_value.Address, Size));
            if (_isGone) return Fail(SqliteResult.Abort, "query aborted");
        }

        return offset < 0 || (long)offset + length > Size ? SqliteResult.Error : SqliteResult.Ok;
    }

    private int Load()
    {
        SqliteImports.Reset(_select);
        SqliteImports.BindInt64(_select, 1, _rowid);
        var code = SqliteImports.StepOnce(_select);
        if (code != SqliteResult.Row) return code == SqliteResult.Done ? Fail(SqliteResult.Error, $"no such rowid: {_rowid}") : code;
        var type = SqliteImports.ColumnType(_select, 0);
        if (type is not (TypeText or TypeBlob)) return Fail(SqliteResult.Error, "cannot open a value that is neither text nor blob");
        _isText = type == TypeText;
        Size = SqliteImports.ColumnBytes(_select, 0);
        SqliteImports.ColumnBlob(_select, 0, (int)_value.Reserve(Math.Max(Size, 1)), Size);
        Remember();
        return SqliteResult.Ok;
    }

    private void Remember() => (_changes, _autocommit) = (SqliteImports.TotalChanges(db), SqliteImports.GetAutocommit(db));

    /// <summary>
    /// Steps the UPDATE as SQLite's own blob write would: without triggers. Switching them compiles the connection's statements
    /// again at their next use.
    /// </summary>
    private int StepWithoutTriggers()
    {
        var scratch = SqliteImports.Malloc(8);
        SqliteImports.DbConfigInt(db, EnableTrigger, -1, scratch);
        var isEnabled = SqliteImports.ReadInt(scratch);
        SqliteImports.DbConfigInt(db, EnableTrigger, 0, scratch);
        var code = SqliteImports.StepOnce(_update);
        SqliteImports.Reset(_update);
        SqliteImports.DbConfigInt(db, EnableTrigger, isEnabled, scratch);
        SqliteImports.Free(scratch);
        return code;
    }

    private int Prepare(string sql, out int statement)
    {
        var bytes = Encoding.UTF8.GetBytes(sql);
        var results = stackalloc int[2];
        int code;
        fixed (byte* at = bytes) code = SqliteImports.Prepare(db, (int)at, bytes.Length, 0, (int)results);
        statement = results[0];
        return code;
    }

    private int Fail(int code, string message)
    {
        SqliteImports.Reset(_select);
        var bytes = Encoding.UTF8.GetBytes(message + '\0');
        fixed (byte* at = bytes)
        {
            var text = SqliteImports.CopyIn((int)at, bytes.Length);
            SqliteImports.SetErrMsg(db, code, text);
            SqliteImports.Free(text);
        }

        return code;
    }
}
