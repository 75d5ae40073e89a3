using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using System.Security.Cryptography;
using DataSync.Coordination;
using DataSync.Vfs;

namespace DataSync.Lab;

/// <summary>
/// A fixed sequence of transactions, for tests that end the page in the middle of one; offered to the page as
/// <c>lab.script(step, …)</c>. With a checkpoint
/// after every two, the first adds a second extent and the second removes it.
/// </summary>
internal static partial class CrashScript
{
    private static readonly SqlStatement[][] Writes =
    [
        [new("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)"), new("CREATE TABLE total(rows INTEGER)"), new("INSERT INTO total VALUES (0)")],
        [Fill(1, 300_000, '1'), Fill(2, 20, '2'), Fill(3, 20, '3'), Count],
        [Fill(4, 9_000, '4'), new("UPDATE t SET data = CAST('new' AS BLOB) WHERE id = 2"), new("DELETE FROM t WHERE id IN (1, 3)"), Count],
        [new("VACUUM")],
        [Fill(5, 20, '5'), Count],
    ];

    private static DataSyncDatabase? database;

    private static SqlStatement Count => new("UPDATE total SET rows = (SELECT count(*) FROM t)");

    /// <summary>How many transactions there are.</summary>
    [JSExport]
    internal static int Length() => Writes.Length;

    /// <summary>
    /// Opens a database and waits until this tab leads, which is when whatever a crash left is cleared away. A checkpoint
    /// comes after so many records, or where 0 is given as usual, which is later than any here.
    /// </summary>
    [JSExport]
    internal static async Task Open(string name, int checkpointAfter)
    {
        var options = new DataSyncOptions();
        if (checkpointAfter > 0) options.Pipeline.CheckpointLogRecords = checkpointAfter;
        database = await (await LabPage.NewFactoryAsync(options)).OpenAsync(name);
        await database.Coordinator.WaitForLeadershipAsync();
    }

    /// <summary>Runs one of the transactions; returns when it is durable.</summary>
    [JSExport]
    internal static async Task Write(int number) =>
        await (Writes[number] is [var alone] ? database!.ExecuteAsync(alone.Sql) : database!.ExecuteAsync(Writes[number]));

    /// <summary>Tells the marker, SQLite's own check, and a hash of all that the tables hold.</summary>
    [JSExport]
    internal static async Task<string> Look()
    {
        var check = await database!.QueryAsync<string>("PRAGMA integrity_check");
        var text = "";
        if ((await database.QueryAsync<long>("SELECT count(*) FROM sqlite_schema"))[0] > 0)
        {
            var rows = await database.QueryAsync<string>("SELECT id || ' ' || hex(data) FROM t ORDER BY id");
            var total = (await database.QueryAsync<long>("SELECT rows FROM total"))[0];
            text = string.Create(CultureInfo.InvariantCulture, $"{total} {string.Join('\n', rows)}");
        }

        var hash = Convert.ToHexString(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(text)))[..16];
        return string.Create(CultureInfo.InvariantCulture, $"{database.Marker} {string.Join(' ', check)} {hash}");
    }

    [JSExport]
    internal static async Task Close() => await database!.DisposeAsync();

    private static SqlStatement Fill(int id, int bytes, char digit) => new(string.Create(
        CultureInfo.InvariantCulture, $"INSERT INTO t VALUES ({id}, CAST(replace(hex(zeroblob({bytes / 2})), '0', '{digit}') AS BLOB))"));
}
