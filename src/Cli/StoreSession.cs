using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Cli;

/// <summary>
/// An open store, and leave to write to it. No other process has a directory, so this one leads when it says so. In PostgreSQL others may: whoever leads there is
/// fenced, and leads again when this is done.
/// </summary>
internal sealed class StoreSession : IAsyncDisposable
{
    private StoreSession(StorePlace place, Head head, CancellationToken cancellationToken) => (Place, Head, CancellationToken) = (place, head, cancellationToken);

    public StorePlace Place { get; }

    public IBlockStore Store => Place.Store;

    public Head Head { get; private set; }

    public TabId Self { get; } = TabId.New(TimeProvider.System);

    public CancellationToken CancellationToken { get; }

    public Fence Fence => new(Head.Incarnation, Head.Epoch);

    /// <summary>Opens the store at a place, which it disposes from then on, also where that fails.</summary>
    /// <exception cref="StorageUnavailableException">There is no store, and none is to be made.</exception>
    public static async Task<StoreSession> OpenAsync(StorePlace place, bool creates, CancellationToken cancellationToken)
    {
        try
        {
            if (!creates) await EnsureExistsAsync(place, cancellationToken).ConfigureAwait(false);
            return new(place, await place.Store.OpenAsync(cancellationToken).ConfigureAwait(false), cancellationToken);
        }
        catch
        {
            await place.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <exception cref="StorageUnavailableException">There is no store.</exception>
    public static async Task EnsureExistsAsync(StorePlace place, CancellationToken cancellationToken)
    {
        if (!await place.ExistsAsync(cancellationToken).ConfigureAwait(false)) throw new StorageUnavailableException($"There is no store in {place.Description}.");
    }

    public async Task LeadAsync() => Head = await Store.RaiseEpochAsync(Head.Incarnation, default, Self, CancellationToken).ConfigureAwait(false);

    public ValueTask<RecoveredStore> LoadAsync(CorruptionAction action, IProgress<RecoveryProgress>? progress) =>
        Recovery.LoadAsync(Store, Head, new(Action: action, Progress: progress), CancellationToken);

    public ValueTask DisposeAsync() => Place.DisposeAsync();
}
