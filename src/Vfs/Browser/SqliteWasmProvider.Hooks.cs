using System.Runtime.InteropServices;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

// Hooks: one of each kind for a connection.
internal sealed unsafe partial class SqliteWasmProvider
{
    private const int TraceStatement = 1, TraceProfile = 2;

    private readonly Dictionary<(int Db, string Kind), int> _hooks = [];
    private readonly Dictionary<int, TraceHooks> _traces = [];

    void ISQLite3Provider.sqlite3_commit_hook(sqlite3 db, delegate_commit func, object v) =>
        SetHook(Handle(db), "commit", func, v, (pointer, id) => SqliteImports.CommitHook(Handle(db), pointer, id));

    void ISQLite3Provider.sqlite3_rollback_hook(sqlite3 db, delegate_rollback func, object v) =>
        SetHook(Handle(db), "rollback", func, v, (pointer, id) => SqliteImports.RollbackHook(Handle(db), pointer, id));

    void ISQLite3Provider.sqlite3_update_hook(sqlite3 db, delegate_update func, object v) =>
        SetHook(Handle(db), "update", func, v, (pointer, id) => SqliteImports.UpdateHook(Handle(db), pointer, id));

    void ISQLite3Provider.sqlite3_progress_handler(sqlite3 db, int instructions, delegate_progress func, object v) =>
        SetHook(Handle(db), "progress", func, v, (pointer, id) => SqliteImports.ProgressHandler(Handle(db), instructions, pointer, id));

    int ISQLite3Provider.sqlite3_set_authorizer(sqlite3 db, delegate_authorizer authorizer, object user_data)
    {
        var code = SqliteResult.Ok;
        SetHook(Handle(db), "authorize", authorizer, user_data, (pointer, id) => code = SqliteImports.SetAuthorizer(Handle(db), pointer, id));
        return code;
    }

    void ISQLite3Provider.sqlite3_trace(sqlite3 db, delegate_trace func, object v) =>
        SetTrace(Handle(db), Traces(db) with { Trace = func is null ? null : new(func, v) });

    void ISQLite3Provider.sqlite3_profile(sqlite3 db, delegate_profile func, object v) =>
        SetTrace(Handle(db), Traces(db) with { Profile = func is null ? null : new(func, v) });

    private TraceHooks Traces(sqlite3 db) => _traces.GetValueOrDefault(Handle(db)) ?? new(null, null);

    private void SetTrace(int db, TraceHooks traces)
    {
        _traces[db] = traces;
        var mask = (traces.Trace is null ? 0 : TraceStatement) | (traces.Profile is null ? 0 : TraceProfile);
        SetHook(db, "trace", mask == 0 ? null : traces, null, (pointer, id) => SqliteImports.Trace(db, mask, pointer, id));
    }

    /// <summary>Has SQLite call a delegate (null: none) from now on, and lets go of the one before.</summary>
    private void SetHook<T>(int db, string kind, T? callback, object? state, Action<int, int> set)
        where T : class
    {
        _hooks.Remove((db, kind), out var old);
        if (callback is null)
        {
            set(0, 0);
        }
        else
        {
            var id = SqliteExports.Register(new Hook<T>(callback, state));
            _hooks[(db, kind)] = id;
            ChangesOf(db).IsLasting = true;
            set(SqliteImports.PointerOf(kind), id);
        }

        SqliteExports.Release(old);
    }

    private void ReleaseHooks(int db)
    {
        _traces.Remove(db);
        foreach (var key in _hooks.Keys.Where(key => key.Db == db).ToArray())
        {
            _hooks.Remove(key, out var id);
            SqliteExports.Release(id);
        }
    }
}
