using System.Globalization;
using DataSync.Coordination;
using Polly;
using Polly.Timeout;

namespace DataSync.Storage;

// What is unanswered: sent again until it is answered, or given up when it took too long.
internal sealed partial class CommitPipeline
{
    private readonly Lazy<ResiliencePipeline> _resend;
    private readonly List<TaskCompletionSource> _durableWaiters = [];
    private readonly List<TaskCompletionSource> _answerWaiters = [];
    private readonly List<Reader> _readers = [];
    private bool _resending;

    private ResiliencePipeline MakeResendPolicy()
    {
        var policy = MakeRetry(int.MaxValue, TimeSpan.FromMilliseconds(20));
        policy.ShouldHandle = new PredicateBuilder().Handle<TimeoutRejectedException>();
        policy.MaxDelay = _options.ResendAfter * 2;
        return new ResiliencePipelineBuilder { TimeProvider = _time }.AddRetry(policy).AddTimeout(_options.ResendAfter).Build();
    }

    // Runs while something is unanswered; the ordinary write never gets here.
    private async Task ResendAsync()
    {
        try
        {
            await _resend.Value.ExecuteAsync(
                async token =>
                {
                    _gate.Run(SendAgain);
                    if (_gate.Run(() => IsAnswered ? null : AddWaiter(_answerWaiters)) is { } waiter) await waiter.Task.WaitAsync(token).ConfigureAwait(false);
                },
                _closing.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_closed)
        {
        }
        finally
        {
            _gate.Run(() => _resending = false);
        }
    }

    private void SendAgain()
    {
        if (Sabotage.IsMissing(Guard.Resend)) return;
        foreach (var pending in _pending.ToList()) Send(pending);
        SendTurnRequest();
    }

    private bool IsAnswered => _turnRequest is null && _pending.TrueForAll(p => p.IsHeld);

    /// <summary>
    /// What becomes of work that wrote nothing. With the turn it could read what was accepted and not durable yet: it stands
    /// with that, and is run again without it.
    /// </summary>
    internal Task<CommitOutcome> ObserveRead(Position? at) => _gate.Run(() =>
    {
        var position = at ?? Storage.Durable;
        if (OutcomeOfRead(position) is { } outcome) return Task.FromResult(outcome);
        ThrowIfUnusable();
        var reader = new Reader(_gate.NewCompletion<CommitOutcome>(), position, _time.GetTimestamp());
        _readers.Add(reader);
        return reader.Outcome.Task;
    });

    private CommitOutcome? OutcomeOfRead(Position at) => Storage.Durable == at ? new(IsStale: false, at)
        : Storage.Durable.Marker >= at.Marker ? new(IsStale: _ledger!.Find(at.Commit) is null, Storage.Durable)
        : null;

    // Nobody tells this tab that a commit of another one failed; so what does not come soon is taken for failed, and read again.
    private void SettleReaders()
    {
        foreach (var reader in _readers.ToList())
        {
            var outcome = OutcomeOfRead(reader.At);
            if (outcome is null && !IsLate(reader.Since)) continue;
            _readers.Remove(reader);
            _gate.Defer(() => reader.Outcome.TrySetResult(outcome ?? new(IsStale: true, reader.At)));
        }
    }

    private void FailReaders(StorageException error)
    {
        foreach (var reader in _readers) _gate.Defer(() => reader.Outcome.TrySetException(error));
        _readers.Clear();
    }

    private TaskCompletionSource AddWaiter(List<TaskCompletionSource> waiters)
    {
        waiters.RemoveAll(w => w.Task.IsCompleted);
        var waiter = _gate.NewCompletion();
        waiters.Add(waiter);
        return waiter;
    }

    private void WakeAnswered()
    {
        if (_durableWaiters.Count > 0 && _pending.TrueForAll(p => p.IsHeld)) CompleteAll(_durableWaiters);
        if (IsAnswered) CompleteAll(_answerWaiters);
    }

    private void EndOverdue()
    {
        var error = new NoLeaderException(string.Create(CultureInfo.InvariantCulture,
            $"No leader answered within {_options.WriteTimeout.TotalSeconds:0.#} s, so the outcome of the write is unknown. Look at the data, then try again."));
        var overdue = _pending.FindIndex(p => !p.IsHeld && _time.GetElapsedTime(p.Since) > _options.WriteTimeout);
        if (overdue >= 0) FailFrom(overdue, _ => error);
        if (_settleWaiters.Exists(w => _time.GetElapsedTime(w.Since) > _options.WriteTimeout))
        {
            WakeSettleWaiters(new StorageException(
                "Other tabs' changes cannot be shown here, because a reader or transaction of this tab stays open. Dispose it, then try again."));
        }

        if (_turn?.ReadySince is { } ready && _time.GetElapsedTime(ready) > _options.WriteTimeout && _writers.Count > 0)
        {
            var blocked = new StorageException(string.Create(CultureInfo.InvariantCulture,
                $"The write was not begun: a transaction of this tab has not ended for {_options.WriteTimeout.TotalSeconds:0.#} s. Work that WriteAsync runs must end, and must not wait for other writes."));
            foreach (var (_, waiting) in _writers) _gate.Defer(() => waiting.TrySetException(blocked));
            _writers.Clear();
        }

        if (_turnRequest is { } request && _time.GetElapsedTime(request.Since) > _options.WriteTimeout)
        {
            _turnRequest = null;
            _gate.Defer(() => request.Grant.TrySetException(new NoLeaderException()));
            WakeAnswered();
        }
    }

    private sealed record Reader(TaskCompletionSource<CommitOutcome> Outcome, Position At, long Since);
}
