using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Vfs.Tests;

/// <summary>Stores in memory whose calls can be held.</summary>
internal sealed class FakePlace : IDatabasePlace, IDisposable
{
    private readonly InMemoryBrowser _browser = new();
    private readonly InMemoryCommitBus _bus = new();
    private FaultyBlockStore? _next;

    public List<FaultyBlockStore> Stores { get; } = [];

    /// <summary>What the next stores are over.</summary>
    public MemoryBlockMedium Medium { get; set; } = new();

    /// <summary>Makes the next store now, so that it can be told when to fail.</summary>
    public FaultyBlockStore PrepareNext() => _next = NewStore();

    /// <summary>Holds a call of the next store that is made.</summary>
    public HeldCall HoldNext(StoreOperation operation) => PrepareNext().HoldAt(operation);

    public Task StartSqliteAsync() => NativeSqlite.RegisterAsync();

    public IBlockStore CreateStore(string name)
    {
        Stores.Add(_next ?? NewStore());
        _next = null;
        return Stores[^1];
    }

    public (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name) => (_browser.OpenTab(), _bus.CreateChannel());

    public void Dispose() => _browser.Dispose();

    private FaultyBlockStore NewStore() => new(new MemoryBlockStore(Medium));
}
