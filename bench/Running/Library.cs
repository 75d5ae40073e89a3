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
internal sealed record Library(
    string Id, string Title, string Durable, string[] Packages, string Query = "", bool SupportsTabs = false, string TabsNote = "", bool IsInMemory = false)
{
    public const string DataSyncId = "datasync";
    public const string IndexedDbId = "idb";
    public const string MemoryId = "sqlite-memory";

    /// <summary>In the order of the rounds.</summary>
    public static IReadOnlyList<Library> All { get; } =
    [
        new(DataSyncId, "DataSync", "IndexedDB transaction complete, relaxed", [], SupportsTabs: true),
        new("datasync-strict", "DataSync, strict", "IndexedDB transaction complete, strict (flushed)", [], "strict", SupportsTabs: true),
        new(IndexedDbId, "IndexedDB itself", "transaction complete, relaxed", [], SupportsTabs: true),
        new("idb-strict", "IndexedDB itself, strict", "transaction complete, strict (flushed)", [], SupportsTabs: true),
        new(MemoryId, "SQLite in memory (oo1)", "not durable: the limit for SQL", ["@sqlite.org/sqlite-wasm"], IsInMemory: true, TabsNote: "in memory"),
    ];

    /// <summary>DataSync's pages are .NET, the others' JavaScript.</summary>
    public bool IsDataSync => Id.StartsWith(DataSyncId, StringComparison.Ordinal);

    /// <summary>Its page below the host's address.</summary>
    public string Page => IsDataSync ? $"/datasync/?{Query}" : $"/bench/?lib={Id}";
}
