using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>Decides whether a batch may begin here now, and takes what was sealed. The pipeline implements it.</summary>
internal interface IBatchOwner
{
    /// <summary>Asks for leave to write at once. Null: go ahead. Otherwise why not, in words for the user.</summary>
    string? TryBeginBatch();

    /// <summary>A batch was sealed and is in the image; its commit goes on its way.</summary>
    void OnSealed(CommitRecord commit);

    /// <summary>The batch ended without a change: rolled back, or nothing was written.</summary>
    void OnBatchEnded();

    /// <summary>Nobody reads any more: other tabs' commits may be applied.</summary>
    void OnIdle();
}

/// <summary>What a commit says of itself.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Writer">Whose it is; null for this tab's.</param>
/// <param name="Result">What the statements did that it is made of; null for one that is made of blocks.</param>
internal sealed record SealAs(CommitId Id, TabId? Writer = null, StatementResult? Result = null);

/// <summary>
/// The database's bytes as the VFS sees them: read, write and truncate over the image, in batches that are published all
/// or nothing. Every call is synchronous and touches memory only.
/// </summary>
/// <remarks>
/// Written in place: a batch keeps what it overwrites, so that it, and every batch built on it, can be undone. SQLite's
/// lock levels (kept by the VFS) see to it that nobody reads while a batch writes. Members may be called from any
/// thread; addresses that they return stay valid while the caller holds its read or batch.
/// </remarks>
internal sealed partial class BlockStorage : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<(CommitRecord Commit, BlockUndo Undo)> _chain = [];
    private readonly IBatchOwner _owner;
    private readonly TimeProvider _time;
    private readonly TabId _writer;
    private readonly ChecksumKind _checksum;
    private readonly Func<CommitId> _newCommitId;
    private readonly long _maxCommitBytes;
    private BlockImage _image;
    private BlockUndo? _batch;
    private long _size;
    private int _readers;
    private bool _isSealed;

    internal BlockStorage(IBatchOwner owner, BlockImage image, ChecksumKind checksum, TabId writer, TimeProvider time, Func<CommitId>? newCommitId = null, long? maxCommitBytes = null)
    {
        _maxCommitBytes = maxCommitBytes ?? CommitRecord.MaxBytes;
        (_owner, _image, _checksum, _writer, _time) = (owner, image, checksum, writer, time);
        _newCommitId = newCommitId ?? CommitId.New;
        Durable = image.Position;
        _size = image.FileSize;
    }

    /// <summary>Size of the database in bytes, an open batch's changes included.</summary>
    public long Size => Volatile.Read(ref _size);

    /// <summary>The last durable commit that the image holds.</summary>
    public Position Durable { get; private set; }

    /// <summary>The last commit that the image holds, durable or on its way.</summary>
    public Position Top => _image.Position;

    /// <summary>
    /// Rises whenever the image changes other than by a batch of this tab: a page cache that was filled under another
    /// generation is out of date.
    /// </summary>
    public long Generation { get; private set; }

    /// <summary>
    /// Rises whenever commits were taken back that had changed the schema: the next ones may carry the same schema cookie for another schema. Whoever
    /// prepared statements for it prepares them again, which costs far more than a transaction, so nothing else counts.
    /// </summary>
    public long Retractions { get; private set; }

    /// <summary>Whether a batch is open.</summary>
    public bool InBatch => _batch is not null;

    /// <summary>Blocks that the open batch has touched.</summary>
    public int DirtyBlocks => _batch?.Blocks.Count ?? 0;

    /// <summary>What the next commit that is sealed is to say of itself; null for an ordinary one of this tab.</summary>
    internal SealAs? NextCommit { get; set; }

    /// <summary>The store's format: what its other tabs can read. Commits are sealed in it.</summary>
    internal int Format { get; set; } = Head.CurrentFormat;

    /// <inheritdoc cref="BlockImage.ExtentCount"/>
    internal int ExtentCount
    {
        get
        {
            lock (_lock) return _image.ExtentCount;
        }
    }

    /// <summary>How many commits the image holds that are not durable yet.</summary>
    internal int ChainLength => _chain.Count;

    /// <summary>
    /// Held by whoever looks at <see cref="IsIdle"/> and then acts on it, so that no other thread begins to read in between.
    /// Always taken inside the pipeline's gate, never around it.
    /// </summary>
    internal Lock Sync => _lock;

    /// <summary>Whether anything may be applied or undone now. If not, <see cref="IBatchOwner.OnIdle"/> tells when.</summary>
    internal bool IsIdle => _batch is null && (HaveReadersLeft() || Sabotage.IsMissing(Guard.ApplyOnlyWhenIdle));

    /// <summary>The image holds something else, in these tables. Called within locks: do not read here.</summary>
    internal Action<TouchedTables>? Changed { get; set; }

    /// <summary>Calls <see cref="Recede"/> for those who have done with reading and only did not say so, and has the others say so when they have.</summary>
    internal Action? RecallReaders { get; set; }

    /// <summary>Begins to read: from here to <see cref="ExitRead"/> only this tab's own batches change the image.</summary>
    public void EnterRead()
    {
        lock (_lock) _readers++;
    }

    /// <summary>Ends what <see cref="EnterRead"/> began.</summary>
    public void ExitRead()
    {
        lock (_lock)
        {
            if (_readers == 0) throw new InvalidOperationException("ExitRead without EnterRead.");
            _readers--;
            if (!IsIdle) return;
        }

        _owner.OnIdle();
    }

    /// <summary>As <see cref="ExitRead"/>, when it was asked for.</summary>
    internal void Recede()
    {
        lock (_lock) _readers--;
    }

    /// <summary>Copies bytes out; what lies beyond the end or was never written is zero.</summary>
    /// <exception cref="NotResidentException">They are not in memory.</exception>
    /// <returns>How many of the bytes lie before the end of the database.</returns>
    public int Read(long offset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        lock (_lock)
        {
            var available = (int)Math.Clamp(_size - offset, 0, destination.Length);
            destination[available..].Clear();
            for (var done = 0; done < available;)
            {
                var at = offset + done;
                var within = (int)(at % Extent.DataSize);
                var length = Math.Min(available - done, Extent.DataSize - within);
                var target = destination.Slice(done, length);
                var index = (int)(at / Extent.DataSize);
                Need(index, BlocksOf(within, length));
                if (_image.Find(index) is { } extent) Use(extent).RecordBytes.Slice(Extent.HeaderSize + within, length).CopyTo(target);
                else target.Clear();
                done += length;
            }

            return available;
        }
    }

    /// <summary>
    /// The address of bytes that lie together in memory and before the end of the database; 0 where they do not, then
    /// <see cref="Read"/> copies them.
    /// </summary>
    public nint GetReadAddress(long offset, int length)
    {
        var within = (int)(offset % Extent.DataSize);
        if (offset < 0 || offset + length > _size || within + length > Extent.DataSize) return 0;
        return _image.Find((int)(offset / Extent.DataSize)) is { } extent && (extent.Missing & BlocksOf(within, length)) == 0 ? Use(extent).RecordAddress + Extent.HeaderSize + within : 0;
    }

    /// <summary>
    /// A block's version, checksum and time, as of the last commit that the image holds; a freed block keeps the commit that freed it.
    /// All zero where nothing was ever written.
    /// </summary>
    /// <param name="block">Offset in the file / 4096.</param>
    public BlockMetadata GetMetadata(long block)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(block);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(block, uint.MaxValue);
        lock (_lock)
        {
            Need((int)(block / Extent.BlockCount), 1UL << (int)(block % Extent.BlockCount));
            return _image.Find((int)(block / Extent.BlockCount)) is { } extent ? extent[(int)(block % Extent.BlockCount)] : default;
        }
    }

    /// <summary>Begins a batch. Null when it began, otherwise why this tab may not write now, in words for the user.</summary>
    public string? TryBeginBatch()
    {
        if (_batch is not null) throw new InvalidOperationException("A batch is open already.");
        if (_owner.TryBeginBatch() is { } refusal) return refusal;
        lock (_lock) _batch = new BlockUndo(_image.Position, _image.FileSize);
        return null;
    }

    /// <summary>Writes bytes in the open batch; a gap behind the old end reads as zero.</summary>
    /// <exception cref="NotResidentException">A part of a block is written that is not in memory.</exception>
    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        for (var done = 0; done < source.Length;)
        {
            var at = offset + done;
            var length = Math.Min(source.Length - done, Extent.DataSize - (int)(at % Extent.DataSize));
            unsafe { source.Slice(done, length).CopyTo(new Span<byte>((void*)GetWriteAddress(at, length), length)); }
            done += length;
        }
    }

    /// <summary>
    /// Prepares bytes to be written in the open batch, and gives the address to write them to at once; 0 when they do not
    /// lie together in memory, then <see cref="Write"/> takes them.
    /// </summary>
    public nint GetWriteAddress(long offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        var within = (int)(offset % Extent.DataSize);
        if (within + length > Extent.DataSize) return 0;
        lock (_lock)
        {
            var batch = OpenBatch();
            var (index, blocks) = ((int)(offset / Extent.DataSize), BlocksOf(within, length));
            Need(index, blocks & ~WholeBlocksOf(within, length)); // of what is written as a whole nobody needs to know what it was
            var extent = Use(_image.GetOrAdd(index));
            for (var block = within / Extent.BlockSize; block <= (within + length - 1) / Extent.BlockSize; block++)
            {
                Keep(batch, (uint)(extent.Index * Extent.BlockCount + block), extent);
                extent.Presence |= 1UL << block;
            }

            extent.Missing &= ~blocks;

            if (offset + length > _size) _size = offset + length;
            return extent.RecordAddress + Extent.HeaderSize + within;
        }
    }

    /// <summary>Sets the size in the open batch. Blocks wholly beyond it are freed.</summary>
    public void Truncate(long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        lock (_lock)
        {
            var batch = OpenBatch();
            var tail = (int)(size % Extent.BlockSize);
            for (var id = size / Extent.BlockSize; id * Extent.BlockSize < _size; id++)
            {
                if (_image.FindOrMiss((int)(id / Extent.BlockCount)) is not { } extent) continue;
                var block = (int)(id % Extent.BlockCount);
                if (!extent.IsPresent(block) && (extent.Missing >> block & 1) == 0) continue;
                var kept = id == size / Extent.BlockSize ? tail : 0;
                if (kept > 0) Need(extent.Index, 1UL << block);
                Keep(batch, (uint)id, extent);
                extent.Block(block)[kept..].Clear();
                if (kept > 0) continue;
                extent.Presence &= ~(1UL << block);
                extent.Missing &= ~(1UL << block);
            }

            _size = size;
        }
    }

    /// <summary>Publishes the open batch: it becomes part of the image, and its commit goes on its way.</summary>
    /// <param name="tables">The tables that it changed, as far as the caller has seen it; null or none where it does not know.</param>
    /// <exception cref="CommitTooLargeException">It writes more than a commit may; it is still open, to be rolled back.</exception>
    public void CommitBatch(IReadOnlyList<string>? tables = null)
    {
        CommitRecord? sealedCommit = null;
        lock (_lock)
        {
            var batch = OpenBatch();
            if (batch.Blocks.Count == 0 && _size == batch.FileSize)
            {
                _batch = null;
            }
            else
            {
                sealedCommit = Seal(batch, tables);
                _image.FileSize = _size;
                _image.Position = sealedCommit.Position;
                _chain.Add((sealedCommit, batch));
                _isSealed = true;
            }
        }

        if (sealedCommit is null)
        {
            _owner.OnBatchEnded();
            return;
        }

        // The batch stays open until its owner knows the commit, so that nothing is undone or applied in between.
        _owner.OnSealed(sealedCommit);
        lock (_lock) (_batch, _isSealed) = (null, false);
        Changed?.Invoke(sealedCommit.Tables);
    }

    /// <summary>Drops the open batch: the image is as it was before it.</summary>
    public void RollbackBatch()
    {
        lock (_lock)
        {
            OpenBatch().Restore(_image);
            _size = _image.FileSize;
            _batch = null;
        }

        _owner.OnBatchEnded();
    }

    /// <summary>Frees the memory.</summary>
    public void Dispose() => _image.Dispose();

    private CommitRecord Seal(BlockUndo batch, IReadOnlyList<string>? tables)
    {
        var written = new List<uint>(batch.Blocks.Count);
        var freed = new List<uint>();
        foreach (var id in batch.Blocks)
        {
            var extent = _image.GetOrAdd((int)(id / Extent.BlockCount));
            if (extent.IsPresent((int)(id % Extent.BlockCount))) written.Add(id);
            else if (batch.WasPresent(id)) freed.Add(id); // one that came and went within the batch is nobody's business
        }

        // Before it is copied, sent and written, which would take long and fail at the end.
        if ((long)written.Count * Extent.BlockSize > _maxCommitBytes)
        {
            throw new CommitTooLargeException(FormattableString.Invariant(
                $"The transaction changes {(long)written.Count * Extent.BlockSize} bytes, and one commit takes at most {_maxCommitBytes}. Nothing was written; split it into smaller ones."));
        }

        written.Sort();
        freed.Sort();
        var commit = CommitRecord.Seal(
            NextCommit?.Id ?? _newCommitId(), batch.Position, NextCommit?.Writer ?? _writer, _time.GetUtcNow().ToUnixTimeMilliseconds(), _size, _checksum,
            System.Runtime.InteropServices.CollectionsMarshal.AsSpan(written),
            System.Runtime.InteropServices.CollectionsMarshal.AsSpan(freed),
            id => _image.GetOrAdd((int)(id / Extent.BlockCount)).BlockAddress((int)(id % Extent.BlockCount)),
            NextCommit?.Result,
            new TouchedTables(tables is [] ? null : tables, IsSchemaChanged(batch)),
            Format);
        for (var i = 0; i < written.Count; i++) SetMetadata(written[i], new(commit.Marker, commit.BlockChecksum(i), commit.TimeMs, true));
        foreach (var id in freed) SetMetadata(id, new(commit.Marker, 0, commit.TimeMs, false));
        return commit;
    }

    // Also what rewrites the whole file (VACUUM, a backup into it) changes the cookie.
    private bool IsSchemaChanged(BlockUndo batch) => batch.Has(0) && (batch.BytesBefore(0) is not { } before
        || !before.AsSpan(SchemaCookieOffset, 4).SequenceEqual(_image.GetOrAdd(0).Block(0).Slice(SchemaCookieOffset, 4)));

    private void SetMetadata(uint id, BlockMetadata metadata) =>
        _image.GetOrAdd((int)(id / Extent.BlockCount))[(int)(id % Extent.BlockCount)] = metadata;

    // A block of the image is about to change.
    private void Keep(BlockUndo? undo, uint id, Extent? extent)
    {
        undo?.Keep(id, extent);
        for (var i = 0; i < _pasts.Count; i++) _pasts[i].Keep(id, extent);
    }

    private BlockUndo OpenBatch() => _batch ?? throw new InvalidOperationException("No batch is open.");

    private bool HaveReadersLeft()
    {
        if (_readers > 0 && !Sabotage.IsMissing(Guard.RecallReaders)) RecallReaders?.Invoke();
        return _readers == 0;
    }

    private void ThrowUnlessIdle()
    {
        if (!IsIdle) throw new InvalidOperationException("The image is being read or written.");
    }
}
