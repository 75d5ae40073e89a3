using DataSync.Contracts;
using DataSync.Vfs;

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
}

public sealed class BrowserSqliteSpeed : SqliteSpeed
{
    protected override Task RegisterVfsAsync() => SqliteWasm.InitializeAsync();

    protected override void Tell(string line) => Console.WriteLine(line);
}
