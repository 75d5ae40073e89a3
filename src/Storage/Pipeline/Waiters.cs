namespace DataSync.Storage;

/// <summary>
/// Everybody who waits for the same thing. Each has a task of its own: of several continuations of one task, all but one hop to
/// the thread pool. Guarded by the gate.
/// </summary>
internal sealed class Waiters(PipelineCore core)
{
    private readonly List<(TaskCompletionSource Done, long Since)> _waiting = [];

    /// <summary>Whether somebody has waited for longer than a write may take.</summary>
    public bool AreOverdue => _waiting.Exists(w => core.IsOverdue(w.Since));

    public Task Add()
    {
        _waiting.RemoveAll(w => w.Done.Task.IsCompleted);
        var waiter = core.Gate.NewCompletion();
        _waiting.Add((waiter, core.Now));
        return waiter.Task;
    }

    public void Release() => End(null);

    public void Fail(StorageException error) => End(error);

    private void End(StorageException? error)
    {
        if (_waiting.Count == 0) return;
        foreach (var (done, _) in _waiting) core.Gate.Defer(() => _ = error is null ? done.TrySetResult() : done.TrySetException(error));
        _waiting.Clear();
    }
}
