using DataSync.Contracts;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Lab;

// The contracts of connections: two factories of one page are two tabs.
public sealed class BrowserConnections : ConnectionContract
{
    // Each connection would have a database of its own.
    [Fact]
    public void A_memory_database_that_could_not_be_shared_is_refused_with_what_to_do()
    {
        using var connection = new SqliteConnection("Data Source=shared;Mode=Memory;Cache=Shared");
        Assert.Contains("memdb", Assert.Throws<SqliteException>(connection.Open).Message, StringComparison.Ordinal);
        using var first = new SqliteConnection("Data Source=file:/shared?vfs=memdb");
        using var second = new SqliteConnection("Data Source=file:/shared?vfs=memdb");
        first.Open();
        second.Open();
        first.Execute("CREATE TABLE t(a)");
        Assert.Empty(second.Rows("SELECT * FROM t"));
    }

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserConnectionPool : ConnectionPoolContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserDapper : DapperContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserEntityFramework : EntityFrameworkContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserStatements : StatementsContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserLive : LiveContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserEntityFrameworkLive : EntityFrameworkLiveContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserLiveModel : LiveModelContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserRowChanges : RowChangesContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserRowChangesModel : RowChangesModelContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserUndo : UndoContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserUndoOfTables : UndoTablesContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}

public sealed class BrowserEntityFrameworkUndo : EntityFrameworkUndoContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => LabPage.NewFactoryAsync(options);
}
