using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// The browser's BroadcastChannel <c>datasync:{name}:commits</c> for what all tabs shall hear, and for what only one needs that tab's own,
/// <c>datasync:{name}:commits:{tab}</c>: each message would otherwise wake every tab. Only in WebAssembly, on the page's .NET thread.
/// </summary>
internal sealed class BroadcastCommitChannel : ICommitChannel
{
    private readonly string _name;
    private readonly MessageFragments _fragments = new();
    private int _id;
    private bool _disposed;

    /// <summary>Makes a channel; nothing is opened yet.</summary>
    /// <param name="name">The database's name.</param>
    public BroadcastCommitChannel(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        _name = $"datasync:{name}:commits";
    }

    /// <inheritdoc/>
    public event Action<byte[]>? Received;

    /// <inheritdoc/>
    public async ValueTask OpenAsync(TabId self, CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsBrowser()) throw new StorageUnavailableException("BroadcastChannel exists only in a browser.");
        await BroadcastInterop.LoadAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        ObjectDisposedException.ThrowIf(_disposed, this);
        _id = BroadcastInterop.Add(this, _name, self.Value);
    }

    /// <inheritdoc/>
    public void Post(byte[] message, TabId addressee)
    {
        if (_id == 0) return;
        foreach (var part in MessageFragments.Split(message)) BroadcastInterop.Post(_id, part, addressee == default ? null : addressee.Value);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _disposed = true;
        if (_id != 0) BroadcastInterop.Remove(_id);
        _id = 0;
        return ValueTask.CompletedTask;
    }

    internal void OnMessage(byte[] bytes)
    {
        if (_fragments.Add(bytes) is { } message) Received?.Invoke(message);
    }
}
