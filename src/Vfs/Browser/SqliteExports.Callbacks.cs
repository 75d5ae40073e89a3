using System.Runtime.InteropServices;
using System.Runtime.InteropServices.JavaScript;
using System.Text;
using SQLitePCL;

namespace DataSync.Vfs.Browser;

internal static unsafe partial class SqliteExports
{
    // SQLite gives a function at most 1000 arguments (SQLITE_MAX_FUNCTION_ARG, https://sqlite.org/limits.html).
    private const int Abort = 1, Deny = 1, MaxArguments = 1024;

    private static readonly List<object?> Callbacks = [null];
    private static readonly Stack<int> FreeIds = [];
    private static readonly List<FunctionContext?> Aggregates = [null];
    private static readonly int* Arguments = (int*)NativeMemory.Alloc(MaxArguments, sizeof(int));

    /// <summary>What a collation of a connection threw in the call that is under way; until its end all others say "equal".</summary>
    public static Dictionary<int, Exception> CollationFailures { get; } = [];

    /// <summary>Keeps what SQLite shall call, and gives the id that it is called by.</summary>
    public static int Register(object callback)
    {
        if (FreeIds.TryPop(out var id))
        {
            Callbacks[id] = callback;
            return id;
        }

        Callbacks.Add(callback);
        return Callbacks.Count - 1;
    }

    /// <summary>Puts another one of its kind in a callback's place. False when there is none.</summary>
    public static bool TryReplace(int id, object callback)
    {
        if (id <= 0 || Callbacks[id]?.GetType() != callback.GetType()) return false;
        Callbacks[id] = callback;
        return true;
    }

    /// <summary>SQLite (or the provider) will not call it any more.</summary>
    [JSExport]
    internal static void Release(int id)
    {
        if (id <= 0 || Callbacks[id] is null) return;
        Callbacks[id] = null;
        FreeIds.Push(id);
    }

    /// <summary>Where the values of a function call are put.</summary>
    [JSExport]
    internal static int GetArguments() => (int)Arguments;

    [JSExport]
    internal static void CallScalar(int id, int context, int count)
    {
        if (Callbacks[id] is not ScalarFunction function) return;
        var mark = CallMemory.Mark;
        try
        {
            function.Call(new FunctionContext(function.State, context), function.State, TakeArguments(count));
        }
        catch (Exception e)
        {
            FailFunction(context, e);
        }
        finally
        {
            CallMemory.FreeTo(mark);
        }
    }

    /// <summary>One row of an aggregate; returns the number of its state, which the next call brings back.</summary>
    [JSExport]
    internal static int CallStep(int id, int context, int state, int count)
    {
        if (Callbacks[id] is not AggregateFunction function) return state;
        var mark = CallMemory.Mark;
        try
        {
            if (state == 0) state = AddAggregate(new FunctionContext(function.State, context));
            var aggregate = Aggregates[state]!;
            aggregate.MoveTo(context);
            function.Step(aggregate, function.State, TakeArguments(count));
        }
        catch (Exception e)
        {
            FailFunction(context, e);
        }
        finally
        {
            CallMemory.FreeTo(mark);
        }

        return state;
    }

    [JSExport]
    internal static void CallFinal(int id, int context, int state)
    {
        if (Callbacks[id] is not AggregateFunction function) return;
        try
        {
            var aggregate = state == 0 ? new FunctionContext(function.State, context) : Aggregates[state]!;
            Aggregates[state] = null;
            aggregate.MoveTo(context);
            function.Final(aggregate, function.State);
        }
        catch (Exception e)
        {
            FailFunction(context, e);
        }
    }

    /// <summary>Compares the two texts that lie in the buffer one after the other.</summary>
    [JSExport]
    internal static int CallCollation(int id, int size1, int size2)
    {
        if (Callbacks[id] is not Collation collation || CollationFailures.ContainsKey(collation.Db)) return 0;

        // The comparison may run SQL, which uses the buffer again.
        var mine = _buffer;
        _buffer = new();
        try
        {
            return collation.Compare(collation.State, new(mine.Address, size1), new(mine.Address + size1, size2));
        }
        catch (Exception e)
        {
            Log.CallbackFailed(BlockVfs.Shared.Logger, "collation", e);
            CollationFailures[collation.Db] = e;
            return 0;
        }
        finally
        {
            _buffer.Free();
            _buffer = mine;
        }
    }

    [JSExport]
    internal static int CallCommit(int id) => Guard<delegate_commit>(id, "commit hook", Abort, hook => hook.Delegate(hook.State));

    [JSExport]
    internal static void CallRollback(int id) => Guard<delegate_rollback>(id, "rollback hook", 0, hook =>
    {
        hook.Delegate(hook.State);
        return 0;
    });

    [JSExport]
    internal static void CallUpdate(int id, int operation, string? database, string? table, [JSMarshalAs<JSType.BigInt>] long rowid) =>
        Guard<delegate_update>(id, "update hook", 0, hook =>
        {
            hook.Delegate(hook.State, operation, utf8z.FromString(database), utf8z.FromString(table), rowid);
            return 0;
        });

    [JSExport]
    internal static int CallProgress(int id) => Guard<delegate_progress>(id, "progress handler", Abort, hook => hook.Delegate(hook.State));

    [JSExport]
    internal static int CallAuthorizer(int id, int action, string? a, string? b, string? database, string? trigger) =>
        Guard<delegate_authorizer>(id, "authorizer", Deny, hook => hook.Delegate(
            hook.State, action, utf8z.FromString(a), utf8z.FromString(b), utf8z.FromString(database), utf8z.FromString(trigger)));

    [JSExport]
    internal static void CallTrace(int id, string? sql) => Guard<TraceHooks>(id, "trace", 0, hook =>
    {
        if (hook.Delegate.Trace is { } trace) trace.Delegate(trace.State, utf8z.FromString(sql));
        return 0;
    });

    [JSExport]
    internal static void CallProfile(int id, string? sql, [JSMarshalAs<JSType.BigInt>] long elapsedNs) => Guard<TraceHooks>(id, "profile", 0, hook =>
    {
        if (hook.Delegate.Profile is { } profile) profile.Delegate(profile.State, utf8z.FromString(sql), elapsedNs);
        return 0;
    });

    [JSExport]
    internal static void CallLog(int id, int code, string? message) => Guard<delegate_log>(id, "log", 0, hook =>
    {
        hook.Delegate(hook.State, code, utf8z.FromString(message));
        return 0;
    });

    private static int Guard<T>(int id, string name, int failed, Func<Hook<T>, int> call)
        where T : class
    {
        if (Callbacks[id] is not Hook<T> hook) return 0;
        try
        {
            return call(hook);
        }
        catch (Exception e)
        {
            Log.CallbackFailed(BlockVfs.Shared.Logger, name, e);
            return failed;
        }
    }

    private static sqlite3_value[] TakeArguments(int count)
    {
        var values = new sqlite3_value[count];
        for (var i = 0; i < count; i++) values[i] = new sqlite3_value(Arguments[i]);
        return values;
    }

    private static int AddAggregate(FunctionContext context)
    {
        var index = Aggregates.IndexOf(null, 1);
        if (index > 0)
        {
            Aggregates[index] = context;
            return index;
        }

        Aggregates.Add(context);
        return Aggregates.Count - 1;
    }

    private static void FailFunction(int context, Exception exception)
    {
        var message = Encoding.UTF8.GetBytes(exception.Message);
        fixed (byte* at = message) SqliteImports.ResultBytes(context, SqliteWasmProvider.ErrorResult, (int)at, message.Length);
    }
}

/// <summary>A delegate with the object that it was registered with.</summary>
internal sealed record Hook<T>(T Delegate, object? State)
    where T : class;

/// <summary>SQLite has one trace callback for a connection; SQLitePCLRaw has two.</summary>
internal sealed record TraceHooks(Hook<delegate_trace>? Trace, Hook<delegate_profile>? Profile);

internal sealed record ScalarFunction(delegate_function_scalar Call, object? State);

/// <summary>A collation, and the connection that it was made for.</summary>
internal sealed record Collation(int Db, delegate_collation Compare, object? State);

internal sealed record AggregateFunction(delegate_function_aggregate_step Step, delegate_function_aggregate_final Final, object? State);

/// <summary>What a user function gets; one for all rows of an aggregate, though SQLite's context moves.</summary>
internal sealed class FunctionContext : sqlite3_context
{
    public FunctionContext(object? state, int context)
        : base(state) => MoveTo(context);

    public void MoveTo(int context) => set_context_ptr(context);
}
