using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs.Undo;

/// <summary>
/// Some work on a connection whose changes are recorded. The one place where sessions are made and deleted: a session takes the place of the
/// connection's preupdate hook.
/// </summary>
internal sealed class SessionScope : IDisposable
{
    private readonly sqlite3 _db;
    private nint _session;

    /// <summary>Begins to record.</summary>
    /// <param name="db">The connection. It is closed after the session's end only: a session must not outlive it.</param>
    /// <exception cref="SqliteException">There is no memory.</exception>
    public SessionScope(sqlite3 db)
    {
        _db = db;
        var isHeld = false;
        db.DangerousAddRef(ref isHeld);
        try
        {
            _session = SessionApi.Create(db);
        }
        catch
        {
            db.DangerousRelease();
            throw;
        }
    }

    /// <summary>Ends the recording, before the transaction ends.</summary>
    /// <returns>What was recorded, empty for nothing, and the names of the tables that are in it.</returns>
    /// <exception cref="InvalidOperationException">The schema of a table was changed after its rows.</exception>
    public (byte[] Changeset, IReadOnlyList<string> Tables) End()
    {
        // SQLite opens a savepoint to read it, at which full-text indexes write what they hold in memory: the contracts see to it that it stays so.
        var changeset = SessionApi.TakeChangeset(_session);
        var tables = Changeset.TablesOf(changeset);
        Delete();
        return (changeset, tables);
    }

    /// <summary>Ends the recording where that was not done: nobody wants to know what was recorded.</summary>
    public void Dispose()
    {
        if (_session != 0) Delete();
    }

    private void Delete()
    {
        SessionApi.Delete(_session, _db);
        _session = 0;
        _db.DangerousRelease();
    }
}
