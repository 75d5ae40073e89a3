using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Simulation;

/// <summary>The data channel: messages of one sender to one receiver keep their order; all else is up to the world.</summary>
internal sealed class SimBus(World world)
{
    private readonly List<Channel> _channels = [];
    private long _sent;

    public ICommitChannel CreateChannel(SimTab tab) => new Channel(this, tab);

    private sealed class Channel(SimBus bus, SimTab tab) : ICommitChannel
    {
        private readonly Dictionary<Channel, double> _lastDue = [];
        private (Channel? From, long Number) _last;

        public event Action<byte[]>? Received;

        public ValueTask OpenAsync(TabId self, CancellationToken cancellationToken)
        {
            bus._channels.Add(this);
            return ValueTask.CompletedTask;
        }

        public void Post(byte[] message, TabId addressee)
        {
            if (tab.IsGone || !bus._channels.Contains(this)) return;
            foreach (var other in bus._channels)
            {
                if (other != this) bus.Send(this, other, message.AsSpan().ToArray());
            }
        }

        public ValueTask DisposeAsync()
        {
            bus._channels.Remove(this);
            return ValueTask.CompletedTask;
        }

        public void Schedule(Channel from, byte[] message, double delayMs, bool inOrder)
        {
            if (tab.IsGone) return;
            var due = bus.World.Clock.NowMs + delayMs;
            if (inOrder)
            {
                due = Math.Max(due, _lastDue.GetValueOrDefault(from));
                _lastDue[from] = due;
            }

            // A tab that hangs gets it later, one that is gone never.
            var number = bus._sent++;
            tab.Platform.Clock.CreateTimer(_ => Receive(from, message, number), null, World.Ms(due - bus.World.Clock.NowMs), Timeout.InfiniteTimeSpan);
        }

        private void Receive(Channel from, byte[] message, long number)
        {
            if (!bus._channels.Contains(this)) return;
            if (_last.Number > number && _last.From != from) bus.World.Coverage.Hit("fault message overtook one of another sender");
            _last = (from, number);
            if (bus.World.IsTracing) bus.World.Trace(tab, $"receives {bus.World.Describe(message)} from {from.Tab.Name}");
            Received?.Invoke(message.ToArray());
        }

        public SimTab Tab => tab;
    }

    /// <summary>Delivers a message that no tab has sent to all of them.</summary>
    public void Forge(byte[] message, Dice dice)
    {
        foreach (var to in _channels) to.Schedule(to, message, dice.From(0, 50.0), inOrder: false);
    }

    private World World => world;

    private void Send(Channel from, Channel to, byte[] message)
    {
        var fate = world.DecideFate(from.Tab, to.Tab);
        if (fate.IsLost)
        {
            if (world.IsTracing) world.Trace(from.Tab, $"sends {world.Describe(message)} to {to.Tab.Name}: lost");
            return;
        }

        to.Schedule(from, message, fate.DelayMs, inOrder: true);
        if (fate.CopyDelayMs is { } copy) to.Schedule(from, message, copy, inOrder: false);
    }
}

internal readonly record struct Fate(bool IsLost, double DelayMs, double? CopyDelayMs);
