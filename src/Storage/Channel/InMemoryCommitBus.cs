namespace DataSync.Storage;

/// <summary>
/// Joins the channels of several tabs that live in one process: for tests, simulations, and several pipelines in one
/// native program. The in-memory twin of the browser's BroadcastChannel.
/// </summary>
/// <param name="schedule">
/// Runs a delivery later, never at once; deliveries of one sender must keep their order. A simulation queues them.
/// </param>
public sealed class InMemoryCommitBus(Action<Action> schedule)
{
    private readonly Lock _lock = new();
    private readonly List<Member> _members = [];

    /// <summary>Makes a channel on this bus.</summary>
    public ICommitChannel CreateChannel() => new Member(this);

    private sealed class Member(InMemoryCommitBus bus) : ICommitChannel
    {
        public event Action<byte[]>? Received;

        public ValueTask OpenAsync(CancellationToken cancellationToken)
        {
            lock (bus._lock) bus._members.Add(this);
            return ValueTask.CompletedTask;
        }

        public void Post(ReadOnlySpan<byte> message)
        {
            var copy = message.ToArray();
            Member[] others;
            lock (bus._lock) others = bus._members.Contains(this) ? [.. bus._members.Where(m => m != this)] : [];
            foreach (var other in others) bus.Schedule(() => other.Deliver(copy));
        }

        public ValueTask DisposeAsync()
        {
            lock (bus._lock) bus._members.Remove(this);
            return ValueTask.CompletedTask;
        }

        private void Deliver(byte[] message)
        {
            lock (bus._lock)
            {
                if (!bus._members.Contains(this)) return;
            }

            Received?.Invoke(message.AsSpan().ToArray());
        }
    }

    private void Schedule(Action delivery) => schedule(delivery);
}
