using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Cli;

/// <summary>An open store, and leave to write to it: no other process has it, so this one leads when it says so.</summary>
internal sealed class StoreSession : IAsyncDisposable
{
    private StoreSession(FileBlockStore store, Head head, CancellationToken cancellationToken) =>
        (Store, Head, CancellationToken) = (store, head, cancellationToken);

    public FileBlockStore Store { get; }

    public Head Head { get; private set; }

    public TabId Self { get; } = TabId.New(TimeProvider.System);

    public CancellationToken CancellationToken { get; }

    public Fence Fence => new(Head.Incarnation, Head.Epoch);

    /// <exception cref="StorageUnavailableException">There is no store, and none is to be made.</exception>
    public static async Task<StoreSession> OpenAsync(string place, bool creates, CancellationToken cancellationToken)
    {
        var store = Find(place, creates);
        try
        {
            return new(store, await store.OpenAsync(cancellationToken).ConfigureAwait(false), cancellationToken);
        }
        catch
        {
            await store.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>The store at a place, not opened.</summary>
    /// <exception cref="StorageUnavailableException">There is no store, and none is to be made.</exception>
    public static FileBlockStore Find(string place, bool creates)
    {
        var isDirectory = place.Contains(Path.DirectorySeparatorChar) || place.Contains('/') || FileBlockStore.ExistsIn(place);
        var store = isDirectory ? FileBlockStore.InDirectory(place) : new FileBlockStore(place);
        if (!creates && !FileBlockStore.ExistsIn(store.Directory)) throw new StorageUnavailableException($"There is no store in {store.Directory}.");
        return store;
    }

    public async Task LeadAsync() => Head = await Store.RaiseEpochAsync(Head.Incarnation, default, Self, CancellationToken).ConfigureAwait(false);

    public ValueTask<RecoveredStore> LoadAsync(CorruptionAction action, IProgress<RecoveryProgress>? progress) =>
        Recovery.LoadAsync(Store, Head, new(Action: action, Progress: progress), CancellationToken);

    public ValueTask DisposeAsync() => Store.DisposeAsync();
}
