using System.Text;
using DataSync.Storage;
using DataSync.Vfs.Browser;
using DataSync.Vfs.Native;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>
/// A connection that DataSync opened for itself, and its prepared statements. One user at a time: the writer's holds the
/// write turn, the reader's a lock.
/// </summary>
internal sealed class CachedConnection : IDisposable
{
    // More than an app's statements of every day; those beyond are prepared again. A lock of this tab is held for one statement, seldom for a second.
    private const int MaxStatements = 64, TimeoutSeconds = 1;

    /// <summary>The store is what makes commits atomic and durable, so journals need not outlive a statement, nor be synced.</summary>
    public const string Pragmas = "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY";

    private readonly Dictionary<string, Statement> _statements = [];
    private readonly SqlParameters _parameters;
    private long _uses;

    public CachedConnection(string name, Action<SqliteConnection>? configure, bool isReader = false)
    {
        Connection = new SqliteConnection(isReader ? $"{ConnectionString(name)};Mode=ReadOnly" : ConnectionString(name));
        _parameters = new(Connection);
        RunText = sql => Execute(sql);
        try
        {
            Connection.Open();
            SetUp(Connection, isReader ? Pragmas + "; PRAGMA query_only=ON" : Pragmas, configure);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public SqliteConnection Connection { get; }

    /// <summary>Which schema it has in memory.</summary>
    public SchemaWatch Schema { get; } = new();

    /// <summary>Runs a text's statements to their ends; made once, since each write takes it.</summary>
    public Action<string> RunText { get; }

    /// <summary>What <c>last_insert_rowid()</c> gives.</summary>
    public long LastInsertRowId
    {
        get => raw.sqlite3_last_insert_rowid(Connection.Handle);
        set
        {
            var db = Connection.Handle!.DangerousGetHandle();
            if (OperatingSystem.IsBrowser()) SqliteImports.SetLastInsertRowId((int)db, value);
            else NativeVfs.SetLastInsertRowId(db, value);
        }
    }

    /// <summary>What SQLite has a type for of what it has none for.</summary>
    public object? ToSqlite(object value) => _parameters.Convert(value);

    public int TotalChanges => raw.sqlite3_total_changes(Connection.Handle);

    /// <summary>What opens the database through DataSync. Waiting inside SQLite cannot help in a browser, so it ends soon.</summary>
    public static string ConnectionString(string name) => new SqliteConnectionStringBuilder
    {
        DataSource = name,
        Vfs = BlockVfs.Name,
        Pooling = false,
        DefaultTimeout = TimeoutSeconds,
    }.ToString();

    /// <summary>Makes a connection that was just opened as DataSync's are.</summary>
    public static void SetUp(SqliteConnection connection, string pragmas, Action<SqliteConnection>? configure)
    {
        // Another connection of this process may hold a lock for a moment. In the browser nobody could release it meanwhile.
        if (!OperatingSystem.IsBrowser()) _ = raw.sqlite3_busy_timeout(connection.Handle, TimeoutSeconds * 1000);
        connection.RunText(pragmas);
        configure?.Invoke(connection);
    }

    /// <summary>Whether a text holds more than one statement.</summary>
    public bool HasSeveral(string sql) => !_statements.ContainsKey(sql) && SqlText.HasSeveralStatements(sql);

    /// <summary>Runs a text's statements to their ends.</summary>
    /// <exception cref="SqliteException">One failed.</exception>
    public void Execute(string sql, object? parameters = null) => Run<object?>(sql, parameters, null);

    /// <summary>Runs one statement to its end for each set of parameters.</summary>
    /// <inheritdoc cref="ExecuteManyInParts" path="/exception"/>
    public void ExecuteMany(string sql, IEnumerable<object?> sets)
    {
        foreach (var _ in ExecuteManyInParts(sql, sets))
        {
        }
    }

    /// <summary>The same, with pauses: after a few hundred runs, which take about a millisecond, it gives a number that means nothing.</summary>
    /// <exception cref="SqliteException">A run failed.</exception>
    /// <exception cref="ArgumentException">The text holds several statements, or none.</exception>
    public IEnumerable<int> ExecuteManyInParts(string sql, IEnumerable<object?> sets)
    {
        const int Part = 64;
        if (HasSeveral(sql)) throw new ArgumentException("Only one statement can be run with many sets of parameters.", nameof(sql));
        var statement = Take(sql) ?? throw new ArgumentException("There is no statement in the text.", nameof(sql));
        try
        {
            using var runs = statement.GatherRuns();
            var (made, alone) = (0, 0);
            foreach (var parameters in sets)
            {
                if (runs is not null && SqlParameters.Arrange(statement, parameters) is { } values && runs.TryAdd(values))
                {
                    if (runs.Calls != made) yield return made = runs.Calls;
                    continue;
                }

                runs?.Make(); // those before it
                _parameters.Bind(statement, parameters);
                while (statement.Step())
                {
                }

                statement.Reset();
                if (++alone % Part == 0) yield return alone;
            }

            runs?.Make();
        }
        finally
        {
            Return(sql, statement);
        }
    }

    /// <summary>
    /// Runs a text's statements to their ends, and reads the rows of the first that has columns.
    /// </summary>
    /// <param name="sql">The text.</param>
    /// <param name="parameters">As for <see cref="DataSyncDatabase.ExecuteAsync(string, object?, CancellationToken)"/>.</param>
    /// <param name="read">Reads the rows of a statement that was stepped once; is told whether it stands on a row.</param>
    /// <param name="onlyReads">Refuse what would write.</param>
    /// <exception cref="SqliteException">One failed.</exception>
    /// <exception cref="InvalidOperationException">One would write, and must not.</exception>
    public T? Run<T>(string sql, object? parameters, Func<Statement, bool, T>? read, bool onlyReads = false)
    {
        if (!HasSeveral(sql))
        {
            if (Take(sql) is not { } statement) return default;
            try
            {
                if (onlyReads) statement.ThrowUnlessReadOnly();
                _parameters.Bind(statement, parameters);
                return Run(statement, ref read);
            }
            finally
            {
                Return(sql, statement);
            }
        }

        T? result = default;
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(SqlParameters.ArePositional(parameters) ? SqlText.NumberParameters(sql) : sql);
        while (rest.Length > 0)
        {
            using var statement = Statement.Prepare(Connection.Handle!, rest, out var taken);
            rest = rest[taken..];
            if (statement is null) continue;
            if (onlyReads) statement.ThrowUnlessReadOnly();
            _parameters.Bind(statement, parameters);
            var hadRead = read is not null;
            var rows = Run(statement, ref read);
            if (hadRead && read is null) result = rows;
        }

        return result;
    }

    /// <summary>Makes SQLite read the schema again if it is not the one that this connection has in memory.</summary>
    public void CheckSchema(BlockStorage storage) => Schema.Check(storage, RunText);

    /// <summary>Whether a statement failed because its caller wanted that.</summary>
    public static bool IsInterrupt(SqliteException error, CancellationToken cancellationToken) =>
        error.SqliteErrorCode == SqliteResult.Interrupt && cancellationToken.IsCancellationRequested;

    public void Dispose()
    {
        foreach (var statement in _statements.Values) statement.Dispose();
        _statements.Clear();
        _parameters.Dispose();
        Connection.Dispose();
    }

    // The reader is used up by the first statement that has columns.
    private static T? Run<T>(Statement statement, ref Func<Statement, bool, T>? read)
    {
        var result = default(T);
        var isRow = statement.Step();
        if (read is not null)
        {
            statement.NoticeSchemaChange();
            if (statement.Columns.Length > 0)
            {
                result = read(statement, isRow);
                read = null;
                return result;
            }
        }

        while (isRow) isRow = statement.Step();
        return result;
    }

    private Statement? Take(string sql)
    {
        if (!_statements.TryGetValue(sql, out var statement) || statement.IsInUse)
            statement = Statement.Prepare(Connection.Handle!, Encoding.UTF8.GetBytes(sql), out _);
        if (statement is not null) (statement.IsInUse, statement.LastUse) = (true, ++_uses);
        return statement;
    }

    private void Return(string sql, Statement statement)
    {
        statement.Reset();
        statement.IsInUse = false;
        if (statement.IsKept) return;
        if (!_statements.TryAdd(sql, statement))
        {
            statement.Dispose();
            return;
        }

        statement.IsKept = true;
        if (_statements.Count <= MaxStatements) return;
        var (oldest, old) = _statements.Where(entry => !entry.Value.IsInUse).MinBy(entry => entry.Value.LastUse);
        if (old is null) return;
        _statements.Remove(oldest);
        old.Dispose();
    }
}
