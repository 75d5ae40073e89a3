namespace DataSync.Storage;

/// <summary>The moments at which a platform makes buffered commits durable, beside the thresholds.</summary>
internal interface ISyncTriggers : IDisposable
{
    /// <summary>Whether the page is hidden: it may end at any moment without a word.</summary>
    bool IsHidden { get; }

    /// <summary>Begins to watch.</summary>
    /// <param name="fire">Called at each such moment, not within a call of this object.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    ValueTask StartAsync(Action<SyncTrigger> fire, CancellationToken cancellationToken);

    /// <summary>Asks to be called when nothing has called this for some time, and after a limit in any case.</summary>
    void Schedule(TimeSpan quiet, TimeSpan limit);

    /// <summary>Takes back what <see cref="Schedule"/> asked for.</summary>
    void Cancel();
}

/// <summary>Outside of a browser: a timer.</summary>
internal sealed class TimerSyncTriggers(TimeProvider time) : ISyncTriggers
{
    private ITimer? _timer;
    private SyncTrigger _next;

    public bool IsHidden => false;

    public ValueTask StartAsync(Action<SyncTrigger> fire, CancellationToken cancellationToken)
    {
        _timer = time.CreateTimer(_ => fire(_next), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        return ValueTask.CompletedTask;
    }

    public void Schedule(TimeSpan quiet, TimeSpan limit)
    {
        _next = quiet < limit ? SyncTrigger.Debounce : SyncTrigger.Interval;
        _timer?.Change(quiet < limit ? quiet : limit, Timeout.InfiniteTimeSpan);
    }

    public void Cancel() => _timer?.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

    public void Dispose() => _timer?.Dispose();
}
