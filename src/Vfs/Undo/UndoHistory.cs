using System.Buffers.Binary;
using System.Text;
using DataSync.Coordination;
using DataSync.Storage;
using SQLitePCL;

namespace DataSync.Vfs.Undo;

/// <summary>
/// The units and their steps, in two tables of the database, within a transaction of a connection that the caller has begun. A step
/// is what one write changed; a unit that is undone has a number that tells when, counted from 1.
/// </summary>
internal static class UndoHistory
{
    /// <summary>Whether anything was ever recorded: a row, or none.</summary>
    public const string Exists = "SELECT 1 FROM sqlite_schema WHERE name = 'datasync_undo_unit'";

    /// <summary>All units, newest first.</summary>
    public const string All = Columns + " ORDER BY id DESC";

    private const string Create =
            "CREATE TABLE datasync_undo_unit(id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL, name TEXT NOT NULL, time_ms INTEGER NOT NULL, tab TEXT NOT NULL, bytes INTEGER NOT NULL, undone INTEGER); "
            + "CREATE TABLE datasync_undo_step(id INTEGER PRIMARY KEY, unit INTEGER NOT NULL, schemas BLOB NOT NULL, changeset BLOB NOT NULL); "
            + "CREATE INDEX datasync_undo_step_of_unit ON datasync_undo_step(unit)",
        DropUndone = "DELETE FROM datasync_undo_step WHERE unit IN (SELECT id FROM datasync_undo_unit WHERE undone IS NOT NULL)",
        Columns = "SELECT id, name, time_ms, tab, undone FROM datasync_undo_unit";

    // SQLITE_DBCONFIG_ENABLE_TRIGGER.
    private const int EnableTriggers = 1003;

    /// <summary>Its own tables.</summary>
    public static IReadOnlyList<string> Tables { get; } = ["datasync_undo_unit", "datasync_undo_step"];

    /// <summary>Adds a step to a unit, which begins with it where it has none, and drops what is more than is to be kept.</summary>
    /// <param name="writer">The connection that the step was made on.</param>
    /// <param name="unit">The unit; is told its id.</param>
    /// <param name="step">What was changed.</param>
    /// <param name="tables">The tables in it.</param>
    /// <param name="tab">This tab.</param>
    /// <param name="time">Now.</param>
    /// <param name="options">How much is kept.</param>
    public static void Add(CachedConnection writer, UndoUnit unit, byte[] step, IReadOnlyList<string> tables, TabId tab, DateTimeOffset time, DataSyncOptions options)
    {
        if (Scalar(writer, Exists) is null) writer.Execute(Create);
        if (Scalar(writer, "SELECT id FROM datasync_undo_unit WHERE key = ? AND undone IS NULL", unit.Key) is not { } id)
        {
            writer.Execute(DropUndone);
            writer.Execute("DELETE FROM datasync_undo_unit WHERE undone IS NOT NULL");
            writer.Execute(
                "INSERT INTO datasync_undo_unit(key, name, time_ms, tab, bytes) VALUES (?, ?, ?, ?, 0)",
                new object[] { unit.Key, unit.Name, time.ToUnixTimeMilliseconds(), tab.Value });
            id = writer.LastInsertRowId;
        }

        // What would be dropped at once is not written first.
        var isTooLarge = step.Length > options.MaxUndoBytes;
        if (!isTooLarge) writer.Execute("INSERT INTO datasync_undo_step(unit, schemas, changeset) VALUES (?, ?, ?)", new object[] { id, Fingerprints(writer, tables), step });
        writer.Execute("UPDATE datasync_undo_unit SET bytes = bytes + ? WHERE id = ?", new object[] { step.Length, id });
        unit.Stored = DropOld(writer, options) > id ? null : id;
    }

    /// <summary>Undoes or redoes a unit.</summary>
    /// <param name="writer">The connection.</param>
    /// <param name="id">The unit; null: the newest that is not undone, or the one that was undone last.</param>
    /// <param name="isRedo">Whether it is redone.</param>
    /// <returns>The unit as it is then; null: there is none to undo or redo.</returns>
    /// <exception cref="UndoConflictException">Something else was changed since.</exception>
    public static UndoEntry? Apply(CachedConnection writer, long? id, bool isRedo)
    {
        if (Scalar(writer, Exists) is null) return null;
        var sql = isRedo
            ? $"{Columns} WHERE undone IS NOT NULL AND id = ifnull(?, id) ORDER BY undone DESC LIMIT 1"
            : $"{Columns} WHERE undone IS NULL AND id = ifnull(?, id) ORDER BY id DESC LIMIT 1";
        if (writer.Run(sql, new object?[] { id }, static (row, isRow) => isRow ? Read(row.GetValue) : null) is not { } unit) return null;
        var row = writer.LastInsertRowId;
        ApplySteps(writer, unit, isRedo);
        writer.Execute(
            isRedo ? "UPDATE datasync_undo_unit SET undone = NULL WHERE id = ?" : "UPDATE datasync_undo_unit SET undone = (SELECT ifnull(max(undone), 0) + 1 FROM datasync_undo_unit) WHERE id = ?",
            new object[] { unit.Id });
        writer.LastInsertRowId = row;
        return unit with { IsUndone = !isRedo };
    }

    /// <summary>A unit of a row of <see cref="All"/>.</summary>
    public static UndoEntry Read(Func<int, object?> column) =>
        new((long)column(0)!, (string)column(1)!, DateTimeOffset.FromUnixTimeMilliseconds((long)column(2)!), TabId.Parse((string)column(3)!), column(4) is not null);

    private static void ApplySteps(CachedConnection writer, UndoEntry unit, bool isRedo)
    {
        var steps = writer.Run($"SELECT schemas, changeset FROM datasync_undo_step WHERE unit = ? ORDER BY id{(isRedo ? "" : " DESC")}", new object[] { unit.Id }, static (row, isRow) =>
        {
            var steps = new List<(byte[] Schemas, byte[] Changeset)>();
            for (; isRow; isRow = row.Step()) steps.Add((row.GetBlob(0), row.GetBlob(1)));
            return steps;
        });
        var db = writer.Connection.Handle!;

        // What triggers did is in the changeset itself.
        Configure(db, EnableTriggers, -1, out var hadTriggers);
        if (hadTriggers != 0) Configure(db, EnableTriggers, 0, out _);
        try
        {
            foreach (var (schemas, changeset) in steps!)
            {
                var names = Changeset.TablesOf(changeset);
                var now = Fingerprints(writer, names);
                for (var i = 0; i < names.Count; i++)
                {
                    if (!now.AsSpan(i * sizeof(ulong), sizeof(ulong)).SequenceEqual(schemas.AsSpan(i * sizeof(ulong), sizeof(ulong))))
                        throw new UndoConflictException(unit, isRedo, UndoConflict.SchemaChanged, names[i]);
                }

                if (SessionApi.Apply(db, changeset, isInverted: !isRedo) is { Kind: not 0 } conflict) throw new UndoConflictException(unit, isRedo, (UndoConflict)conflict.Kind, conflict.Table);
            }
        }
        finally
        {
            if (hadTriggers != 0) Configure(db, EnableTriggers, 1, out _);
        }
    }

    /// <returns>The oldest unit that is kept.</returns>
    private static long DropOld(CachedConnection writer, DataSyncOptions options)
    {
        var oldest = writer.Run("SELECT id, bytes FROM datasync_undo_unit ORDER BY id DESC", null, (row, isRow) =>
        {
            var (units, bytes, oldest) = (0, 0L, long.MaxValue);
            for (; isRow && ++units <= options.MaxUndoUnits && (bytes += row.GetInt64(1)) <= options.MaxUndoBytes; isRow = row.Step()) oldest = row.GetInt64(0);
            return oldest;
        });
        writer.Execute("DELETE FROM datasync_undo_step WHERE unit < ?", new object[] { oldest });
        writer.Execute("DELETE FROM datasync_undo_unit WHERE id < ?", new object[] { oldest });
        return oldest;
    }

    /// <summary>What tables are like, eight bytes for each.</summary>
    private static byte[] Fingerprints(CachedConnection writer, IReadOnlyList<string> tables)
    {
        var bytes = new byte[tables.Count * sizeof(ulong)];
        for (var i = 0; i < tables.Count; i++)
        {
            var sql = writer.Run("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", new object[] { tables[i] }, static (row, isRow) => isRow ? row.GetText(0) : null);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * sizeof(ulong)), sql is null ? 0 : Checksum.Compute(ChecksumKind.FastHash, Encoding.UTF8.GetBytes(sql)));
        }

        return bytes;
    }

    private static long? Scalar(CachedConnection connection, string sql, params object?[] values) =>
        connection.Run<long?>(sql, values, static (row, isRow) => isRow ? row.GetInt64(0) : null);

    private static void Configure(sqlite3 db, int option, int value, out int result) =>
        Microsoft.Data.Sqlite.SqliteException.ThrowExceptionForRC(raw.sqlite3_db_config(db, option, value, out result), db);
}
