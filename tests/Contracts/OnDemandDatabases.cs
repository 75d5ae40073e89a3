using System.Globalization;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Contracts;

/// <summary>Databases of which next to nothing stays in memory.</summary>
internal static class OnDemandDatabases
{
    private const int Extents = 6;

    /// <summary>The least that may stay, and each commit is folded at once: whatever nobody reads leaves.</summary>
    public static DataSyncOptions With(DataSyncOptions options)
    {
        (options.Residency, options.Pipeline.CheckpointLogRecords) = (Residency.OnDemand(1), 1);
        return options;
    }

    /// <summary>
    /// Sees to it that what is made later lies in many extents: SQLite puts each new table into the first free page, of which each extent but the first (which stays in memory) has one.
    /// </summary>
    /// <param name="database">An empty one.</param>
    /// <param name="isHidden">Whether the table that fills the rest is not to be seen. Its pages are nobody's then, which <c>PRAGMA integrity_check</c> tells.</param>
    public static async Task SpreadAsync(DataSyncDatabase database, bool isHidden = false)
    {
        await database.ExecuteAsync(string.Create(CultureInfo.InvariantCulture, $"""
            CREATE TABLE padding(id INTEGER PRIMARY KEY, x);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {Extents * Extent.BlockCount}) INSERT INTO padding SELECT i, zeroblob(4000) FROM n;
            DELETE FROM padding WHERE id > {Extent.BlockCount} AND id % {Extent.BlockCount} = 10
            """));
        if (isHidden) await database.ExecuteAsync("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'padding'; PRAGMA writable_schema = RESET");
    }
}
