using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Server.Tests;

/// <summary>Clients that are the tabs of one browser: each has a factory of its own, and they can talk to each other.</summary>
internal sealed class TestBrowser : IAsyncDisposable
{
    private readonly InMemoryBrowser _browser = new();
    private readonly Dictionary<string, InMemoryCommitBus> _buses = [];
    private readonly Lock _gate = new();

    private readonly Dictionary<string, MemoryBlockMedium> _copies = [];
    private readonly Dictionary<string, MemoryJournal> _journals = [];

    public List<Tab> Tabs { get; } = [];

    /// <summary>Whether it keeps copies of what is opened, and deferred writes.</summary>
    public bool KeepsCopies { get; init; }

    /// <summary>What the copy is kept in that its only database has.</summary>
    public MemoryBlockMedium Copy
    {
        get
        {
            lock (_gate) return _copies.Values.Single();
        }
    }

    /// <summary>How many deferred writes are kept.</summary>
    public int KeptWrites
    {
        get
        {
            lock (_gate) return _journals.Values.Sum(journal => journal.Count);
        }
    }

    /// <summary>Whether there is a copy of anything.</summary>
    public bool HasCopies
    {
        get
        {
            lock (_gate) return _copies.Values.Any(copy => copy.GetRecord(StoreRecordKind.Head, 0) is { } head && HeadCodec.Decode(head).Epoch != default);
        }
    }

    /// <summary>Where the copy's history ends; 0 while there is none.</summary>
    public async Task<long> CopyEndAsync()
    {
        var copy = new MemoryBlockStore(Copy);
        await using var end = copy;
        return (await copy.OpenAsync(default)).Epoch == default ? 0 : (await Recovery.VerifyAsync(copy)).Position.Marker;
    }

    /// <summary>A tab that has the database open.</summary>
    public async Task<Tab> OpenAsync(int port, Action<DataSyncRemoteOptions>? configure = null, DataSyncOptions? options = null)
    {
        var tab = NewTab(port, configure, options);
        tab.Database = await tab.Factory.OpenAsync(TestServer.Database);
        return tab;
    }

    public Tab NewTab(int port, Action<DataSyncRemoteOptions>? configure = null, DataSyncOptions? options = null)
    {
        var remote = new DataSyncRemoteOptions { MaxReconnectDelay = TimeSpan.FromMilliseconds(500) };
        configure?.Invoke(remote);
        var tab = new Tab(remote.UserKey?.Invoke());
        var place = new RemotePlace(new($"ws://127.0.0.1:{port}/datasync"), remote.Copy(), TimeProvider.System, NullLogger.Instance, scope => Join(scope, tab), KeepsCopies ? NewCopy : null, KeepsCopies ? JournalOf : null);
        SqliteNative.Initialize();
        tab.Factory = new DataSyncFactory(place, options ?? new());
        Tabs.Add(tab);
        return tab;
    }

    /// <summary>The channel of one who is no tab, to post what he likes.</summary>
    public ICommitChannel NewChannel(string scope)
    {
        lock (_gate)
        {
            if (!_buses.TryGetValue(scope, out var bus)) _buses.Add(scope, bus = new());
            return bus.CreateChannel();
        }
    }

    public InMemoryTabPlatform NewPlatform() => _browser.OpenTab();

    public async ValueTask DisposeAsync()
    {
        foreach (var tab in Tabs) await tab.Factory.DisposeAsync();
        _browser.Dispose();
    }

    /// <summary>The tab is closed.</summary>
    public async Task CloseAsync(Tab tab)
    {
        Tabs.Remove(tab);
        await tab.Factory.DisposeAsync();
    }

    private IDeferredJournal JournalOf(string scope)
    {
        lock (_gate)
        {
            if (!_journals.TryGetValue(scope, out var journal)) _journals.Add(scope, journal = new());
            return journal.NewTab();
        }
    }

    private MemoryBlockStore NewCopy(string scope)
    {
        lock (_gate)
        {
            if (!_copies.TryGetValue(scope, out var medium)) _copies.Add(scope, medium = new());
            return new(medium);
        }
    }

    private (ITabPlatform Platform, ICommitChannel Channel) Join(string scope, Tab tab)
    {
        (tab.Scope, tab.Platform) = (scope, _browser.OpenTab());
        return (tab.Platform, NewChannel(scope));
    }

    internal sealed class Tab(string? user)
    {
        public string? User => user;

        public DataSyncFactory Factory { get; set; } = null!;

        public DataSyncDatabase Database { get; set; } = null!;

        /// <summary>By which it is elected as the gateway.</summary>
        public InMemoryTabPlatform Platform { get; set; } = null!;

        public string Scope { get; set; } = "";
    }
}
