using DataSync.Contracts;
using DataSync.Storage;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

// The contracts again, on databases of which next to nothing stays in memory.
public sealed class OnDemandConnections : ConnectionContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandConnectionPool : ConnectionPoolContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandDapper : DapperContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandEntityFramework : EntityFrameworkContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandStatements : StatementsContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandLive : LiveContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandEntityFrameworkLive : EntityFrameworkLiveContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandLiveModel : LiveModelContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandRowChanges : RowChangesContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandRowChangesModel : RowChangesModelContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandUndo : UndoContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandUndoOfTables : UndoTablesContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandEntityFrameworkUndo : EntityFrameworkUndoContract
{
    protected override bool IsOnDemand => true;

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class OnDemandManyRuns : ManyRunsContract, IDisposable
{
    private readonly NativeTabs _tabs = new();
    private DataSyncDatabase? _open;

    protected override async Task<DataSyncDatabase> OpenAsync()
    {
        _open = await _tabs.OpenAsync(new MemoryBlockStore(), OnDemandDatabases.With(new()));
        await OnDemandDatabases.SpreadAsync(_open);
        await _open.EvictAsync();
        Assert.Equal(Extent.MaxRecordSize, _open.ResidentBytes);
        return _open;
    }

    protected override async Task CloseAsync() => await _open!.DisposeAsync();

    public void Dispose() => _tabs.Dispose();
}
