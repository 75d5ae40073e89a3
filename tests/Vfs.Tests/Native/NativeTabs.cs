using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;

namespace DataSync.Vfs.Tests.Native;

/// <summary>One process's tabs: databases over stores, with a real election, real threads and the real clock.</summary>
internal sealed class NativeTabs : IDisposable
{
    /// <summary>More than anything here may take; what hangs fails with it.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static readonly Lazy<string> Folder = new(() =>
    {
        var folder = Directory.CreateTempSubdirectory("datasync-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        return folder;
    });

    private static int count;
    private readonly InMemoryBrowser _browser = new();
    private readonly InMemoryCommitBus _bus = new();
    private readonly string _scope = $"scope-{Interlocked.Increment(ref count)}";

    static NativeTabs() => NativeSqlite.RegisterAsync().GetAwaiter().GetResult();

    /// <summary>Opens one more tab; each has its own name, as one process registers a name once.</summary>
    public async Task<DataSyncDatabase> OpenAsync(IBlockStore store, DataSyncOptions? options = null, ILogger? logger = null, TimeProvider? time = null)
    {
        options ??= new();
        var coordinator = new TabCoordinator(_browser.OpenTab(), new CoordinationOptions { Scope = _scope });
        return await DataSyncDatabase.OpenAsync($"native-{Interlocked.Increment(ref count)}.db", store, _bus.CreateChannel(), coordinator, options, time, logger);
    }

    /// <summary>Waits until a tab shows a commit.</summary>
    public static async Task WaitForAsync(DataSyncDatabase database, long marker)
    {
        var shown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        database.Committed += OnCommitted;
        if (database.Marker >= marker) shown.TrySetResult();
        await shown.Task.WaitAsync(Patience);
        database.Committed -= OnCommitted;

        void OnCommitted(object? sender, CommittedEventArgs e)
        {
            if (e.Position.Marker >= marker) shown.TrySetResult();
        }
    }

    /// <summary>A tab as an app has it, over the one directory of this test run: databases in it have names of their own.</summary>
    public static Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options)
    {
        options.Directory = Folder.Value;
        return Task.FromResult(new DataSyncFactory(options: options));
    }

    public void Dispose() => _browser.Dispose();
}
