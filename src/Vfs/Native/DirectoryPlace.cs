using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;

namespace DataSync.Vfs.Native;

/// <summary>A directory of stores. All factories of this process that open the same one are tabs of each other.</summary>
internal sealed class DirectoryPlace(FileStoreOptions options, TimeProvider time, ILogger logger) : IDatabasePlace
{
    private static readonly Lock Gate = new();
    private static readonly Dictionary<string, Neighbours> Directories = [];

    public Task StartSqliteAsync()
    {
        SqliteNative.Initialize();
        return Task.CompletedTask;
    }

    public IBlockStore CreateStore(string name) => new FileBlockStore(name, options, logger);

    public (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name)
    {
        lock (Gate)
        {
            var present = FindNeighbours(name);
            return (present.Browser.OpenTab(), present.Bus.CreateChannel());
        }
    }

    public ICommitChannel CreateChannel(string name)
    {
        lock (Gate) return FindNeighbours(name).Bus.CreateChannel();
    }

    private Neighbours FindNeighbours(string name)
    {
        foreach (var (left, neighbours) in Directories.Where(entry => entry.Value.Browser.IsEmpty).ToList())
        {
            Directories.Remove(left);
            neighbours.Browser.Dispose();
        }

        var directory = options.GetDirectory(name);
        if (!Directories.TryGetValue(directory, out var present)) Directories.Add(directory, present = new(new InMemoryBrowser(time), new InMemoryCommitBus()));
        return present;
    }

    private sealed record Neighbours(InMemoryBrowser Browser, InMemoryCommitBus Bus);
}
