using System.Text;
using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>How DataSync opens databases. Read when a database is opened.</summary>
public sealed class DataSyncOptions
{
    // What one name of a file system takes, and SQLite with the endings that it adds; IndexedDB takes more.
    private const int MaxName_bytes = 255;

    /// <summary>The database that <see cref="DataSyncFactory.OpenAsync()"/> opens.</summary>
    /// <value><c>app.db</c> by default; see <see cref="Database"/>.</value>
    public string DefaultDatabase { get; private set; } = "app.db";

    /// <summary>
    /// Outside the browser: the base directory in which each database has a directory of its own. In the browser it has no effect.
    /// </summary>
    /// <value>Null by default: nothing can be opened outside the browser.</value>
    public string? Directory { get; set; }

    /// <summary>Outside the browser: a second base directory, best on another disk, that receives the same records.</summary>
    /// <value>Null by default: no mirror. Needs <see cref="Directory"/>.</value>
    public string? MirrorDirectory { get; set; }

    /// <summary>When the browser calls a commit durable.</summary>
    /// <value><see cref="StorageDurability.Relaxed"/> by default.</value>
    public StorageDurability StorageDurability { get; set; }

    /// <summary>
    /// When an awaited <see cref="DataSyncDatabase.ExecuteAsync(string, object?, CancellationToken)"/> or
    /// <see cref="DataSyncDatabase.WriteAsync(Action{SqliteConnection}, CancellationToken)"/> returns. Asynchronous work, imports
    /// and what connections of your own write are made durable at once in any case.
    /// </summary>
    /// <value><see cref="Durability.Immediate"/> by default.</value>
    public Durability Durability { get; set; }

    /// <summary>When deferred writes are made durable.</summary>
    public SyncPolicy AutoSync { get; } = new();

    /// <summary>How blocks are checksummed when a database is created.</summary>
    /// <value><see cref="ChecksumKind.FastHash"/> by default.</value>
    public ChecksumKind Checksum { get; set; }

    /// <summary>How much is verified at open, what is done about damage, and who hears of the progress.</summary>
    public RecoveryOptions Recovery { get; set; } = new();

    /// <summary>How much of the database is in this tab's memory.</summary>
    /// <value><see cref="Residency.Full"/> by default: all, read when it is opened.</value>
    public Residency Residency { get; set; } = Residency.Full;

    /// <summary>Times of the write path and sizes of the log.</summary>
    public PipelineOptions Pipeline { get; } = new();

    /// <summary>Times of the election; the scope is set to the database's name.</summary>
    public CoordinationOptions Coordination { get; } = new();

    /// <summary>
    /// Called with each connection that DataSync opens for itself, and each <see cref="DataSyncConnection"/>: register functions and collations, set pragmas. Must not
    /// write.
    /// </summary>
    public Action<SqliteConnection>? ConfigureConnection { get; set; }

    /// <summary>
    /// How long opening waits, at most, until some tab leads (this one, where it is alone): so that what is written right after it needs no waiting. It
    /// returns all the same then.
    /// </summary>
    /// <value>2 s by default; 0 (no waiting) to 1 minute. An election takes some hundredths of a second.</value>
    public TimeSpan LeaderWait { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>How often a write is run again when other tabs commit first, before <see cref="StaleCommitException"/>.</summary>
    /// <value>8 by default; 1 to 100. From the third try on it waits for the write turn, so more are rarely needed.</value>
    public int MaxAttempts { get; set; } = 8;

    /// <summary>How many units of work the undo history keeps; older ones are dropped with the write that makes them too many.</summary>
    /// <value>100 by default; 1 to 10000. That of the tab that writes counts.</value>
    public int MaxUndoUnits { get; set; } = 100;

    /// <summary>
    /// How many bytes of recorded changes the undo history keeps. About as many as the rows that were changed have; those of an update only as far as they were.
    /// A unit that has more by itself is not kept, and with it none that is older.
    /// </summary>
    /// <value>8 MiB by default; 1 KiB to 64 MiB. That of the tab that writes counts.</value>
    public int MaxUndoBytes { get; set; } = 8 << 20;

    /// <summary>Sets <see cref="DefaultDatabase"/>.</summary>
    /// <param name="name">
    /// 1 to 255 bytes in UTF-8, no control characters, not beginning with <c>:</c>, <c>|</c> or <c>file:</c>; it names the lease,
    /// the locks, the channel and the store.
    /// </param>
    public DataSyncOptions Database(string name)
    {
        CheckName(name);
        DefaultDatabase = name;
        return this;
    }

    internal CoordinationOptions CoordinationFor(string name) => new()
    {
        Scope = name,
        Heartbeat = Coordination.Heartbeat,
        Lease = Coordination.Lease,
        Grace = Coordination.Grace,
        TakeoverTimeout = Coordination.TakeoverTimeout,
    };

    /// <summary>How a database's directory is kept; null without one.</summary>
    internal FileStoreOptions? Files =>
        Directory is null ? null : new() { BaseDirectory = Directory, MirrorDirectory = MirrorDirectory, Checksum = Checksum };

    internal static void CheckName(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        if (Encoding.UTF8.GetByteCount(name) is > MaxName_bytes and var length)
            throw new ArgumentException($"The database's name takes {length} bytes in UTF-8; it may take {MaxName_bytes}.", nameof(name));
        if (name.Any(char.IsControl)) throw new ArgumentException("A database's name has no control characters.", nameof(name));

        // These mean something else to SQLite or to Microsoft.Data.Sqlite: a database in memory, an address, a folder.
        if (name[0] is ':' or '|' || name.StartsWith("file:", StringComparison.OrdinalIgnoreCase))
            throw new ArgumentException("A database's name does not begin with ':', '|' or 'file:'.", nameof(name));
    }

    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(Residency);
        Pipeline.Validate();
        Coordination.Validate();
        AutoSync.Validate();
        if (Directory is null && MirrorDirectory is not null) throw new ArgumentException($"{nameof(MirrorDirectory)} is set, and {nameof(Directory)} is not.");
        Files?.Validate();
        if (!Enum.IsDefined(Durability) || !Enum.IsDefined(StorageDurability)) throw new ArgumentException("An option has a value that does not exist.");
        if (LeaderWait < TimeSpan.Zero || LeaderWait > TimeSpan.FromMinutes(1)) throw new ArgumentException($"{nameof(LeaderWait)} is {LeaderWait}; it must be from 0 to 1 minute.");
        if (MaxUndoUnits is < 1 or > 10_000) throw new ArgumentException($"{nameof(MaxUndoUnits)} is {MaxUndoUnits}; it must be from 1 to 10000.", nameof(MaxUndoUnits));
        if (MaxUndoBytes is < 1 << 10 or > 64 << 20) throw new ArgumentException($"{nameof(MaxUndoBytes)} is {MaxUndoBytes}; it must be from 1 KiB to 64 MiB.", nameof(MaxUndoBytes));
        if (MaxAttempts is < 1 or > 100) throw new ArgumentException($"{nameof(MaxAttempts)} is {MaxAttempts}; it must be from 1 to 100.", nameof(MaxAttempts));
    }
}
