using Polly;
using Polly.Retry;

namespace DataSync.Storage;

// A store that fails for a moment: reading and opening are tried again a few times before this tab stops for good.
internal sealed partial class CommitPipeline
{
    /// <summary>About ten seconds in all, since the waits double.</summary>
    private const int MaxReadRetries = 8;

    private const int MaxReopenRetries = 6;

    private static readonly TimeSpan FirstRetryDelay = TimeSpan.FromMilliseconds(50);

    /// <summary>Room does not come back within milliseconds, and each try asks a full disk for more.</summary>
    private static readonly TimeSpan FullRetryDelay = TimeSpan.FromSeconds(2);

    private readonly Lazy<ResiliencePipeline> _read;
    private readonly Lazy<ResiliencePipeline> _reopen;

    /// <summary>
    /// Whether the same call may succeed a moment later. What the browser gives no reason for, or no room for, may; damage, another
    /// store and a newer format stay. A lost connection is opened again first.
    /// </summary>
    private static bool IsPassing(StorageException error) => error.Code is StorageErrorCode.Other or StorageErrorCode.Quota or StorageErrorCode.Unavailable;

    private ResiliencePipeline MakeReadPolicy()
    {
        var policy = MakePatient(MaxReadRetries);
        policy.ShouldHandle = new PredicateBuilder().Handle<StorageException>(IsPassing);
        policy.OnRetry = retry =>
        {
            Log.ReadFailed(_logger, _coordinator.Scope, retry.Outcome.Exception!.Message);
            return default;
        };
        return new ResiliencePipelineBuilder { TimeProvider = _time }.AddRetry(policy).Build();
    }

    private ResiliencePipeline MakeReopenPolicy()
    {
        var policy = MakePatient(MaxReopenRetries);
        policy.ShouldHandle = new PredicateBuilder().Handle<StorageException>(error => IsPassing(error) || error is StorageClosedException);
        return new ResiliencePipelineBuilder { TimeProvider = _time }.AddRetry(policy).Build();
    }

    private RetryStrategyOptions MakePatient(int attempts)
    {
        var policy = MakeRetry(attempts, FirstRetryDelay);
        policy.DelayGenerator = retry => new(retry.Outcome.Exception is StorageQuotaException ? FullRetryDelay : null);
        return policy;
    }

    private Task ReadPatientlyAsync() => _read.Value.ExecuteAsync(async _ => await ReadBehindAsync().ConfigureAwait(false), _closing.Token).AsTask();

    // Open again only when it can be read as well: a connection that is lost with every read would be opened over and over.
    private async Task ReopenAsync()
    {
        Log.Reopening(_logger, _coordinator.Scope);
        var error = await TryAsync(() => _reopen.Value.ExecuteAsync(
            async token =>
            {
                var head = await _store.OpenAsync(token).ConfigureAwait(false);
                if (head.Incarnation != _incarnation) throw head.Epoch == default ? StoreReplacedException.Emptied() : new StoreReplacedException();
                await ReadBehindAsync().ConfigureAwait(false);
            },
            _closing.Token).AsTask()).ConfigureAwait(false);
        _gate.Run(() =>
        {
            _reopening = false;
            if (error is not null) FaultNow(error);
            else StartCatchUp();
        });
    }
}
