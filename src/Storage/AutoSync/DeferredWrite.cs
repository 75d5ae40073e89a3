namespace DataSync.Storage;

/// <summary>A write that its caller believes done and that is not durable yet.</summary>
/// <param name="run">Runs its transaction in a turn of this tab; true when it was refused and must be tried again. Throws what the work throws.</param>
/// <param name="pending">Its commit, until it is stale.</param>
internal sealed class DeferredWrite(Func<int, bool> run, PendingCommit pending)
{
    public Func<int, bool> Run { get; } = run;

    public PendingCommit Pending { get; } = pending;

    public int Blocks { get; } = pending.Commit.BlockCount + pending.Commit.FreedCount;

    public long Bytes { get; } = pending.Commit.Bytes.Length;

    /// <summary>Not sent yet, as far as the manager knows.</summary>
    public bool IsHeld { get; set; } = pending.IsHeld;

    /// <summary>Why it was taken back; set before <see cref="Ended"/>.</summary>
    public Exception? Error { get; set; }

    /// <summary>Completes when it is durable or taken back; never fails.</summary>
    public Task Ended => _ended.Task;

    private readonly TaskCompletionSource _ended = new();

    public void End() => _ended.TrySetResult();
}
