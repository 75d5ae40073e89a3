using System.Globalization;
using Microsoft.Data.Sqlite;
using SQLitePCL;
using static DataSync.Vfs.Browser.CellType;

namespace DataSync.Vfs.Browser;

/// <summary>
/// The row that a statement stands on, and rows behind it that were stepped to already: a call into JavaScript costs more than
/// to lay out a row. A run begins with one row; a statement that only reads is stepped behind it in the same call, and then gets more
/// and more rows in one call.
/// </summary>
/// <remarks>
/// Laid out by <c>rows.js</c>: 8 bytes with the number of rows and how often SQLite
/// compiled the statement anew; for each row 8 bytes with its length and its number of columns, then 16
/// bytes for each column (type, length, and a number or the address of bytes), then those bytes, each value's with a zero behind it.
/// What did not fit has no address, and is of the last row of its call: SQLite still stands on that one, and can be asked.
/// </remarks>
internal sealed unsafe class StatementRows(int statement)
{
    // Rows that one call of JavaScript gathers: few at first, as many a reader stops after one, then more; 256 of an ordinary width fill the room.
    private const int Room = 65536, FirstLimit = 2, MaxLimit = 256, Growth = 4, MaxFree = 4;

    private static readonly Stack<NativeBuffer> FreeBuffers = [];
    private static readonly Dictionary<string, sqlite3_stmt> Casts = [];
    private static readonly Lazy<sqlite3> CastConnection = new(() =>
    {
        SqliteException.ThrowExceptionForRC(raw.sqlite3_open(":memory:", out var connection), connection);
        return connection;
    });

    private NativeBuffer? _buffer;
    private byte* _row;
    private int _rowsAhead, _lastCode, _limit = 1;
    private bool? _isReadOnly;

    /// <summary>Whether the statement stands on a row.</summary>
    public bool HasRow => _row != null;

    /// <summary>Whether SQLite was told already that the run is over.</summary>
    public bool IsReset { get; private set; }

    /// <summary>How often SQLite has compiled the statement anew, as of the last step; null before.</summary>
    public int? Reprepares { get; set; }

    /// <summary>What SQLite said when it failed ahead of the row that the statement stands on.</summary>
    public string? Failure { get; set; }

    // SQLite itself stands on the row, and can be asked for what is not laid out.
    private bool IsLive => _rowsAhead == 0 && _lastCode == SqliteResult.Row;

    private int ColumnCount => ((int*)_row)[1];

    /// <summary>Goes to the next row.</summary>
    /// <param name="isNew">Whether SQLite was called: otherwise a failure is one that was found before.</param>
    public int Step(out bool isNew)
    {
        isNew = false;
        if (_rowsAhead > 0)
        {
            _rowsAhead--;
            _row += ((int*)_row)[0];
            return SqliteResult.Row;
        }

        if (_row != null && _lastCode != SqliteResult.Row)
        {
            Leave();
            return _lastCode;
        }

        isNew = true;
        IsReset = false;
        _isReadOnly ??= SqliteImports.StmtReadOnly(statement) != 0;
        if (_isReadOnly.Value) _limit = _row == null ? FirstLimit : Math.Min(_limit * Growth, MaxLimit);
        var buffer = _buffer ?? (FreeBuffers.TryPop(out var free) ? free : new());
        _lastCode = SqliteImports.Step(statement, _limit, (int)buffer.Reserve(Room), Room);
        var rows = *(int*)buffer.Address;
        Reprepares = ((int*)buffer.Address)[1];
        IsReset = _lastCode == SqliteResult.Done;
        _buffer = buffer;
        if (rows == 0)
        {
            Leave();
            return _lastCode;
        }

        _row = buffer.Address + 8;
        _rowsAhead = rows - 1;
        return SqliteResult.Row;
    }

    /// <summary>The code of a failure ahead of this row, which the caller will come to; 0 when there is none.</summary>
    public int FailureAhead => _row != null && _lastCode is not (SqliteResult.Row or SqliteResult.Done) ? _lastCode : 0;

    /// <summary>The statement has no row any more.</summary>
    public void Leave()
    {
        _row = null;
        (_rowsAhead, _limit) = (0, 1);
        if (_buffer is not { } buffer) return;
        _buffer = null;
        if (FreeBuffers.Count < MaxFree) FreeBuffers.Push(buffer);
        else buffer.Free();
    }

    /// <summary>Whether the row has such a column here; otherwise SQLite is to be asked.</summary>
    public bool Has(int index) => _row != null && (uint)index < (uint)ColumnCount;

    public int DataCount() => Has(0) ? ColumnCount : SqliteImports.DataCount(statement);

    public int Type(int index) => Has(index) ? Cell(index)->Type & 0xFF : SqliteImports.ColumnType(statement, index);

    public long Int64(int index)
    {
        if (Has(index))
        {
            var cell = Cell(index);
            if (cell->Type == Integer) return (long)cell->Number;
            if (cell->Type == (Integer | Long)) return cell->Integer;
            if (!IsLive) return (long?)Cast(cell, "INTEGER") ?? 0;
        }

        return SqliteImports.ColumnInt64(statement, index);
    }

    public double Double(int index)
    {
        if (Has(index))
        {
            var cell = Cell(index);
            if (cell->Type is Integer or Float) return cell->Number;
            if (cell->Type == (Integer | Long)) return cell->Integer;
            if (!IsLive) return (double?)Cast(cell, "REAL") ?? 0;
        }

        return SqliteImports.ColumnDouble(statement, index);
    }

    /// <summary>The bytes of a text or blob, or of a number's text. False: SQLite is to be asked.</summary>
    /// <param name="index">The column.</param>
    /// <param name="value">Where another form of the value is kept.</param>
    /// <param name="at">Where they are, with a zero behind; null for NULL.</param>
    /// <param name="length">How many.</param>
    public bool TryGetBytes(int index, NativeBuffer value, out byte* at, out int length)
    {
        at = null;
        length = 0;
        if (!Has(index)) return false;
        var cell = Cell(index);
        switch (cell->Type & 0xFF)
        {
            case Text or Blob:
                at = (byte*)cell->Address;
                length = cell->Length;
                return at != null || !IsLive;
            case Null:
                return true;
            default:
                if (IsLive) return false;
                var text = cell->Type switch
                {
                    Integer => ((long)cell->Number).ToString(CultureInfo.InvariantCulture),
                    Float => (string)Cast(cell, "TEXT")!,
                    _ => cell->Integer.ToString(CultureInfo.InvariantCulture),
                };
                at = value.Reserve(text.Length + 1);
                length = System.Text.Encoding.UTF8.GetBytes(text, new Span<byte>(at, text.Length));
                at[length] = 0;
                return true;
        }
    }

    private ValueCell* Cell(int index) => (ValueCell*)(_row + 8) + index;

    // SQLite has left the row: another statement, prepared once, makes the same conversion of a copy.
    private static object? Cast(ValueCell* cell, string type)
    {
        if (!Casts.TryGetValue(type, out var cast))
        {
            _ = raw.sqlite3_prepare_v2(CastConnection.Value, $"SELECT CAST(?1 AS {type})", out cast);
            Casts.Add(type, cast);
        }

        var bytes = new ReadOnlySpan<byte>((void*)cell->Address, cell->Type is Text or Blob ? cell->Length : 0);
        _ = (cell->Type & 0xFF) switch
        {
            Integer => raw.sqlite3_bind_int64(cast, 1, cell->Type == Integer ? (long)cell->Number : cell->Integer),
            Float => raw.sqlite3_bind_double(cast, 1, cell->Number),
            Text => raw.sqlite3_bind_text(cast, 1, bytes),
            Blob => raw.sqlite3_bind_blob(cast, 1, bytes),
            _ => raw.sqlite3_bind_null(cast, 1),
        };
        _ = raw.sqlite3_step(cast);
        object? value = raw.sqlite3_column_type(cast, 0) switch
        {
            Integer => raw.sqlite3_column_int64(cast, 0),
            Float => raw.sqlite3_column_double(cast, 0),
            Text => raw.sqlite3_column_text(cast, 0).utf8_to_string(),
            _ => null,
        };
        _ = raw.sqlite3_reset(cast);
        return value;
    }
}
