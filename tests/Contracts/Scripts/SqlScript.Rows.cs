using System.Globalization;

namespace DataSync.Contracts.Scripts;

// Statements that write rows.
public sealed partial class SqlScript
{
    private static readonly string[] Words = ["alpha", "beta", "gamma", "delta", "it''s", "Ünïcödé", "日本", "😀", "", "the quick brown fox", "A", "zz"];
    private static readonly string[] Conflicts = ["", "", "", " OR IGNORE", " OR REPLACE", " OR ABORT", " OR FAIL", " OR ROLLBACK"];

    /// <summary>A key that nobody has, or now and then one that somebody may have.</summary>
    private int NewKey() => _keys > 0 && Chance(6) ? 1 + _random.Next(_keys) : ++_keys;

    private string Value(SqlTable table, SqlColumn column)
    {
        if (column.IsUnique) return column.Type is 't' or 'n' ? $"'u{++_keys}'" : column.Type == 'b' ? $"x'{++_keys:X8}'" : $"{++_keys}";
        if (!table.IsStrict && Chance(8)) return Pick(["NULL", "'12'", "-1.5e10", "x'00ff'", "9223372036854775807"]);
        return column.Type switch
        {
            'i' => Chance(10) ? Pick(["-9223372036854775808", "2147483648", "0"]) : _random.Next(-5, 500).ToString(CultureInfo.InvariantCulture),
            'r' => (_random.Next(-1000, 1000) / 8.0).ToString("0.0##", CultureInfo.InvariantCulture),
            't' => Chance(10) ? $"printf('%.{_random.Next(100, 2500)}c', '{(char)('a' + _random.Next(26))}')" : $"'{Pick(Words)} {Pick(Words)}'",
            'b' => Chance(15) ? $"zeroblob({_random.Next(2500)})" : $"x'{Convert.ToHexString(RandomBytes(_random.Next(30)))}'",
            _ => Pick(["1", "2.5", "'any'", "x'aa'", "'" + Pick(Words) + "'"]),
        };
    }

    private byte[] RandomBytes(int count)
    {
        var bytes = new byte[count];
        _random.NextBytes(bytes);
        return bytes;
    }

    private string ColumnNames(SqlTable table) =>
        string.Join(", ", (table.IsFullText ? [] : new[] { "k" }).Concat(table.Columns.Select(c => c.Name)).Concat(table.Parent is null ? [] : ["r"]));

    private string RowValues(SqlTable table, int key)
    {
        var values = (table.IsFullText ? [] : new[] { key.ToString(CultureInfo.InvariantCulture) }).Concat(table.Columns.Select(c => Value(table, c)));
        if (table.Parent is { } parent) values = values.Append(Chance(40) ? "NULL" : $"(SELECT k FROM {table.Schema}.{parent.Name} ORDER BY k LIMIT 1 OFFSET {_random.Next(3)})");
        return $"({string.Join(", ", values)})";
    }

    private SqlStep? MakeInsert()
    {
        if (AnyTable(_ => true) is not { } table) return null;
        var rows = Enumerable.Range(0, _random.Next(1, 6)).Select(_ => RowValues(table, NewKey()));
        return Step(SqlKind.Insert, $"INSERT{Pick(Conflicts)} INTO {table.FullName}({ColumnNames(table)}) VALUES {string.Join(", ", rows)}");
    }

    private SqlStep? MakeFill()
    {
        if (AnyTable(_ => true) is not { } table) return null;
        var count = _random.Next(10, Chance(15) ? 700 : 100);
        var first = _keys;
        _keys += count;
        var values = (table.IsFullText ? [] : new[] { "i" }).Concat(table.Columns.Select(c => c.Type switch
        {
            _ when c.IsUnique => c.Type == 'b' ? "CAST('' || i AS BLOB)" : c.Type is 't' or 'n' ? "'u' || i" : "i",
            'i' => "i * 7919 % 101",
            'r' => "i / 4.0",
            'b' => "zeroblob(i % 300)",
            't' => table.IsFullText ? $"'word' || i || ' {Pick(Words)} ' || (i % 10)" : "printf('%.*c', i % 250, 'x') || i",
            _ => "i || 'n'",
        }));
        if (table.Parent is { } parent) values = values.Append($"(SELECT max(k) FROM {table.Schema}.{parent.Name})");
        return Step(SqlKind.Fill, $"WITH RECURSIVE n(i) AS (SELECT {first + 1} UNION ALL SELECT i + 1 FROM n WHERE i < {first + count}) INSERT INTO {table.FullName}({ColumnNames(table)}) SELECT {string.Join(", ", values)} FROM n");
    }

    private SqlStep? MakeUpsert()
    {
        if (AnyTable(t => t.Key != SqlKey.None && !t.IsFullText) is not { } table) return null;
        var column = table.Columns.Find(c => !c.IsUnique);
        if (column is null) return null;
        var key = Chance(50) && _keys > 0 ? 1 + _random.Next(_keys) : ++_keys;
        var action = Chance(20) ? "NOTHING" : $"UPDATE SET {column.Name} = excluded.{column.Name}{(Chance(30) ? " WHERE excluded.k % 2 = 0" : "")}";
        return Step(SqlKind.Upsert, $"INSERT INTO {table.FullName}({ColumnNames(table)}) VALUES {RowValues(table, key)} ON CONFLICT(k) DO {action}");
    }

    private SqlStep? MakeReturning()
    {
        if (AnyTable() is not { } table) return null;
        var column = Pick(table.Columns);
        return Step(SqlKind.Returning, _random.Next(3) switch
        {
            0 => $"INSERT INTO {table.FullName}({ColumnNames(table)}) VALUES {RowValues(table, ++_keys)} RETURNING *, typeof({column.Name})",
            1 => $"DELETE FROM {table.FullName} WHERE k IN (SELECT k FROM {table.FullName} ORDER BY k LIMIT 2) RETURNING k, {column.Name}",
            _ => $"UPDATE {table.FullName} SET {column.Name} = {Value(table, column)} WHERE k IN (SELECT k FROM {table.FullName} ORDER BY k DESC LIMIT 1) RETURNING k, {column.Name}",
        });
    }

    private SqlStep? MakeUpdate()
    {
        if (AnyTable(_ => true) is not { } table) return null;
        var column = table.Columns.Find(c => !c.IsUnique);
        if (column is null) return null;
        if (table.IsFullText) return Step(SqlKind.Update, $"UPDATE {table.FullName} SET {column.Name} = {Value(table, column)} WHERE rowid % {_random.Next(2, 9)} = 0");
        return Step(SqlKind.Update, _random.Next(4) switch
        {
            0 => $"UPDATE {table.FullName} SET {column.Name} = {Value(table, column)}",
            1 => $"UPDATE OR IGNORE {table.FullName} SET k = k + {_random.Next(1, 50)} WHERE k % 11 = 3",
            2 => $"UPDATE {table.FullName} SET {column.Name} = s.e FROM (SELECT n, {Value(table, column)} AS e FROM log) AS s WHERE s.n = {table.Name}.k",
            _ => $"UPDATE {table.FullName} SET {column.Name} = {Value(table, column)} WHERE k % {_random.Next(2, 30)} = {_random.Next(3)}",
        });
    }

    private SqlStep? MakeDelete()
    {
        if (AnyTable(_ => true) is not { } table) return null;
        var key = table.IsFullText ? "rowid" : "k";
        return Step(SqlKind.Delete, $"DELETE FROM {table.FullName}{(Chance(10) ? "" : $" WHERE {key} % {_random.Next(2, 20)} = {_random.Next(3)}")}");
    }

    private SqlStep? MakeBlob()
    {
        if (AnyTable(t => t.Columns.Exists(c => c.Type is 'b' or 'n') && t.Parent is null && !t.IsFullText) is not { } table) return null;
        var column = table.Columns.First(c => c.Type is 'b' or 'n');
        var blob = RandomBytes(_random.Next(3, Chance(20) ? 400_000 : 40_000));
        var sql = Chance(50)
            ? $"INSERT INTO {table.FullName}(k, {column.Name}) VALUES ({++_keys}, ?1)"
            : $"UPDATE {table.FullName} SET {column.Name} = ?1 WHERE k = (SELECT min(k) FROM {table.FullName})";
        return Step(SqlKind.Blob, sql) with { Blob = blob };
    }

    private SqlStep? MakeJson()
    {
        if (AnyTable(t => t.Columns.Exists(c => c.Type is 't' && !c.IsUnique) && !t.IsFullText) is not { } table) return null;
        var column = table.Columns.First(c => c.Type is 't' && !c.IsUnique).Name;
        return Step(SqlKind.Json, _random.Next(4) switch
        {
            0 => $"UPDATE {table.FullName} SET {column} = json_object('k', k, 'list', json_array(1, 'two', NULL)) WHERE k % 3 = 0",
            1 => $"SELECT k, json_extract({column}, '$.list[1]'), {column} ->> 'k' FROM {table.FullName} WHERE json_valid({column}) LIMIT 20",
            2 => $"UPDATE {table.FullName} SET {column} = json_set({column}, '$.new', typeof(k)) WHERE json_valid({column})",
            _ => $"SELECT e.key, e.value, e.type FROM {table.FullName} AS t, json_tree(CASE WHEN json_valid(t.{column}) THEN t.{column} ELSE '[0]' END) AS e LIMIT 30",
        });
    }

    /// <summary>Fails where there is a row: the key is taken, a parent is missing, a value is of the wrong kind.</summary>
    private SqlStep? MakeViolation()
    {
        if (AnyTable(t => t.Key != SqlKey.None && !t.IsFullText) is not { } table) return null;
        var column = Pick(table.Columns).Name;
        return Step(SqlKind.Violation, _random.Next(4) switch
        {
            0 when table.Parent is not null => $"INSERT INTO {table.FullName}(k, r) VALUES ({++_keys}, -77)",
            1 => $"UPDATE {table.FullName} SET k = (SELECT max(k) FROM {table.FullName}) + 1",
            2 => $"INSERT{Pick(Conflicts)} INTO {table.FullName}(k, {column}) SELECT k, {column} FROM (SELECT {++_keys} AS k, NULL AS {column} UNION ALL SELECT k, {column} FROM {table.FullName} ORDER BY 1 DESC)",
            _ => $"INSERT{Pick(Conflicts)} INTO {table.FullName}(k) SELECT k FROM {table.FullName} LIMIT 3",
        });
    }

    private SqlStep MakeMistake() => Step(SqlKind.Mistake, Pick(
    [
        "SELEC 1", "SELECT * FROM missing", "INSERT INTO log(nothing) VALUES (1)", "SELECT abs(-9223372036854775808)", "CREATE TABLE log(n)",
        "ROLLBACK TO nowhere", "RELEASE nowhere", "DROP TABLE sqlite_schema", "INSERT INTO log(n) VALUES ('text')", "SELECT json('{')",
        "DELETE FROM sqlite_schema", "UPDATE log SET n = zeroblob(10)", "ATTACH 'nowhere/at/all.db' AS main", "DETACH main",
    ]));
}
