namespace DataSync.Storage;

/// <summary>
/// Keeps the pipeline's state consistent for callers on any thread: state changes happen under one lock; whatever runs
/// foreign code (completions, events) is deferred until the lock is free, and then runs in order, one at a time.
/// </summary>
/// <param name="later">
/// Runs an action soon, on an empty stack. Used only for what was deferred inside a call of SQLite and that nothing else
/// picked up before; in the browser it is a timer.
/// </param>
internal sealed class PipelineGate(Action<Action>? later = null)
{
    private readonly Action<Action> _later = later ?? (action => ThreadPool.UnsafeQueueUserWorkItem(run => run(), action, preferLocal: false));
    private readonly Lock _lock = new();
    private readonly Queue<Action> _deferred = new();
    private int _depth;
    private bool _draining;

    /// <summary>Changes state. May be called again from within, and from deferred actions.</summary>
    public void Run(Action action)
    {
        _lock.Enter();
        _depth++;
        try
        {
            action();
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>Changes state and returns a result.</summary>
    public T Run<T>(Func<T> function)
    {
        _lock.Enter();
        _depth++;
        try
        {
            return function();
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>
    /// Changes state from within a call of SQLite (a VFS method). Nothing deferred runs before that call has returned:
    /// a completion could use the very connection that is in the middle of it.
    /// </summary>
    public void RunInsideSqlite(Action action)
    {
        bool leftOver;
        lock (_lock)
        {
            _depth++;
            try
            {
                action();
            }
            finally
            {
                _depth--;
            }

            leftOver = _deferred.Count > 0 && !_draining && _depth == 0;
        }

        if (leftOver) _later(() => Run(() => { }));
    }

    /// <summary>Runs foreign code when the state is consistent again. Only from within <see cref="Run(Action)"/>.</summary>
    public void Defer(Action action) => _deferred.Enqueue(action);

    private void Leave()
    {
        var drains = --_depth == 0 && !_draining && _deferred.Count > 0;
        if (drains) _draining = true;
        _lock.Exit();
        if (drains) Drain();
    }

    private void Drain()
    {
        while (true)
        {
            Action? next;
            lock (_lock)
            {
                if (!_deferred.TryDequeue(out next))
                {
                    _draining = false;
                    return;
                }
            }

            // A handler that throws must not take the others' completions with it; the pipeline wraps what can throw.
            next();
        }
    }
}
