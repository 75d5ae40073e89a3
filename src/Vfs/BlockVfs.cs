using System.Runtime.InteropServices;
using System.Text;
using DataSync.Storage;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Vfs;

/// <summary>
/// The SQLite VFS "datasync": main databases are <see cref="BlockStorage"/>s registered by name, and opened by
/// <c>Data Source=app.db;Vfs=datasync</c>; journals and temporary files live in memory.
/// </summary>
/// <remarks>Members may be called from any thread.</remarks>
internal sealed class BlockVfs
{
    /// <summary>The name that SQLite knows the VFS by.</summary>
    public const string Name = "datasync";

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Entry> _databases = [];
    private readonly Dictionary<string, MemoryFileData> _files = [];
    private readonly TimeProvider _time;

    private readonly SideFileCount _sideFiles = new();

    internal BlockVfs(TimeProvider time) => _time = time;

    /// <summary>The process's VFS: SQLite knows one VFS by one name.</summary>
    public static BlockVfs Shared { get; } = new(TimeProvider.System);

    /// <summary>
    /// Where the number of journals and other files beside the databases is kept: while it is 0, the question whether there is
    /// one, which SQLite asks twice before each read, needs no call.
    /// </summary>
    internal nint SideFilesAddress => _sideFiles.Address;

    /// <summary>Where failures are logged; nowhere by default. Opening a <see cref="DataSyncDatabase"/> with a logger sets it.</summary>
    public ILogger Logger { get; set; } = NullLogger.Instance;

    /// <summary>Makes a database openable under a name.</summary>
    /// <param name="name">The <c>Data Source</c>, compared exactly. Not empty.</param>
    /// <param name="storage">Its bytes. Dispose it only when <see cref="CountOpenFiles"/> is 0.</param>
    /// <exception cref="InvalidOperationException">The name is taken.</exception>
    public void Register(string name, BlockStorage storage)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(storage);
        lock (_gate)
        {
            if (!_databases.TryAdd(name, new Entry(storage))) throw new InvalidOperationException($"A database '{name}' is registered already.");
            CountSideFiles();
        }
    }

    /// <summary>As <see cref="Register"/>, under a name of its own where this one is taken: "app.db (2)". Returns the name.</summary>
    internal string RegisterBeside(string name, BlockStorage storage)
    {
        lock (_gate)
        {
            var free = name;
            for (var i = 2; _databases.ContainsKey(free); i++) free = FormattableString.Invariant($"{name} ({i})");
            Register(free, storage);
            return free;
        }
    }

    /// <summary>
    /// Takes a database away: it cannot be opened any more; connections that have it open keep it. Returns false when
    /// there was none.
    /// </summary>
    public bool Unregister(string name)
    {
        lock (_gate)
        {
            var isRemoved = _databases.Remove(name);
            CountSideFiles();
            return isRemoved;
        }
    }

    /// <summary>How many connections (or attachments) have a registered database open; 0 when it is not registered.</summary>
    public int CountOpenFiles(string name)
    {
        lock (_gate) return _databases.TryGetValue(name, out var entry) ? entry.OpenFiles : 0;
    }

    /// <summary>Whether other connections of this tab keep one from committing to a registered database.</summary>
    /// <param name="name">The database.</param>
    /// <param name="isReading">Whether the one that asks reads.</param>
    internal bool IsReadBeside(string name, bool isReading)
    {
        lock (_gate) return _databases.TryGetValue(name, out var entry) && entry.Locks.Readers > (isReading ? 1 : 0);
    }

    /// <summary>Whether a connection of this tab has begun to write to a registered database.</summary>
    internal bool IsReserved(string name)
    {
        lock (_gate) return _databases.TryGetValue(name, out var entry) && entry.Locks.IsReserved;
    }

    /// <summary>Opens a file; null when it cannot, with the result code.</summary>
    /// <param name="name">Null or empty for a temporary file.</param>
    /// <param name="flags">SQLite's flags.</param>
    /// <param name="result">The result code.</param>
    internal VfsFile? Open(string? name, SqliteOpenFlags flags, out int result)
    {
        result = SqliteResult.Ok;
        if (flags.HasFlag(SqliteOpenFlags.MainDatabase) && !string.IsNullOrEmpty(name)) return OpenDatabase(name, flags, out result);
        if (flags.HasFlag(SqliteOpenFlags.WriteAheadLog))
        {
            result = VfsFailure.Report(SqliteResult.CantOpen, "A database on DataSync has no write-ahead log: use journal_mode=MEMORY, the default. Its commits are atomic and durable without one.");
            return null;
        }

        if (string.IsNullOrEmpty(name)) return new MemoryFile(new MemoryFileData(), null);
        lock (_gate)
        {
            if (!_files.TryGetValue(name, out var data))
            {
                if (!flags.HasFlag(SqliteOpenFlags.Create))
                {
                    result = VfsFailure.Report(SqliteResult.CantOpen, $"There is no file '{name}'.");
                    return null;
                }

                _files.Add(name, data = new MemoryFileData());
                CountSideFiles();
            }

            return new MemoryFile(data, flags.HasFlag(SqliteOpenFlags.DeleteOnClose) ? () => Delete(name) : null);
        }
    }

    /// <summary>Deletes a journal or temporary file.</summary>
    internal int Delete(string name)
    {
        lock (_gate)
        {
            if (_files.Remove(name))
            {
                CountSideFiles();
                return SqliteResult.Ok;
            }

            return _databases.ContainsKey(name)
                ? VfsFailure.Report(SqliteResult.IoErrorDelete, $"SQLite cannot delete the database '{name}': delete it through DataSync.")
                : SqliteResult.IoErrorDeleteNoEntry;
        }
    }

    /// <summary>Whether a file exists.</summary>
    internal bool Exists(string name)
    {
        lock (_gate) return _files.ContainsKey(name) || _databases.ContainsKey(name);
    }

    /// <summary>The time as SQLite counts it: milliseconds since noon on 24 November 4714 BC.</summary>
    internal long GetJulianDayMs() => _time.GetUtcNow().ToUnixTimeMilliseconds() + 210866760000000L;

    private DatabaseFile? OpenDatabase(string name, SqliteOpenFlags flags, out int result)
    {
        lock (_gate)
        {
            if (!_databases.TryGetValue(name, out var entry))
            {
                result = VfsFailure.Report(
                    SqliteResult.CantOpen,
                    $"DataSync has no database '{name}' open in this tab. Open it with DataSync first, and use its exact name as Data Source; open now: {(_databases.Count == 0 ? "none" : string.Join(", ", _databases.Keys))}.");
                return null;
            }

            entry.OpenFiles++;
            result = SqliteResult.Ok;
            return new DatabaseFile(name, entry.Storage, entry.Locks, flags.HasFlag(SqliteOpenFlags.ReadOnly), Logger, () => Closed(entry));
        }
    }

    // A database whose own name looks like "x-journal" or "x-wal" to a quick look (files.js) counts as one.
    private void CountSideFiles() => _sideFiles.Value = _files.Count + _databases.Keys.Count(IsSideName);

    private static bool IsSideName(string name) => Encoding.UTF8.GetBytes(name) is [.., (byte)'-', _, _, _] or [.., (byte)'-', _, _, _, _, _, _, _];

    private void Closed(Entry entry)
    {
        lock (_gate) entry.OpenFiles--;
    }

    private sealed class Entry(BlockStorage storage)
    {
        public BlockStorage Storage { get; } = storage;

        public VfsLock Locks { get; } = new(storage);

        public int OpenFiles { get; set; }
    }

    /// <summary>A number at a fixed address.</summary>
    private sealed unsafe class SideFileCount
    {
        private readonly int* _at = (int*)NativeMemory.AllocZeroed(sizeof(int));

        ~SideFileCount() => NativeMemory.Free(_at);

        public nint Address => (nint)_at;

        public int Value
        {
            set => *_at = value;
        }
    }
}
