namespace DataSync.Storage;

/// <summary>A write that its caller believes done and that is not durable yet.</summary>
/// <param name="run">Runs its transaction in a slot of this tab; true when it was refused and must be tried again. Throws what the work throws.</param>
/// <param name="pending">Its commit.</param>
/// <param name="newCompletion">Makes what a waiter waits for.</param>
internal sealed class DeferredWrite(Func<int, bool> run, PendingCommit pending, Func<TaskCompletionSource> newCompletion)
{
    private readonly List<TaskCompletionSource> _waiters = [];
    private bool _isEnded;

    public Func<int, bool> Run { get; } = run;

    /// <summary>Its commit, until it is stale; another one when it was run again.</summary>
    public PendingCommit Pending { get; set; } = pending;

    public int Blocks { get; } = pending.Commit.BlockCount + pending.Commit.FreedCount;

    public long Bytes { get; } = pending.Commit.Bytes.Length;

    /// <summary>How often it was run.</summary>
    public int Attempts { get; set; } = 1;

    /// <summary>Not sent yet, as far as the manager knows.</summary>
    public bool IsBuffered { get; set; }

    /// <summary>What it is as text; null for work of the application's own.</summary>
    public DeferredStatements? Statements { get; init; }

    /// <summary>Why it was taken back; set before <see cref="End"/>.</summary>
    public Exception? Error { get; set; }

    /// <summary>
    /// Waits until it is durable or taken back; never fails. Each waits for a task of its own: of several continuations of one
    /// task, all but one hop to the thread pool.
    /// </summary>
    public Task WaitAsync()
    {
        lock (_waiters)
        {
            if (_isEnded) return Task.CompletedTask;
            var waiter = newCompletion();
            _waiters.Add(waiter);
            return waiter.Task;
        }
    }

    /// <summary>It is durable or taken back.</summary>
    public void End()
    {
        lock (_waiters) _isEnded = true;
        foreach (var waiter in _waiters) waiter.TrySetResult();
    }
}
