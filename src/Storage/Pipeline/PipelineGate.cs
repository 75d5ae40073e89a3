namespace DataSync.Storage;

/// <summary>
/// Keeps the pipeline's state consistent for callers on any thread: state changes happen under one lock; whatever runs
/// foreign code (completions, events) is deferred until the lock is free, and then runs in order, one at a time.
/// </summary>
/// <remarks>
/// No foreign code can stop it: what throws is told to <paramref name="failed"/>, and the next one runs. Where code may block
/// (anywhere but in the browser) completions and events run on the thread pool instead, events one after another.
/// </remarks>
/// <param name="sources">Where foreign code runs.</param>
/// <param name="failed">Hears of what foreign code threw.</param>
internal sealed class PipelineGate(PipelineSources sources, Action<Exception> failed)
{
    // For what was deferred inside a call of SQLite and that nothing else picked up before; in the browser it is a timer.
    private readonly Action<Action> _later = sources.Later ?? RunOnPool;
    private readonly Lock _lock = new();
    private readonly Queue<Action> _deferred = new();
    private readonly Queue<Action> _events = new();
    private int _depth;
    private bool _draining;
    private bool _isRaising;

    /// <summary>Makes what somebody waits for; whoever waits goes on in place, or on the thread pool.</summary>
    public TaskCompletionSource NewCompletion() => new(Options);

    /// <inheritdoc cref="NewCompletion()"/>
    public TaskCompletionSource<T> NewCompletion<T>() => new(Options);

    private TaskCreationOptions Options => sources.RunsInPlace ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously;

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

    /// <summary>Raises an event when the state is consistent again, behind the ones before. Only from within <see cref="Run(Action)"/>.</summary>
    public void Raise(Action raise) => Defer(sources.RunsInPlace ? raise : () => RaiseNow(raise));

    /// <summary>Raises an event from outside of the gate.</summary>
    public void RaiseNow(Action raise)
    {
        if (sources.RunsInPlace)
        {
            Guard(raise);
            return;
        }

        lock (_events)
        {
            _events.Enqueue(raise);
            if (_isRaising) return;
            _isRaising = true;
        }

        RunOnPool(RaiseAll);
    }

    private static void RunOnPool(Action action) => ThreadPool.UnsafeQueueUserWorkItem(run => run(), action, preferLocal: false);

    private void RaiseAll()
    {
        while (true)
        {
            Action? next;
            lock (_events)
            {
                _isRaising = _events.TryDequeue(out next);
                if (!_isRaising) return;
            }

            Guard(next!);
        }
    }

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

            Guard(next);
        }
    }

    private void Guard(Action foreign)
    {
        try
        {
            foreign();
        }
#pragma warning disable CA1031 // Whoever comes next must not be kept waiting for ever.
        catch (Exception error)
#pragma warning restore CA1031
        {
            failed(error);
        }
    }
}
