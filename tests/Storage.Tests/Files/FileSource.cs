using System.Globalization;
using DataSync.Contracts;

namespace DataSync.Storage.Tests.Files;

/// <summary>Gives a suite one directory for each test, and reaches into its files past the store.</summary>
internal sealed class FileSource : IStoreSource
{
    public const string Name = "app.db";

    public FileSource(bool inMemory = false, string? mirror = null)
    {
        var parent = inMemory && System.IO.Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();
        Base = System.IO.Directory.CreateDirectory(Path.Combine(parent, "datasync-" + Guid.NewGuid().ToString("N"))).FullName;
        Options = new() { BaseDirectory = Path.Combine(Base, "data"), MirrorDirectory = mirror is null ? null : Path.Combine(Base, mirror) };
        Directory = Path.Combine(Base, "data", Name);
        Mirror = Path.Combine(Base, mirror ?? "none", Name);
    }

    public string Base { get; }

    public FileStoreOptions Options { get; }

    public string Directory { get; }

    public string Mirror { get; }

    public FileBlockStore NewStore() => new(Name, Options);

    IBlockStore IStoreSource.NewStore() => NewStore();

    public string PathOf(StoreRecordKind kind, long key) => Path.Combine(Directory, kind switch
    {
        StoreRecordKind.Head => "head.json",
        StoreRecordKind.HeadCopy => "head.copy.json",
        StoreRecordKind.Log => Path.Combine("log", string.Create(CultureInfo.InvariantCulture, $"{key}.commit")),
        _ => Path.Combine("extents", string.Create(CultureInfo.InvariantCulture, $"{key}.extent")),
    });

    public ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key)
    {
        if (kind == StoreRecordKind.Log) SplitGroups();
        var path = PathOf(kind, key);
        return new(File.Exists(path) ? File.ReadAllBytes(path) : null);
    }

    public ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes)
    {
        if (kind == StoreRecordKind.Log) SplitGroups();
        if (bytes is null) File.Delete(PathOf(kind, key));
        else File.WriteAllBytes(PathOf(kind, key), bytes);
        return default;
    }

    /// <summary>Every file under a directory with its bytes, but for the lock.</summary>
    public static SortedDictionary<string, string> Snapshot(string directory)
    {
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var path in System.IO.Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
        {
            var name = Path.GetRelativePath(directory, path);
            if (name is not ("lock" or "holder")) files[name] = Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(path)));
        }

        return files;
    }

    Task IStoreSource.RemoveAsync()
    {
        Remove();
        return Task.CompletedTask;
    }

    public void Remove()
    {
        if (System.IO.Directory.Exists(Base)) System.IO.Directory.Delete(Base, recursive: true);
    }

    /// <summary>One file for each commit, as if each had been appended alone, so that each can be damaged alone.</summary>
    private void SplitGroups()
    {
        var log = Path.Combine(Directory, "log");
        if (!System.IO.Directory.Exists(log)) return;
        foreach (var path in System.IO.Directory.GetFiles(log, "*.commit"))
        {
            if (!long.TryParse(Path.GetFileNameWithoutExtension(path), CultureInfo.InvariantCulture, out var first)) continue;
            var file = new LogFile(first, File.ReadAllBytes(path));
            if (file.Entries.Count < 2) continue;
            foreach (var entry in file.Entries.Reverse()) File.WriteAllBytes(PathOf(StoreRecordKind.Log, entry.Marker), file.Read(entry));
        }
    }
}
