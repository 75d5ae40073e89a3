using System.Data;
using System.Globalization;
using System.Text;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>
/// The rows that a writing statement returned, kept until it is durable, and then read from a query that gives just them, so that they come out of an
/// ordinary <see cref="SqliteDataReader"/> with all its conversions.
/// </summary>
internal sealed class RowReplay : IDisposable
{
    // SQLite's own bound is 32,766 parameters; beyond this many a table is quicker than a long text. Of SELECTs that are put together it takes 500.
    private const int MaxParameters = 900, MaxRows = 500;

    private static int _tables;

    private readonly List<(string[] Columns, List<object[]> Rows)> _results = [];
    private readonly List<string> _temporary = [];
    private SqliteConnection? _connection;
    private SqliteCommand? _command;
    private SqliteDataReader? _reader;

    /// <summary>Whether somebody reads it.</summary>
    public bool IsOpen => _reader is { IsClosed: false };

    /// <summary>Reads everything that is there.</summary>
    public static RowReplay Read(SqliteDataReader reader)
    {
        var replay = new RowReplay();
        do
        {
            if (reader.FieldCount == 0) continue;
            var columns = new string[reader.FieldCount];
            for (var i = 0; i < columns.Length; i++) columns[i] = reader.GetName(i);
            var rows = new List<object[]>();
            while (reader.Read())
            {
                var values = new object[columns.Length];
                reader.GetValues(values);
                rows.Add(values);
            }

            replay._results.Add((columns, rows));
        }
        while (reader.NextResult());
        return replay;
    }

    /// <summary>Gives what was read. Disposing this after the reader frees what it takes.</summary>
    public SqliteDataReader Play(SqliteConnection connection, CommandBehavior behavior)
    {
        _connection = connection;
        _command = new SqliteCommand { Connection = connection };
        var text = new StringBuilder();
        foreach (var (columns, rows) in _results)
        {
            if (rows.Count <= MaxRows && rows.Count * columns.Length + _command.Parameters.Count <= MaxParameters) AppendValues(text, columns, rows);
            else AppendTable(text, columns, rows);
            text.Append(';');
        }

#pragma warning disable CA2100 // Made here; the values are parameters.
        _command.CommandText = text.ToString();
#pragma warning restore CA2100
        return _reader = _command.ExecuteReader(behavior);
    }

    public void Dispose()
    {
        _command?.Dispose();
        _command = null;
        if (_connection?.State != ConnectionState.Open) return;
        foreach (var table in _temporary) _connection.RunText($"DROP TABLE IF EXISTS temp.{table}");
        _temporary.Clear();
    }

    private void AppendValues(StringBuilder text, string[] columns, List<object[]> rows)
    {
        var isFirst = true;
        foreach (var row in rows.Count > 0 ? rows : [new object[columns.Length]])
        {
            text.Append(isFirst ? "SELECT " : " UNION ALL SELECT ");
            for (var i = 0; i < columns.Length; i++)
            {
                if (i > 0) text.Append(", ");
                if (rows.Count == 0) text.Append("NULL");
                else text.Append(Add(row[i]));
                if (isFirst) text.Append(" AS ").Append(Quote(columns[i]));
            }

            isFirst = false;
        }

        if (rows.Count == 0) text.Append(" WHERE 0");
    }

    private void AppendTable(StringBuilder text, string[] columns, List<object[]> rows)
    {
        var table = string.Create(CultureInfo.InvariantCulture, $"datasync_rows_{Interlocked.Increment(ref _tables)}");
        var names = Enumerable.Range(0, columns.Length).Select(i => string.Create(CultureInfo.InvariantCulture, $"c{i}")).ToArray();
        _connection!.RunText($"CREATE TEMP TABLE {table}({string.Join(", ", names)})");
        _temporary.Add(table);
        using var insert = new SqliteCommand { Connection = _connection };
#pragma warning disable CA2100 // Made here; the values are parameters.
        insert.CommandText = $"INSERT INTO temp.{table} VALUES ({string.Join(", ", names.Select(name => "$" + name))})";
#pragma warning restore CA2100
        foreach (var name in names) insert.Parameters.Add(new SqliteParameter { ParameterName = "$" + name });
        foreach (var row in rows)
        {
            for (var i = 0; i < row.Length; i++) insert.Parameters[i].Value = row[i];
            insert.ExecuteNonQuery();
        }

        text.Append("SELECT ").AppendJoin(", ", names.Select((name, i) => $"{name} AS {Quote(columns[i])}")).Append(" FROM temp.").Append(table).Append(" ORDER BY rowid");
    }

    private string Add(object value)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"$p{_command!.Parameters.Count}");
        _command.Parameters.AddWithValue(name, value);
        return name;
    }

    private static string Quote(string name) => $"\"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
