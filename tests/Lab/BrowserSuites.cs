using DataSync.Contracts;
using DataSync.Vfs;
using SQLitePCL;
using Xunit;

namespace DataSync.Lab;

// One class for each contract that must hold in the browser. tests/MultiTab runs every one in a fresh tab.
public sealed class BrowserRuntime : RuntimeContract;

public sealed class BrowserSqliteData : SqliteDataContract
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();
}

public sealed class BrowserSqliteTransactions : SqliteTransactionContract
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();
}

public sealed class BrowserSqliteFeatures : SqliteFeatureContract
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();

    // A native provider lets such an exception end the process.
    [Fact]
    public void An_exception_in_a_hook_does_not_pass_through_SQLite()
    {
        Connection.Execute("CREATE TABLE t(a)");
        raw.sqlite3_commit_hook(Connection.Handle!, _ => throw new InvalidOperationException(), null);
        AssertFails(19, () => Connection.Execute("INSERT INTO t VALUES (2)"));
        raw.sqlite3_commit_hook(Connection.Handle!, null, null);
        Connection.Execute("INSERT INTO t VALUES (3)");
        Assert.Equal(["3"], Connection.Rows("SELECT a FROM t"));
    }
}

public sealed class BrowserSqliteSpeed : SqliteSpeed
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();

    protected override void Tell(string line) => Console.WriteLine(line);
}
