using DataSync.Coordination;
using Microsoft.Extensions.Logging;

namespace DataSync.Storage;

/// <summary>
/// One store's directory, opened by this process: shared by all its <see cref="FileBlockStore"/>s, which take turns. Holds
/// the lock against other processes while at least one of them is open.
/// </summary>
internal sealed class FileMedium : IDisposable
{
    private static readonly Lock RegistryLock = new();
    private static readonly Dictionary<(string, IFileLayer), FileMedium> Registry = [];

    private readonly (string, IFileLayer) _key;
    private readonly FileLayout _layout;
    private readonly FileMirror? _mirror;
    private readonly ILogger _logger;
    private readonly string _name;
    private readonly IDisposable _held;
    private readonly List<FileBlockStore> _openers = [];
    private readonly SortedDictionary<long, CommitId> _log = [];
    private byte[] _headBytes = [];
    private Head? _head;

    private FileMedium(string name, string directory, string? mirror, IFileLayer files, ILogger logger)
    {
        (_key, _name, _logger) = ((directory, files), name, logger);
        _layout = new FileLayout(files, directory);
        _held = _layout.Enter();
        try
        {
            if (mirror is not null) _mirror = new FileMirror(name, _layout, new FileLayout(files, mirror), logger);
        }
        catch
        {
            _held.Dispose();
            throw;
        }
    }

    /// <summary>One call at a time; the callers see to it.</summary>
    public SemaphoreSlim Turn { get; } = new(1, 1);

    /// <summary>Adds an opener, and takes the lock for the first.</summary>
    /// <exception cref="StoreInUseException">Another process has the store open, or the mirror.</exception>
    public static FileMedium Acquire(FileBlockStore store, string name, string? mirror, IFileLayer files, ILogger logger)
    {
        var directory = store.Directory;
        lock (RegistryLock)
        {
            if (!Registry.TryGetValue((directory, files), out var medium))
                Registry[(directory, files)] = medium = new FileMedium(name, directory, mirror, files, logger);
            else if (medium._mirror?.Directory != mirror)
                throw new StorageUnavailableException($"{directory} is open in this process already, with another mirror.");
            medium._openers.Add(store);
            return medium;
        }
    }

    /// <summary>Takes an opener out; after the last one other processes may open the store. Only with the turn.</summary>
    public void Release(FileBlockStore store)
    {
        lock (RegistryLock)
        {
            if (!_openers.Remove(store) || _openers.Count > 0) return;
            Registry.Remove(_key);
            Dispose();
        }
    }

    /// <summary>Lets other processes in.</summary>
    public void Dispose()
    {
        _mirror?.Dispose();
        _held.Dispose();
    }

    public List<FileBlockStore> GetOpeners()
    {
        lock (RegistryLock) return [.. _openers];
    }

    public Head Open(ChecksumKind checksum)
    {
        if (_layout.Settle() is > 0 and var removed) Log.TemporaryFilesRemoved(_logger, _name, removed);
        if (_layout.ReadPartial() is not null)
            throw new CorruptStoreException(null, $"{_layout.Root} is a mirror whose last copy was not finished, so nothing was opened. Open the original once more with this mirror.");
        if (_layout.ListStrangers() is { Count: > 0 } strangers) Log.StrangersLeftAlone(_logger, _name, string.Join(", ", strangers.Take(10)), strangers.Count);
        var head = TryReadHead();

        // A copy alone, of a store that nobody ever led, is what a crash left while it was made.
        if (head is null or { Damage: not null, Epoch.Value: 0 })
        {
            if (_layout.ListLog().Count + _layout.ListExtents().Count > 0) throw HeadCodec.Missing();
            _layout.WriteHead(HeadCodec.Encode(StoreRules.NewHead(checksum)));
            head = ReadHead();
        }

        IndexLog(_layout.ReadLog());
        Log.FilesOpened(_logger, _name, _layout.Root, head.Epoch.Value, head.Checkpoint.Marker);

        // A damaged head is left to whoever repairs; the mirror catches up with the next head that is written.
        if (head.Damage is null) _mirror?.CatchUp(head, _headBytes);
        return head;
    }

    public Head RaiseEpoch(Guid incarnation, Epoch proposed, TabId holder)
    {
        var head = StoreRules.Raise(ReadHead(), incarnation, proposed, holder);
        WriteHead(head);
        return head;
    }

    public void Append(Fence fence, IReadOnlyList<CommitRecord> commits)
    {
        var head = ReadHead();
        StoreRules.CheckFence(head, fence);
        var first = commits[0].Marker;

        // A marker that the checkpoint has passed is free in the log, and must not be taken again.
        var follows = first - 1 == head.Checkpoint.Marker || _log.ContainsKey(first - 1);
        if (first <= head.Checkpoint.Marker || !follows) throw new MarkerConflictException(first);
        var there = 0;
        for (var i = 0; i < commits.Count; i++)
        {
            if (!_log.TryGetValue(commits[i].Marker, out var taken)) continue;
            if (taken != commits[i].Id || there != i) throw new MarkerConflictException(commits[i].Marker);
            there++;
        }

        if (there == commits.Count) return;
        first += there;

        // The group's own name cannot be taken from another; names within it are looked at, for a writer that has no lock.
        for (var marker = first + 1; marker <= commits[^1].Marker; marker++)
        {
            if (_layout.HasLog(marker)) throw new MarkerConflictException(marker);
        }

        var bytes = Join(commits, there);
        if (!_layout.TryAddLog(first, bytes.Span)) throw new MarkerConflictException(first);
        for (var i = there; i < commits.Count; i++) _log[commits[i].Marker] = commits[i].Id;
        _mirror?.AddLog(first, bytes.Span);
    }

    public void Read(StoreRead request, CancellationToken cancellationToken)
    {
        var head = ReadHead();
        var files = _layout.ReadLog(Math.Max(request.AfterMarker, head.Checkpoint.Marker));
        if (request is { IncludeExtents: true, Only: null, AfterMarker: 0 }) IndexLog(files);
        var after = Math.Max(request.AfterMarker, head.Checkpoint.Marker);
        var log = files.SelectMany(file => file.Entries.Where(entry => entry.Marker > after).Select(entry => (File: file, Entry: entry)))
            .OrderBy(record => record.Entry.Marker).ToList();
        var stored = request.ListExtents || request is { IncludeExtents: true, Only: null } ? _layout.ListExtents() : [];
        var extents = !request.IncludeExtents ? [] : request.Only ?? stored;
        request.Sink.OnHead(head, extents.Count, log.Count);
        if (request.ListExtents) request.Sink.OnExtentList(stored);
        foreach (var index in extents)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var extent = new Extent(index);
            var size = _layout.ReadExtent(extent);
            if (size < 0 && request.Only is not null)
            {
                extent.Dispose();
                continue;
            }

            request.Sink.OnExtent(extent, (int)Math.Clamp(size, 0, int.MaxValue));
        }

        // A record has its name only once it is whole and durable, so one that is not is damage, wherever it stands.
        foreach (var (file, entry) in log) request.Sink.OnLog(entry.Marker, file.Read(entry), mayBeTorn: false);
    }

    public void Checkpoint(Fence fence, Checkpoint checkpoint)
    {
        var head = ReadHead();
        StoreRules.CheckFence(head, fence);
        var marker = checkpoint.Head.Checkpoint.Marker;
        var isKnown = marker == head.Checkpoint.Marker || _log.ContainsKey(marker);
        if (marker < head.Checkpoint.Marker || !isKnown) throw new MarkerConflictException(marker);

        // The order makes a crash in between harmless: extents repeat what the log holds until the head says that they do.
        foreach (var extent in checkpoint.Extents)
        {
            if (checkpoint.Damaged?.Contains(extent.Index) == true && _layout.KeepExtent(extent.Index) is { } kept) Log.Quarantined(_logger, _name, kept);
            _layout.WriteExtent(extent.Index, extent.RecordBytes[..extent.RecordSize]);
        }

        if (checkpoint.Extents.Count > 0) _layout.SyncExtents();
        _mirror?.WriteExtents(checkpoint.Extents);
        WriteHead(checkpoint.Head);
        try
        {
            Trim(checkpoint, marker);
        }
        catch (Exception error) when (FileErrors.IsFileError(error))
        {
            // What the head has passed is harmless, and the next checkpoint removes it. What was to be dropped is not.
            if (checkpoint.DropFrom is not null) throw new UnsettledWriteException(error);
            Log.TrimFailed(_logger, _name, error.Message);
        }

        _mirror?.TrimLog();
    }

    /// <summary>The store is gone when this returns, though its last files may go at the next open.</summary>
    public void Delete()
    {
        var head = ReadHeadIfPossible();
        _layout.BeginDelete();
        _mirror?.Delete(head);
        try
        {
            _layout.FinishDelete();
        }
        catch (Exception error) when (FileErrors.IsFileError(error))
        {
            Log.FilesLeft(_logger, _name, error.Message);
        }
    }

    private void Trim(Checkpoint checkpoint, long marker)
    {
        var (drop, keeps) = (checkpoint.DropFrom ?? long.MaxValue, checkpoint.Damaged is not null);

        // From the end, so that what a crash leaves still ends where it did.
        var files = _layout.ReadLog();
        for (var i = files.Count - 1; i >= 0; i--)
        {
            var file = files[i];
            var isDropped = file.Entries[^1].Marker >= drop;
            if (isDropped && keeps && _layout.KeepLog(file.First) is { } kept) Log.Quarantined(_logger, _name, kept);
            if (!file.Entries.Any(entry => entry.Marker > marker && entry.Marker < drop)) _layout.DeleteLog(file.First);
            else if (isDropped) _layout.ReplaceLog(file.First, file.Bytes.AsSpan(0, file.Entries.First(entry => entry.Marker >= drop).Offset));
        }

        if (checkpoint.DropFrom is not null) _layout.SyncLog();
        IndexLog(_layout.ReadLog());
    }

    private Head ReadHead() => TryReadHead() ?? throw HeadCodec.Missing();

    private Head? TryReadHead()
    {
        // From the disk, not from memory: the fence holds also where the lock does not (a network drive without locks).
        var bytes = _layout.ReadHead();
        if (_head is { Damage: null } && bytes is not null && bytes.AsSpan().SequenceEqual(_headBytes)) return _head;

        // The copy is looked at only where the head itself is of no use.
        var head = HeadCodec.Read(bytes, _layout.ReadHeadCopy);
        (_head, _headBytes) = (head, bytes ?? []);
        return head;
    }

    /// <summary>Null also where it cannot be read.</summary>
    private Head? ReadHeadIfPossible()
    {
        try
        {
            return TryReadHead();
        }
        catch (StorageException)
        {
            return null;
        }
    }

    private void WriteHead(Head head)
    {
        if (_head?.Damage is not null && _layout.KeepHead() is { } kept) Log.Quarantined(_logger, _name, kept);
        var bytes = HeadCodec.Encode(head);
        _layout.WriteHead(bytes);
        (_head, _headBytes) = (head with { Damage = null }, bytes);
        _mirror?.WriteHead(head, bytes);
    }

    private void IndexLog(List<LogFile> files)
    {
        _log.Clear();
        foreach (var entry in files.SelectMany(file => file.Entries)) _log[entry.Marker] = entry.Id;
    }

    private static ReadOnlyMemory<byte> Join(IReadOnlyList<CommitRecord> commits, int from)
    {
        if (from == commits.Count - 1) return commits[from].Bytes;
        var bytes = new byte[commits.Skip(from).Sum(commit => commit.Bytes.Length)];
        var at = 0;
        foreach (var commit in commits.Skip(from))
        {
            commit.Bytes.CopyTo(bytes.AsMemory(at));
            at += commit.Bytes.Length;
        }

        return bytes;
    }
}
