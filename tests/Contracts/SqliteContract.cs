using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What every contract of SQLite on DataSync needs: the VFS, a database, a connection to it.</summary>
public abstract class SqliteContract : IAsyncLifetime, IDisposable
{
    private protected LocalDatabase Database { get; private set; } = null!;

    protected SqliteConnection Connection { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        await RegisterVfsAsync();
        Database = new LocalDatabase();
        Connection = Database.Open();
    }

    public Task DisposeAsync() => Task.CompletedTask;

    public void Dispose()
    {
        Connection?.Dispose();
        Database?.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Makes the VFS known to SQLite; called before each test.</summary>
    protected abstract Task RegisterVfsAsync();

    /// <summary>SQLite's own judgement, and that nothing is left open.</summary>
    protected void AssertSound()
    {
        Assert.Equal("ok", Connection.Scalar<string>("PRAGMA integrity_check"));
        Assert.False(Database.Storage.InBatch);
        Assert.True(Database.Storage.IsIdle);
    }

    /// <summary>The VFS's words are in the message where the provider is DataSync's, else only in <see cref="VfsFailure"/>.</summary>
    protected virtual void AssertExplained(string words, SqliteException exception) =>
        Assert.Contains(words, exception.Message, StringComparison.Ordinal);

    protected static SqliteException AssertFails(int code, Action action)
    {
        var error = Assert.Throws<SqliteException>(action);
        Assert.True(code == error.SqliteErrorCode, error.Message);
        return error;
    }
}
