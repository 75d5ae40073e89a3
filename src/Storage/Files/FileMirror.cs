using Microsoft.Extensions.Logging;

namespace DataSync.Storage;

/// <summary>
/// A second directory that receives the same records after the first has them and before anybody is told, so that what was
/// acknowledged is in both. When it fails, writes go on without it; it is brought up again at the next open, checkpoint or
/// take-over. It is a whole store: copied or opened in place of the first it works, but for the time of a copy, when
/// <c>mirror.partial</c> says so.
/// </summary>
internal sealed class FileMirror : IDisposable
{
    private readonly string _name;
    private readonly FileLayout _source, _target;
    private readonly ILogger _logger;
    private readonly IDisposable? _held;
    private bool _isBehind = true, _isForeign;

    /// <exception cref="StoreInUseException">Another process has the mirror open.</exception>
    public FileMirror(string name, FileLayout source, FileLayout target, ILogger logger)
    {
        (_name, _source, _target, _logger) = (name, source, target, logger);
        try
        {
            _held = target.Enter();
        }
        catch (Exception error) when (FileErrors.IsFileError(error))
        {
            Log.MirrorBehind(logger, name, target.Root, error.Message);
        }
    }

    public string Directory => _target.Root;

    /// <summary>Copies what differs. Does nothing where the mirror is of another store: that one may be all that is left of it.</summary>
    public void CatchUp(Head head, ReadOnlySpan<byte> headBytes)
    {
        if (_held is null || _isForeign) return;
        var bytes = headBytes.ToArray();
        _isBehind = true;
        Try(() =>
        {
            _target.Settle();
            if (IsForeign(head))
            {
                _isForeign = true;
                Log.MirrorForeign(_logger, _name, Directory);
                return;
            }

            var copied = Copy(head, bytes);
            _isBehind = false;
            if (copied > 0) Log.MirrorCaughtUp(_logger, _name, Directory, copied, head.Checkpoint.Marker);
        });
    }

    public void AddLog(long first, ReadOnlySpan<byte> bytes)
    {
        if (_isBehind || _isForeign) return;
        var copy = bytes.ToArray();
        Try(() =>
        {
            if (!_target.TryAddLog(first, copy)) throw new IOException($"log {first} is there already");
        });
    }

    public void WriteExtents(IReadOnlyList<Extent> extents)
    {
        if (_isBehind || _isForeign || extents.Count == 0) return;
        Try(() =>
        {
            foreach (var extent in extents) _target.WriteExtent(extent.Index, extent.RecordBytes[..extent.RecordSize]);
            _target.SyncExtents();
        });
    }

    /// <summary>
    /// The head is written last and only when the rest is in step: an equal head means equal extents (but for blocks that a
    /// crash in a checkpoint left ahead of it; the log holds those too).
    /// </summary>
    public void WriteHead(Head head, byte[] bytes)
    {
        if (_isBehind) CatchUp(head, bytes);
        else if (!_isForeign) Try(() => _target.WriteHead(bytes));
    }

    public void TrimLog()
    {
        if (!_isBehind && !_isForeign) Try(() => CopyLog());
    }

    /// <summary>Deletes it with the store whose head this is; null where that cannot be read, so that nobody knows whether it is the same.</summary>
    public void Delete(Head? head)
    {
        if (_isForeign || _held is null) return;
        Try(() =>
        {
            if (head is null || IsForeign(head))
            {
                Log.MirrorForeign(_logger, _name, Directory);
                return;
            }

            _target.BeginDelete();
            _target.FinishDelete();
        });
    }

    public void Dispose() => _held?.Dispose();

    private bool IsForeign(Head head)
    {
        if (_target.ReadPartial() is { } partial) return partial != head.Incarnation.ToString("D");
        try
        {
            if (HeadCodec.Read(_target.ReadHead(), _target.ReadHeadCopy) is { } there) return there.Incarnation != head.Incarnation;
            return _target.ListLog().Count + _target.ListExtents().Count > 0;
        }
        catch (StorageException)
        {
            return true;
        }
    }

    private int Copy(Head head, byte[] headBytes)
    {
        var copied = 0;
        var isWhole = _target.ReadPartial() is null && _target.ReadHead() is { } there && there.AsSpan().SequenceEqual(headBytes);
        if (isWhole) return CopyLog();
        _target.SetPartial(head.Incarnation);
        var extents = _source.ListExtents();
        foreach (var index in extents)
        {
            if (_source.ReadExtent(index) is not { } bytes) continue;
            if (_target.ReadExtent(index) is { } old && old.AsSpan().SequenceEqual(bytes)) continue;
            _target.WriteExtent(index, bytes);
            copied++;
        }

        foreach (var index in _target.ListExtents().Except(extents)) _target.WriteExtent(index, []);
        _target.SyncExtents();
        copied += CopyLog();
        _target.WriteHead(headBytes);
        _target.SetPartial(null);
        return copied + 1;
    }

    private int CopyLog()
    {
        var copied = 0;
        var source = _source.ReadLog();
        var target = _target.ReadLog().ToDictionary(file => file.First);
        var end = source.Count > 0 ? source[^1].First : 0;
        foreach (var file in source)
        {
            if (target.Remove(file.First, out var old) && old.Bytes.AsSpan().SequenceEqual(file.Bytes)) continue;
            _target.ReplaceLog(file.First, file.Bytes);
            copied++;
        }

        foreach (var first in target.Keys)
        {
            // What only the mirror has may be a commit that the first directory lost.
            if (first > end && end > 0) _target.KeepLog(first);
            _target.DeleteLog(first);
        }

        if (copied + target.Count > 0) _target.SyncLog();
        return copied;
    }

    private void Try(Action step)
    {
        try
        {
            step();
        }
        catch (Exception error) when (FileErrors.IsFileError(error))
        {
            _isBehind = true;
            Log.MirrorBehind(_logger, _name, Directory, error.Message);
        }
    }
}
