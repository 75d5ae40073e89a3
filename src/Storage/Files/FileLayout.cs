using System.Globalization;

namespace DataSync.Storage;

/// <summary>
/// One store's files, and the steps that change them:
/// <code>
/// head.json             the head
/// head.copy.json        the same once more, written before it
/// log/{marker}.commit   the commits of one append, named by the first
/// extents/{n}.extent    extents
/// quarantine/           what repairs took out, never deleted but with the store
/// lock, holder          keeps other processes out, and says who does
/// </code>
/// Every file is written under a temporary name, made durable, renamed, and its directory made durable. A step that fails
/// before the rename has changed nothing; from there on it throws <see cref="UnsettledWriteException"/>.
/// </summary>
internal sealed class FileLayout(IFileLayer files, string root)
{
    private const string HeadName = "head.json", CopyName = "head.copy.json", DeletedName = "head.deleted", PartialName = "mirror.partial";
    private const string TemporarySuffix = ".tmp", ClaimSuffix = ".claim", LogSuffix = ".commit", ExtentSuffix = ".extent";

    private readonly string _log = Path.Combine(root, "log"), _extents = Path.Combine(root, "extents"), _quarantine = Path.Combine(root, "quarantine");

    public string Root => root;

    /// <summary>Whether a directory holds a store, or what is left of one.</summary>
    public static bool HoldsStore(IFileLayer files, string root)
    {
        var layout = new FileLayout(files, root);
        return layout.Find(root, HeadName) || layout.Find(root, CopyName) || layout.ListLog().Count + layout.ListExtents().Count > 0;
    }

    /// <summary>Keeps other processes out; made durable: the directories.</summary>
    public IDisposable Enter()
    {
        files.CreateDirectory(root);
        var held = files.Lock(root);
        try
        {
            files.CreateDirectory(_log);
            files.CreateDirectory(_extents);
            return held;
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Finishes what a crash left: a deletion, and temporary files, which nobody was told of. Whatever is seen afterwards
    /// is durable. Returns how many temporary files there were.
    /// </summary>
    public int Settle()
    {
        if (Find(root, DeletedName)) FinishDelete();
        var removed = 0;
        foreach (var directory in new[] { root, _log, _extents, _quarantine })
        {
            foreach (var name in files.List(directory).Where(name => IsTemporary(name) && (directory == _quarantine || IsOwn(directory, ToFinal(name)))))
            {
                files.Delete(Path.Combine(directory, name));
                removed++;
            }
        }

        files.SyncDirectory(_log);
        files.SyncDirectory(_extents);
        files.SyncDirectory(root);
        return removed;
    }

    public byte[]? ReadHead() => ReadAll(Path.Combine(root, HeadName));

    public byte[]? ReadHeadCopy() => ReadAll(Path.Combine(root, CopyName));

    /// <summary>Head and copy, with one flush of the directory.</summary>
    public void WriteHead(ReadOnlySpan<byte> bytes)
    {
        var copy = WriteTemporary(root, CopyName, bytes);
        var head = WriteTemporary(root, HeadName, bytes);
        Settled(() => files.Rename(copy, Path.Combine(root, CopyName), replace: true));
        Settled(() => files.Rename(head, Path.Combine(root, HeadName), replace: true));
        Sync(root);
    }

    /// <summary>The first markers of the log's files, rising.</summary>
    public List<long> ListLog() => ListKeys(_log, LogSuffix, long.MaxValue);

    /// <summary>The log's files from the one that may hold a marker behind <paramref name="afterMarker"/>.</summary>
    public List<LogFile> ReadLog(long afterMarker = 0)
    {
        var keys = ListLog();
        var from = Math.Max(0, keys.FindLastIndex(key => key <= afterMarker + 1));
        return [.. keys.Skip(from).Select(key => ReadLogFile(key)).OfType<LogFile>()];
    }

    /// <summary>Whether a file of the log begins with this marker.</summary>
    public bool HasLog(long first) => files.Read(Path.Combine(_log, Name(first, LogSuffix)), _ => []);

    /// <summary>Writes commits as one file. False when the name is taken; then nothing was written.</summary>
    public bool TryAddLog(long first, ReadOnlySpan<byte> bytes)
    {
        if (!TryAdd(_log, Name(first, LogSuffix), bytes)) return false;
        Sync(_log);
        return true;
    }

    public void ReplaceLog(long first, ReadOnlySpan<byte> bytes) => Replace(_log, Name(first, LogSuffix), bytes);

    public void DeleteLog(long first) => files.Delete(Path.Combine(_log, Name(first, LogSuffix)));

    public void SyncLog() => Sync(_log);

    /// <summary>The indices of the extents, rising.</summary>
    public List<int> ListExtents() => ListKeys(_extents, ExtentSuffix, int.MaxValue).ConvertAll(key => (int)key);

    /// <summary>Reads an extent's file into its memory, as far as it fits. Returns the file's length; -1 when there is none.</summary>
    public long ReadExtent(Extent extent)
    {
        var size = -1L;
        files.Read(Path.Combine(_extents, Name(extent.Index, ExtentSuffix)), length =>
        {
            size = length;
            return extent.RecordBytes[..(int)Math.Min(length, Extent.MaxRecordSize)];
        });
        return size;
    }

    public byte[]? ReadExtent(int index) => ReadAll(Path.Combine(_extents, Name(index, ExtentSuffix)));

    public void WriteExtent(int index, ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) files.Delete(Path.Combine(_extents, Name(index, ExtentSuffix)));
        else Replace(_extents, Name(index, ExtentSuffix), bytes);
    }

    public void SyncExtents() => Sync(_extents);

    public string? KeepHead() => Keep(root, HeadName);

    public string? KeepLog(long first) => Keep(_log, Name(first, LogSuffix));

    public string? KeepExtent(int index) => Keep(_extents, Name(index, ExtentSuffix));

    /// <summary>Files that this code did not write; they are left alone.</summary>
    public List<string> ListStrangers() =>
    [
        .. files.List(_log).Where(name => !IsOwn(_log, ToFinal(name))).Select(name => $"log/{name}"),
        .. files.List(_extents).Where(name => !IsOwn(_extents, ToFinal(name))).Select(name => $"extents/{name}"),
    ];

    /// <summary>The incarnation that an unfinished copy of a mirror is of, as text; null when no copy is under way.</summary>
    public string? ReadPartial() => ReadAll(Path.Combine(root, PartialName)) is { } bytes ? System.Text.Encoding.ASCII.GetString(bytes) : null;

    /// <summary>Says that a copy is under way, so that nobody takes it for a whole store; null: it is whole.</summary>
    public void SetPartial(Guid? incarnation)
    {
        if (incarnation is { } value) Replace(root, PartialName, System.Text.Encoding.ASCII.GetBytes(value.ToString("D")));
        else files.Delete(Path.Combine(root, PartialName));
        Sync(root);
    }

    /// <summary>The store is deleted with this step; what is still there is removed by <see cref="FinishDelete"/>, now or at the next open.</summary>
    public void BeginDelete()
    {
        // By a rename where there is something to rename: it works on a full disk.
        var name = Find(root, HeadName) ? HeadName : CopyName;
        if (Find(root, name)) Settled(() => files.Rename(Path.Combine(root, name), Path.Combine(root, DeletedName), replace: true));
        else Replace(root, DeletedName, []);
        Sync(root);
    }

    /// <summary>Removes what is left of a deleted store, the quarantine included. Strangers stay.</summary>
    public void FinishDelete()
    {
        foreach (var directory in new[] { _quarantine, _extents, _log })
        {
            foreach (var name in files.List(directory))
            {
                if (directory == _quarantine || IsOwn(directory, ToFinal(name))) files.Delete(Path.Combine(directory, name));
            }

            if (directory != _quarantine) files.SyncDirectory(directory);
        }

        foreach (var name in new[] { HeadName, CopyName, PartialName }) files.Delete(Path.Combine(root, name));
        files.SyncDirectory(root);
        files.Delete(Path.Combine(root, DeletedName));
        files.SyncDirectory(root);
    }

    // A copy, so that the original stays until it is replaced or removed.
    private string? Keep(string directory, string name)
    {
        if (ReadAll(Path.Combine(directory, name)) is not { } bytes) return null;
        files.CreateDirectory(_quarantine);
        for (var number = 0; ; number++)
        {
            var kept = number == 0 ? name : string.Create(CultureInfo.InvariantCulture, $"{name}.{number}");
            if (ReadAll(Path.Combine(_quarantine, kept)) is { } there)
            {
                if (there.AsSpan().SequenceEqual(bytes)) return kept; // a repair that crashed, done again
                continue;
            }

            if (!TryAdd(_quarantine, kept, bytes)) continue;
            Sync(_quarantine);
            return kept;
        }
    }

    private LogFile? ReadLogFile(long first) => ReadAll(Path.Combine(_log, Name(first, LogSuffix))) is { } bytes ? new(first, bytes) : null;

    private bool TryAdd(string directory, string name, ReadOnlySpan<byte> bytes)
    {
        var temporary = WriteTemporary(directory, name, bytes);
        var added = Settled(() => files.Rename(temporary, Path.Combine(directory, name), replace: false));
        if (!added) files.Delete(temporary);
        return added;
    }

    private void Replace(string directory, string name, ReadOnlySpan<byte> bytes)
    {
        var temporary = WriteTemporary(directory, name, bytes);
        Settled(() => files.Rename(temporary, Path.Combine(directory, name), replace: true));
    }

    private string WriteTemporary(string directory, string name, ReadOnlySpan<byte> bytes)
    {
        var temporary = Path.Combine(directory, name + TemporarySuffix);
        try
        {
            files.Write(temporary, bytes);
            return temporary;
        }
        catch (Exception error) when (FileErrors.IsFileError(error))
        {
            // Whatever fails now is found by the next Settle.
            try
            {
                files.Delete(temporary);
            }
            catch (Exception second) when (FileErrors.IsFileError(second))
            {
            }

            throw;
        }
    }

    private void Sync(string directory) => Settled(() =>
    {
        files.SyncDirectory(directory);
        return true;
    });

    private static bool Settled(Func<bool> step)
    {
        try
        {
            return step();
        }
        catch (Exception error) when (FileErrors.IsFileError(error))
        {
            throw new UnsettledWriteException(error);
        }
    }

    private byte[]? ReadAll(string path)
    {
        byte[]? bytes = null;
        return files.Read(path, length => bytes = new byte[length]) ? bytes : null;
    }

    private bool Find(string directory, string name) => files.List(directory).Contains(name);

    private List<long> ListKeys(string directory, string suffix, long most)
    {
        var keys = new List<long>();
        foreach (var name in files.List(directory))
        {
            if (TryParse(name, suffix, out var key) && key <= most) keys.Add(key);
        }

        keys.Sort();
        return keys;
    }

    private bool IsOwn(string directory, string name) => directory == root
        ? name is HeadName or CopyName or PartialName or DeletedName
        : TryParse(name, directory == _log ? LogSuffix : ExtentSuffix, out _);

    /// <summary>The name that a temporary file was to have.</summary>
    private static string ToFinal(string name)
    {
        if (!IsTemporary(name)) return name;
        var final = name[..^TemporarySuffix.Length];
        return final.EndsWith(ClaimSuffix, StringComparison.Ordinal) ? final[..^ClaimSuffix.Length] : final;
    }

    private static bool IsTemporary(string name) => name.EndsWith(TemporarySuffix, StringComparison.Ordinal);

    private static string Name(long key, string suffix) => key.ToString(CultureInfo.InvariantCulture) + suffix;

    // Only names that this code would write: no signs, no leading zeros, nothing twice in different spellings.
    private static bool TryParse(string name, string suffix, out long key)
    {
        key = -1;
        if (!name.EndsWith(suffix, StringComparison.Ordinal)) return false;
        return long.TryParse(name.AsSpan(0, name.Length - suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out key)
            && Name(key, suffix) == name;
    }
}
