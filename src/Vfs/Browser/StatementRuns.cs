using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;
using static DataSync.Vfs.Browser.CellType;

namespace DataSync.Vfs.Browser;

/// <summary>
/// Runs of one statement with other values each, gathered and then made in one call: a call into JavaScript costs more than to
/// bind a value. Rows that a run returns are passed over.
/// </summary>
/// <remarks>
/// Laid out for <c>rows.js</c>: for each run 8 bytes that begin with its length, then 16 bytes for each parameter (type, length, and a
/// number or where the bytes lie, from the beginning), then those bytes. Dispose of it before the statement is used otherwise.
/// </remarks>
internal sealed unsafe class StatementRuns(sqlite3 db, sqlite3_stmt stmt, int parameters) : IDisposable
{
    /// <summary>The same number as in <c>rows.js</c>.</summary>
    private const int Room = 65536;

    private readonly NativeBuffer _buffer = new();
    private readonly int _statement = (int)stmt.DangerousGetHandle();
    private int _count, _end;

    /// <summary>How often runs were made.</summary>
    public int Calls { get; private set; }

    /// <summary>Adds a run. False: not one that can be gathered.</summary>
    /// <exception cref="SqliteException">An earlier one failed; it and those behind it were not made.</exception>
    public bool TryAdd(object?[] values)
    {
        if (values.Length < parameters) return false;
        if (TryWrite(values)) return true;
        if (_count == 0) return false;
        Make();
        return TryWrite(values);
    }

    /// <summary>Makes the runs that were gathered.</summary>
    /// <exception cref="SqliteException">One failed; it and those behind it were not made.</exception>
    public void Make()
    {
        if (_count == 0) return;
        var (count, size) = (_count, _end);
        (_count, _end) = (0, 0);
        Calls++;
        var code = SqliteWasmProvider.CheckCollations(_statement, SqliteImports.Run(_statement, parameters, count, (int)_buffer.Address, size));
        if (code != SqliteResult.Done) SqliteException.ThrowExceptionForRC(SqliteWasmProvider.Instance.ExplainOrThrow(SqliteImports.DbHandle(_statement), code), db);
    }

    public void Dispose()
    {
        // A run that failed is still open. The values are bound where they were; the next runs will lie there.
        _ = SqliteImports.Reset(_statement);
        _ = SqliteImports.ClearBindings(_statement);
        _buffer.Free();
    }

    private bool TryWrite(object?[] values)
    {
        var start = _buffer.Reserve(Room);
        var next = _end + 8 + 16 * parameters;
        if (next > Room) return false;
        for (var i = 0; i < parameters; i++)
        {
            var cell = (ValueCell*)(start + _end + 8) + i;
            switch (values[i])
            {
                case null or DBNull:
                    cell->Type = Null;
                    break;
                case int number:
                    (cell->Type, cell->Integer) = (Integer, number);
                    break;
                case bool yes:
                    (cell->Type, cell->Integer) = (Integer, yes ? 1 : 0);
                    break;
                case long number:
                    (cell->Type, cell->Integer) = ((int)number == number ? Integer : Integer | Long, number);
                    break;
                case double number when !double.IsNaN(number):
                    (cell->Type, cell->Number) = (Float, number);
                    break;
                case string text:
                    if (text.Length * 3L > Room - next) return false;
                    var length = Encoding.UTF8.GetBytes(text, new Span<byte>(start + next, Room - next));
                    (cell->Type, cell->Length, cell->Address) = (Text, length, next);
                    next += length;
                    break;
                case byte[] bytes:
                    if (bytes.Length > Room - next) return false;
                    bytes.AsSpan().CopyTo(new Span<byte>(start + next, bytes.Length));
                    (cell->Type, cell->Length, cell->Address) = (Blob, bytes.Length, next);
                    next += bytes.Length;
                    break;
                default:
                    return false;
            }
        }

        var begin = _end;
        _end = next + 7 & ~7;
        *(int*)(start + begin) = _end - begin;
        _count++;
        return true;
    }
}
