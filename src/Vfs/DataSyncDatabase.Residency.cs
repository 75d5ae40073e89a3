using DataSync.Storage;

namespace DataSync.Vfs;

// What is not in memory: work that needs it is run again when it is.
public sealed partial class DataSyncDatabase
{
    /// <summary>
    /// Loads all of the database that is not in memory (<see cref="Residency.OnDemand"/>), and keeps it there from now on, so that synchronous calls find what they need. Without effect
    /// where everything is in memory.
    /// </summary>
    /// <exception cref="StorageException">It cannot be read, or the database has stopped.</exception>
    /// <exception cref="InvalidOperationException">The call comes from within the work of a <c>WriteAsync</c>.</exception>
    public Task LoadAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfUnusable();
        ThrowIfWithinWork();
        return _pipeline.Extents.PinAllAsync(cancellationToken);
    }

    /// <summary>Runs something that changes nothing, again until all that it needs is in memory.</summary>
    internal async Task<T> RunLoadedAsync<T>(Func<T> run, CancellationToken cancellationToken)
    {
        using var loading = NewLoading();
        while (true)
        {
            try
            {
                return run();
            }
            catch (Exception) when (loading.HasMissed)
            {
                await loading.LoadAsync(cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Runs something, and fails where it came upon what is not in memory, whether or not it has noticed.</summary>
    internal static T RunResident<T>(Func<T> run)
    {
        var misses = BlockStorage.MissesHere;
        try
        {
            var result = run();
            if (BlockStorage.MissesHere == misses) return result;
            (result as IDisposable)?.Dispose();
            throw new NotResidentException();
        }
        finally
        {
            BlockStorage.MissesHere = misses;
        }
    }

    internal LoadRounds NewLoading() => new(_pipeline.Extents, _pipeline.Storage);

    internal long ResidentBytes => _pipeline.Storage.ResidentBytes;

    /// <inheritdoc cref="ExtentLoader.EvictAsync"/>
    internal Task EvictAsync() => _pipeline.Extents.EvictAsync();

    /// <summary>Whether parts of the database may not be in memory.</summary>
    internal bool IsOnDemand => _pipeline.Extents.IsOnDemand;

    /// <inheritdoc cref="ExtentLoader.PinAllAsync"/>
    internal Task PinAllAsync(CancellationToken cancellationToken) => _pipeline.Extents.PinAllAsync(cancellationToken);

    /// <inheritdoc cref="ExtentLoader.UnpinAll"/>
    internal void UnpinAll() => _pipeline.Extents.UnpinAll();

    /// <summary>Whether something of the database is not in memory.</summary>
    internal bool IsPartial => _pipeline.Extents.IsOnDemand && _pipeline.Storage.FindIncomplete().Length > 0;
}
