using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.JSInterop;

namespace DataSync.Vfs.Browser;

/// <summary>The page's origin: IndexedDB, localStorage, BroadcastChannel.</summary>
internal sealed class BrowserPlace(IJSRuntime js, DataSyncOptions options, TimeProvider time) : IDatabasePlace
{
    public Task StartSqliteAsync() => SqliteWasm.InitializeAsync();

    public IBlockStore CreateStore(string name) =>
        new IndexedDbBlockStore(name, new() { Durability = options.StorageDurability, Checksum = options.Checksum }, time);

    public (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name) => (new BrowserTabPlatform(js), new BroadcastCommitChannel(name));
}
