using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using DataSync.Vfs;

namespace DataSync.Lab;

/// <summary>Undo and redo in a real tab, step by step, for tests with several of them; offered to the page as <c>lab.undo(step, …)</c>.</summary>
internal static partial class UndoTab
{
    private static DataSyncDatabase? database;
    private static LiveQuery<string>? list;

    /// <summary>Opens a database with a table <c>item</c>; tells the tab's id.</summary>
    [JSExport]
    internal static async Task<string> Open(string name)
    {
        database = await (await Transactions.Databases.Task).OpenAsync(name);
        await database.ExecuteAsync("CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
        list = await database.LiveAsync<string>("SELECT id || text FROM item ORDER BY id");
        return database.Coordinator.Id.Value;
    }

    /// <summary>Writes outside of any unit.</summary>
    [JSExport]
    internal static Task Execute(string sql) => database!.ExecuteAsync(sql);

    /// <summary>Makes the writes of a new unit, one a line, a transaction each.</summary>
    [JSExport]
    internal static async Task Write(string name, string writes)
    {
        var unit = database!.BeginUndoUnit(name);
        foreach (var sql in writes.Split('\n')) await unit.ExecuteAsync(sql);
    }

    /// <summary>Tells the unit's name, "nothing" where there is none, or what stands in the way.</summary>
    [JSExport]
    internal static Task<string> Undo() => TellAsync(database!.UndoAsync());

    /// <inheritdoc cref="Undo"/>
    [JSExport]
    internal static Task<string> Redo() => TellAsync(database!.RedoAsync());

    [JSExport]
    internal static int Marker() => (int)database!.Marker;

    /// <summary>When the tab shows a marker: the rows as a live query has them and as they are read now, then the history, newest first, with the tabs' ids; each in a line.</summary>
    [JSExport]
    internal static async Task<string> Look(int marker)
    {
        await LiveTab.ShowsAsync(database!, marker);
        var history = (await database!.GetUndoHistoryAsync()).Select(unit => $"{unit.Name} of {unit.Tab.Value}{(unit.IsUndone ? ", undone" : "")}");
        return string.Join('\n', (string[])[string.Join(' ', list!.Current), string.Join(' ', await database.QueryAsync<string>("SELECT id || text FROM item ORDER BY id")), .. history]);
    }

    private static async Task<string> TellAsync(Task<UndoEntry?> unit)
    {
        try
        {
            return (await unit)?.Name ?? "nothing";
        }
        catch (UndoConflictException conflict)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{conflict.Conflict} in {conflict.Table}: {conflict.Unit.Name}");
        }
    }
}
