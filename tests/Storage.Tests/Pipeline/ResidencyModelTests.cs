using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>
/// Three tabs that keep next to nothing in memory write, crash, miss messages, load and read at random. Whatever block a tab shows at a marker must be what the history says it was there.
/// </summary>
public sealed class ResidencyModelTests : IDisposable
{
    private const int Blocks = 5 * Extent.BlockCount;
    private readonly Cluster _cluster = new();
    private readonly Dictionary<long, int[]> _history = new() { [0] = new int[Blocks] }; // by marker: what each block holds
    private readonly Dictionary<CommitId, Dictionary<int, int>> _writes = [];
    private Random _random = new(0);
    private int _value;

    public void Dispose()
    {
        Sabotage.Remove(Guard.None);
        _cluster.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void No_tab_shows_a_mixture(int seed) => Assert.True(Run(seed, steps: 250) > 100);

    [Theory]
    [InlineData(Guard.ExtentVersion)]
    [InlineData(Guard.EvictClean)]
    public void Without_a_guard_one_does(object guard)
    {
        Sabotage.Remove((Guard)guard);
        for (var seed = 1; seed <= 8; seed++)
        {
            try
            {
                using var test = new ResidencyModelTests();
                Sabotage.Remove((Guard)guard);
                test.Run(seed, steps: 250);
            }
            catch (Exception)
            {
                return;
            }
        }

        Assert.Fail($"Nothing noticed that {guard} is missing.");
    }

    /// <returns>How many blocks were looked at after they had been loaded.</returns>
    private int Run(int seed, int steps)
    {
        _random = new(seed);
        _cluster.Options.CheckpointLogRecords = 3;
        _cluster.Residency = Residency.OnDemand(2L * Extent.MaxRecordSize);
        for (var i = 0; i < 3; i++) Open();
        _cluster.Run(1);
        var loaded = 0;
        for (var step = 0; step < steps; step++)
        {
            var tabs = _cluster.Live.ToArray();
            var tab = tabs[_random.Next(tabs.Length)];
            switch (_random.Next(12))
            {
                case < 5:
                    Write(tab);
                    break;
                case < 9:
                    loaded += Read(tab);
                    break;
                case 9:
                    var lost = _random.Next(3) == 0;
                    _cluster.Route = () => lost ? [] : [TimeSpan.FromMilliseconds(_random.NextDouble() * 20)];
                    break;
                case 10:
                    _cluster.Run(_random.NextDouble() * 3);
                    break;
                case 11 when _random.Next(6) == 0:
                    _cluster.Do(tab.Crash);
                    _cluster.Run(7);
                    Open();
                    break;
            }

            foreach (var live in _cluster.Live) Check(live);
        }

        return loaded;
    }

    private void Open()
    {
        var route = _cluster.Route;
        _cluster.Route = () => [TimeSpan.FromMilliseconds(0.2)];
        var tab = _cluster.Open();
        _cluster.Route = route;
    }

    // What it read must be of the marker at which the reader stands, also when loading takes several steps and others write meanwhile.
    private int Read(ClusterTab tab)
    {
        var storage = tab.Pipeline.Storage;
        var (count, start) = (_random.Next(1, 4), _random.Next(Blocks));
        var keepsReading = _random.Next(3) == 0;
        if (keepsReading) _cluster.Do(storage.EnterRead);
        foreach (var block in Enumerable.Range(start, count).Select(b => b % Blocks))
        {
            if (ValueAt(storage, block) is not null) continue;
            var loading = _cluster.Start(async () =>
            {
                await tab.Pipeline.Extents.LoadWantedAsync(_random.Next(3), default);
                return true;
            });
            for (var i = 0; i < 5 && !loading.IsCompleted; i++)
            {
                if (_random.Next(2) == 0) Write(_cluster.Live.ElementAt(_random.Next(_cluster.Live.Count())), waits: false);
                _cluster.Run(_random.NextDouble() * 0.1);
                Check(tab);
            }
        }

        if (keepsReading) _cluster.Do(storage.ExitRead);
        return count;
    }

    private void Write(ClusterTab tab, bool waits = true)
    {
        var writes = new Dictionary<int, int>();
        var start = _random.Next(Blocks);
        for (var i = _random.Next(1, 6); i > 0; i--) writes[(start + _random.Next(90)) % Blocks] = ++_value;
        var isBroken = _random.Next(6) == 0;
        var writing = _cluster.Start(async () =>
        {
            try
            {
                using var slot = await tab.Pipeline.BeginWriteAsync(exclusive: _random.Next(2) == 0);
                var storage = tab.Pipeline.Storage;
                storage.EnterRead();
                if (storage.TryBeginBatch() is null)
                {
                    foreach (var (block, value) in writes) storage.Write((long)block * Extent.BlockSize, BlockOf(value));
                    if (isBroken) storage.RollbackBatch();
                    else
                    {
                        storage.CommitBatch();
                        _writes[storage.Top.Commit] = writes;
                    }
                }

                storage.ExitRead();
                slot.Dispose();
                return !(await slot.Outcome).IsStale;
            }
            catch (StorageException)
            {
                return false;
            }
        });
        for (var i = 0; waits && i < 20 && !writing.IsCompleted; i++) _cluster.Run(0.05);
    }

    private void Check(ClusterTab tab)
    {
        var storage = tab.Pipeline.Storage;
        if (storage.ChainLength > 0 || storage.InBatch || StateAt(storage.Durable) is not { } expected) return;
        for (var block = 0; block < Blocks; block++)
        {
            if (ValueAt(storage, block) is { } value)
                Assert.True(expected[block] == value, $"Block {block} holds {value} at marker {storage.Durable.Marker}, where it is {expected[block]}.");
        }

        storage.TakeWanted();
    }

    // From the markers that tabs have shown; each commit's writer said what it wrote.
    private int[]? StateAt(Position position)
    {
        if (_history.TryGetValue(position.Marker, out var known)) return known;
        var store = _cluster.Load();
        var first = store.Image.Position.Marker - store.RecentCommits.Count + 1;
        for (var i = 0; i < store.RecentCommits.Count; i++)
        {
            var marker = first + i;
            if (_history.ContainsKey(marker) || !_history.TryGetValue(marker - 1, out var before)) continue;
            var after = (int[])before.Clone();
            foreach (var (block, value) in _writes[store.RecentCommits[i]]) after[block] = value;
            _history[marker] = after;
        }

        store.Image.Dispose();
        return _history[position.Marker];
    }

    private static byte[] BlockOf(int value)
    {
        var bytes = new byte[Extent.BlockSize];
        BitConverter.TryWriteBytes(bytes, value);
        return bytes;
    }

    private static int? ValueAt(BlockStorage storage, int block)
    {
        try
        {
            Span<byte> bytes = stackalloc byte[4];
            storage.Read((long)block * Extent.BlockSize, bytes);
            return BitConverter.ToInt32(bytes);
        }
        catch (NotResidentException)
        {
            return null;
        }
    }
}
