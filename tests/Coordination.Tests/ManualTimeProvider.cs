namespace DataSync.Coordination.Tests;

/// <summary>A clock that moves only when told. Timers fire in the order of their due times, on the caller's thread.</summary>
internal sealed class ManualTimeProvider : TimeProvider
{
    private readonly List<ManualTimer> _timers = [];
    private DateTimeOffset _utc = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private long _ticks;
    private long _order;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _ticks;

    public override DateTimeOffset GetUtcNow() => _utc;

    /// <summary>Moves the wall clock only, as a user or a time server does.</summary>
    public void JumpWallClock(TimeSpan by) => _utc += by;

    public void Advance(TimeSpan by)
    {
        // xunit's context would send continuations to other threads, and the order of things would be chance.
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            var end = _ticks + by.Ticks;
            while (_timers.Where(timer => timer.Due <= end).MinBy(timer => (timer.Due, timer.Order)) is { } next)
            {
                MoveTo(Math.Max(_ticks, next.Due));
                next.Fire();
            }

            MoveTo(end);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ManualTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private void MoveTo(long ticks)
    {
        _utc += TimeSpan.FromTicks(ticks - _ticks);
        _ticks = ticks;
    }

    private sealed class ManualTimer(ManualTimeProvider clock, TimerCallback callback, object? state) : ITimer
    {
        private TimeSpan _period;

        public long Due { get; private set; }

        public long Order { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            clock._timers.Remove(this);
            if (dueTime == Timeout.InfiniteTimeSpan)
                return true;
            (Due, Order, _period) = (clock._ticks + dueTime.Ticks, clock._order++, period);
            clock._timers.Add(this);
            return true;
        }

        public void Fire()
        {
            clock._timers.Remove(this);
            if (_period > TimeSpan.Zero)
                Change(_period, _period);
            callback(state);
        }

        public void Dispose() => clock._timers.Remove(this);

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
