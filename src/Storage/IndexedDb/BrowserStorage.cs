namespace DataSync.Storage;

/// <summary>How much this origin stores in the browser.</summary>
/// <param name="UsageBytes">Bytes in use, rounded by the browser; null where it does not say.</param>
/// <param name="QuotaBytes">Bytes that it may use at most; null where the browser does not say.</param>
/// <param name="IsPersistent">Whether the browser has promised not to evict the data when the disk fills up.</param>
public readonly record struct StorageEstimate(long? UsageBytes, long? QuotaBytes, bool IsPersistent);

/// <summary>What the browser says of this origin's storage. Only in WebAssembly, on the page's .NET thread.</summary>
public static class BrowserStorage
{
    /// <summary>Asks for usage and quota.</summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="StorageUnavailableException">This is no browser.</exception>
    public static async ValueTask<StorageEstimate> EstimateAsync(CancellationToken cancellationToken)
    {
        await LoadAsync(cancellationToken).ConfigureAwait(false);
        using var estimate = await IndexedDbInterop.EstimateAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        return new(
            ToBytes(estimate.GetPropertyAsDouble("usage")), ToBytes(estimate.GetPropertyAsDouble("quota")),
            estimate.GetPropertyAsBoolean("persisted"));
    }

    /// <summary>
    /// Asks the browser to keep this origin's data when the disk fills up; Firefox asks the user. Returns whether it will. Call it when the
    /// user has just done something worth keeping: browsers that decide by themselves do so by how much the site is used.
    /// </summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="StorageUnavailableException">This is no browser.</exception>
    public static async ValueTask<bool> RequestPersistenceAsync(CancellationToken cancellationToken)
    {
        await LoadAsync(cancellationToken).ConfigureAwait(false);
        return await IndexedDbInterop.PersistAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private static Task LoadAsync(CancellationToken cancellationToken) => OperatingSystem.IsBrowser()
        ? IndexedDbInterop.LoadAsync().WaitAsync(cancellationToken)
        : throw new StorageUnavailableException("Only a browser has this storage.");

    private static long? ToBytes(double value) => value < 0 ? null : (long)value;
}
