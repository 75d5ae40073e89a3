namespace DataSync.Contracts.Scripts;

// Queries, transactions, pragmas, and what concerns the whole database.
public sealed partial class SqlScript
{
    private List<(int Weight, Func<SqlStep?> Make)> Makers() =>
    [
        (50, MakeTable), (8, MakeTableAsSelect), (8, MakeFullText), (18, MakeIndex), (10, MakeView), (12, MakeTrigger), (18, MakeAlter), (16, MakeDrop),
        (70, MakeInsert), (70, MakeFill), (30, MakeUpsert), (25, MakeReturning), (55, MakeUpdate), (40, MakeDelete), (20, MakeBlob), (25, MakeJson),
        (30, MakeViolation), (12, MakeMistake), (90, MakeSelect), (20, MakeMatch), (45, MakeBegin), (60, MakeCommit), (25, MakeRollback),
        (30, MakeSavepoint), (20, MakeRelease), (20, MakeRollbackTo), (14, MakeVacuum), (50, MakePragma), (14, MakeJournalMode), (5, MakeWriteAheadLog),
        (6, MakeWithoutJournal), (25, MakeAttach), (8, MakeDetach), (18, MakeOpenCursor), (16, MakeStepCursor), (24, MakeCloseCursor), (9, MakeReopen),
    ];

    private SqlStep? MakeSelect()
    {
        var views = _model.Schema.Others.Where(o => o.Type == "VIEW").ToList();
        if (views.Count > 0 && Chance(12)) return Step(SqlKind.Select, $"SELECT * FROM {Pick(views).Name} LIMIT 30");
        if (AnyTable(t => !t.IsFullText) is not { } table) return null;
        var (column, other) = (Pick(table.Columns).Name, AnyTable(t => !t.IsFullText)!);
        return Step(SqlKind.Select, _random.Next(9) switch
        {
            0 => $"SELECT count(*), sum(k), min({column}), max({column}), total(length({column})) FROM {table.FullName}",
            1 => $"SELECT * FROM {table.FullName} ORDER BY {column} DESC, k LIMIT 40",
            2 => $"SELECT typeof({column}), count(*), group_concat(k) FROM {table.FullName} GROUP BY 1 HAVING count(*) > 1 ORDER BY 2, 1",
            3 => $"SELECT a.k, b.k FROM {table.FullName} AS a JOIN {other.FullName} AS b ON a.k = b.k + {_random.Next(3)} ORDER BY 1, 2 LIMIT 50",
            4 => $"SELECT k, sum(k) OVER (ORDER BY {column}, k ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM {table.FullName} LIMIT 30",
            5 => $"SELECT k FROM {table.FullName} EXCEPT SELECT k FROM {other.FullName} ORDER BY 1 LIMIT 30",
            6 => $"SELECT {column} FROM {table.FullName} WHERE EXISTS (SELECT 1 FROM {other.FullName} AS o WHERE o.k = {table.Name}.k) AND {column} IS NOT NULL",
            7 => $"SELECT * FROM (SELECT hex({column}) || k AS s FROM {table.FullName} UNION ALL SELECT e || n FROM log) ORDER BY s",
            _ => $"SELECT * FROM {table.FullName} WHERE {column} > {Value(table, table.Columns[0])} LIMIT 25",
        });
    }

    private SqlStep? MakeMatch()
    {
        if (AnyTable(t => t.IsFullText) is not { } table) return null;
        var column = table.Columns[0].Name;
        return Step(SqlKind.Match, _random.Next(5) switch
        {
            0 => $"SELECT rowid, {column} FROM {table.FullName}('alpha OR word*') ORDER BY rank, rowid LIMIT 20",
            1 => $"SELECT count(*), max(rowid) FROM {table.Name} WHERE {table.Name} MATCH 'fox NOT beta'",
            2 => $"SELECT snippet({table.Name}, 0, '<', '>', '…', 4) FROM {table.FullName} WHERE {table.Name} MATCH 'brown' LIMIT 5",
            3 => $"INSERT INTO {table.FullName}({table.Name}) VALUES ('{Pick(["optimize", "integrity-check", "rebuild"])}')",
            _ => $"SELECT * FROM {table.FullName} WHERE rowid % 3 = 1 LIMIT 10",
        });
    }

    private SqlStep? MakeBegin()
    {
        if (_model.InTransaction(_connection)) return null;
        var connection = _connection;
        _onSuccess = () => _model.Begin(connection, null);
        return Step(SqlKind.Begin, Pick(["BEGIN", "BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"]));
    }

    private SqlStep? MakeCommit()
    {
        if (!_model.InTransaction(_connection)) return null;
        var connection = _connection;
        _onSuccess = () => _model.Commit(connection);
        return Step(SqlKind.Commit, "COMMIT");
    }

    private SqlStep? MakeRollback()
    {
        if (!_model.InTransaction(_connection)) return null;
        var connection = _connection;
        _onSuccess = () => _model.Rollback(connection);
        return Step(SqlKind.Rollback, "ROLLBACK");
    }

    private SqlStep MakeSavepoint()
    {
        var (connection, name) = (_connection, $"s{_random.Next(4)}");
        _onSuccess = () => _model.Begin(connection, name);
        return Step(SqlKind.Savepoint, $"SAVEPOINT {name}");
    }

    private SqlStep? MakeRelease()
    {
        if (_model.Savepoints(_connection) is not { Count: > 0 } savepoints) return null;
        var (connection, name) = (_connection, Pick(savepoints));
        _onSuccess = () => _model.Release(connection, name);
        return Step(SqlKind.Release, $"RELEASE {name}");
    }

    private SqlStep? MakeRollbackTo()
    {
        if (_model.Savepoints(_connection) is not { Count: > 0 } savepoints) return null;
        var (connection, name) = (_connection, Pick(savepoints));
        _onSuccess = () => _model.RollbackTo(connection, name);
        return Step(SqlKind.RollbackTo, $"ROLLBACK TO {name}");
    }

    private SqlStep? MakeVacuum()
    {
        if (_model.InTransaction(_connection)) return null;
        var schema = _model.HasAux[_connection] && Chance(30) ? "aux1" : "main";
        Enqueue(SqlKind.Vacuum, $"VACUUM {schema}");
        return Step(SqlKind.Pragma, Chance(40) ? $"PRAGMA {schema}.page_size={Pick(PageSizes)}" : Chance(40) ? $"PRAGMA {schema}.auto_vacuum={_random.Next(3)}" : "PRAGMA page_size");
    }

    private SqlStep MakePragma()
    {
        var table = AnyTable(_ => true)?.Name ?? "log";
        return Step(SqlKind.Pragma, "PRAGMA " + Pick(
        [
            "page_count", "freelist_count", "schema_version", $"user_version={_random.Next(1000)}", $"application_id={_random.Next(1000)}", $"cache_size={Pick([2, 10, 100, 2000])}",
            "quick_check", "integrity_check", "foreign_key_check", $"incremental_vacuum({_random.Next(1, 20)})", "optimize", $"table_xinfo({table})", $"index_list({table})",
            "auto_vacuum", "user_version", $"cache_spill={_random.Next(2)}", "shrink_memory", $"foreign_keys={_random.Next(2)}", "wal_checkpoint",
            "synchronous=OFF", "table_list", "max_page_count", "analysis_limit=100", "journal_size_limit=0",
        ]));
    }

    private SqlStep? MakeJournalMode() =>
        _model.InTransaction(_connection) && Chance(80) ? null : Step(SqlKind.JournalMode, $"PRAGMA main.journal_mode={Pick(JournalModes)}");

    /// <summary>The mode stays as it is: docs/VFS.md.</summary>
    private SqlStep? MakeWriteAheadLog() =>
        _isExclusive ? null : Step(SqlKind.WriteAheadLog, "PRAGMA main.journal_mode=WAL") with { ReferenceSql = "PRAGMA main.journal_mode" };

    /// <summary>Statements that cannot fail, since SQLite alone could not undo them; nobody else may hold them up either.</summary>
    private SqlStep? MakeWithoutJournal()
    {
        if (Connections > 1 || _model.InTransaction(_connection) || _model.HasAux[_connection]) return null;
        var name = NewName("o");
        var isTransaction = Chance(50);
        while (MakeCloseCursor() is { } close) _queue.Enqueue(close);
        Enqueue(SqlKind.WithoutJournal, "PRAGMA main.journal_mode=OFF");
        if (isTransaction) Enqueue(SqlKind.WithoutJournal, "BEGIN");
        Enqueue(SqlKind.WithoutJournal, $"CREATE TABLE main.{name}(k, a)");
        Enqueue(SqlKind.WithoutJournal, $"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {_random.Next(20, 500)}) INSERT INTO {name} SELECT i, printf('%.*c', i, 'o') FROM n");
        Enqueue(SqlKind.WithoutJournal, $"UPDATE {name} SET a = a || a WHERE k % {_random.Next(2, 5)} = 1");
        Enqueue(SqlKind.WithoutJournal, $"DELETE FROM {name} WHERE k % {_random.Next(2, 5)} = 0");
        if (isTransaction) Enqueue(SqlKind.WithoutJournal, "COMMIT");
        Enqueue(SqlKind.WithoutJournal, $"PRAGMA main.journal_mode={Pick(JournalModes)}");
        return _queue.Dequeue();
    }

    private SqlStep? MakeAttach()
    {
        if (_model.HasAux[_connection]) return null;
        var connection = _connection;
        _onSuccess = () => _model.HasAux[connection] = true;
        return Step(SqlKind.Attach, "ATTACH '{aux}' AS aux1");
    }

    private SqlStep? MakeDetach()
    {
        if (!_model.HasAux[_connection] || (_model.InTransaction(_connection) && Chance(80))) return null;
        var connection = _connection;
        _onSuccess = () => _model.HasAux[connection] = false;
        return Step(SqlKind.Detach, "DETACH aux1");
    }

    private SqlStep? MakeOpenCursor()
    {
        if (AnyTable() is not { } table) return null;
        var key = (_connection, Cursor: _random.Next(2));
        if (!_cursors.Add(key)) return null;
        return Step(SqlKind.OpenCursor, $"SELECT k, {table.Columns[0].Name} FROM {table.FullName}{(Chance(30) ? " ORDER BY 2" : "")}") with { Cursor = key.Cursor };
    }

    private SqlStep? MakeStepCursor() => AnyCursor(SqlKind.StepCursor);

    private SqlStep? MakeCloseCursor()
    {
        var step = AnyCursor(SqlKind.CloseCursor);
        if (step is not null) _cursors.Remove((_connection, step.Cursor));
        return step;
    }

    private SqlStep? AnyCursor(SqlKind kind) =>
        _cursors.Where(c => c.Connection == _connection).ToList() is { Count: > 0 } open ? new(kind, _connection, "") { Cursor = Pick(open).Cursor } : null;

    private SqlStep MakeReopen()
    {
        _cursors.Clear();
        _onSuccess = _model.Reopen;
        return new(SqlKind.Reopen, 0, "");
    }
}
