using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Remote;

/// <summary>
/// The server's store, read over a <see cref="RemoteLink"/>. Only the server writes it: the tab is an observer, so nobody here is ever asked to. Where there is a copy the store opens from that, and says that
/// it is closed, to be opened anew, as soon as there is a connection.
/// </summary>
internal sealed class RemoteBlockStore : IBlockStore, IRemoteMember
{
    private readonly RemoteLink _link;
    private readonly RemoteCopy? _copy;
    private readonly Lock _gate = new();
    private RemoteConnection? _connection;
    private StoreClosedReason _reason = StoreClosedReason.Lost;
    private bool _wasOpen;

    /// <summary>Makes it; nothing is opened yet.</summary>
    public RemoteBlockStore(RemoteLink link, RemoteCopy? copy = null)
    {
        (_link, _copy) = (link, copy);
        if (copy is not null) copy.Installed += OnInstalled;
    }

    /// <inheritdoc/>
    public event Action<StoreClosedReason>? Closed;

    /// <inheritdoc/>
    public StorageException? ReadOnlyReason { get; private set; }

    /// <inheritdoc/>
    public bool TakesCommits { get; private set; } = true;

    /// <inheritdoc/>
    public IStoreCopy? Copy => _copy;

    /// <inheritdoc/>
    /// <remarks>The first time it fails where there is neither a copy nor a connection; later, when one was lost, it waits for the next.</remarks>
    public async ValueTask<Head> OpenAsync(CancellationToken cancellationToken)
    {
        if (!_wasOpen && _copy is not null && await _copy.FindAsync().WaitAsync(cancellationToken).ConfigureAwait(false) is { } kept)
        {
            _copy.IsReadFrom = true;
            _link.Enlist(this);
            return kept;
        }

        try
        {
            return await OpenOverThereAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (AccessDeniedException) when (_copy is not null)
        {
            await _copy.ForgetAsync(CancellationToken.None).ConfigureAwait(false); // nor is this user to read what was there before
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (_copy is { IsReadFrom: true })
        {
            await _copy.ReadAsync(request, cancellationToken).ConfigureAwait(false);
            return;
        }

        RemoteConnection connection;
        lock (_gate) connection = _connection ?? throw new StorageClosedException(_reason);
        var taker = new Taker(request.Sink);
        await connection.RequestAsync(FrameKind.Read, default, Bodies.Read(request), taker.Take, cancellationToken).ConfigureAwait(false);
        taker.End();
    }

    /// <inheritdoc/>
    public ValueTask<Head> RaiseEpochAsync(Guid incarnation, Epoch proposed, TabId holder, CancellationToken cancellationToken) => throw NotHere();

    /// <inheritdoc/>
    public ValueTask AppendAsync(Fence fence, IReadOnlyList<CommitRecord> commits, CancellationToken cancellationToken) => throw NotHere();

    /// <inheritdoc/>
    public ValueTask CheckpointAsync(Fence fence, Checkpoint checkpoint, CancellationToken cancellationToken) => throw NotHere();

    /// <inheritdoc/>
    public ValueTask DeleteAsync(CancellationToken cancellationToken) => throw new AccessDeniedException("A database of a server is deleted there, not by those who are connected with it.");

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate) _connection = null;
        await _link.LeaveAsync(this).ConfigureAwait(false);
        if (_copy is not null) await _copy.DisposeAsync().ConfigureAwait(false);
    }

    ValueTask IRemoteMember.EnterAsync(RemoteConnection connection, CancellationToken cancellationToken) => default;

    void IRemoteMember.OnFrame(Frame frame)
    {
        if (frame.Kind == FrameKind.Closed) Close(Bodies.ReadClosed(frame.Body.Span));
    }

    public void OnLost()
    {
        LeaveCopy(); // the server may have refused
        Close(StoreClosedReason.Lost);
    }

    // Whoever was told that it is closed opens it again.
    void IRemoteMember.OnRestored() => LeaveCopy();

    private async Task<Head> OpenOverThereAsync(CancellationToken cancellationToken)
    {
        var connection = await _link.JoinAsync(this, _wasOpen, cancellationToken).ConfigureAwait(false);
        Head? head = null;
        await connection.RequestAsync(FrameKind.Open, default, [], frame => head = HeadOf(frame), cancellationToken).ConfigureAwait(false);
        lock (_gate) (_connection, _wasOpen) = (connection, true);
        ReadOnlyReason = connection.Access.MayWrite ? null : new AccessDeniedException("The server lets this user read the database, and not write it.");
        TakesCommits = connection.Access.MayWritePages;
        if (connection.Ended.IsCompleted) OnLost(); // between the answer and this
        return head ?? throw ProtocolException.Garbage("a head").ToStorage();
    }

    private void OnInstalled()
    {
        lock (_gate) _wasOpen = true;
        if (_link.Connection is not null) LeaveCopy();
    }

    private void LeaveCopy()
    {
        lock (_gate)
        {
            if (!_wasOpen || _copy is not { IsReadFrom: true }) return;
            _copy.IsReadFrom = false;
        }

        Closed?.Invoke(StoreClosedReason.Lost);
    }

    private void Close(StoreClosedReason reason)
    {
        lock (_gate)
        {
            if (_connection is null) return;
            (_connection, _reason) = (null, reason);
        }

        Closed?.Invoke(reason);
    }

    private static Head HeadOf(Frame frame) => frame.Kind == FrameKind.Head ? Bodies.ReadHead(frame.Body).Head : throw ProtocolException.Garbage("a head");

    private static AccessDeniedException NotHere() => new("Only the server writes its store.");

    /// <summary>Hands the frames of one answer to the sink; puts the parts of large records together.</summary>
    private sealed class Taker(IStoreReadSink sink)
    {
        private byte[] _record = [];
        private int _filled;
        private bool _isPartial;

        public void Take(Frame frame)
        {
            switch (frame.Kind)
            {
                case FrameKind.Head:
                    var (head, extents, logRecords) = Bodies.ReadHead(frame.Body);
                    sink.OnHead(head, extents, logRecords);
                    break;
                case FrameKind.ExtentList:
                    sink.OnExtentList(Bodies.ReadExtentList(frame.Body.Span));
                    break;
                case FrameKind.Extent:
                    var (extent, size) = Bodies.ReadExtent(frame.Body.Span);
                    sink.OnExtent(extent, size);
                    break;
                case FrameKind.Log:
                    TakeLog(frame.Body.Span);
                    break;
                default:
                    throw ProtocolException.Garbage("an answer");
            }
        }

        public void End()
        {
            if (_isPartial) throw ProtocolException.Garbage("a whole record").ToStorage();
        }

        private void TakeLog(ReadOnlySpan<byte> body)
        {
            var (marker, mayBeTorn, length) = Bodies.ReadLog(body);
            if (!_isPartial) (_record, _filled, _isPartial) = (GC.AllocateUninitializedArray<byte>(length), 0, true);
            var part = body[13..];
            if (length != _record.Length || part.Length > length - _filled) throw ProtocolException.Garbage("a record of the log");
            part.CopyTo(_record.AsSpan(_filled));
            _filled += part.Length;
            if (_filled < length) return;
            _isPartial = false;
            sink.OnLog(marker, _record, mayBeTorn);
        }
    }
}
