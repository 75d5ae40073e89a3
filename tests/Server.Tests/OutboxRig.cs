using System.Buffers.Binary;
using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Rig;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Server.Tests;

/// <summary>A device whose tabs keep their deferred writes in one journal, and whose network can be away: a tab opens all the same, on what the server has, and hears of no leader.</summary>
internal sealed class Device(TestServer server) : IAsyncDisposable
{
    private readonly List<DataSyncFactory> _factories = [];

    public FaultyJournal Journal { get; } = new();

    public bool IsCut { get; set; }

    /// <summary>Opens the database in another tab.</summary>
    public async Task<DeviceTab> OpenAsync(Action<DataSyncOptions>? configure = null)
    {
        SqliteNative.Initialize();
        var options = new DataSyncOptions { Durability = Durability.Deferred };
        options.AutoSync.Debounce = TimeSpan.FromMilliseconds(10);
        options.Pipeline.TurnDeadline = TimeSpan.FromMilliseconds(500);
        options.Pipeline.ResendAfter = TimeSpan.FromMilliseconds(100);
        options.Pipeline.WriteTimeout = TimeSpan.FromSeconds(2);
        configure?.Invoke(options);
        var place = new RemotePlace(new($"ws://127.0.0.1:{server.Port}/datasync"), new DataSyncRemoteOptions().Copy(), TimeProvider.System, NullLogger.Instance);
        var factory = new DataSyncFactory(new Place(this, place), options);
        _factories.Add(factory);
        return new(factory, await factory.OpenAsync(TestServer.Database).WaitAsync(TestServer.Patience));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var factory in _factories) await factory.DisposeAsync();
    }

    private sealed class Place(Device device, IDatabasePlace inner) : IDatabasePlace
    {
        public Task StartSqliteAsync() => inner.StartSqliteAsync();

        public IBlockStore CreateStore(string name) => inner.CreateStore(name);

        public (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name)
        {
            var (platform, channel) = inner.CreateTab(name);
            return (platform, new CutChannel(channel, () => device.IsCut));
        }

        public IDeferredJournal CreateJournal(string name) => device.Journal;
    }
}

/// <summary>A tab of a device, and what it was told of failures.</summary>
internal sealed class DeviceTab : IAsyncDisposable
{
    private readonly DataSyncFactory _factory;
    private readonly List<FailedWrite> _failed = [];

    public DeviceTab(DataSyncFactory factory, DataSyncDatabase database)
    {
        (_factory, Database) = (factory, database);
        database.AutoSync.SyncFailed += (_, e) =>
        {
            lock (_failed) _failed.AddRange(e.Writes);
        };
    }

    public DataSyncDatabase Database { get; }

    public FailedWrite[] Failed
    {
        get
        {
            lock (_failed) return [.. _failed];
        }
    }

    /// <summary>The same, once there are so many: events come a little later.</summary>
    public async Task<FailedWrite[]> FailedAsync(int count)
    {
        for (var waited = 0; Failed.Length < count && waited < 500; waited++) await Task.Delay(20);
        return Failed;
    }

    /// <summary>Closes the tab, and waits for nothing that is kept.</summary>
    public ValueTask DisposeAsync() => _factory.DisposeAsync();

    public Task<ExecuteResult> AddAsync(string tag) => Database.ExecuteAsync("INSERT INTO entry (tag) VALUES (?)", new object[] { tag });

    public async Task<IReadOnlyList<string>> TagsAsync() => await Database.QueryAsync<string>("SELECT tag FROM entry ORDER BY id");

    /// <summary>Waits until all that was acknowledged is durable or reported, whatever failed.</summary>
    public async Task SyncAsync()
    {
        while (Database.AutoSync.DirtyCommits > 0)
        {
            try
            {
                await Database.ForceSyncAsync().WaitAsync(TestServer.Patience);
            }
            catch (Exception error) when (error is StorageException or Microsoft.Data.Sqlite.SqliteException)
            {
                // What failed is reported.
            }
        }
    }
}

/// <summary>A journal that outlives tabs, and fails when told.</summary>
internal sealed class FaultyJournal : IDeferredJournal
{
    private readonly MemoryJournal _inner = new();

    public int Count => _inner.Count;

    public StorageException? AppendError { get; set; }

    /// <summary>As a device that ends before it takes them out.</summary>
    public bool KeepsAll { get; set; }

    /// <summary>Makes all entries ones that were written on a state as new as this.</summary>
    public async Task WriteOnAsync(long marker)
    {
        foreach (var entry in await _inner.OpenAsync(default)) BinaryPrimitives.WriteInt64LittleEndian(entry.Body.AsSpan(1), marker);
    }

    public ValueTask<IReadOnlyList<JournalEntry>> OpenAsync(CancellationToken cancellationToken) => _inner.OpenAsync(cancellationToken);

    public ValueTask AppendAsync(JournalEntry entry) => AppendError is { } error ? ValueTask.FromException(error) : _inner.AppendAsync(entry);

    public ValueTask RemoveAsync(IReadOnlyList<JournalEntry> entries) => KeepsAll ? ValueTask.FromException(new StorageException("The device has ended.")) : _inner.RemoveAsync(entries);

    public ValueTask DisposeAsync() => default;
}
