using Polly;
using Polly.Timeout;

namespace DataSync.Storage;

// Asking again while something has no answer.
internal sealed partial class Outbox
{
    /// <summary>Makes what is made when first used, in a moment in which nobody waits for it.</summary>
    public void Rehearse() => _ = _resend.Value;

    // Where a connection may be away for days, what was acknowledged early waits for as long as it takes, and with it what it was built on: of that, who waits for it is told.
    private void GiveUpOverdue()
    {
        var overdue = _pending.FindIndex(p => !p.IsBuffered && !p.IsGivenUp && !(p.IsDeferred && _core.IsObserver) && _core.IsOverdue(p.Since));
        if (overdue < 0) return;
        var error = NoLeaderException.OutcomeUnknown(_core.Options.WriteTimeout);
        if (!_core.IsObserver || _pending.FindIndex(overdue, p => p.IsDeferred) < 0)
        {
            FailFrom(overdue, error);
            return;
        }

        foreach (var pending in _pending.Where(p => p is { IsBuffered: false, IsGivenUp: false, IsDeferred: false } && _core.IsOverdue(p.Since)))
        {
            (pending.IsGivenUp, pending.IsObserved) = (true, true);
            _core.Gate.Defer(() => pending.Outcome.TrySetException(error));
        }
    }

    private ResiliencePipeline MakeResendPolicy()
    {
        var policy = _core.MakeRetry(int.MaxValue, FirstResendDelay);
        policy.ShouldHandle = new PredicateBuilder().Handle<TimeoutRejectedException>();
        policy.MaxDelay = _core.Options.ResendAfter * 2;
        return new ResiliencePipelineBuilder { TimeProvider = _core.Time }.AddRetry(policy).AddTimeout(_core.Options.ResendAfter).Build();
    }

    // Runs while something is unanswered; the ordinary write never gets here.
    private async Task ResendAsync()
    {
        try
        {
            await _resend.Value.ExecuteAsync(
                async token =>
                {
                    _core.Gate.Run(SendAgain);
                    if (_core.Gate.Run(() => IsAnswered ? null : _answered.Add()) is { } waiter) await waiter.WaitAsync(token).ConfigureAwait(false);
                },
                _core.Closing).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_core.IsClosed)
        {
        }
        finally
        {
            _core.Gate.Run(() => _resending = false);
        }
    }
}
