using DataSync.Bench.Client;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Bench;

/// <summary>An open database outside the browser, read through Microsoft.Data.Sqlite; how it is written is the store's own.</summary>
internal abstract class NativeStore : IAsyncDisposable
{
    public SqliteConnection Connection { get; private protected set; } = null!;

    /// <summary>One insert, durable when it returns.</summary>
    public abstract Task InsertOneAsync(Row row);

    /// <summary>Some work in one transaction, durable when it returns.</summary>
    public abstract Task WriteAsync(Action<SqliteConnection> work);

    public virtual ValueTask DisposeAsync() => Connection.DisposeAsync();

    protected static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // The bench's own text.
        command.CommandText = sql;
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }
}

/// <summary>SQLite's own VFS on a file.</summary>
internal sealed class PlainStore : NativeStore
{
    private readonly SqliteCommand insert;

    public PlainStore(string folder, string journalMode)
    {
        Connection = new SqliteConnection($"Data Source={Path.Combine(folder, "plain.db")};Pooling=False");
        Connection.Open();
        Execute(Connection, $"PRAGMA journal_mode={journalMode}; PRAGMA synchronous=FULL; {Row.Create}");
        insert = InsertCommand.Create(Connection);
    }

    public override Task InsertOneAsync(Row row)
    {
        InsertCommand.Run(insert, row);
        return Task.CompletedTask;
    }

    public override Task WriteAsync(Action<SqliteConnection> work)
    {
        Execute(Connection, "BEGIN IMMEDIATE");
        work(Connection);
        Execute(Connection, "COMMIT");
        return Task.CompletedTask;
    }

    public override async ValueTask DisposeAsync()
    {
        await insert.DisposeAsync();
        await base.DisposeAsync();
    }
}

/// <summary>DataSync in a directory of files.</summary>
internal sealed class FilesStore : NativeStore
{
    private readonly InMemoryBrowser browser;
    private readonly DataSyncDatabase database;

    private FilesStore(InMemoryBrowser browser, DataSyncDatabase database)
    {
        (this.browser, this.database) = (browser, database);
        Connection = new SqliteConnection(database.ConnectionString + ";Pooling=False");
        Connection.Open();
    }

    public static async Task<NativeStore> OpenAsync(string folder)
    {
        const string Name = "native.db";
        SQLitePCL.Batteries_V2.Init();
        SqliteNative.Initialize();
        var browser = new InMemoryBrowser();
        var coordinator = new TabCoordinator(browser.OpenTab(), new CoordinationOptions { Scope = Name });
        var database = await DataSyncDatabase.OpenAsync(
            Name, new FileBlockStore(Name, new() { BaseDirectory = folder }), new InMemoryCommitBus().CreateChannel(), coordinator);
        await database.ExecuteAsync(Row.Create);
        return new FilesStore(browser, database);
    }

    public override Task InsertOneAsync(Row row) =>
        database.ExecuteAsync(Row.Insert, new { id = row.Id, name = row.Name, value = row.Value, payload = row.Payload });

    public override Task WriteAsync(Action<SqliteConnection> work) => database.WriteAsync(work);

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        await database.DisposeAsync();
        browser.Dispose();
    }
}

/// <summary>A prepared insert.</summary>
internal static class InsertCommand
{
    public static SqliteCommand Create(SqliteConnection connection)
    {
        var command = connection.CreateCommand();
        command.CommandText = Row.Insert;
        command.Parameters.Add("$id", SqliteType.Integer);
        command.Parameters.Add("$name", SqliteType.Text);
        command.Parameters.Add("$value", SqliteType.Real);
        command.Parameters.Add("$payload", SqliteType.Blob);
        command.Prepare();
        return command;
    }

    public static void Run(SqliteCommand command, Row row)
    {
        command.Parameters[0].Value = row.Id;
        command.Parameters[1].Value = row.Name;
        command.Parameters[2].Value = row.Value;
        command.Parameters[3].Value = row.Payload;
        command.ExecuteNonQuery();
    }
}
