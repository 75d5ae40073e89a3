namespace DataSync.Bench;

/// <summary>One row of the results: a library in one configuration.</summary>
/// <param name="Id">For <c>--only</c>, and the module list in libraries.js.</param>
/// <param name="Title">For people.</param>
/// <param name="Durable">What an awaited write means, by the library's own documentation.</param>
/// <param name="Packages">The npm packages whose versions are told.</param>
/// <param name="Query">Further options of its page.</param>
/// <param name="SupportsTabs">Whether several tabs may have the same database open.</param>
/// <param name="TabsNote">Why not.</param>
/// <param name="IsInMemory">Nothing is kept: workloads about durability and opening say nothing about it.</param>
/// <param name="OnlyTabs">Whether it is there for the workloads of several tabs only.</param>
/// <param name="IsLive">Whether it has queries that follow the writes of other tabs.</param>
/// <param name="OnlyWrites">Whether it is there for the workloads that wait for durability only; the others would be the same again.</param>
internal sealed record Library(
    string Id, string Title, string Durable, string[] Packages, string Query = "", bool SupportsTabs = false, string TabsNote = "", bool IsInMemory = false,
    bool OnlyTabs = false, bool OnlyWrites = false, bool IsLive = false)
{
    public const string DataSyncId = "datasync";
    public const string IndexedDbId = "idb";
    public const string MemoryId = "sqlite-memory";
    public const string EntityFrameworkId = "datasync-ef";

    /// <summary>In the order of the rounds.</summary>
    public static IReadOnlyList<Library> All { get; } =
    [
        new(DataSyncId, "DataSync", "IndexedDB transaction complete, relaxed", [], SupportsTabs: true, IsLive: true),
        new("datasync-strict", "DataSync, strict", "IndexedDB transaction complete, strict (flushed)", [], "strict", SupportsTabs: true, OnlyWrites: true),
        new(EntityFrameworkId, "DataSync, EF Core", "IndexedDB transaction complete, relaxed", []),
        new(IndexedDbId, "IndexedDB itself", "transaction complete, relaxed", [], SupportsTabs: true),
        new("idb-strict", "IndexedDB itself, strict", "transaction complete, strict (flushed)", [], SupportsTabs: true, OnlyWrites: true),
        new(MemoryId, "SQLite in memory (oo1)", "not durable: the limit for SQL", ["@sqlite.org/sqlite-wasm"], IsInMemory: true, TabsNote: "in memory"),
        new("sqlite-sahpool", "SQLite on OPFS (opfs-sahpool)", "rollback journal, synchronous=FULL: access handles flushed", ["@sqlite.org/sqlite-wasm"], TabsNote: "one tab at a time"),
        new("wa-idb-batch", "wa-sqlite IDBBatchAtomicVFS", "synchronous=FULL: IndexedDB transaction complete, strict (flushed)", ["@journeyapps/wa-sqlite"], SupportsTabs: true),
        new("wa-idb-mirror", "wa-sqlite IDBMirrorVFS", "synchronous=FULL: IndexedDB transaction complete, relaxed", ["@journeyapps/wa-sqlite"], SupportsTabs: true),
        new("wa-opfs-coop", "wa-sqlite OPFSCoopSyncVFS", "rollback journal, synchronous=FULL: access handles flushed", ["@journeyapps/wa-sqlite"], SupportsTabs: true),
        new("wa-opfs-wal", "wa-sqlite OPFSWriteAheadVFS", "synchronous=FULL: its write-ahead log flushed", ["@journeyapps/wa-sqlite"], SupportsTabs: true),
        new("absurd-sql", "absurd-sql", "journal_mode=MEMORY, as its README: IndexedDB transaction", ["absurd-sql", "@jlongster/sql.js"], SupportsTabs: true),
        new("pglite", "pglite, idb", "query awaited, relaxedDurability off: files in IndexedDB", ["@electric-sql/pglite"], TabsNote: "see its multi-tab worker"),
        new("pglite-tabs", "pglite, idb, multi-tab worker", "query awaited, relaxedDurability off: files in IndexedDB", ["@electric-sql/pglite"], SupportsTabs: true, IsLive: true),
        new("sqlocal", "sqlocal", "official OPFS VFS, synchronous=FULL: flushed", ["sqlocal"], SupportsTabs: true, IsLive: true),
        new("dexie", "Dexie (objects, no SQL)", "IndexedDB transaction complete, relaxed", ["dexie"], SupportsTabs: true, IsLive: true),
        new("absurder", "absurder-sql", "sync() awaited after each write", ["@npiesco/absurder-sql"], TabsNote: "see its queued writes"),
        new("absurder-queued", "absurder-sql, queued writes", "leader: sync() awaited; followers: queueWriteWithTimeout", ["@npiesco/absurder-sql"], SupportsTabs: true, OnlyTabs: true),
    ];

    /// <summary>DataSync's pages are .NET, the others' JavaScript.</summary>
    public bool IsDataSync => Id.StartsWith(DataSyncId, StringComparison.Ordinal);

    /// <summary>Not a library but what one can be measured by.</summary>
    public bool IsLimit => Id.StartsWith(IndexedDbId, StringComparison.Ordinal) || Id == MemoryId;

    /// <summary>Its page below the host's address.</summary>
    public string Page => Id switch
    {
        EntityFrameworkId => "/datasync-ef/",
        ClusterBench.DataSync => $"{BenchHost.RemotePage}/?{Query}",
        _ => IsDataSync ? $"/datasync/?{Query}" : $"/bench/?lib={Id}",
    };
}
