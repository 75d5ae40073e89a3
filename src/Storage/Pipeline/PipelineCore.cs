using DataSync.Coordination;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;

namespace DataSync.Storage;

/// <summary>What the parts of one pipeline share: the gate, the clock, the log, and whether it still works.</summary>
internal sealed class PipelineCore(TabCoordinator coordinator, PipelineOptions options, TimeProvider time, ILogger logger, PipelineSources sources)
    : IDisposable
{
    /// <summary>Without a heartbeat for longer than this the tab stood still: it was frozen or stopped, or the machine slept.</summary>
    private static readonly TimeSpan LongestGap = TimeSpan.FromSeconds(5);

    /// <summary>More than can lie within one wait that is not overdue.</summary>
    private const int MaxStandstills = 128;

    private readonly CancellationTokenSource _closing = new();
    private readonly List<(long End, TimeSpan Length)> _standstills = [];
    private long _heartbeat = time.GetTimestamp();

    /// <summary>The one lock of the pipeline; every part's state is guarded by it.</summary>
    public PipelineGate Gate { get; } = new(sources, error => Log.HandlerFailed(logger, "a completion", error));

    public StorageMetrics Metrics { get; } = new(coordinator.Scope);

    public PipelineOptions Options => options;

    public TimeProvider Time => time;

    public ILogger Logger => logger;

    public PipelineSources Sources => sources;

    public string Scope => coordinator.Scope;

    public TabId Self => coordinator.Id;

    /// <summary>Ends whatever the pipeline waits for.</summary>
    public CancellationToken Closing => _closing.Token;

    /// <summary>Why it stopped for good; null while it works.</summary>
    public StorageException? Fault { get; private set; }

    public bool IsClosed { get; private set; }

    /// <summary>Whether nothing more may happen in it.</summary>
    public bool IsStopped => IsClosed || Fault is not null;

    /// <summary>What a commit that comes too late fails with; null while the pipeline works.</summary>
    public StorageException? End => IsClosed ? ClosedError() : Fault;

    public static StorageClosedException ClosedError() => new(StoreClosedReason.Lost, "The database was closed. Open it again.");

    /// <inheritdoc cref="CommitPipeline.ThrowIfUnusable"/>
    public void ThrowIfUnusable()
    {
        ObjectDisposedException.ThrowIf(IsClosed, typeof(CommitPipeline));
        if (Fault is { } fault) throw fault;
    }

    /// <summary>The first fault stays.</summary>
    public bool TryFault(StorageException error)
    {
        if (IsStopped) return false;
        Fault = error;
        return true;
    }

    public void Close() => IsClosed = true;

    public bool IsObserver => coordinator.IsObserver;

    public long Now => time.GetTimestamp();

    public TimeSpan Since(long timestamp) => time.GetElapsedTime(timestamp);

    /// <summary>Whether something has been waited for so long that its question is asked again.</summary>
    public bool IsLate(long since) => Since(since) >= options.ResendAfter;

    /// <summary>Whether something has been waited for so long that it is given up. While the tab stood still nobody's answer could reach it.</summary>
    public bool IsOverdue(long since)
    {
        var waited = Since(since);
        if (waited <= options.WriteTimeout) return false;
        foreach (var (end, length) in _standstills)
        {
            if (end <= since) continue;
            var within = time.GetElapsedTime(since, end);
            waited -= within < length ? within : length;
        }

        return waited > options.WriteTimeout;
    }

    /// <summary>At each heartbeat, before anything is looked at.</summary>
    public void OnHeartbeat()
    {
        if (Since(_heartbeat) - LongestGap is var missed && missed > TimeSpan.Zero)
        {
            if (_standstills.Count == MaxStandstills) _standstills.RemoveAt(0);
            _standstills.Add((Now, missed));
        }

        _heartbeat = Now;
    }

    /// <summary>Retries with growing pauses that differ from tab to tab, so that tabs do not ask in step.</summary>
    public RetryStrategyOptions MakeRetry(int attempts, TimeSpan delay)
    {
        var retry = new RetryStrategyOptions
        {
            MaxRetryAttempts = attempts,
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
            Delay = delay,
        };
        if (sources.Jitter is { } jitter) retry.Randomizer = jitter;
        return retry;
    }

    /// <summary>Cancels <see cref="Closing"/>. Outside of the gate: whoever waits goes on at once.</summary>
    public void CancelAll() => _closing.Cancel();

    public void Dispose()
    {
        _closing.Dispose();
        Metrics.Dispose();
    }
}
