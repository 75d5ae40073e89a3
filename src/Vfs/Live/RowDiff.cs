using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>Makes what reads rows of some columns of a statement, which are beside each other.</summary>
internal delegate Func<Statement, T> RowReaderFactory<out T>(IReadOnlyList<string> columns, int first);

/// <summary>
/// Compares tables with what they were at an earlier moment, on a connection of its own: SQLite reads both states, the earlier one as a database that is attached.
/// </summary>
/// <remarks>From any thread.</remarks>
internal sealed class RowDiff(string name, BlockStorage storage, Action<SqliteConnection>? configure) : IDisposable
{
    private const string Schema = "datasync_before";

    private readonly Lock _gate = new();
    private CachedConnection? _connection;
    private bool _isDisposed;

    /// <summary>Keeps what the tables hold now, to be compared later.</summary>
    public BlockUndo Remember() => storage.Remember();

    /// <summary>Frees what was kept.</summary>
    public void Forget(BlockUndo past) => storage.Forget(past);

    /// <summary>How many blocks are kept, for all who compare.</summary>
    internal int KeptBlocks => storage.RememberedBlocks;

    /// <summary>What became of the rows of some tables, and the moment that this is true of, for the next comparison.</summary>
    /// <param name="past">The moment with which to compare, which is forgotten, unless this fails; null: when there was nothing yet.</param>
    /// <param name="tables">The tables.</param>
    /// <param name="reader">Makes rows.</param>
    /// <param name="cancellationToken">Nobody waits for it any more.</param>
    /// <exception cref="SqliteException"><c>SQLITE_BUSY</c>: a writer of this tab holds the lock. Or the SQL failed.</exception>
    /// <exception cref="InvalidOperationException">A table is a view, or its rows cannot be told apart.</exception>
    public (IReadOnlyList<RowChange<T>> Changes, BlockUndo Now) Compare<T>(
        BlockUndo? past, IReadOnlyCollection<string> tables, RowReaderFactory<T> reader, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, typeof(DataSyncDatabase));
            var connection = _connection ??= new(name, configure, isReader: true);
            var (registered, isAttached) = ((string?)null, false);
            BlockStorage? before = null;
            try
            {
                // From the first look on nothing changes what is compared: neither other tabs' commits nor a writer of this tab.
                connection.Execute("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1");
                if (past is not null)
                {
                    before = storage.OpenPast(past);
                    registered = BlockVfs.Shared.RegisterBeside($"{name} (before)", before);
                    connection.Execute($"ATTACH ? AS {Schema}", new object[] { registered });
                    isAttached = true;
                }

                // Where the schema may be another one, rows may read otherwise that were not touched.
                var isSameSchema = before is not null && storage.SchemaVersion == (before.SchemaVersion.Cookie, past!.Retractions);
                var rows = isSameSchema ? TouchedRows.Find(past!.Blocks, before!, storage) : null;
                var changes = Compare(connection, isAttached, rows, tables, reader, cancellationToken);
                if (past is not null) storage.Forget(past);
                return (changes, storage.Remember());
            }
            finally
            {
                EndCompare(connection, isAttached);
                if (registered is not null) BlockVfs.Shared.Unregister(registered);
                before?.Dispose();
            }
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            _connection?.Dispose();
        }
    }

    private void EndCompare(CachedConnection connection, bool isAttached)
    {
        try
        {
            connection.Connection.RollBack();
            if (isAttached) connection.Execute($"DETACH {Schema}");
        }
        catch (SqliteException)
        {
            // The next one begins with another connection.
            connection.Dispose();
            _connection = null;
        }
    }

    private static List<RowChange<T>> Compare<T>(
        CachedConnection connection, bool hasBefore, string? rows, IReadOnlyCollection<string> tables, RowReaderFactory<T> reader, CancellationToken cancellationToken)
    {
        var changes = new List<RowChange<T>>();
        foreach (var table in tables)
        {
            var (now, was) = (TableShape.Read(connection, "main", table), hasBefore ? TableShape.Read(connection, Schema, table) : null);
            if (now is null && was is null) continue;
            if (now is null || was is null)
            {
                var (kind, schema, shape) = now is null ? (RowChangeKind.Deleted, Schema, was!) : (RowChangeKind.Inserted, "main", now);
                ReadAlone(RowTable.All(table, schema, shape), null, table, kind, shape);
                continue;
            }

            var onlySome = rows is not null && now.HasRowId && was.HasRowId && !now.IsVirtual && !was.IsVirtual;
            if (onlySome && rows == TouchedRows.None) continue;
            var questions = RowTable.Of(table, Schema, now, was, onlySome);
            Read(questions.Now, onlySome ? rows : null, () =>
            {
                var (read, readOld) = (reader(now.Columns, 2), reader(was.Columns, 2 + now.Columns.Count));
                return row => row.GetInt64(1) != 0
                    ? new(table, RowChangeKind.Inserted, RowIdOf(row), default, read(row))
                    : new(table, RowChangeKind.Updated, RowIdOf(row), readOld(row), read(row));
            });
            ReadAlone(questions.Gone, onlySome ? rows : null, table, RowChangeKind.Deleted, was);
        }

        return changes;

        void ReadAlone(string sql, string? some, string table, RowChangeKind kind, TableShape shape) => Read(sql, some, () =>
        {
            var read = reader(shape.Columns, 1);
            return row => kind == RowChangeKind.Deleted ? new(table, kind, RowIdOf(row), read(row), default) : new(table, kind, RowIdOf(row), default, read(row));
        });

        void Read(string sql, string? some, Func<Func<Statement, RowChange<T>>> makeReader) =>
            connection.Run<object?>(sql, some is null ? null : new object[] { some }, (row, isRow) =>
            {
                if (!isRow) return null;
                var read = makeReader();
                for (; isRow; isRow = row.Step())
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    changes.Add(read(row));
                }

                return null;
            });
    }

    private static long? RowIdOf(Statement row) => row.GetValue(0) as long?;
}
