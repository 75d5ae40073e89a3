namespace DataSync.Rig;

/// <summary>A clock that moves only when told. Timers fire in the order of their due times, on the caller's thread; nothing else runs code.</summary>
internal sealed class VirtualClock : TimeProvider
{
    private readonly PriorityQueue<(Timer Timer, int Version), (long Due, long Order)> _agenda = new();
    private long _ticks;
    private long _order;
    private long _wallOffset = new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero).UtcTicks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Milliseconds since the start.</summary>
    public double NowMs => _ticks / (double)TimeSpan.TicksPerMillisecond;

    /// <summary>How many timers have fired.</summary>
    public long Fired { get; private set; }

    public override long GetTimestamp() => _ticks;

    public override DateTimeOffset GetUtcNow() => new(_ticks + _wallOffset, TimeSpan.Zero);

    /// <summary>Moves the wall clock only, as a user or a time server does.</summary>
    public void JumpWallClock(TimeSpan by) => _wallOffset += by.Ticks;

    public void Advance(TimeSpan by) => RunTo(_ticks + by.Ticks, () => false);

    /// <summary>Runs until the moment has come or <paramref name="stop"/> says so after a step.</summary>
    public void RunUntil(double ms, Func<bool> stop) => RunTo((long)(ms * TimeSpan.TicksPerMillisecond), stop);

    /// <summary>Does something at a moment; at once, as the next step, when that has passed.</summary>
    public void At(double ms, Action action) =>
        CreateTimer(_ => action(), null, TimeSpan.FromTicks(Math.Max(0, (long)(ms * TimeSpan.TicksPerMillisecond) - _ticks)), Timeout.InfiniteTimeSpan);

    /// <summary>Does something as from a timer.</summary>
    public void Do(Action action)
    {
        using var timer = CreateTimer(_ => action(), null, TimeSpan.Zero, Timeout.InfiniteTimeSpan);
        Advance(TimeSpan.Zero);
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private void RunTo(long end, Func<bool> stop)
    {
        // xunit's context would send continuations to other threads, and the order of things would be chance.
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
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
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }

    private sealed class Timer(VirtualClock clock, TimerCallback callback, object? state) : ITimer
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
