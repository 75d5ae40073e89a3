using DataSync.Contracts;
using DataSync.Storage;

namespace DataSync.Vfs.Tests.Native;

/// <summary>Natively each run is made by itself.</summary>
public sealed class NativeManyRuns : ManyRunsContract, IDisposable
{
    private readonly NativeTabs _tabs = new();
    private DataSyncDatabase? _open;

    protected override async Task<DataSyncDatabase> OpenAsync() => _open = await _tabs.OpenAsync(new MemoryBlockStore());

    protected override async Task CloseAsync() => await _open!.DisposeAsync();

    public void Dispose() => _tabs.Dispose();
}
