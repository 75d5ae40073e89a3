using System.Text;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// A store in the browser's IndexedDB, in the database <c>datasync:{name}</c>. Only in WebAssembly, on the page's one .NET
/// thread.
/// </summary>
/// <remarks>
/// Writes end when their transaction is complete. A cancellation token stops a write before it was issued only: afterwards
/// the outcome is the transaction's. The browser may lose the connection (storage evicted, its storage process gone):
/// then <see cref="Closed"/> says <see cref="StoreClosedReason.Lost"/>, and the store can be opened again.
/// </remarks>
internal sealed class IndexedDbBlockStore : ICopyStore
{
    /// <summary>How many times as long as a blocked request a slow one is waited for; and how many times as long again where this page itself is slow.</summary>
    private const int SlowFactor = 6;

    /// <summary>How often an opening that the browser broke off is tried: it does that while it clears the site's data, or its storage process ends.</summary>
    private const int OpenAttempts = 4;

    private static readonly TimeSpan OpenPause = TimeSpan.FromMilliseconds(100);

    private readonly string _name;
    private readonly IndexedDbOptions _options;
    private readonly TimeProvider _time;
    private int _connection;
    private bool _disposed;
    private StoreClosedReason _reason = StoreClosedReason.Lost;

    /// <summary>Makes a store; nothing is opened yet.</summary>
    /// <param name="name">The DataSync database's name.</param>
    /// <param name="options">How it works; null for the defaults.</param>
    /// <param name="time">For time-outs; null for the system's.</param>
    /// <exception cref="ArgumentException">The name is empty, or an option is out of its range.</exception>
    public IndexedDbBlockStore(string name, IndexedDbOptions? options = null, TimeProvider? time = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        _options = options ?? new IndexedDbOptions();
        _options.Validate();
        (_name, _time) = ("datasync:" + name, time ?? TimeProvider.System);
    }

    /// <inheritdoc/>
    public event Action<StoreClosedReason>? Closed;

    private bool IsStrict => _options.Durability == StorageDurability.Strict;

    /// <inheritdoc/>
    public async ValueTask<Head> OpenAsync(CancellationToken cancellationToken)
    {
        await LoadAsync(cancellationToken).ConfigureAwait(false);

        // By hand: to make a policy of Polly's takes 50 ms of each opening in the browser.
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await OpenOnceAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (StorageUnavailableException error) when (attempt < OpenAttempts && (error.PlatformName is "AbortError" or "UnknownError"))
            {
                await Task.Delay(OpenPause * attempt, _time, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask<Head> RaiseEpochAsync(Guid incarnation, Epoch proposed, TabId holder, CancellationToken cancellationToken)
    {
        ThrowUnlessOpen(cancellationToken);
        Head? raised = null;
        var request = AddRequest(new(OnFailed)
        {
            Decide = head => raised = StoreRules.Raise(head ?? throw HeadCodec.Missing(), incarnation, proposed, holder),
        });
        IndexedDbInterop.UpdateHead(_connection, request.Number, IsStrict);
        await request.Task.ConfigureAwait(false);
        return raised!;
    }

    /// <inheritdoc/>
    public ValueTask AppendAsync(Fence fence, IReadOnlyList<CommitRecord> commits, CancellationToken cancellationToken)
    {
        StoreRules.CheckCommits(fence, commits);
        if (FindRefusal(cancellationToken) is { } refusal) return ValueTask.FromException(refusal);
        var request = AddRequest(new((outcome, number, name, message) => OnWriteFailed(fence, outcome, number, name, message)));
        IndexedDbInterop.BeginAppend(
            _connection, request.Number, fence.Incarnation.ToString("D"), fence.Epoch.Value, commits[0].Marker, commits.Count, IsStrict);
        for (var i = 0; i < commits.Count; i++) IndexedDbInterop.Add(commits[i].Id.ToString(), commits[i].Segment);
        return new(request.Task);
    }

    /// <inheritdoc/>
    public ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (FindRefusal(cancellationToken) is { } refusal) return ValueTask.FromException(refusal);
        var reading = AddRequest(new(OnFailed) { Sink = request.Sink, CancellationToken = cancellationToken });
        IndexedDbInterop.Read(_connection, reading.Number, request.IncludeExtents, request.Only?.ToArray(), request.ListExtents, request.AfterMarker);
        return new(reading.Task);
    }

    /// <inheritdoc/>
    public ValueTask CheckpointAsync(Fence fence, Checkpoint checkpoint, CancellationToken cancellationToken)
    {
        StoreRules.CheckCheckpoint(fence, checkpoint);
        if (FindRefusal(cancellationToken) is { } refusal) return ValueTask.FromException(refusal);
        var request = AddRequest(new((outcome, number, name, message) => OnWriteFailed(fence, outcome, number, name, message)));
        IndexedDbInterop.BeginCheckpoint(
            _connection, request.Number, fence.Incarnation.ToString("D"), fence.Epoch.Value, checkpoint.Head.Checkpoint.Marker,
            Encoding.UTF8.GetString(HeadCodec.Encode(checkpoint.Head)), checkpoint.DropFrom ?? 0, checkpoint.Damaged is not null, IsStrict);
        foreach (var extent in checkpoint.Extents)
        {
            var keep = checkpoint.Damaged?.Contains(extent.Index) == true;
            IndexedDbInterop.PutExtent(extent.Index, extent.RecordBytes[..extent.RecordSize], keep);
        }

        return new(request.Task);
    }

    /// <inheritdoc/>
    public ValueTask AdoptAsync(Adoption adoption, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(adoption);
        if (FindRefusal(cancellationToken) is { } refusal) return ValueTask.FromException(refusal);
        var request = AddRequest(new(OnFailed));
        var (incarnation, checkpoint, end) = adoption.Expected;
        IndexedDbInterop.BeginAdopt(
            _connection, request.Number, incarnation.ToString("D"), checkpoint, end, Encoding.UTF8.GetString(HeadCodec.Encode(adoption.Head)), adoption.ReplacesAll, IsStrict);
        foreach (var extent in adoption.Extents) IndexedDbInterop.PutExtent(extent.Index, extent.RecordBytes[..extent.RecordSize], keep: false);
        foreach (var commit in adoption.Commits) IndexedDbInterop.PutLog(commit.Marker, commit.Id.ToString(), commit.Epoch.Value, commit.Segment);
        return new(request.Task);
    }

    /// <inheritdoc/>
    /// <exception cref="StorageException">Another tab did not let go of the database in time; it is deleted as soon as it does.</exception>
    public async ValueTask DeleteAsync(CancellationToken cancellationToken)
    {
        await LoadAsync(cancellationToken).ConfigureAwait(false);
        Disconnect(StoreClosedReason.Deleted);
        var request = AddRequest(new(IndexedDbErrors.OnOpen));
        IndexedDbInterop.Remove(request.Number, _name);
        await WaitAsync(request, "delete", cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _disposed = true;
        Disconnect(StoreClosedReason.Lost);
        return ValueTask.CompletedTask;
    }

    internal void OnClosed(StoreClosedReason reason)
    {
        if (_connection == 0) return;
        Disconnect(reason);
        Closed?.Invoke(reason);
    }

    private async ValueTask<Head> OpenOnceAsync(CancellationToken cancellationToken)
    {
        Disconnect(StoreClosedReason.Lost);
        Head? head = null;
        var request = IndexedDbInterop.AddRequest(new(IndexedDbErrors.OnOpen)
        {
            Decide = present =>
            {
                head = present ?? StoreRules.NewHead(_options.Checksum);
                return present is null ? head : null;
            },
        });
        var connection = _connection = IndexedDbInterop.AddConnection(this);
        IndexedDbInterop.Open(request.Number, connection, _name, IsStrict);
        try
        {
            await WaitAsync(request, "open", cancellationToken).ConfigureAwait(false);
            if (_connection != connection) throw new StorageClosedException(_reason);
            return head!;
        }
        catch
        {
            if (_connection == connection) Disconnect(StoreClosedReason.Lost);
            throw;
        }
    }

    private static IndexedDbRequest AddRequest(IndexedDbRequest request) => IndexedDbInterop.AddRequest(request);

    private async Task LoadAsync(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!OperatingSystem.IsBrowser()) throw new StorageUnavailableException("IndexedDB exists only in a browser.");
        cancellationToken.ThrowIfCancellationRequested();
        await IndexedDbInterop.LoadAsync().ConfigureAwait(false);
    }

    private async Task WaitAsync(IndexedDbRequest request, string what, CancellationToken cancellationToken)
    {
        try
        {
            for (int waits = 1, onTime = 0; ; waits++)
            {
                var start = _time.GetTimestamp();
                try
                {
                    await request.Task.WaitAsync(_options.BlockedTimeout, _time, cancellationToken).ConfigureAwait(false);
                    return;
                }
                catch (TimeoutException) when (request.IsBlocked)
                {
                    throw new StorageUnavailableException(
                        $"The browser did not {what} the database within {_options.BlockedTimeout.TotalSeconds:0.#} s: another tab keeps it. "
                        + "Close the app's other tabs and try again.");
                }
                catch (TimeoutException)
                {
                    // Slow, as far as one can tell. A page whose own timers are late is on a machine that needs longer for everything.
                    if (_time.GetElapsedTime(start) < _options.BlockedTimeout * 1.25) onTime++;
                    if (onTime < SlowFactor && waits < SlowFactor * SlowFactor) continue;

                    // Behind a deletion that another tab holds up, or a transaction of a page that stands still, the browser says nothing.
                    throw new StorageUnavailableException(
                        $"The browser did not {what} the database within {_options.BlockedTimeout.TotalSeconds * waits:0.#} s: it is very slow, or "
                        + "a tab of the app that does not respond keeps it busy. Close the app's other tabs and try again.");
                }
            }
        }
        finally
        {
            IndexedDbInterop.Forget(request);
        }
    }

    private void Disconnect(StoreClosedReason reason)
    {
        var connection = _connection;
        (_connection, _reason) = (0, reason);
        if (connection == 0) return;
        IndexedDbInterop.RemoveConnection(connection);
        IndexedDbInterop.Close(connection);
    }

    private Exception OnWriteFailed(Fence fence, IndexedDbOutcome outcome, long number, string name, string message) => outcome switch
    {
        IndexedDbOutcome.Fenced => new FencedException(fence.Epoch, new Epoch(number)),
        IndexedDbOutcome.Failed when IndexedDbErrors.LeavesUnknown(name, message) => OnLost(name, message), // what was written is found out by reading
        _ => OnFailed(outcome, number, name, message),
    };

    private Exception OnFailed(IndexedDbOutcome outcome, long number, string name, string message) =>
        outcome == IndexedDbOutcome.Failed && IndexedDbErrors.IsLost(name, message)
            ? OnLost(name, message)
            : IndexedDbErrors.Make(outcome, number, name, message);

    // Nothing comes from this connection any more, whether or not the browser says so with a close event.
    private StorageClosedException OnLost(string name, string message)
    {
        OnClosed(StoreClosedReason.Lost);
        var text = IndexedDbErrors.IsFull(name, message)
            ? "The browser closed the database's storage because there is no room left. Free disk space, then open the database again."
            : null;
        return new StorageClosedException(_reason, text) { PlatformName = name };
    }

    private Exception? FindRefusal(CancellationToken cancellationToken)
    {
        if (_connection == 0) return new StorageClosedException(_reason);
        return cancellationToken.IsCancellationRequested ? new OperationCanceledException(cancellationToken) : null;
    }

    private void ThrowUnlessOpen(CancellationToken cancellationToken)
    {
        if (FindRefusal(cancellationToken) is { } refusal) throw refusal;
    }
}
