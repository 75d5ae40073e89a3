using DataSync.Coordination;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Storage;

/// <summary>
/// A store in a directory of files: durable when file and directory are (<c>fsync</c>). Not in a browser. One process at a
/// time has it open; within the process any number of these objects share it.
/// </summary>
/// <remarks>
/// Callable from any thread; the work runs on the thread pool, one call at a time for each directory, and a token stops a
/// write before it began only. A write that fails before it became visible changed nothing. One that fails while it becomes
/// visible or durable leaves that open: the store closes (<see cref="StoreClosedReason.Lost"/>), and opening it again shows
/// what is there. A sink or its progress handler must not call the store.
/// </remarks>
internal sealed class FileBlockStore : IBlockStore
{
    private readonly string _name;
    private readonly FileStoreOptions _options;
    private readonly IFileLayer _files;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private FileMedium? _medium;
    private StoreClosedReason _reason = StoreClosedReason.Lost;
    private bool _disposed;

    /// <summary>Makes a store; nothing is opened yet.</summary>
    /// <param name="name">The database's name; its directory has this name, with what no file name may hold escaped.</param>
    /// <param name="options">Where and how; null for the defaults.</param>
    /// <param name="logger">Null for none.</param>
    /// <exception cref="ArgumentException">
    /// The name is empty or takes more than 255 bytes as a directory's name (ASCII letters and digits one each, all else three for each
    /// byte of UTF-8), or an option is out of its range.
    /// </exception>
    public FileBlockStore(string name, FileStoreOptions? options = null, ILogger? logger = null)
        : this(name, options, logger, DiskFiles.Instance)
    {
    }

    internal FileBlockStore(string name, FileStoreOptions? options, ILogger? logger, IFileLayer files, string? directory = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        _options = options ?? new FileStoreOptions();
        _options.Validate();
        (_name, _files, _logger) = (name, files, logger ?? NullLogger.Instance);
        Directory = directory ?? _options.GetDirectory(name);
    }

    /// <summary>A store in exactly this directory, without a mirror: a mirror itself, or a copy that was brought along.</summary>
    /// <param name="directory">The store's own directory, whatever its name.</param>
    /// <param name="logger">Null for none.</param>
    public static FileBlockStore InDirectory(string directory, ILogger? logger = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        var full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        return new(Path.GetFileName(full) is { Length: > 0 } name ? name : full, null, logger, DiskFiles.Instance, full);
    }

    /// <summary>Whether a directory holds a store, or what is left of one. Nothing is opened or changed.</summary>
    public static bool ExistsIn(string directory) => FileLayout.HoldsStore(DiskFiles.Instance, directory);

    /// <inheritdoc/>
    public event Action<StoreClosedReason>? Closed;

    /// <summary>The directory that holds the store.</summary>
    public string Directory { get; }

    /// <inheritdoc/>
    /// <exception cref="StoreInUseException">Another process has it open.</exception>
    public ValueTask<Head> OpenAsync(CancellationToken cancellationToken) => EnterAsync(medium => medium.Open(_options.Checksum), cancellationToken);

    /// <inheritdoc/>
    public ValueTask<Head> RaiseEpochAsync(Guid incarnation, Epoch proposed, TabId holder, CancellationToken cancellationToken) =>
        RunAsync(medium => medium.RaiseEpoch(incarnation, proposed, holder), cancellationToken);

    /// <inheritdoc/>
    public ValueTask AppendAsync(Fence fence, IReadOnlyList<CommitRecord> commits, CancellationToken cancellationToken)
    {
        StoreRules.CheckCommits(fence, commits);
        return RunAsync(medium => medium.Append(fence, commits), cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        return RunAsync(medium => medium.Read(request, cancellationToken), cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask CheckpointAsync(Fence fence, Checkpoint checkpoint, CancellationToken cancellationToken)
    {
        StoreRules.CheckCheckpoint(fence, checkpoint);
        return RunAsync(medium => medium.Checkpoint(fence, checkpoint), cancellationToken);
    }

    /// <inheritdoc/>
    /// <exception cref="StoreInUseException">Another process has it open.</exception>
    public async ValueTask DeleteAsync(CancellationToken cancellationToken)
    {
        var others = await EnterAsync(medium =>
        {
            medium.Delete();
            return CutOff(medium, StoreClosedReason.Deleted);
        }, cancellationToken).ConfigureAwait(false);
        foreach (var other in others.Where(other => other != this)) other.Closed?.Invoke(StoreClosedReason.Deleted);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        FileMedium? medium;
        lock (_lock) (medium, _disposed) = (_medium, true);
        if (medium is not null) await CloseAsync(medium).ConfigureAwait(false);
    }

    /// <summary>Runs work on the directory, taking it (and giving it back when the work fails) where it is not open yet.</summary>
    private async ValueTask<T> EnterAsync<T>(Func<FileMedium, T> work, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (OperatingSystem.IsBrowser()) throw new StorageUnavailableException("A browser has no directories; use IndexedDB there.");
        FileMedium medium;
        var isNew = false;
        try
        {
            lock (_lock)
            {
                isNew = _medium is null;
                medium = _medium ??= FileMedium.Acquire(this, _name, _options.GetMirror(_name), _files, _logger);
            }
        }
        catch (Exception error) when (FileErrors.IsFileError(error))
        {
            throw FileErrors.ToStorage(error, Directory);
        }

        try
        {
            return await RunAsync(medium, () => work(medium), cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            if (isNew) await CloseAsync(medium).ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask CloseAsync(FileMedium medium)
    {
        await medium.Turn.WaitAsync().ConfigureAwait(false);
        try
        {
            Disconnect(medium, StoreClosedReason.Lost);
        }
        finally
        {
            medium.Turn.Release();
        }
    }

    private bool Disconnect(FileMedium medium, StoreClosedReason reason)
    {
        lock (_lock)
        {
            if (_medium != medium) return false;
            (_medium, _reason) = (null, reason);
        }

        medium.Release(this);
        return true;
    }

    // Only with the turn. Those that were open and now are not are told when the turn is over.
    private static List<FileBlockStore> CutOff(FileMedium medium, StoreClosedReason reason) =>
        medium.GetOpeners().FindAll(store => store.Disconnect(medium, reason));

    private async ValueTask RunAsync(Action<FileMedium> work, CancellationToken cancellationToken) => await RunAsync(medium =>
    {
        work(medium);
        return true;
    }, cancellationToken).ConfigureAwait(false);

    private async ValueTask<T> RunAsync<T>(Func<FileMedium, T> work, CancellationToken cancellationToken)
    {
        var medium = _medium ?? throw new StorageClosedException(_reason);
        return await RunAsync(medium, () => work(medium), cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask<T> RunAsync<T>(FileMedium medium, Func<T> work, CancellationToken cancellationToken)
    {
        List<FileBlockStore> closed = [];
        await medium.Turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (_medium != medium) throw new StorageClosedException(_reason);

            // Never on the caller's thread: it may hold the pipeline's lock, and a flush takes its time.
            return await Task.Run(work, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception error) when (FileErrors.IsFileError(error))
        {
            if (error is UnsettledWriteException)
            {
                Log.StoreLost(_logger, _name, error.Message);
                closed = CutOff(medium, StoreClosedReason.Lost);
            }

            throw FileErrors.ToStorage(error, Directory);
        }
        finally
        {
            medium.Turn.Release();
            foreach (var store in closed) store.Closed?.Invoke(StoreClosedReason.Lost);
        }
    }
}
