using System.Buffers;
using System.Text;
using DataSync.Vfs.Browser;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>
/// One prepared statement, used through SQLitePCLRaw: what DataSync runs itself passes by Microsoft.Data.Sqlite's commands and readers,
/// which cost more than the statement where .NET is interpreted. Use it from one thread at a time.
/// </summary>
internal sealed class Statement : IDisposable
{
    private const uint Persistent = 1;
    // What binding and reading keep in memory for the next run, as in StatementMemory. 5 is SQLITE_STMTSTATUS_REPREPARE.
    private const int LargeValue = 65536, Repreparations = 5;

    private readonly sqlite3 _db;
    private readonly sqlite3_stmt _statement;
    private readonly int _parameterCount;
    private string?[]? _parameterNames;
    private string[]? _columns;
    private int _repreparations;
    private bool _hasLargeValue;

    private Statement(sqlite3 db, sqlite3_stmt statement)
    {
        (_db, _statement) = (db, statement);
        _parameterCount = raw.sqlite3_bind_parameter_count(statement);
    }

    /// <summary>What maps its rows at the moment; forgotten when the columns may have changed.</summary>
    public object? Mapper { get; set; }

    /// <summary>How the parameter object that was used last fits its parameters.</summary>
    public object? ParameterPlan { get; set; }

    /// <summary>Whether somebody is in the middle of using it.</summary>
    public bool IsInUse { get; set; }

    /// <summary>Whether it is kept for the next use of its text.</summary>
    public bool IsKept { get; set; }

    /// <summary>A number that rises with each use.</summary>
    public long LastUse { get; set; }

    /// <summary>How many parameters must have values.</summary>
    public int ParameterCount => _parameterCount;

    /// <summary>The columns' names; none of a statement without rows.</summary>
    public string[] Columns => _columns ??= ReadColumns();

    /// <summary>Prepares the first statement of a text; null when there is none, only blanks or comments.</summary>
    /// <param name="db">The connection.</param>
    /// <param name="sql">The text, as UTF-8.</param>
    /// <param name="taken">How many bytes of the text it took.</param>
    /// <exception cref="SqliteException">It does not compile.</exception>
    public static Statement? Prepare(sqlite3 db, ReadOnlySpan<byte> sql, out int taken)
    {
        var code = raw.sqlite3_prepare_v3(db, sql, Persistent, out var statement, out var rest);
        SqliteException.ThrowExceptionForRC(code, db);
        taken = sql.Length - rest.Length;
        if (!statement.IsInvalid) return new Statement(db, statement);
        statement.Dispose();
        return null;
    }

    /// <exception cref="InvalidOperationException">It would write to the database.</exception>
    public void ThrowUnlessReadOnly()
    {
        if (raw.sqlite3_stmt_readonly(_statement) == 0)
            throw new InvalidOperationException("Within the work of a WriteAsync a query must not write. Use the connection that the work is given.");
    }

    /// <summary>The name of a parameter with its prefix; null for a bare <c>?</c> and for numbers that were left out.</summary>
    /// <param name="index">From 1.</param>
    public string? ParameterName(int index)
    {
        if (_parameterNames is null)
        {
            _parameterNames = new string?[_parameterCount];
            for (var i = 0; i < _parameterCount; i++) _parameterNames[i] = raw.sqlite3_bind_parameter_name(_statement, i + 1).utf8_to_string();
        }

        return _parameterNames[index - 1];
    }

    /// <summary>Binds a value as SQLite knows it: null, a number, a text or bytes. False: of any other type.</summary>
    public bool TryBind(int index, object? value)
    {
        switch (value)
        {
            case null or DBNull:
                Check(raw.sqlite3_bind_null(_statement, index));
                return true;
            case string text:
                BindText(index, text);
                return true;
            case long number:
                Check(raw.sqlite3_bind_int64(_statement, index, number));
                return true;
            case int number:
                Check(raw.sqlite3_bind_int(_statement, index, number));
                return true;
            case double number when !double.IsNaN(number):
                Check(raw.sqlite3_bind_double(_statement, index, number));
                return true;
            case bool yes:
                Check(raw.sqlite3_bind_int(_statement, index, yes ? 1 : 0));
                return true;
            case byte[] bytes:
                _hasLargeValue |= bytes.Length > LargeValue;
                Check(raw.sqlite3_bind_blob(_statement, index, bytes));
                return true;
            default:
                return false;
        }
    }

    /// <summary>Gathers runs of it where they cost less together; null elsewhere.</summary>
    public StatementRuns? GatherRuns() => OperatingSystem.IsBrowser() ? new(_db, _statement, _parameterCount) : null;

    /// <summary>Goes to the next row; false at the end.</summary>
    /// <exception cref="SqliteException">The statement failed.</exception>
    public bool Step()
    {
        var code = raw.sqlite3_step(_statement);
        if (code == SqliteResult.Row) return true;
        if (code != SqliteResult.Done) SqliteException.ThrowExceptionForRC(code, _db);
        return false;
    }

    /// <summary>After the first step: forgets what was known of the columns if the schema changed since.</summary>
    public void NoticeSchemaChange()
    {
        var count = raw.sqlite3_stmt_status(_statement, Repreparations, 0);
        if (count == _repreparations) return;
        _repreparations = count;
        (_columns, Mapper) = (null, null);
    }

    /// <summary>A value of the row: null, <see cref="long"/>, <see cref="double"/>, <see cref="string"/> or <c>byte[]</c>.</summary>
    public object? GetValue(int column) => GetType(column) switch
    {
        raw.SQLITE_INTEGER => GetInt64(column),
        raw.SQLITE_FLOAT => GetDouble(column),
        raw.SQLITE_TEXT => GetText(column),
        raw.SQLITE_BLOB => GetBlob(column),
        _ => null,
    };

    /// <summary>The storage class of a value of the row; ask before the value is read.</summary>
    public int GetType(int column) => raw.sqlite3_column_type(_statement, column);

    /// <summary>A value of the row as SQLite makes an integer of it.</summary>
    public long GetInt64(int column) => raw.sqlite3_column_int64(_statement, column);

    /// <summary>A value of the row as SQLite makes a real of it.</summary>
    public double GetDouble(int column) => raw.sqlite3_column_double(_statement, column);

    /// <summary>A value of the row, not NULL, as SQLite makes a text of it.</summary>
    public string GetText(int column) => raw.sqlite3_column_text(_statement, column).utf8_to_string();

    /// <summary>A value of the row, not NULL, as SQLite makes bytes of it.</summary>
    public byte[] GetBlob(int column) => raw.sqlite3_column_blob(_statement, column).ToArray();

    /// <summary>Ends the run, whatever its state, so that it can be run again.</summary>
    public void Reset()
    {
        // The code is that of the last step, which was reported.
        _ = raw.sqlite3_reset(_statement);
        if (!_hasLargeValue) return;
        _ = raw.sqlite3_clear_bindings(_statement);
        _hasLargeValue = false;
    }

    public void Dispose() => _statement.Dispose();

    private void BindText(int index, string text)
    {
        if (text.Length == 0)
        {
            Check(raw.sqlite3_bind_text(_statement, index, ""));
            return;
        }

        var room = Encoding.UTF8.GetMaxByteCount(text.Length);
        _hasLargeValue |= room > LargeValue;
        var rented = ArrayPool<byte>.Shared.Rent(room);
        try
        {
            var size = Encoding.UTF8.GetBytes(text, rented);
            Check(raw.sqlite3_bind_text(_statement, index, rented.AsSpan(0, size)));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private void Check(int code)
    {
        if (code != SqliteResult.Ok) SqliteException.ThrowExceptionForRC(code, _db);
    }

    private string[] ReadColumns()
    {
        var columns = new string[raw.sqlite3_column_count(_statement)];
        for (var i = 0; i < columns.Length; i++) columns[i] = raw.sqlite3_column_name(_statement, i).utf8_to_string();
        return columns;
    }
}
