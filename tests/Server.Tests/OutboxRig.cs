using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Rig;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Server.Tests;

/// <summary>Tests with a device, and a client that is never cut off.</summary>
#pragma warning disable CA1001 // xunit disposes of it asynchronously.
public abstract class DeviceTests : IAsyncLifetime
#pragma warning restore CA1001
{
    private protected TestServer Server { get; private set; } = null!;

    private protected DataSyncDatabase Other { get; private set; } = null!;

    private protected Device Device { get; set; } = null!;

    public async Task InitializeAsync()
    {
        Server = await TestServer.StartAsync();
        Other = await Server.OpenAsync();
        await Other.ExecuteAsync("CREATE TABLE entry (id INTEGER PRIMARY KEY, tag TEXT UNIQUE, origin TEXT)");
        Device = new(Server);
    }

    public async Task DisposeAsync()
    {
        await Device.DisposeAsync();
        await Server.DisposeAsync();
    }

    private protected async Task AddElsewhereAsync(params string[] tags)
    {
        foreach (var tag in tags) await Other.ExecuteAsync("INSERT INTO entry (tag) VALUES (?)", new object[] { tag });
    }

    private protected async Task<IReadOnlyList<string>> SeenElsewhereAsync(int rows)
    {
        await Entries.SeeAsync(Other, rows);
        return await Other.QueryAsync<string>("SELECT tag FROM entry ORDER BY id");
    }

    // It is taken out behind the answer, by the way.
    private protected async Task EmptiedAsync(Device? device = null)
    {
        var journal = (device ?? Device).Journal;
        for (var waited = 0; journal.Count > 0 && waited < 500; waited++) await Task.Delay(20);
        Assert.Equal(0, journal.Count);
    }
}

/// <summary>A device whose tabs keep their deferred writes in one journal, and whose network can be away: a tab opens all the same, on what the server has, and hears of no leader.</summary>
/// <param name="server">Where its network leads to.</param>
/// <param name="hasLocks">Whether its tabs know of each other.</param>
internal sealed class Device(TestServer server, bool hasLocks = true) : IAsyncDisposable
{
    private readonly List<DataSyncFactory> _factories = [];

    public FaultyJournal Journal { get; } = new(hasLocks);

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
        var journal = Journal.NewTab();
        var factory = new DataSyncFactory(new Place(this, place, journal), options);
        _factories.Add(factory);
        return new(factory, await factory.OpenAsync(TestServer.Database).WaitAsync(TestServer.Patience), journal);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var factory in _factories) await factory.DisposeAsync();
    }

    private sealed class Place(Device device, IDatabasePlace inner, FaultyJournal.Tab journal) : IDatabasePlace
    {
        public Task StartSqliteAsync() => inner.StartSqliteAsync();

        public IBlockStore CreateStore(string name) => inner.CreateStore(name);

        public (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name)
        {
            var (platform, channel) = inner.CreateTab(name);
            return (platform, new CutChannel(channel, () => device.IsCut || journal.IsCut));
        }

        public IDeferredJournal CreateJournal(string name) => journal;
    }
}

/// <summary>A tab of a device, and what it was told of failures.</summary>
internal sealed class DeviceTab : IAsyncDisposable
{
    private readonly DataSyncFactory _factory;
    private readonly List<FailedWrite> _failed = [];

    public DeviceTab(DataSyncFactory factory, DataSyncDatabase database, FaultyJournal.Tab journal)
    {
        (_factory, Database, Journal) = (factory, database, journal);
        database.AutoSync.SyncFailed += (_, e) =>
        {
            if (journal.HasCrashed) return;
            lock (_failed) _failed.AddRange(e.Writes);
        };
    }

    public FaultyJournal.Tab Journal { get; }

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

/// <summary>What a device keeps of its tabs' deferred writes: outlives them, and fails when told.</summary>
internal sealed class FaultyJournal(bool hasLocks)
{
    private readonly MemoryJournal _inner = new(hasLocks);

    public int Count => _inner.Count;

    public StorageException? AppendError { get; set; }

    /// <summary>As a device that ends before it takes them out.</summary>
    public bool KeepsAll { get; set; }

    /// <summary>Whether it does not note that an entry has failed.</summary>
    public bool MarksNothing { get; set; }

    /// <summary>What to do when an entry is noted as one that has failed, before anybody is told.</summary>
    public Action? Marked { get; set; }

    public Tab NewTab() => new(this, _inner.NewTab());

    /// <summary>A tab's part in it, and with it the tab's end.</summary>
    internal sealed class Tab(FaultyJournal device, IDeferredJournal inner) : IDeferredJournal
    {
        private int _given;

        /// <summary>Whether this tab alone has no network.</summary>
        public bool IsCut { get; set; }

        public bool HasCrashed { get; private set; }

        /// <summary>How many entries of others it was given.</summary>
        public int Given => Volatile.Read(ref _given);

        /// <summary>The tab's process is killed: it sends, hears and keeps nothing from now on.</summary>
        public void Crash()
        {
            (IsCut, HasCrashed) = (true, true);
            _ = inner.DisposeAsync().AsTask();
        }

        public async ValueTask<IReadOnlyList<JournalEntry>> OpenAsync(TabId queue, bool inherits, CancellationToken cancellationToken) =>
            Count(await inner.OpenAsync(queue, inherits, cancellationToken));

        public async ValueTask<IReadOnlyList<JournalEntry>> WaitForLeftAsync() => Count(await inner.WaitForLeftAsync());

        public ValueTask AppendAsync(JournalEntry entry) => device.AppendError is { } error ? ValueTask.FromException(error) : Alive(() => inner.AppendAsync(entry));

        public async ValueTask ReplaceAsync(JournalEntry entry)
        {
            if (!device.MarksNothing) await Alive(() => inner.ReplaceAsync(entry));
            device.Marked?.Invoke();
        }

        public ValueTask RemoveAsync(IReadOnlyList<JournalEntry> entries) => device.KeepsAll ? ValueTask.FromException(new StorageException("The device has ended.")) : Alive(() => inner.RemoveAsync(entries));

        public ValueTask DisposeAsync() => inner.DisposeAsync();

        private ValueTask Alive(Func<ValueTask> step) => HasCrashed ? ValueTask.FromException(new StorageException("The tab has ended.")) : step();

        private IReadOnlyList<JournalEntry> Count(IReadOnlyList<JournalEntry> entries)
        {
            Interlocked.Add(ref _given, entries.Count);
            return entries;
        }
    }
}
