using DataSync.Coordination;
using DataSync.Rig;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Server.Tests;

/// <summary>Another place, whose stores can fail and whose channels for clients can be slow to close.</summary>
internal sealed class OddPlace(IDatabasePlace inner) : IDatabasePlace
{
    private readonly Lock _gate = new();
    private readonly HashSet<TabId> _open = [];

    /// <summary>Told of each store that is made.</summary>
    public Action<FaultyBlockStore>? OnStore { get; set; }

    /// <summary>Runs before the channel of a client's tab is closed.</summary>
    public Func<Task> BeforeClosing { get; set; } = () => Task.CompletedTask;

    /// <summary>How many messages were passed on for clients.</summary>
    public int Passed { get; private set; }

    /// <summary>How many of them were no messages, or not in the name of the tab for which they were passed on.</summary>
    public int Foreign { get; private set; }

    /// <summary>How often a client's tab was listened to by two at once.</summary>
    public int Overlaps { get; private set; }

    public Task StartSqliteAsync() => inner.StartSqliteAsync();

    public IBlockStore CreateStore(string name)
    {
        var store = new FaultyBlockStore(inner.CreateStore(name));
        OnStore?.Invoke(store);
        return store;
    }

    public (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name) => inner.CreateTab(name);

    public ICommitChannel CreateChannel(string name) => new Channel(this, inner.CreateChannel(name));

    private sealed class Channel(OddPlace place, ICommitChannel inner) : ICommitChannel
    {
        private TabId _self;

        public event Action<byte[]>? Received
        {
            add => inner.Received += value;
            remove => inner.Received -= value;
        }

        public ValueTask OpenAsync(TabId self, CancellationToken cancellationToken)
        {
            lock (place._gate) if (!place._open.Add(_self = self)) place.Overlaps++;
            return inner.OpenAsync(self, cancellationToken);
        }

        public void Post(byte[] message, TabId addressee)
        {
            lock (place._gate)
            {
                place.Passed++;
                if (CommitMessage.TryParse(message)?.Sender != _self) place.Foreign++;
            }

            inner.Post(message, addressee);
        }

        public async ValueTask DisposeAsync()
        {
            await place.BeforeClosing();
            await inner.DisposeAsync();
            lock (place._gate) place._open.Remove(_self);
        }
    }
}
