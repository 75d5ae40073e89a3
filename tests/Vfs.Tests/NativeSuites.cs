using DataSync.Contracts;
using Microsoft.Data.Sqlite;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.Vfs.Tests;

// The contracts on the native SQLite.
public sealed class NativeSqliteData : SqliteDataContract
{
    protected override Task RegisterVfsAsync() => NativeSqlite.RegisterAsync();

    protected override void AssertExplained(string words, SqliteException exception) => Assert.Contains(words, VfsFailure.Last, StringComparison.Ordinal);
}

public sealed class NativeSqliteRows : SqliteRowsContract
{
    protected override Task RegisterVfsAsync() => NativeSqlite.RegisterAsync();
}

public sealed class NativeSqliteTransactions : SqliteTransactionContract
{
    protected override Task RegisterVfsAsync() => NativeSqlite.RegisterAsync();

    protected override void AssertExplained(string words, SqliteException exception) => Assert.Contains(words, VfsFailure.Last, StringComparison.Ordinal);
}

public sealed class NativeSqliteTables : SqliteTablesContract
{
    protected override Task RegisterVfsAsync() => NativeSqlite.RegisterAsync();
}

public sealed class NativeSqliteFeatures : SqliteFeatureContract
{
    protected override Task RegisterVfsAsync() => NativeSqlite.RegisterAsync();
}

public sealed class NativeSqliteSpeed(ITestOutputHelper output) : SqliteSpeed
{
    protected override Task RegisterVfsAsync() => NativeSqlite.RegisterAsync();

    protected override void Tell(string line) => output.WriteLine(line);
}

internal static class NativeSqlite
{
    public static Task RegisterAsync()
    {
        SQLitePCL.Batteries_V2.Init();
        SqliteNative.Initialize();
        return Task.CompletedTask;
    }
}
