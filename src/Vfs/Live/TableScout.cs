using System.Text;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>
/// Finds out which tables a query reads, views and triggers seen through: compiles it on a connection of its own, whose authorizer notes them.
/// </summary>
/// <remarks>From any thread.</remarks>
internal sealed class TableScout(string name, BlockStorage storage, Action<SqliteConnection>? configure) : IDisposable
{
    private const int MaxKept = 256, MaxStubs = 64;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, IReadOnlySet<string>?> _known = [];
    private readonly HashSet<string> _seen = [];
    private CachedConnection? _connection;
    private SchemaNames? _names;
    private bool _isAny, _isDisposed;

    /// <summary>Virtual tables under their own names; null where it cannot be told now, so that it may be any.</summary>
    public IReadOnlyList<string>? Resolve(IReadOnlyList<string>? tables)
    {
        // Shadow tables have their owner's name and more.
        if (tables is null || !tables.Any(table => table.Contains('_', StringComparison.Ordinal))) return tables;
        try
        {
            lock (_gate) return _isDisposed ? null : Names().Resolve(tables);
        }
        catch (Exception error) when (error is SqliteException or ObjectDisposedException)
        {
            return null; // it is being closed, or a writer of this tab holds the lock
        }
    }

    /// <summary>These tables, and those that stand behind virtual ones; null where it cannot be told now.</summary>
    public IReadOnlySet<string>? BehindOf(IReadOnlyCollection<string> tables)
    {
        try
        {
            lock (_gate) return !_isDisposed && Names() is var names ? names.ResolveRead(tables.Select(names.NameOf)) : null;
        }
        catch (SqliteException)
        {
            return null; // a writer of this tab holds the lock
        }
    }

    /// <summary>The tables that a text reads, virtual ones under their own names; null: any, also where it does not compile.</summary>
    /// <exception cref="NotResidentException">That cannot be told before something is loaded.</exception>
    public IReadOnlySet<string>? TablesOf(string sql)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, typeof(DataSyncDatabase));
            SchemaNames names;
            try
            {
                names = Names();
            }
            catch (SqliteException error) when (error.SqliteErrorCode == SqliteResult.Busy)
            {
                return null; // a writer of this tab holds the lock: the next run knows more
            }

            if (_known.TryGetValue(sql, out var tables)) return tables;
            var misses = BlockStorage.MissesHere;
            tables = TryFind(sql) ? names.ResolveRead(_seen) : null;
            if (BlockStorage.MissesHere != misses) throw new NotResidentException(); // a virtual table reads its own when it is compiled: once more, then
            if (_known.Count >= MaxKept) _known.Clear();
            return _known[sql] = tables;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            _connection?.Dispose();
        }
    }

    private SchemaNames Names()
    {
        var version = storage.SchemaVersion;
        if (_names is { } known && known.Version == version) return known;
        var connection = _connection ??= Open();
        connection.CheckSchema(storage);
        _names = SchemaNames.Read(connection, version);
        _known.Clear();
        return _names;
    }

    private bool TryFind(string sql)
    {
        for (var stubs = 0; ; stubs++)
        {
            _seen.Clear();
            _isAny = false;
            try
            {
                Compile(sql);
                return !_isAny;
            }
            catch (SqliteException error) when (stubs < MaxStubs && TryAddStub(error.Message))
            {
                // Once more.
            }
            catch (SqliteException)
            {
                return false; // whoever runs it meets it
            }
        }
    }

    private void Compile(string sql)
    {
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(sql);
        while (rest.Length > 0)
        {
            using var statement = Statement.Prepare(_connection!.Connection.Handle!, rest, out var taken);
            rest = rest[taken..];
        }
    }

    // What the connection that runs the text has and this one lacks (EF Core's functions, the app's own). Nothing is run here, so it need only have the name.
    private bool TryAddStub(string message)
    {
        var connection = _connection!.Connection;
        if (TryFindName(message, "no such function: ", out var function)) connection.CreateFunction(function, static (object?[] _) => 0);
        else if (TryFindName(message, "no such collation sequence: ", out var collation)) connection.CreateCollation(collation, static (_, _) => 0);
        else return false;
        return true;
    }

    private static bool TryFindName(string message, string words, out string name)
    {
        var at = message.IndexOf(words, StringComparison.Ordinal);
        name = at < 0 ? "" : message[(at + words.Length)..].TrimEnd('\'', '.');
        return name.Length > 0;
    }

    private CachedConnection Open() => new(name, SetUp, isReader: true);

    // Last, so that an authorizer that the app sets up does not take its place: nothing is run here, so nothing can pass by that.
    private void SetUp(SqliteConnection connection)
    {
        configure?.Invoke(connection);
        raw.sqlite3_set_authorizer(connection.Handle, (strdelegate_authorizer)Note, null);
    }

    private int Note(object state, int action, string? first, string? second, string? database, string? trigger)
    {
        if (action == raw.SQLITE_PRAGMA) _isAny = true;
        if (action != raw.SQLITE_READ || first is null || database is not (null or "main")) return raw.SQLITE_OK;

        // Of its own tables SQLite does not say when they change, but that of the schema, and some show the whole file.
        if (first is "sqlite_schema" or "sqlite_master") return raw.SQLITE_OK;
        if (first.StartsWith("sqlite_", StringComparison.Ordinal) || first.StartsWith("pragma_", StringComparison.Ordinal) || first is "dbstat") _isAny = true;
        else _seen.Add(first);
        return raw.SQLITE_OK;
    }
}
