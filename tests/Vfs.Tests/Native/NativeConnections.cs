using DataSync.Contracts;

namespace DataSync.Vfs.Tests.Native;

// The contracts of connections, on a directory.
public sealed class NativeConnections : ConnectionContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeConnectionPool : ConnectionPoolContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeDapper : DapperContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeEntityFramework : EntityFrameworkContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeStatements : StatementsContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeLive : LiveContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeEntityFrameworkLive : EntityFrameworkLiveContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeLiveModel : LiveModelContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeRowChanges : RowChangesContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeRowChangesModel : RowChangesModelContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeUndo : UndoContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeUndoOfTables : UndoTablesContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}

public sealed class NativeEntityFrameworkUndo : EntityFrameworkUndoContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => NativeTabs.NewFactoryAsync(options);
}
