using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Contracts;

/// <summary>A database of this tab alone: its commits go nowhere, and the test decides whether it may write.</summary>
internal sealed class LocalDatabase : IBatchOwner, IDisposable
{
    private static int count;
    private readonly MemoryBlockStore _store = new(new MemoryBlockMedium());
    private int _stored;

    public LocalDatabase()
        : this(new BlockImage())
    {
    }

    /// <summary>With what a recovery read; the image is this object's from here on.</summary>
    public LocalDatabase(BlockImage image)
    {
        Name = $"contract-{Interlocked.Increment(ref count)}.db";
        Storage = new BlockStorage(this, image, ChecksumKind.FastHash, TabId.New(TimeProvider.System), TimeProvider.System);
        BlockVfs.Shared.Register(Name, Storage);
    }

    public string Name { get; }

    public BlockStorage Storage { get; private set; }

    /// <summary>Why no connection may write now; null: it may.</summary>
    public string? Refusal { get; set; }

    public List<CommitRecord> Commits { get; } = [];

    /// <summary>Commits count as durable when they are sealed, and cannot be taken back.</summary>
    public bool IsDurableAtOnce { get; init; }

    /// <summary>Puts the commits into a store and reads it, as whoever opens the database next. No connection may be open.</summary>
    public async Task ReopenAsync()
    {
        var head = await _store.OpenAsync(CancellationToken.None);
        head = await _store.RaiseEpochAsync(head.Incarnation, default, TabId.New(TimeProvider.System), CancellationToken.None);
        var fence = new Fence(head.Incarnation, head.Epoch);
        var commits = Commits[_stored..].ConvertAll(commit => commit.Stamp(fence));
        if (commits.Count > 0) await _store.AppendAsync(fence, commits, CancellationToken.None);
        _stored = Commits.Count;
        var recovered = await Recovery.LoadAsync(_store, head, new(), CancellationToken.None);
        BlockVfs.Shared.Unregister(Name);
        Storage.Dispose();
        Storage = new BlockStorage(this, recovered.Image, ChecksumKind.FastHash, TabId.New(TimeProvider.System), TimeProvider.System);
        BlockVfs.Shared.Register(Name, Storage);
    }

    /// <summary>Opens a connection that is not pooled.</summary>
    public SqliteConnection Open(string pragmas = "PRAGMA journal_mode=MEMORY; PRAGMA temp_store=MEMORY;", int timeoutSeconds = 1)
    {
        var connection = new SqliteConnection($"Data Source={Name};Vfs={BlockVfs.Name};Pooling=False;Default Timeout={timeoutSeconds}");
        connection.Open();
        if (pragmas.Length > 0) connection.Execute(pragmas);
        return connection;
    }

    public void Dispose()
    {
        BlockVfs.Shared.Unregister(Name);
        Storage.Dispose();
    }

    string? IBatchOwner.TryBeginBatch() => Refusal;

    void IBatchOwner.OnSealed(CommitRecord commit)
    {
        Commits.Add(commit);
        if (IsDurableAtOnce) Storage.TryConfirm(commit.Position);
    }

    void IBatchOwner.OnBatchEnded()
    {
    }

    void IBatchOwner.OnIdle()
    {
    }
}

/// <summary>Short forms for tests.</summary>
public static class SqliteConnectionExtensions
{
    public static int Execute(this SqliteConnection connection, string sql, params object[] values)
    {
        using var command = connection.Command(sql, values);
        return command.ExecuteNonQuery();
    }

    public static T? Scalar<T>(this SqliteConnection connection, string sql, params object[] values)
    {
        using var command = connection.Command(sql, values);
        return command.ExecuteScalar() is { } value and not DBNull ? (T)Convert.ChangeType(value, typeof(T), System.Globalization.CultureInfo.InvariantCulture) : default;
    }

    /// <summary>The rows, their values joined by a bar.</summary>
    public static string[] Rows(this SqliteConnection connection, string sql, params object[] values)
    {
        using var command = connection.Command(sql, values);
        using var reader = command.ExecuteReader();
        var rows = new List<string>();
        while (reader.Read())
        {
            rows.Add(string.Join('|', Enumerable.Range(0, reader.FieldCount).Select(i => reader.IsDBNull(i) ? "NULL" : Convert.ToString(reader.GetValue(i), System.Globalization.CultureInfo.InvariantCulture))));
        }

        return [.. rows];
    }

    /// <summary>Parameters are $0, $1, and so on.</summary>
    internal static SqliteCommand Command(this SqliteConnection connection, string sql, params object[] values)
    {
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // The tests' own text.
        command.CommandText = sql;
#pragma warning restore CA2100
        for (var i = 0; i < values.Length; i++) command.Parameters.AddWithValue($"${i}", values[i]);
        return command;
    }
}
