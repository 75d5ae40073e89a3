using DataSync.Coordination;

namespace DataSync.Vfs.Undo;

/// <summary>One run of a write whose changes become the next step of a unit.</summary>
internal sealed class UndoRecording(CachedConnection writer, UndoUnit unit) : IDisposable
{
    private readonly SessionScope _session = new(writer.Connection.Handle!);

    /// <summary>Stores what was changed, in the transaction that is still open.</summary>
    /// <returns>How many rows that took, which are none of the work's own.</returns>
    /// <exception cref="InvalidOperationException">It is something that must not be recorded.</exception>
    public int Store(TabId tab, TimeProvider time, DataSyncOptions options)
    {
        var (changeset, tables) = _session.End();
        if (tables.Count == 0) return 0;
        if (tables.Any(table => UndoHistory.Tables.Contains(table, StringComparer.OrdinalIgnoreCase)))
            throw new InvalidOperationException("The undo history was written to within an undo unit, so nothing of the work was kept. Delete from it outside of any.");
        var (changes, row) = (writer.TotalChanges, writer.LastInsertRowId);
        UndoHistory.Add(writer, unit, changeset, tables, tab, time.GetUtcNow(), options);
        writer.LastInsertRowId = row;
        return writer.TotalChanges - changes;
    }

    public void Dispose() => _session.Dispose();
}
