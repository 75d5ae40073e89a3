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
    private static readonly ConcurrentDictionary<string, string> ConnectionStrings = new();

    private PooledHandle(DataSyncDatabase database) => Database = database;

    public DataSyncDatabase Database { get; }

    public CommandKinds Kinds { get; } = new();

    /// <summary>Which schema it has in memory.</summary>
    public SchemaWatch Schema { get; } = new();

    /// <summary>The string of connections of which nothing else was said.</summary>
    public static string ConnectionStringFor(string name) => ConnectionStrings.GetOrAdd(
        name, static name => new SqliteConnectionStringBuilder { DataSource = name, Vfs = BlockVfs.Name, Pooling = IsPooled, DefaultTimeout = DefaultTimeout_s }.ToString());

    /// <summary>One of the application's own, for this database.</summary>
    public static string ConnectionStringFrom(string connectionString, string name)
    {
        var builder = new SqliteConnectionStringBuilder(connectionString) { DataSource = name, Vfs = BlockVfs.Name };
        builder.Pooling &= IsPooled;
        return builder.ToString();
    }

    /// <summary>What is known of the one that an open connection stands on; null when it is new.</summary>
    public static PooledHandle? Of(SqliteConnection connection) => Known.TryGetValue(connection.Handle!, out var known) ? known : null;

    /// <summary>Sets up what an open connection stands on.</summary>
    /// <exception cref="ObjectDisposedException">The database was closed.</exception>
    public static PooledHandle Take(SqliteConnection connection, DataSyncDatabase database)
    {
        database.Pools(connection.ConnectionString);
        var known = Of(connection);
        database.SetUp(connection, isNew: known is null);
        if (known is null) Known.Add(connection.Handle!, known = new PooledHandle(database));
        if (IsPooled) SqliteWasmProvider.Instance.Accept(connection.Handle!);
        return known;
    }

    /// <summary>Whether the one that an open connection stands on may differ from a new one: then it must not be used again.</summary>
    public static bool IsAltered(SqliteConnection connection) => IsPooled && SqliteWasmProvider.Instance.IsAltered(connection.Handle!);
}
