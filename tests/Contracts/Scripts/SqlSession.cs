using System.Globalization;
using System.Text;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Contracts.Scripts;

/// <summary>
/// The connections of one script on one VFS, by the bare functions of SQLite: nothing waits, repeats or translates in between.
/// </summary>
/// <param name="vfs">The VFS's name; null for SQLite's default.</param>
/// <param name="main">The file of the main database.</param>
/// <param name="aux">The file of the one to attach.</param>
public sealed class SqlSession(string? vfs, string main, string aux) : IDisposable
{
    private const int ReadWriteCreateUri = 2 | 4 | 0x40, Busy = 5, Locked = 6, Row = 100, MaxShown = 48, MaxRows = 20_000;
    private readonly List<sqlite3> _connections = [];
    private readonly Dictionary<(int Connection, int Cursor), sqlite3_stmt> _cursors = [];

    /// <summary>Opens connections, each with pragmas of its own.</summary>
    public void Open(int count, IEnumerable<string> pragmas)
    {
        for (var i = 0; i < count; i++)
        {
            var code = raw.sqlite3_open_v2(main, out var connection, ReadWriteCreateUri, vfs);
            if (code != 0) throw new InvalidOperationException($"'{main}' cannot be opened: {code}.");
            _connections.Add(connection);
            foreach (var sql in pragmas) Run(new(SqlKind.Pragma, i, sql));
        }
    }

    /// <summary>Closes everything; open transactions are rolled back by that.</summary>
    public void Dispose()
    {
        foreach (var statement in _cursors.Values) statement.manual_close();
        _cursors.Clear();
        foreach (var connection in _connections) connection.manual_close_v2();
        _connections.Clear();
    }

    public SqlOutcome Run(SqlStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var db = _connections[step.Connection];
        var before = raw.sqlite3_total_changes(db);
        var text = new StringBuilder();
        var code = 0;
        try
        {
            code = step.Kind switch
            {
                SqlKind.StepCursor => Fetch(_cursors.GetValueOrDefault((step.Connection, step.Cursor)), text, 5),
                SqlKind.CloseCursor => CloseCursor((step.Connection, step.Cursor)),
                _ => Execute(db, step, text),
            };
        }
        catch (SqliteException error)
        {
            // The provider of the browser throws these, since nobody could release the lock while a caller waits.
            code = error.SqliteExtendedErrorCode;
        }

        // In the browser the message of a refusal has the VFS's own words behind it.
        var message = code is 0 or 100 or 101 || (code & 0xFF) is Busy or Locked ? "" : raw.sqlite3_errmsg(db).utf8_to_string().Replace(aux, "{aux}", StringComparison.Ordinal);
        var isAutocommit = raw.sqlite3_get_autocommit(db) != 0;
        text.Insert(0, string.Create(CultureInfo.InvariantCulture,
            $"code {code} {message}; changes {raw.sqlite3_changes(db)}, +{raw.sqlite3_total_changes(db) - before}, last row {raw.sqlite3_last_insert_rowid(db)}, {(isAutocommit ? "no " : "in a ")}transaction\n"));
        return new(code, isAutocommit, text.ToString());
    }

    /// <summary>Schema, rows and sizes of the databases, and SQLite's own judgement; on connections of its own.</summary>
    public string Dump()
    {
        Dispose();
        Open(1, ["ATTACH '{aux}' AS aux1"]);
        var text = new StringBuilder();
        foreach (var schema in new[] { "main", "aux1" })
        {
            foreach (var pragma in new[] { "integrity_check", "foreign_key_check", "page_size", "page_count", "freelist_count", "auto_vacuum", "user_version", "encoding" })
                Add($"PRAGMA {schema}.{pragma}");
            Add($"SELECT type, name, tbl_name, rootpage = 0, sql FROM {schema}.sqlite_schema"); // which pages are free is another matter where DELETE visits the rows
            foreach (var name in Names(schema)) Add($"SELECT * FROM {schema}.\"{name}\"");
        }

        Dispose();
        return text.ToString();

        void Add(string sql) => text.Append(sql).Append(": ").Append(Run(new(SqlKind.Select, 0, sql)).Text);
    }

    /// <summary>How large the file of the main database must be, by what is in it; on a connection of its own.</summary>
    public long MeasureSize()
    {
        Open(1, []);
        var size = GetNumber("PRAGMA page_count") * GetNumber("PRAGMA page_size");
        Dispose();
        return size;

        long GetNumber(string sql)
        {
            raw.sqlite3_prepare_v2(_connections[0], sql, out var statement);
            raw.sqlite3_step(statement);
            var number = raw.sqlite3_column_int64(statement, 0);
            statement.manual_close();
            return number;
        }
    }

    private List<string> Names(string schema)
    {
        var names = new List<string>();
        raw.sqlite3_prepare_v2(_connections[0], $"SELECT name FROM {schema}.sqlite_schema WHERE type = 'table' ORDER BY name", out var statement);
        while (raw.sqlite3_step(statement) == Row) names.Add(raw.sqlite3_column_text(statement, 0).utf8_to_string());
        statement.manual_close();
        return names;
    }

    private int Execute(sqlite3 db, SqlStep step, StringBuilder text)
    {
        var code = raw.sqlite3_prepare_v2(db, step.Sql.Replace("{aux}", aux, StringComparison.Ordinal), out var statement);
        if (code != 0) return raw.sqlite3_extended_errcode(db);
        if (step.Kind == SqlKind.OpenCursor) _cursors[(step.Connection, step.Cursor)] = statement;
        try
        {
            if (step.Blob is { } blob) raw.sqlite3_bind_blob(statement, 1, blob);
            return Fetch(statement, text, step.Kind == SqlKind.OpenCursor ? 1 : MaxRows);
        }
        finally
        {
            if (step.Kind != SqlKind.OpenCursor) statement.manual_close();
        }
    }

    private static int Fetch(sqlite3_stmt? statement, StringBuilder text, int rows)
    {
        if (statement is null) return 0;
        for (; rows > 0; rows--)
        {
            var code = raw.sqlite3_step(statement);
            if (code != Row) return code == 101 ? code : raw.sqlite3_extended_errcode(raw.sqlite3_db_handle(statement));
            for (var i = 0; i < raw.sqlite3_column_count(statement); i++) AddValue(statement, i, text);
            text.Append('\n');
        }

        return Row;
    }

    private int CloseCursor((int Connection, int Cursor) key)
    {
        if (_cursors.Remove(key, out var statement)) statement.manual_close();
        return 0;
    }

    private static void AddValue(sqlite3_stmt statement, int column, StringBuilder text)
    {
        switch (raw.sqlite3_column_type(statement, column))
        {
            case 1: text.Append(CultureInfo.InvariantCulture, $"{raw.sqlite3_column_int64(statement, column)}|"); break;
            case 2: text.Append(CultureInfo.InvariantCulture, $"{raw.sqlite3_column_double(statement, column):R}|"); break;
            case 3: AddLong(text, raw.sqlite3_column_text(statement, column).utf8_to_string()); break;
            case 4: AddLong(text, "x" + Convert.ToHexString(raw.sqlite3_column_blob(statement, column))); break;
            default: text.Append("NULL|"); break;
        }
    }

    private static void AddLong(StringBuilder text, string value)
    {
        if (value.Length <= MaxShown) text.Append(value).Append('|');
        else text.Append(CultureInfo.InvariantCulture, $"{value.AsSpan(0, 16)}…{value.Length}:{Checksum.Compute(ChecksumKind.FastHash, Encoding.UTF8.GetBytes(value)):x}|");
    }
}
