using Polly;
using Polly.Timeout;

namespace DataSync.Storage;

// Asking again while something has no answer.
internal sealed partial class Outbox
{
    /// <summary>Makes what is made when first used, in a moment in which nobody waits for it.</summary>
    public void Rehearse() => _ = _resend.Value;

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
