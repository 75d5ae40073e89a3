using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// A store in memory: the reference for how a store behaves, for tests, demos and throw-away databases. Nothing survives
/// the process. Every call completes at once. Callable from any thread.
/// </summary>
/// <param name="medium">What holds the records; stores on one medium see each other's writes.</param>
/// <param name="checksum">How blocks are checksummed when this store creates the database.</param>
internal sealed class MemoryBlockStore(MemoryBlockMedium medium, ChecksumKind checksum = ChecksumKind.FastHash) : ICopyStore
{
    private bool _open, _disposed;
    private StoreClosedReason _reason = StoreClosedReason.Lost;

    /// <summary>A store on a medium of its own.</summary>
    public MemoryBlockStore()
        : this(new MemoryBlockMedium())
    {
    }

    /// <inheritdoc/>
    public event Action<StoreClosedReason>? Closed;

    /// <inheritdoc/>
    public ValueTask<Head> OpenAsync(CancellationToken cancellationToken) => Run(() =>
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var head = HeadCodec.Read(medium.HeadRecord, () => medium.HeadCopy);
        if (head is null)
        {
            if (medium.Log.Count + medium.Extents.Count > 0) throw HeadCodec.Missing();
            WriteHead(head = StoreRules.NewHead(checksum), null);
        }

        medium.AddOpener(this);
        _open = true;
        return head;
    }, null, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<Head> RaiseEpochAsync(Guid incarnation, Epoch proposed, TabId holder, CancellationToken cancellationToken) =>
        Run(() =>
        {
            var present = ReadHead();
            var head = StoreRules.Raise(present, incarnation, proposed, holder);
            WriteHead(head, present);
            return head;
        }, null, cancellationToken);

    /// <inheritdoc/>
    public ValueTask AppendAsync(Fence fence, IReadOnlyList<CommitRecord> commits, CancellationToken cancellationToken)
    {
        StoreRules.CheckCommits(fence, commits);
        return Discard(Run(() =>
        {
            var head = ReadHead();
            StoreRules.CheckFence(head, fence);
            CheckPlace(head, commits[0].Marker);
            foreach (var commit in commits)
            {
                if (medium.Log.TryGetValue(commit.Marker, out var taken) && taken.Id != commit.Id && !Sabotage.IsMissing(Guard.Marker)) throw new MarkerConflictException(commit.Marker);
            }

            foreach (var commit in commits) medium.Log.TryAdd(commit.Marker, (commit.Id, commit.Bytes.ToArray()));
            return true;
        }, null, cancellationToken));
    }

    /// <inheritdoc/>
    public ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Discard(Run(() =>
        {
            // Copied under the lock, handed over outside it: the sink is foreign code.
            var log = medium.Log.Where(entry => entry.Key > request.AfterMarker)
                .Select(entry => (entry.Key, Bytes: entry.Value.Bytes.ToArray())).ToList();
            var extents = medium.Extents.Where(entry => request.IncludeExtents && request.Only?.Contains(entry.Key) != false)
                .Select(entry => (entry.Key, Bytes: entry.Value.ToArray())).ToList();
            return (Head: ReadHead(), List: request.ListExtents ? medium.Extents.Keys.ToList() : null, Extents: extents, Log: log);
        }, read =>
        {
            request.Sink.OnHead(read.Head, read.Extents.Count, read.Log.Count);
            if (read.List is not null) request.Sink.OnExtentList(read.List);
            foreach (var (index, bytes) in read.Extents)
            {
                var extent = new Extent(index);
                bytes.AsSpan(0, Math.Min(bytes.Length, Extent.MaxRecordSize)).CopyTo(extent.RecordBytes);
                request.Sink.OnExtent(extent, bytes.Length);
            }

            for (var i = 0; i < read.Log.Count; i++)
                request.Sink.OnLog(read.Log[i].Key, read.Log[i].Bytes, medium.CanTear && i == read.Log.Count - 1);
        }, cancellationToken));
    }

    /// <inheritdoc/>
    public ValueTask CheckpointAsync(Fence fence, Checkpoint checkpoint, CancellationToken cancellationToken)
    {
        StoreRules.CheckCheckpoint(fence, checkpoint);
        return Discard(Run(() =>
        {
            var head = ReadHead();
            StoreRules.CheckFence(head, fence);
            var marker = checkpoint.Head.Checkpoint.Marker;
            var isKnown = marker == head.Checkpoint.Marker || medium.Log.ContainsKey(marker);
            if (marker < head.Checkpoint.Marker || !isKnown) throw new MarkerConflictException(marker);
            foreach (var extent in checkpoint.Extents) WriteExtent(extent, checkpoint.Damaged?.Contains(extent.Index) == true);
            WriteHead(checkpoint.Head, head);
            foreach (var key in medium.Log.Keys.Where(key => key <= marker || key >= checkpoint.DropFrom).ToList())
            {
                if (checkpoint.Damaged is not null && key > marker) medium.Quarantined.Add((StoreRecordKind.Log, key, medium.Log[key].Bytes));
                medium.Log.Remove(key);
            }

            return true;
        }, null, cancellationToken));
    }

    /// <inheritdoc/>
    public ValueTask AdoptAsync(Adoption adoption, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(adoption);
        return Discard(Run(() =>
        {
            var head = ReadHead();
            var end = medium.Log.Keys.LastOrDefault(head.Checkpoint.Marker);
            if (adoption.Expected != new CopyState(head.Incarnation, head.Checkpoint.Marker, end) && !Sabotage.IsMissing(Guard.CopyExpected)) throw new MarkerConflictException(end);
            if (adoption.ReplacesAll) (medium.Log, medium.Extents) = ([], []);
            foreach (var extent in adoption.Extents) WriteExtent(extent, keepOld: false);
            medium.HeadRecord = medium.HeadCopy = HeadCodec.Encode(adoption.Head);
            foreach (var key in medium.Log.Keys.Where(key => key <= adoption.Head.Checkpoint.Marker).ToList()) medium.Log.Remove(key);
            foreach (var commit in adoption.Commits) medium.Log[commit.Marker] = (commit.Id, commit.Bytes.ToArray());
            return true;
        }, null, cancellationToken));
    }

    /// <inheritdoc/>
    public ValueTask DeleteAsync(CancellationToken cancellationToken) => Discard(Run(() =>
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        (medium.HeadRecord, medium.HeadCopy) = (null, null);
        medium.Log.Clear();
        medium.Extents.Clear();
        medium.Quarantined.Clear();
        (_open, _reason) = (false, StoreClosedReason.Deleted);
        return medium.TakeOpeners(this);
    }, others =>
    {
        foreach (var other in others) other.OnClosed(StoreClosedReason.Deleted);
    }, cancellationToken));

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        lock (medium.Lock) (_open, _disposed) = (false, true);
        medium.RemoveOpener(this);
        return ValueTask.CompletedTask;
    }

    internal void OnClosed(StoreClosedReason reason)
    {
        lock (medium.Lock)
        {
            if (!_open) return;
            (_open, _reason) = (false, reason);
        }

        Closed?.Invoke(reason);
    }

    private static async ValueTask Discard<T>(ValueTask<T> task) => await task.ConfigureAwait(false);

    private ValueTask<T> Run<T>(Func<T> atomic, Action<T>? afterwards, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<T>(cancellationToken);
        try
        {
            T result;
            lock (medium.Lock) result = atomic();
            afterwards?.Invoke(result);
            return ValueTask.FromResult(result);
        }
#pragma warning disable CA1031 // What a store throws arrives through its task, also here where it is complete at once.
        catch (Exception error)
#pragma warning restore CA1031
        {
            return ValueTask.FromException<T>(error);
        }
    }

    private Head ReadHead()
    {
        ThrowUnlessOpen();
        return HeadCodec.Read(medium.HeadRecord, () => medium.HeadCopy) ?? throw HeadCodec.Missing();
    }

    private void WriteHead(Head head, Head? present)
    {
        if (present?.Damage is not null && medium.HeadRecord is { } damaged) medium.Quarantined.Add((StoreRecordKind.Head, 0, damaged));
        medium.HeadRecord = medium.HeadCopy = HeadCodec.Encode(head);
    }

    private void CheckPlace(Head head, long first)
    {
        // A marker that the checkpoint has passed is free in the log, and must not be taken again.
        var follows = first - 1 == head.Checkpoint.Marker || medium.Log.ContainsKey(first - 1);
        if ((first <= head.Checkpoint.Marker || !follows) && !Sabotage.IsMissing(Guard.Marker)) throw new MarkerConflictException(first);
    }

    private void WriteExtent(Extent extent, bool keepOld)
    {
        if (keepOld && medium.Extents.TryGetValue(extent.Index, out var old)) medium.Quarantined.Add((StoreRecordKind.Extent, extent.Index, old));
        if (extent.RecordSize == 0) medium.Extents.Remove(extent.Index);
        else medium.Extents[extent.Index] = extent.RecordBytes[..extent.RecordSize].ToArray();
    }

    private void ThrowUnlessOpen()
    {
        if (!_open) throw new StorageClosedException(_reason);
    }
}
