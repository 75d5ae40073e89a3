using System.Collections.Immutable;

namespace DataSync.Contracts.Scripts;

// Tables, indexes, views, triggers, and what changes or drops them.
public sealed partial class SqlScript
{
    private static readonly string[] StrictTypes = ["INTEGER", "REAL", "TEXT", "BLOB", "ANY"];
    private static readonly string[] Types = ["INT", "DOUBLE", "VARCHAR(100)", "BLOB", ""];
    private const string TypeLetters = "irtbn";

    private SqlStep MakeTable()
    {
        var schema = Chance(20) ? "temp" : _model.HasAux[_connection] && Chance(40) ? "aux1" : "main";
        var key = Pick([SqlKey.RowId, SqlKey.RowId, SqlKey.AutoIncrement, SqlKey.WithoutRowId, SqlKey.Unique, SqlKey.None]);
        var isStrict = Chance(20);
        var name = NewName("t");
        var columns = ImmutableList<SqlColumn>.Empty;
        var parts = new List<string>
        {
            key switch
            {
                SqlKey.RowId => "k INTEGER PRIMARY KEY",
                SqlKey.AutoIncrement => "k INTEGER PRIMARY KEY AUTOINCREMENT",
                SqlKey.WithoutRowId => "k INT NOT NULL PRIMARY KEY" + (Chance(30) ? " DESC" : ""),
                SqlKey.Unique => "k INT UNIQUE",
                _ => "k INT",
            },
        };
        foreach (var column in "abcd"[..(2 + _random.Next(3))])
        {
            var type = _random.Next(TypeLetters.Length);
            var constraint = Pick(["", "", "", " UNIQUE", " NOT NULL DEFAULT 7", " CHECK (length(coalesce(" + column + ", 0)) < 3000)", " COLLATE NOCASE", " DEFAULT (1 + 2)"]);
            if (isStrict && constraint.Contains("DEFAULT", StringComparison.Ordinal)) constraint = " NOT NULL";
            parts.Add($"{column} {(isStrict ? StrictTypes : Types)[type]}{constraint}");
            columns = columns.Add(new(column.ToString(), TypeLetters[type], constraint == " UNIQUE"));
        }

        if (Chance(25)) parts.Add($"g {(isStrict ? "ANY" : "")} GENERATED ALWAYS AS (coalesce(k, 0) * 2 || '-' || length(a)) {Pick(["VIRTUAL", "STORED"])}");
        var parent = AnyTable(table => table.Schema == schema && table.Key is SqlKey.RowId or SqlKey.AutoIncrement && !table.IsFullText);
        if (parent?.Schema == schema && Chance(40))
        {
            parts.Add($"r INTEGER REFERENCES {parent.Name}(k) ON DELETE {Pick(["CASCADE", "SET NULL", "RESTRICT", "NO ACTION"])}{(Chance(40) ? " DEFERRABLE INITIALLY DEFERRED" : "")}");
        }
        else
        {
            parent = null;
        }

        var options = string.Join(", ", new[] { key == SqlKey.WithoutRowId ? "WITHOUT ROWID" : null, isStrict ? "STRICT" : null }.OfType<string>());
        var created = new SqlTable(schema, name, key, columns) { IsStrict = isStrict, Parent = parent, Owner = schema == "temp" ? _connection : -1 };
        return Step(SqlKind.Table, $"CREATE TABLE {schema}.{name}({string.Join(", ", parts)}) {options}", With(created));
    }

    private SqlStep? MakeTableAsSelect()
    {
        if (AnyTable() is not { } from) return null;
        var name = NewName("t");
        var columns = from.Columns.Take(2).ToImmutableList();
        return Step(SqlKind.Table, $"CREATE TABLE main.{name} AS SELECT k, {string.Join(", ", columns.Select(c => c.Name))} FROM {from.FullName}",
            With(new SqlTable("main", name, SqlKey.None, [.. columns.Select(c => c with { Type = 'n', IsUnique = false })])));
    }

    private SqlStep MakeFullText()
    {
        var name = NewName("f");
        var options = Pick(["", ", tokenize='porter ascii'", ", prefix='2 3'", ", detail=none"]);
        return Step(SqlKind.FullText, $"CREATE VIRTUAL TABLE main.{name} USING fts5(a, b{options})",
            With(new SqlTable("main", name, SqlKey.None, [new("a", 't'), new("b", 't')]) { IsFullText = true }));
    }

    private SqlStep? MakeIndex()
    {
        if (AnyTable() is not { } table) return null;
        var name = NewName("i");
        var (one, two) = (Pick(table.Columns).Name, Pick(table.Columns).Name);
        var on = Pick([$"({one})", $"({one} DESC, {two})", $"(k, {one}) WHERE {one} IS NOT NULL", $"(length({one}))", $"({two} COLLATE NOCASE, k)"]);
        return Step(SqlKind.Index, $"CREATE {(Chance(5) ? "UNIQUE " : "")}INDEX {table.Schema}.{name} ON {table.Name}{on}", With("INDEX", $"{table.Schema}.{name}"));
    }

    private SqlStep? MakeView()
    {
        if (AnyTable(table => table.Schema == "main" && !table.IsFullText) is not { } table) return null;
        var name = NewName("v");
        return Step(SqlKind.View, $"CREATE VIEW main.{name} AS SELECT k, {table.Columns[0].Name} AS x, count(*) OVER () AS n FROM {table.Name} WHERE k % 2 = 0", With("VIEW", $"main.{name}"));
    }

    private SqlStep? MakeTrigger()
    {
        if (AnyTable(table => table.Schema == "main" && !table.IsFullText) is not { } table) return null;
        var name = NewName("g");
        var (time, action, row) = Pick([("AFTER", "INSERT", "new"), ("BEFORE", "INSERT", "new"), ("AFTER", "DELETE", "old"), ("AFTER", "UPDATE", "new"), ("BEFORE", "DELETE", "old")]);
        var body = Pick(
        [
            $"INSERT INTO log(e) VALUES ('{name} ' || coalesce({row}.k, 'none'))",
            $"INSERT INTO log(e) VALUES ('{name}'); UPDATE log SET e = e || '+' WHERE n = (SELECT max(n) FROM log)",
            $"SELECT RAISE({Pick(["IGNORE", "ABORT, 'no'", "FAIL, 'no'", "ROLLBACK, 'no'"])}) WHERE {row}.k % 37 = 5",
        ]);
        var temporary = Chance(20) ? "TEMP " : "";
        var schema = temporary.Length > 0 ? "temp" : "main";
        return Step(SqlKind.Trigger, $"CREATE {temporary}TRIGGER {name} {time} {action} ON {table.FullName[(schema == "main" ? 5 : 0)..]} BEGIN {body}; END", With("TRIGGER", $"{schema}.{name}"));
    }

    private SqlStep? MakeAlter()
    {
        if (AnyTable() is not { } table) return null;
        var column = Pick(table.Columns);
        var name = NewName("x");
        return _random.Next(4) switch
        {
            0 => Step(SqlKind.Alter, $"ALTER TABLE {table.FullName} RENAME TO {name}", Replace(table, table with { Name = name })),
            1 => Step(SqlKind.Alter, $"ALTER TABLE {table.FullName} RENAME COLUMN {column.Name} TO {name}", Replace(table, table with { Columns = table.Columns.Replace(column, column with { Name = name }) })),
            2 => Step(SqlKind.Alter, $"ALTER TABLE {table.FullName} ADD COLUMN {name} TEXT DEFAULT 'added'", Replace(table, table with { Columns = table.Columns.Add(new(name, 't')) })),
            _ when table.Columns.Count > 1 => Step(SqlKind.Alter, $"ALTER TABLE {table.FullName} DROP COLUMN {table.Columns[^1].Name}", Replace(table, table with { Columns = table.Columns.RemoveAt(table.Columns.Count - 1) })),
            _ => null,
        };
    }

    private SqlStep? MakeDrop()
    {
        if (Chance(50) && _model.Schema.Others.Count > 0)
        {
            var other = Pick(_model.Schema.Others);
            return Step(SqlKind.Drop, $"DROP {other.Type} {other.Name}", _model.Schema with { Others = _model.Schema.Others.Remove(other) });
        }

        if (_model.Schema.Tables.Count < 3 || AnyTable(_ => true) is not { } table) return null;
        return Step(SqlKind.Drop, $"DROP TABLE {table.FullName}", Replace(table, null));
    }
}
