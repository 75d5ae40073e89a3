using System.Buffers.Binary;
using DataSync.Coordination;

namespace DataSync.Storage;

// The pipeline's side: commits that come into the image, are confirmed in it, or are taken out of it.
internal sealed partial class BlockStorage
{
    /// <summary>In SQLite's file format: https://www.sqlite.org/fileformat2.html#schema_cookie.</summary>
    internal const int SchemaCookieOffset = 40;

    /// <summary>A commit of another tab became durable, and the image holds nothing that is not. Only when idle.</summary>
    internal void ApplyDurable(CommitRecord commit)
    {
        lock (_lock)
        {
            ThrowUnlessIdle();
            if (_chain.Count > 0) throw new InvalidOperationException("The image holds commits that are not durable.");
            if (commit.Base != Durable) throw new InvalidOperationException($"Commit {commit.Position} does not follow {Durable}.");
            if (_pasts.Count > 0) Keep(null, commit);
            _image.Apply(commit);
            Durable = commit.Position;
            _size = _image.FileSize;
            Generation++;
        }

        Changed?.Invoke(commit.Tables);
    }

    /// <summary>Takes a commit that the leader accepted but that is not durable yet: for the holder of the write turn. Only when idle.</summary>
    internal void ApplyAccepted(CommitRecord commit)
    {
        lock (_lock)
        {
            ThrowUnlessIdle();
            if (commit.Base != _image.Position) throw new InvalidOperationException($"Commit {commit.Position} does not follow {_image.Position}.");
            var undo = new BlockUndo(_image.Position, _image.FileSize);
            Keep(undo, commit);
            _image.Apply(commit);
            _chain.Add((commit, undo));
            _size = _image.FileSize;
            Generation++;
        }

        Changed?.Invoke(commit.Tables);
    }

    /// <summary>The oldest commit on its way became durable. Returns false when that is another commit.</summary>
    internal bool TryConfirm(Position position)
    {
        lock (_lock)
        {
            if (_chain.Count == 0 || _chain[0].Commit.Position != position) return false;
            _chain.RemoveAt(0);
            Durable = position;
            return true;
        }
    }

    /// <summary>The oldest commit in the image that is not durable; null when there is none.</summary>
    internal CommitId? ChainFront
    {
        get
        {
            lock (_lock) return _chain.Count > 0 ? _chain[0].Commit.Id : null;
        }
    }

    /// <summary>The commits that are not durable yet and build on a position, oldest first; none when the chain does not pass it.</summary>
    internal IReadOnlyList<CommitRecord> ChainOn(Position position)
    {
        lock (_lock) return [.. _chain.Select(c => c.Commit).SkipWhile(c => c.Base != position)];
    }

    /// <summary>Whether the image holds this commit, not yet durable.</summary>
    internal bool IsInChain(CommitId id)
    {
        lock (_lock) return _chain.Exists(c => c.Commit.Id == id);
    }

    /// <summary>
    /// The first of the commits at the end of the chain that are none of this tab's own; null when the last one is its own. What a leader
    /// made of statements is nobody's own: a tab sees that when it is durable.
    /// </summary>
    internal CommitId? FindForeignTail()
    {
        lock (_lock)
        {
            var first = _chain.FindLastIndex(c => c.Commit.Writer == _writer && c.Commit.Result is null) + 1;
            return first < _chain.Count ? _chain[first].Commit.Id : null;
        }
    }

    /// <summary>Takes a commit, and all that were built on it, out of the image. Only when idle.</summary>
    internal void UndoFrom(CommitId first)
    {
        List<TouchedTables> undone;
        lock (_lock)
        {
            ThrowUnlessIdle();
            var index = _chain.FindIndex(c => c.Commit.Id == first);
            if (index < 0) return;
            undone = [.. _chain.Skip(index).Select(c => c.Commit.Tables)];
            var schema = SchemaCookie;
            for (var i = _chain.Count - 1; i >= index && !Sabotage.IsMissing(Guard.UndoAfterFailure); i--)
            {
                KeepForPasts(_chain[i].Undo.Blocks);
                _chain[i].Undo.Restore(_image);
            }

            _chain.RemoveRange(index, _chain.Count - index);
            _size = _image.FileSize;
            Generation++;
            if (SchemaCookie != schema) Retractions++;
        }

        foreach (var tables in undone) Changed?.Invoke(tables);
    }

    /// <summary>Which schema the image holds: another one has another number, or was there before something was taken back.</summary>
    internal (int Cookie, long Retractions) SchemaVersion
    {
        get
        {
            lock (_lock) return (SchemaCookie, Retractions);
        }
    }

    // SQLite's number of the schema, 0 in an empty database. It rises with each change of the schema, so commits that leave it as it is changed none.
    private int SchemaCookie => _image.Find(0) is { } first && first.IsPresent(0) ? BinaryPrimitives.ReadInt32BigEndian(first.Block(0)[SchemaCookieOffset..]) : 0;

    /// <summary>Takes every commit that is not durable out of the image. Only when idle.</summary>
    internal void UndoAll()
    {
        if (_chain.Count > 0) UndoFrom(_chain[0].Commit.Id);
    }

    /// <summary>Replaces the whole image by one newly read from the store. Only when idle and with nothing on its way.</summary>
    internal void Replace(BlockImage image)
    {
        BlockImage old;
        lock (_lock)
        {
            ThrowUnlessIdle();
            if (_chain.Count > 0) throw new InvalidOperationException("The image holds commits that are not durable.");
            if (image.Position.Marker < Durable.Marker) throw new InvalidOperationException($"Marker {image.Position.Marker} lies before {Durable.Marker}.");
            KeepForPasts(_image.Blocks.Union(image.Blocks));
            (old, _image) = (_image, image);
            Durable = image.Position;
            _size = image.FileSize;
            Generation++;
        }

        old.Dispose();
        Changed?.Invoke(TouchedTables.Unknown);
    }

    private void Keep(BlockUndo? undo, CommitRecord commit)
    {
        foreach (var id in commit.BlockIds) Keep(undo, id, ExtentOf(id));
        foreach (var id in commit.FreedIds) Keep(undo, id, ExtentOf(id));
    }

    private Extent? ExtentOf(uint id) => _image.FindOrMiss((int)(id / Extent.BlockCount));

    /// <summary>A copy of an extent as it is at <see cref="Durable"/>, sealed for the store; null where nothing was ever written. Nothing of it may be missing.</summary>
    internal Extent? SnapshotDurable(int index, Guid incarnation)
    {
        lock (_lock)
        {
            if (IsIncomplete(index)) throw new InvalidOperationException($"Extent {index} is not in memory.");
            if (_image.Find(index) is not { } extent) return null;
            var copy = new Extent(index);
            extent.RecordBytes.CopyTo(copy.RecordBytes);

            // A sealed batch may be durable before its owner has returned, where the store answers at once.
            if (_batch is not null && !_isSealed) _batch.Restore(copy);
            for (var i = _chain.Count - 1; i >= 0; i--) _chain[i].Undo.Restore(copy);
            copy.SealRecord(incarnation, _checksum);
            return copy;
        }
    }

    /// <summary>Size of the database at <see cref="Durable"/>.</summary>
    internal long DurableFileSize
    {
        get
        {
            lock (_lock) return _chain.Count > 0 ? _chain[0].Undo.FileSize : _image.FileSize;
        }
    }
}
