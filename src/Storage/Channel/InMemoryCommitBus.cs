using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Joins the channels of several tabs that live in one process: for tests, simulations, and several pipelines in one
/// native program. The in-memory twin of the browser's BroadcastChannel.
/// </summary>
internal sealed class InMemoryCommitBus
{
    private readonly Lock _lock = new();
    private readonly List<Member> _members = [];

    /// <summary>Makes a channel on this bus.</summary>
    /// <param name="schedule">
    /// Runs a delivery to this channel later, never at once, and in the order of the calls (a simulation may break that
    /// order on purpose). Null: on the thread pool, one after the other.
    /// </param>
    public ICommitChannel CreateChannel(Action<Action>? schedule = null) => new Member(this, schedule ?? MakeQueue());

    private static Action<Action> MakeQueue()
    {
        var last = Task.CompletedTask;
        var gate = new Lock();
        return delivery =>
        {
            lock (gate) last = last.ContinueWith(_ => delivery(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        };
    }

    private sealed class Member(InMemoryCommitBus bus, Action<Action> schedule) : ICommitChannel
    {
        public event Action<byte[]>? Received;

        public ValueTask OpenAsync(TabId self, CancellationToken cancellationToken)
        {
            lock (bus._lock) bus._members.Add(this);
            return ValueTask.CompletedTask;
        }

        public void Post(byte[] message, TabId addressee)
        {
            var copy = message.AsSpan().ToArray();
            Member[] others;
            lock (bus._lock) others = bus._members.Contains(this) ? [.. bus._members.Where(m => m != this)] : [];
            foreach (var other in others) other.Schedule(copy);
        }

        public ValueTask DisposeAsync()
        {
            lock (bus._lock) bus._members.Remove(this);
            return ValueTask.CompletedTask;
        }

        private void Schedule(byte[] message) => schedule(() =>
        {
            lock (bus._lock)
            {
                if (!bus._members.Contains(this)) return;
            }

            // Each receiver owns its bytes: a leader stamps the record that it takes.
            Received?.Invoke(message.AsSpan().ToArray());
        });
    }
}
