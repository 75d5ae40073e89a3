using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.Logging;

namespace DataSync.Simulation;

/// <summary>
/// One connection of a tab: the real <see cref="DatabaseFile"/>, called as SQLite's pager calls it. Like the pager it keeps
/// the pages that it has read until the 16 bytes from offset 24 tell that somebody else wrote.
/// </summary>
internal sealed class SimConnection(string name, BlockStorage storage, VfsLock locks, ILogger logger)
{
    private const int VersionOffset = 24, VersionLength = 16, CookieOffset = 40, CookieLength = 4;

    private readonly DatabaseFile _file = new(name, storage, locks, isReadOnly: false, logger, () => { });
    private readonly Dictionary<int, byte[]> _pages = [];
    private readonly byte[] _version = new byte[VersionLength];
    private int _readers;

    /// <summary>Begins to read, or joins those who do; false when another connection of this tab writes.</summary>
    public bool TryRead()
    {
        if (_readers == 0)
        {
            if (_file.TryLock(LockLevel.Shared) != SqliteResult.Ok) return false;
            Span<byte> version = stackalloc byte[VersionLength];
            _file.Read(VersionOffset, version);
            if (!version.SequenceEqual(_version)) _pages.Clear();
        }

        _readers++;
        return true;
    }

    public void EndRead()
    {
        if (--_readers == 0) Expect(_file.Unlock(LockLevel.None));
    }

    /// <summary>Begins a transaction; null, or why this tab may not write now.</summary>
    public string? TryBegin()
    {
        if (!TryRead()) return VfsFailure.Last;
        if (_file.TryLock(LockLevel.Reserved) != SqliteResult.Ok)
        {
            var refusal = VfsFailure.Last;
            EndRead();
            return refusal;
        }

        Expect(_file.TryLock(LockLevel.Exclusive));
        return null;
    }

    public void Commit()
    {
        Expect(_file.Control(SqliteFileControl.CommitPhaseTwo));
        End();
    }

    public void Rollback()
    {
        _pages.Clear();
        End();
    }

    /// <summary>A page as the statements of this connection see it.</summary>
    public byte[] Page(int id)
    {
        if (_pages.TryGetValue(id, out var page)) return page;
        page = new byte[Extent.BlockSize];
        var result = _file.Read((long)id * Extent.BlockSize, page);
        if (result != SqliteResult.IoErrorShortRead) Expect(result);
        if (id == 0)
        {
            // The file gives a schema cookie of its own after a commit was taken back; the workload has none.
            page.AsSpan(CookieOffset, CookieLength).Clear();
            page.AsSpan(VersionOffset, VersionLength).CopyTo(_version);
        }

        return _pages[id] = page;
    }

    public void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        for (var id = (int)(offset / Extent.BlockSize); (long)id * Extent.BlockSize < offset + bytes.Length; id++)
        {
            // Of a page that is written as a whole SQLite needs not know what it was.
            var start = (long)id * Extent.BlockSize;
            var (from, to) = (Math.Max(start, offset), Math.Min(start + Extent.BlockSize, offset + bytes.Length));
            if (to - from == Extent.BlockSize) _pages[id] = new byte[Extent.BlockSize];
            bytes[(int)(from - offset)..(int)(to - offset)].CopyTo(Page(id).AsSpan((int)(from - start)));
        }

        Expect(_file.Write(offset, bytes));
        if (offset < VersionOffset + VersionLength) Page(0).AsSpan(VersionOffset, VersionLength).CopyTo(_version);
    }

    public void Truncate(long size)
    {
        Expect(_file.Truncate(size));
        foreach (var id in _pages.Keys.Where(id => (long)(id + 1) * Extent.BlockSize > size).ToList()) _pages.Remove(id);
    }

    /// <summary>Null when this connection sees exactly the reference; otherwise what differs.</summary>
    /// <param name="image">The reference.</param>
    /// <param name="only">The blocks to look at; null for all.</param>
    public string? Compare(ModelImage image, int[]? only) => image.Compare(_file.Size, (id, to) =>
    {
        if (only?.Contains(id) == false) return false;
        Page(id).CopyTo(to);
        return true;
    });

    private void End()
    {
        Expect(_file.Unlock(LockLevel.Shared));
        EndRead();
    }

    private static void Expect(int result)
    {
        if (result == VfsFailure.NotResident) throw new NotResidentException();
        if (result != SqliteResult.Ok) throw new VfsFailedException($"The VFS answered {result}: {VfsFailure.Last}");
    }
}

/// <summary>An answer of the VFS that nothing in the run explains.</summary>
internal sealed class VfsFailedException(string message) : Exception(message);
