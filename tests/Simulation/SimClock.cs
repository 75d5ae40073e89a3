namespace DataSync.Simulation;

/// <summary>Virtual time. Timers fire in the order of their due times, on the caller's thread; nothing else runs code.</summary>
internal sealed class SimClock : TimeProvider
{
    private readonly PriorityQueue<(SimTimer Timer, int Version), (long Due, long Order)> _agenda = new();
    private long _ticks;
    private long _order;
    private long _wallOffset = new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero).UtcTicks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Milliseconds since the start.</summary>
    public double NowMs => _ticks / (double)TimeSpan.TicksPerMillisecond;

    public long Fired { get; private set; }

    public override long GetTimestamp() => _ticks;

    public override DateTimeOffset GetUtcNow() => new(_ticks + _wallOffset, TimeSpan.Zero);

    public void JumpWallClock(TimeSpan by) => _wallOffset += by.Ticks;

    /// <summary>Runs until the moment has come or <paramref name="stop"/> says so after a step.</summary>
    public void RunUntil(double ms, Func<bool> stop)
    {
        var end = (long)(ms * TimeSpan.TicksPerMillisecond);
        while (_agenda.TryPeek(out var next, out var at) && at.Due <= end)
        {
            _agenda.Dequeue();
            if (next.Version != next.Timer.Version) continue;
            _ticks = Math.Max(_ticks, at.Due);
            Fired++;
            next.Timer.Fire();
            if (stop()) return;
        }

        _ticks = Math.Max(_ticks, end);
    }

    public void At(double ms, Action action) =>
        CreateTimer(_ => action(), null, TimeSpan.FromTicks(Math.Max(0, (long)(ms * TimeSpan.TicksPerMillisecond) - _ticks)), Timeout.InfiniteTimeSpan);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new SimTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class SimTimer(SimClock clock, TimerCallback callback, object? state) : ITimer
    {
        private TimeSpan _period;

        public int Version { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Version++;
            _period = period;
            if (dueTime != Timeout.InfiniteTimeSpan) clock._agenda.Enqueue((this, Version), (clock._ticks + dueTime.Ticks, clock._order++));
            return true;
        }

        public void Fire()
        {
            Version++;
            if (_period > TimeSpan.Zero) Change(_period, _period);
            callback(state);
        }

        public void Dispose() => Version++;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}

/// <summary>A clock that runs faster or slower than another.</summary>
internal sealed class DriftingClock(TimeProvider inner, double rate) : TimeProvider
{
    public override long TimestampFrequency => inner.TimestampFrequency;

    public override long GetTimestamp() => (long)(inner.GetTimestamp() * rate);

    public override DateTimeOffset GetUtcNow() => inner.GetUtcNow();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        new Timer(inner.CreateTimer(callback, state, Scale(dueTime), Scale(period)), this);

    private TimeSpan Scale(TimeSpan time) => time <= TimeSpan.Zero ? time : TimeSpan.FromTicks((long)Math.Ceiling(time.Ticks / rate));

    private sealed class Timer(ITimer inner, DriftingClock clock) : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => inner.Change(clock.Scale(dueTime), clock.Scale(period));

        public void Dispose() => inner.Dispose();

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
