using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.Logging;

namespace DataSync.Remote;

/// <summary>The databases of a server.</summary>
internal sealed class RemotePlace(Uri address, DataSyncRemoteOptions options, TimeProvider time, ILogger logger) : IDatabasePlace
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, RemoteLink> _links = [];

    public Task StartSqliteAsync()
    {
        if (OperatingSystem.IsBrowser()) return SqliteWasm.InitializeAsync();
        SqliteNative.Initialize();
        return Task.CompletedTask;
    }

    public IBlockStore CreateStore(string name) => new RemoteBlockStore(LinkOf(name));

    public (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name) => (new RemoteTabPlatform(LinkOf(name)), new RemoteCommitChannel(LinkOf(name), name));

    /// <summary>What one tab has of a database shares a socket; it costs nothing while nobody uses it.</summary>
    private RemoteLink LinkOf(string name)
    {
        lock (_gate)
        {
            if (!_links.TryGetValue(name, out var link)) _links.Add(name, link = new(address, name, options, time, logger));
            return link;
        }
    }
}
