namespace DataSync.Storage;

/// <summary>
/// What becomes of work that wrote nothing. With the turn it could read what was accepted and not durable yet: it stands with that,
/// and is run again without it. Guarded by the gate.
/// </summary>
internal sealed class ReadChecks(PipelineCore core, ImageFollower image)
{
    private readonly List<Check> _waiting = [];

    /// <summary>Learns whether what was read became durable; where nothing else was read, the image's own position.</summary>
    public Task<CommitOutcome> Observe(Position? at)
    {
        var position = at ?? image.Storage.Durable;
        if (OutcomeOf(position) is { } outcome) return Task.FromResult(outcome);
        core.ThrowIfUnusable();
        var check = new Check(core.Gate.NewCompletion<CommitOutcome>(), position, core.Now);
        _waiting.Add(check);
        return check.Outcome.Task;
    }

    /// <summary>Nobody tells this tab that a commit of another one failed; so what does not come soon is taken for failed, and read again.</summary>
    public void Settle()
    {
        if (_waiting.Count == 0) return;
        foreach (var check in _waiting.ToList())
        {
            var outcome = OutcomeOf(check.At);
            if (outcome is null && !core.IsLate(check.Since)) continue;
            _waiting.Remove(check);
            core.Gate.Defer(() => check.Outcome.TrySetResult(outcome ?? new(IsStale: true, check.At)));
        }
    }

    public void Stop(StorageException error)
    {
        foreach (var check in _waiting) core.Gate.Defer(() => check.Outcome.TrySetException(error));
        _waiting.Clear();
    }

    private CommitOutcome? OutcomeOf(Position at)
    {
        var durable = image.Storage.Durable;
        if (durable == at) return new(IsStale: false, at);
        return durable.Marker >= at.Marker ? new(IsStale: image.Ledger.Find(at.Commit) is null, durable) : null;
    }

    private sealed record Check(TaskCompletionSource<CommitOutcome> Outcome, Position At, long Since);
}
