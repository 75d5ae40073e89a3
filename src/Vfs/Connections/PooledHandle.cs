using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using DataSync.Vfs.Browser;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>
/// What is known of a connection of SQLite's own, which Microsoft.Data.Sqlite hands from one closed <see cref="DataSyncConnection"/> to the next
/// that is opened. Its functions come and go with their <see cref="SqliteConnection"/>; what stays is what DataSync set, and what it has learned.
/// </summary>
internal sealed class PooledHandle
{
    // Of one that waits for others' locks: longer than anybody should hold them.
    private const int DefaultTimeout_s = 30;

    // Opening one costs a millisecond there. Elsewhere it is fast, and what was done to one cannot be told well enough to give it to others.
    private static readonly bool IsPooled = OperatingSystem.IsBrowser();

    private static readonly ConditionalWeakTable<sqlite3, PooledHandle> Known = [];
    private static readonly ConcurrentDictionary<(string Name, bool HasFunctions), string> ConnectionStrings = new();

    private bool _isHandedOver;

    private PooledHandle(DataSyncDatabase database) => Database = database;

    public DataSyncDatabase Database { get; }

    public CommandKinds Kinds { get; } = new();

    /// <summary>Which schema it has in memory.</summary>
    public SchemaWatch Schema { get; } = new();

    /// <summary>
    /// The string of connections of which nothing else was said. Handles are used again by those with the same string: EF Core's, which have functions that others
    /// have not, say what is the default.
    /// </summary>
    public static string ConnectionStringFor(string name, bool hasFunctions = false) => ConnectionStrings.GetOrAdd(
        (name, hasFunctions),
        static key =>
        {
            var builder = new SqliteConnectionStringBuilder { DataSource = key.Name, Vfs = BlockVfs.Name, Pooling = IsPooled, DefaultTimeout = DefaultTimeout_s };
            if (key.HasFunctions) builder.Mode = SqliteOpenMode.ReadWriteCreate;
            return builder.ToString();
        });

    /// <summary>One of the application's own, for this database.</summary>
    public static string ConnectionStringFrom(string connectionString, string name)
    {
        var builder = new SqliteConnectionStringBuilder(connectionString) { DataSource = name, Vfs = BlockVfs.Name };
        builder.Pooling &= IsPooled;
        return builder.ToString();
    }

    /// <summary>Sets up what an open connection stands on. Null when the one before it left what this one would notice: it needs another.</summary>
    /// <exception cref="ObjectDisposedException">The database was closed.</exception>
    public static PooledHandle? Take(SqliteConnection connection, DataSyncDatabase database)
    {
        database.Pools(connection.ConnectionString);
        var handle = connection.Handle!;
        var isNew = !Known.TryGetValue(handle, out var known);

        // Of a database that was closed while somebody opened a connection, or of a connection that nobody closed.
        if (!isNew && (known!.Database != database || !known._isHandedOver)) return null;
        var isAltered = IsPooled && SqliteWasmProvider.Instance.IsAltered(handle); // by a handler of StateChange
        database.SetUp(connection, isNew);
        if (isNew) Known.Add(handle, known = new PooledHandle(database));
        known!._isHandedOver = false;
        if (!IsPooled) return known;
        if (!SqliteWasmProvider.Instance.TryTakeOver(handle) && !isNew) return null;
        if (!isAltered) SqliteWasmProvider.Instance.Accept(handle);
        return known;
    }

    /// <summary>An open connection leaves it to the next one. False where that one would notice: then it must be closed.</summary>
    public bool TryHandOver(SqliteConnection connection)
    {
        if (!IsPooled || SqliteWasmProvider.Instance.IsAltered(connection.Handle!)) return false;
        SqliteWasmProvider.Instance.HandOver(connection.Handle!);
        return _isHandedOver = true;
    }
}
