namespace DataSync.Contracts.Scripts;

/// <summary>
/// A random script under a seed. It is made step by step, since what fits next depends on what has worked; what has worked is
/// the same in every run, so a seed gives the same script each time.
/// </summary>
public sealed partial class SqlScript
{
    private static readonly int[] PageSizes = [512, 1024, 2048, 4096, 4096, 4096, 8192, 16384, 32768, 65536];
    private static readonly string[] JournalModes = ["DELETE", "TRUNCATE", "PERSIST", "MEMORY"];
    private readonly Random _random;
    private readonly SqlModel _model;
    private readonly Queue<SqlStep> _queue = [];
    private readonly HashSet<(int Connection, int Cursor)> _cursors = [];
    private readonly List<(int Weight, Func<SqlStep?> Make)> _makers;
    private readonly string[] _settings;
    private readonly bool _isExclusive;
    private int _connection, _names, _keys;
    private Action? _onSuccess;
    private SqlSchema? _pending;

    public SqlScript(int seed)
    {
        _random = new Random(seed);
        Connections = Chance(40) ? 2 : 1;
        _isExclusive = Connections == 1 && Chance(8);
        _model = new SqlModel(Connections);
        _settings =
        [
            $"PRAGMA page_size={Pick(PageSizes)}", $"PRAGMA auto_vacuum={Pick([0, 0, 1, 2])}", $"PRAGMA encoding='{Pick(["UTF-8", "UTF-8", "UTF-16le", "UTF-16be"])}'",
            $"PRAGMA cache_size={Pick([2000, 2000, 10, 5, 2])}", $"PRAGMA temp_store={_random.Next(3)}", $"PRAGMA foreign_keys={_random.Next(2)}",
            $"PRAGMA recursive_triggers={_random.Next(2)}", $"PRAGMA secure_delete={_random.Next(2)}", $"PRAGMA journal_mode={Pick(JournalModes)}",
            $"PRAGMA locking_mode={(_isExclusive ? "EXCLUSIVE" : "NORMAL")}",
        ];
        _makers = Makers();
        Enqueue(SqlKind.Table, "CREATE TABLE log(n INTEGER PRIMARY KEY, e TEXT)");
    }

    /// <summary>How many connections the script has.</summary>
    public int Connections { get; }

    /// <summary>What each connection begins with.</summary>
    public IEnumerable<string> Settings => _settings;

    /// <summary>Whether steps follow that belong to the one before.</summary>
    public bool IsInside => _queue.Count > 0;

    /// <summary>The next step; <see cref="Observe"/> has to be told its outcome before another one is asked for.</summary>
    public SqlStep Next()
    {
        (_onSuccess, _pending) = (null, null);
        if (_queue.TryDequeue(out var queued)) return queued;
        ChooseConnection();
        var total = _makers.Sum(maker => maker.Weight);
        for (var attempt = 0; attempt < 50; attempt++)
        {
            var dice = _random.Next(total);
            var maker = _makers.First(m => (dice -= m.Weight) < 0);
            if (maker.Make() is { } step) return step;
        }

        return Step(SqlKind.Select, "SELECT type, name, tbl_name, rootpage = 0, sql FROM sqlite_schema");
    }

    /// <summary>Learns from the outcome of the step that was handed out last.</summary>
    public void Observe(SqlStep step, SqlOutcome outcome)
    {
        ArgumentNullException.ThrowIfNull(step);
        ArgumentNullException.ThrowIfNull(outcome);
        if (outcome.IsOk && _pending is { } schema) _model.Change(step.Connection, schema);
        if (outcome.IsOk) _onSuccess?.Invoke();

        // A statement that fails with ROLLBACK takes the transaction with it.
        if (step.Kind != SqlKind.Reopen && outcome.IsAutocommit && _model.InTransaction(step.Connection)) _model.Rollback(step.Connection);
    }

    private void ChooseConnection()
    {
        if (Connections == 1) return;
        var other = 1 - _connection;
        if (Chance(_model.InTransaction(_connection) ? 12 : _model.InTransaction(other) ? 60 : 25)) _connection = other;
    }

    private bool Chance(int percent) => _random.Next(100) < percent;

    private T Pick<T>(IReadOnlyList<T> list) => list[_random.Next(list.Count)];

    private SqlStep Step(SqlKind kind, string sql, SqlSchema? then = null)
    {
        _pending = then;
        return new(kind, _connection, sql);
    }

    private void Enqueue(SqlKind kind, string sql) => _queue.Enqueue(new(kind, _connection, sql));

    private string NewName(string prefix) => $"{prefix}{_names++}";

    /// <summary>A table that this connection sees and the caller can use; null when there is none.</summary>
    private SqlTable? AnyTable(Func<SqlTable, bool>? filter = null)
    {
        var tables = _model.Tables(_connection).Where(table => !table.IsPlain && (filter?.Invoke(table) ?? !table.IsFullText)).ToList();
        return tables.Count == 0 ? null : Pick(tables);
    }

    private SqlSchema With(SqlTable table) => _model.Schema with { Tables = _model.Schema.Tables.Add(table) };

    private SqlSchema With(string type, string name) => _model.Schema with { Others = _model.Schema.Others.Add((type, name)) };

    private SqlSchema Replace(SqlTable old, SqlTable? table) =>
        _model.Schema with { Tables = table is null ? _model.Schema.Tables.Remove(old) : _model.Schema.Tables.Replace(old, table) };
}
