using System.Buffers.Binary;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>
/// A connection that DataSync opened for itself, and its prepared commands. One user at a time: the writer's holds the
/// write turn, the reader's a lock.
/// </summary>
internal sealed class CachedConnection : IDisposable
{
    private const int MaxCommands = 64;

    private readonly Dictionary<string, SqliteCommand> _commands = [];
    private readonly Queue<string> _order = new();
    private (int Cookie, long Retractions) _schema;

    public CachedConnection(string name, Action<SqliteConnection>? configure, string pragmas)
    {
        Connection = new SqliteConnection(ConnectionString(name));
        try
        {
            Connection.Open();
            using var command = Connection.CreateCommand();

            // The store is what makes commits atomic and durable, so journals need not outlive a statement, nor be synced.
            command.CommandText = $"PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY; {pragmas}";
            command.ExecuteNonQuery();
            configure?.Invoke(Connection);
        }
        catch
        {
            Connection.Dispose();
            throw;
        }
    }

    public SqliteConnection Connection { get; }

    public long LastInsertRowId => raw.sqlite3_last_insert_rowid(Connection.Handle);

    public int TotalChanges => raw.sqlite3_total_changes(Connection.Handle);

    public bool InTransaction => raw.sqlite3_get_autocommit(Connection.Handle) == 0;

    /// <summary>What opens the database through DataSync. Waiting inside SQLite cannot help in a browser, so it ends soon.</summary>
    public static string ConnectionString(string name) => new SqliteConnectionStringBuilder
    {
        DataSource = name,
        Vfs = BlockVfs.Name,
        Pooling = false,
        DefaultTimeout = 1,
    }.ToString();

    /// <summary>Runs a statement to its end.</summary>
    public void Execute(string sql, object? parameters = null)
    {
        using var lease = Prepare(sql, parameters);
        lease.Command.ExecuteNonQuery();
    }

    /// <summary>
    /// Makes SQLite read the schema again if it is not the one that this connection has in memory. SQLite itself looks only when a
    /// statement runs: one that only compiles, such as CREATE INDEX or ADD COLUMN, would fail over what another tab has dropped, or
    /// over its own first try that was taken back.
    /// </summary>
    public void CheckSchema(BlockStorage storage)
    {
        Span<byte> cookie = stackalloc byte[4];
        storage.Read(DatabaseFile.CookieOffset, cookie);
        var schema = (BinaryPrimitives.ReadInt32BigEndian(cookie), storage.Retractions);
        if (schema == _schema) return;
        Execute("SELECT 1 FROM sqlite_schema LIMIT 1");
        _schema = schema;
    }

    /// <summary>A token that is cancelled makes the running statement fail; dispose of this when it has ended.</summary>
    public CancellationTokenRegistration InterruptOn(CancellationToken cancellationToken) =>
        cancellationToken.UnsafeRegister(static self => raw.sqlite3_interrupt(((SqliteConnection)self!).Handle), Connection);

    /// <summary>Whether a statement failed because its caller wanted that.</summary>
    public static bool IsInterrupt(SqliteException error, CancellationToken cancellationToken) =>
        error.SqliteErrorCode == SqliteResult.Interrupt && cancellationToken.IsCancellationRequested;

    /// <summary>Ends a transaction that failed, whatever its state.</summary>
    public void Rollback()
    {
        if (InTransaction) raw.sqlite3_exec(Connection.Handle, "ROLLBACK");
    }

    /// <summary>A command for this text, prepared once and kept; a text in use already gets one of its own.</summary>
    public CommandLease Prepare(string sql, object? parameters)
    {
        var text = SqlParameters.ArePositional(parameters) ? SqlParameters.Number(sql) : sql;
        if (!_commands.Remove(text, out var command))
        {
            command = Connection.CreateCommand();
            command.CommandText = text;
        }

        try
        {
            SqlParameters.Bind(command, parameters);
        }
        catch
        {
            command.Dispose();
            throw;
        }

        return new CommandLease(this, command);
    }

    public void Dispose()
    {
        foreach (var command in _commands.Values) command.Dispose();
        _commands.Clear();
        Connection.Dispose();
    }

    private void Return(SqliteCommand command)
    {
        if (!_commands.TryAdd(command.CommandText, command))
        {
            command.Dispose();
            return;
        }

        _order.Enqueue(command.CommandText);
        while (_commands.Count > MaxCommands || _order.Count > MaxCommands * 8)
        {
            var oldest = _order.Dequeue();
            if (!_order.Contains(oldest) && _commands.Remove(oldest, out var old)) old.Dispose();
        }
    }

    /// <summary>A command in use; disposing it gives it back.</summary>
    internal readonly struct CommandLease(CachedConnection owner, SqliteCommand command) : IDisposable
    {
        public SqliteCommand Command => command;

        public void Dispose() => owner.Return(command);
    }
}
