using System.Buffers.Binary;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>Several tabs with real coordinators and pipelines over one store, under virtual time, on one thread.</summary>
internal sealed class Cluster : IDisposable
{
    public const string Scope = "app.db";

    public Cluster(bool webLocks = true) => Browser = new InMemoryBrowser(Time, webLocks);

    public VirtualClock Time { get; } = new();

    public InMemoryBrowser Browser { get; }

    public MemoryBlockMedium Medium { get; } = new();

    public InMemoryCommitBus Bus { get; } = new();

    public List<ClusterTab> Tabs { get; } = [];

    /// <summary>Delays of one delivery on the data channel; empty: lost, two: doubled.</summary>
    public Func<IReadOnlyList<TimeSpan>> Route { get; set; } = () => [TimeSpan.FromMilliseconds(0.2)];

    public PipelineOptions Options { get; } = new();

    /// <summary>Makes the store of a tab that opens from here on; null: one on the medium.</summary>
    public Func<IBlockStore>? NewStore { get; set; }

    /// <summary>How much of the database the tabs that open from here on keep in memory.</summary>
    public Residency Residency { get; set; } = Residency.Full;

    public IEnumerable<ClusterTab> Live => Tabs.Where(t => t.IsAlive);

    public ClusterTab Leader => Live.Single(t => t.Pipeline.IsLeading);

    public ClusterTab Open(bool isObserver = false)
    {
        Run(0.002);
        var tab = new ClusterTab(this, isObserver);
        Tabs.Add(tab);
        Task? opening = null;
        Do(() => opening = tab.Pipeline.OpenInPartAsync(null, Residency, default));
        Run(0.05);
        Assert.True(opening!.IsCompletedSuccessfully, opening.Exception?.ToString() ?? "The tab did not open.");
        return tab;
    }

    public ClusterTab[] Open(int count)
    {
        var tabs = Enumerable.Range(0, count).Select(_ => Open()).ToArray();
        Run(0.3);
        return tabs;
    }

    public void Run(double seconds) => Time.Advance(TimeSpan.FromSeconds(seconds));

    /// <summary>Runs until the task ends, at most so long, and returns its result or throws its error.</summary>
    public T Wait<T>(Task<T> task, double seconds = 60)
    {
        for (var passed = 0.0; !task.IsCompleted && passed < seconds; passed += 0.01) Run(0.01);
        Assert.True(task.IsCompleted, $"Still waiting after {seconds} s.");
        return task.GetAwaiter().GetResult();
    }

    /// <summary>Starts something on the virtual clock's thread of events, without xunit's context.</summary>
    public void Do(Action action) => Time.Do(action);

    public Task<T> Start<T>(Func<Task<T>> work)
    {
        Task<T>? task = null;
        Do(() => task = work());
        return task!;
    }

    /// <summary>What a newly opened store holds.</summary>
    public RecoveredStore Load()
    {
        var store = new MemoryBlockStore(Medium);
        var head = store.OpenAsync(default).AsTask().GetAwaiter().GetResult();
        return Recovery.LoadAsync(store, head, new RecoveryOptions(), default).AsTask().GetAwaiter().GetResult();
    }

    public void Dispose()
    {
        Browser.Dispose();
        GC.SuppressFinalize(this);
    }
}

/// <summary>One tab of a <see cref="Cluster"/>, and an application in it that appends tags to a list kept in the blocks.</summary>
internal sealed class ClusterTab
{
    private const int ListStart = Extent.BlockSize;
    private readonly Cluster _cluster;
    private readonly TabRig _rig;
    private readonly ObserverPlatform? _observer;
    private bool _isCut;

    public ClusterTab(Cluster cluster, bool isObserver)
    {
        _cluster = cluster;
        var platform = cluster.Browser.OpenTab();
        _observer = isObserver ? new(platform) : null;
        _rig = new TabRig(Cluster.Scope, platform, cluster.NewStore?.Invoke() ?? new MemoryBlockStore(cluster.Medium), new CutChannel(cluster.Bus.CreateChannel(Deliver), () => _isCut), cluster.Options, _observer);

        // Before and after each store operation the tab's own clock passes: a tab that is gone never comes back from it.
        Store.Before = Store.After = async _ =>
        {
            await _rig.Delay(0.2).ConfigureAwait(false);
            if (_isCut) throw new StorageClosedException(StoreClosedReason.Lost);
        };
        Pipeline.Committed += (_, e) => Seen.Add(e.Position.Marker);
        Pipeline.StatementRunner = Run;
    }

    public InMemoryTabPlatform Platform => _rig.Platform;

    public TabCoordinator Coordinator => _rig.Coordinator;

    public FaultyBlockStore Store => _rig.Store;

    public CommitPipeline Pipeline => _rig.Pipeline;

    public bool IsAlive { get; private set; } = true;

    /// <summary>Whether an observer's connection is away.</summary>
    public bool IsCut
    {
        get => _isCut;
        set => _isCut = _observer!.IsCut = value;
    }

    public List<long> Seen { get; } = [];

    /// <summary>How statements end here; null: they are run.</summary>
    public StatementEnd? RunsEnd { get; set; }

    /// <summary>How often statements were run here.</summary>
    public int Runs { get; private set; }

    public void Crash()
    {
        IsAlive = false;
        Platform.Crash();
    }

    public void CloseTab()
    {
        IsAlive = false;
        Platform.Close();
    }

    public IReadOnlyList<ulong> List() => ReadList(Pipeline.Storage);

    /// <summary>Appends a tag in one transaction, running it again while it is stale. Returns how often it ran.</summary>
    public async Task<int> AppendAsync(ulong tag, bool exclusive = false)
    {
        for (var attempt = 1; ; attempt++)
        {
            var turn = await Pipeline.BeginWriteAsync(exclusive || attempt > 2).ConfigureAwait(false);
            var refusal = TryAppend(tag);
            turn.Dispose();
            if (refusal is not null) continue;
            var outcome = await turn.Outcome.ConfigureAwait(false);
            if (!outcome.IsStale) return attempt;
        }
    }

    /// <summary>Has the leader append a tag. Fails where this tab has something else to write first.</summary>
    public Task<StatementOutcome> SendAsync(ulong tag, CancellationToken cancellationToken = default) =>
        Pipeline.TrySendStatements(BitConverter.GetBytes(tag), cancellationToken) ?? throw new InvalidOperationException("Something else comes first.");

    private StatementRun Run(byte[] body)
    {
        Runs++;
        if (RunsEnd is { } end) return new(end);
        var tag = BitConverter.ToUInt64(body);
        return TryAppend(tag) is null ? new(StatementEnd.Committed, new((int)tag, (long)tag * 2)) : new(StatementEnd.Failed);
    }

    /// <summary>Appends a tag at once, as SQLite would from a synchronous call; returns why not.</summary>
    public string? TryAppend(ulong tag) => TryAppend(Pipeline.Storage, tag);

    /// <inheritdoc cref="TryAppend(ulong)"/>
    public static string? TryAppend(BlockStorage storage, ulong tag)
    {
        storage.EnterRead();
        var refusal = storage.TryBeginBatch();
        if (refusal is null)
        {
            Span<byte> number = stackalloc byte[8];
            storage.Read(0, number);
            var count = BinaryPrimitives.ReadInt64LittleEndian(number);
            BinaryPrimitives.WriteUInt64LittleEndian(number, tag);
            storage.Write(ListStart + count * 8, number);
            BinaryPrimitives.WriteInt64LittleEndian(number, count + 1);
            storage.Write(0, number);
            storage.CommitBatch();
        }

        storage.ExitRead();
        return refusal;
    }

    public static IReadOnlyList<ulong> ReadList(BlockStorage storage) => ReadList((at, to) => storage.Read(at, to));

    public static IReadOnlyList<ulong> ReadList(BlockImage image)
    {
        return ReadList((at, to) =>
        {
            if (image.Find((int)(at / Extent.DataSize)) is not { } extent) to.Clear();
            else extent.RecordBytes.Slice(Extent.HeaderSize + (int)(at % Extent.DataSize), to.Length).CopyTo(to);
        });
    }

    private delegate void Reader(long offset, Span<byte> destination);

    private static List<ulong> ReadList(Reader read)
    {
        Span<byte> number = stackalloc byte[8];
        read(0, number);
        var count = BinaryPrimitives.ReadInt64LittleEndian(number);
        var list = new List<ulong>();
        for (var i = 0; i < count; i++)
        {
            read(ListStart + i * 8, number);
            list.Add(BinaryPrimitives.ReadUInt64LittleEndian(number));
        }

        return list;
    }

    private void Deliver(Action delivery)
    {
        if (_isCut) return;
        foreach (var delay in _cluster.Route()) Platform.Clock.CreateTimer(_ => delivery(), null, delay, Timeout.InfiniteTimeSpan);
    }
}
