using DataSync.Storage;
using Microsoft.Extensions.Logging;

namespace DataSync.Remote;

/// <summary>The copy of one of the server's databases that this browser keeps: it opens from it at once, also without a network. The tab that is the others' gateway writes it.</summary>
internal sealed class RemoteCopy : IStoreCopy, IAsyncDisposable
{
    private readonly ICopyStore _store;
    private readonly RemoteLink _link;
    private readonly string _name;
    private readonly Lock _gate = new();
    private Task<Head?>? _finding;
    private bool _isOpen, _isOver;

    /// <summary>Makes it; nothing is opened yet.</summary>
    /// <param name="store">Where it is kept; it belongs to this from here on.</param>
    /// <param name="link">The way to the server.</param>
    /// <param name="name">The database.</param>
    public RemoteCopy(ICopyStore store, RemoteLink link, string name)
    {
        (_store, _link, _name) = (store, link, name);
        store.Closed += OnClosed;
    }

    /// <summary>What was read from it is in place.</summary>
    public event Action? Installed;

    /// <inheritdoc/>
    public bool IsReadFrom { get; set; }

    /// <inheritdoc/>
    public bool IsKeptHere => !_isOver && _link.IsGateway;

    /// <summary>Looks for it, once.</summary>
    /// <returns>Its head; null: there is none, or none that can be opened.</returns>
    public Task<Head?> FindAsync()
    {
        lock (_gate) return _finding ??= OpenAsync();
    }

    /// <summary>Reads it.</summary>
    public ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken) => _store.ReadAsync(request, cancellationToken);

    /// <inheritdoc/>
    public void OnInstalled() => Installed?.Invoke();

    /// <inheritdoc/>
    public async ValueTask ForgetAsync(CancellationToken cancellationToken)
    {
        lock (_gate) (_finding, _isOpen, IsReadFrom) = (Task.FromResult<Head?>(null), false, false);
        try
        {
            await _store.DeleteAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (StorageException error)
        {
            OnUnusable(error);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<ICopyStore?> OpenToWriteAsync(CancellationToken cancellationToken)
    {
        await FindAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        lock (_gate)
        {
            if (_isOver) return null;
            if (_isOpen) return _store;
        }

        await _store.OpenAsync(cancellationToken).ConfigureAwait(false);
        lock (_gate) _isOpen = true;
        return _store;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _isOver = true;
        return _store.DisposeAsync();
    }

    private async Task<Head?> OpenAsync()
    {
        if (!OperatingSystem.IsBrowser()) await Task.Yield(); // outside of the lock
        try
        {
            var head = await _store.OpenAsync(CancellationToken.None).ConfigureAwait(false);
            lock (_gate) _isOpen = true;
            return head.Epoch == default ? null : head; // the server's has one
        }
        catch (CorruptStoreException error)
        {
            Log.NoCopy(_link.Logger, _name, error.Message);
            await ForgetAsync(CancellationToken.None).ConfigureAwait(false);
            return null;
        }
        catch (StorageException error)
        {
            OnUnusable(error);
            return null;
        }
    }

    private void OnUnusable(StorageException error)
    {
        Log.NoCopy(_link.Logger, _name, error.Message);
        _isOver = true;
    }

    private void OnClosed(StoreClosedReason reason)
    {
        lock (_gate)
        {
            _isOpen = false;
            if (reason != StoreClosedReason.Lost) _isOver = true; // somebody wants it gone; it comes back when the database is opened again
        }
    }
}
