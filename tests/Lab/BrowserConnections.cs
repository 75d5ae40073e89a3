using DataSync.Contracts;
using DataSync.Vfs;

namespace DataSync.Lab;

// The contracts of connections: two factories of one page are two tabs.
public sealed class BrowserConnections : ConnectionContract
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
