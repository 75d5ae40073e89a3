using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>The copy of a store that a tab keeps: always a state that the store had, and in the end the store's own.</summary>
public sealed class CopyKeeperTests : IDisposable
{
    private readonly Cluster _cluster = new();
    private readonly MemoryBlockMedium _medium = new();
    private readonly List<TestCopy> _copies = [];

    public CopyKeeperTests() => _cluster.NewStore = () =>
    {
        _copies.Add(new(_medium));
        return new StoreWithCopy(new MemoryBlockStore(_cluster.Medium), _copies[^1]);
    };

    public void Dispose()
    {
        Sabotage.Remove(Guard.None);
        _cluster.Dispose();
    }

    [Fact]
    public void What_follows_goes_behind_it_and_is_folded_now_and_then()
    {
        var tabs = _cluster.Open(2);
        _copies[1].IsKeptHere = true;
        for (ulong i = 0; i < 700; i++) _cluster.Wait(_cluster.Start(() => tabs[i % 3 == 0 ? 0 : 1].AppendAsync(i)));
        _cluster.Run(2);
        AssertIsWhole();
        Assert.InRange(ReadCopy().LogRecords, 0, 499);
        Assert.Equal(0, _copies[0].Writes);
        Assert.InRange(_copies[1].Writes, 2, 200); // together
    }

    [Fact]
    public void A_commit_of_ones_own_keeps_the_order_of_the_epochs()
    {
        var tabs = _cluster.Open(3);
        var keeper = tabs[2];
        _copies[2].IsKeptHere = true;
        for (ulong i = 0; i < 4; i++)
        {
            _cluster.Wait(_cluster.Start(() => keeper.AppendAsync(100 + i)));
            _cluster.Wait(_cluster.Start(() => _cluster.Leader.AppendAsync(i)));
            _cluster.Run(1);
            AssertIsWhole();
            if (i == 1) _cluster.Leader.Crash();
            _cluster.Run(8);
        }
    }

    [Fact]
    public void Whoever_goes_on_with_it_reads_what_it_has_not_seen()
    {
        var tabs = _cluster.Open(3);
        _copies[1].IsKeptHere = true;
        _cluster.Wait(_cluster.Start(() => tabs[0].AppendAsync(1)));
        _cluster.Run(1);
        _copies[1].IsKeptHere = false;
        for (ulong i = 2; i < 9; i++) _cluster.Wait(_cluster.Start(() => tabs[0].AppendAsync(i)));
        _copies[2].IsKeptHere = true;
        _cluster.Run(3);
        AssertIsWhole();
        Assert.False(_copies[2].HasReplaced);
    }

    [Fact]
    public void A_full_disk_leaves_it_as_it_was_until_there_is_room()
    {
        var tabs = _cluster.Open(2);
        _copies[1].IsKeptHere = true;
        _cluster.Wait(_cluster.Start(() => tabs[0].AppendAsync(1)));
        _cluster.Run(1);
        var end = ReadCopy().Image.Position;
        _copies[1].Fails = () => new StorageQuotaException();
        for (ulong i = 2; i < 9; i++) _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(i)));
        _cluster.Run(600);
        Assert.Equal(end, ReadCopy().Image.Position);
        Assert.InRange(_copies[1].Failures, 3, 15); // seldom
        _copies[1].Fails = null;
        _cluster.Run(400);
        AssertIsWhole();
    }

    [Fact]
    public void What_waits_is_written_when_the_tab_closes()
    {
        var tabs = _cluster.Open(2);
        _copies[1].IsKeptHere = true;
        _cluster.Run(2);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(1)));
        Task? closing = null;
        _cluster.Do(() => closing = tabs[1].Pipeline.DisposeAsync().AsTask());
        _cluster.Run(0.1);
        Assert.True(closing!.IsCompletedSuccessfully);
        AssertIsWhole();
    }

    [Fact]
    public void A_copy_that_hangs_keeps_no_tab_open()
    {
        var tabs = _cluster.Open(2);
        _copies[1].IsKeptHere = true;
        _copies[1].Pause = () => Task.Delay(Timeout.InfiniteTimeSpan, _cluster.Time);
        _cluster.Wait(_cluster.Start(() => tabs[1].AppendAsync(1)));
        _cluster.Run(1);
        Task? closing = null;
        _cluster.Do(() => closing = tabs[1].Pipeline.DisposeAsync().AsTask());
        _cluster.Run(2);
        Assert.True(closing!.IsCompletedSuccessfully);
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void It_is_always_a_state_that_the_store_had_whatever_happens(int seed)
    {
        var random = new Random(seed);
        _cluster.Options.CheckpointLogRecords = random.Next(2) == 0 ? 8 : 100;
        _cluster.Open(3);
        ulong tag = 0;
        for (var step = 0; step < 60; step++)
        {
            var live = _cluster.Live.ToList();
            var which = random.Next(live.Count);
            switch (random.Next(12))
            {
                case 0 when live.Count > 2:
                    live[which].Crash();
                    break;
                case 1 when live.Count < 4:
                    _cluster.Open();
                    break;
                case 2 or 3:
                    _copies[random.Next(_copies.Count)].IsKeptHere ^= true; // none, or several, too
                    break;
                case 4:
                    _copies[random.Next(_copies.Count)].Fails = random.Next(2) == 0 ? null : () => random.Next(3) switch
                    {
                        0 => null,
                        1 => new StorageException("Not now."),
                        _ => new StorageClosedException(StoreClosedReason.Lost),
                    };
                    break;
                case 5:
                    var pause = random.Next(3) * 700;
                    _copies[random.Next(_copies.Count)].Pause = pause == 0 ? null : () => Task.Delay(TimeSpan.FromMilliseconds(pause), _cluster.Time);
                    break;
                case 6:
                    _cluster.Run(random.NextDouble() * 8);
                    break;
                default:
                    for (var i = random.Next(1, 12); i > 0; i--)
                    {
                        var mine = ++tag;
                        var writer = live[random.Next(live.Count)];
                        if (writer.IsAlive) _cluster.Do(() => _ = writer.AppendAsync(mine));
                    }

                    _cluster.Run(random.NextDouble());
                    break;
            }

            if (_medium.GetRecord(StoreRecordKind.Head, 0) is null) continue;
            var copy = ReadCopy();
            if (copy.Head.Epoch != default) AssertIsPrefix(copy);
        }

        // The last fault is over.
        foreach (var copy in _copies) (copy.IsKeptHere, copy.Fails, copy.Pause) = (false, null, null);
        var last = _cluster.Open();
        _copies[^1].IsKeptHere = true;
        _cluster.Run(40);
        _cluster.Wait(_cluster.Start(() => last.AppendAsync(++tag)));
        _cluster.Run(40);
        AssertIsWhole();
    }

    [Theory]
    [InlineData((int)Guard.CopyExpected)]
    [InlineData((int)Guard.CopyGap)]
    public void A_missing_guard_is_found(int guard)
    {
        for (var seed = 1; seed <= 400; seed++)
        {
            using var again = new CopyKeeperTests();
            Sabotage.Remove((Guard)guard);
            try
            {
                again.It_is_always_a_state_that_the_store_had_whatever_happens(seed);
            }
            catch (Exception error) when (error is Xunit.Sdk.XunitException or StorageException)
            {
                return;
            }
        }

        Assert.Fail($"{(Guard)guard} was not missed.");
    }

    public static TheoryData<int> Seeds()
    {
        var first = int.TryParse(Environment.GetEnvironmentVariable("DATASYNC_COPY_FROM"), out var from) ? from : 1;
        return [.. Enumerable.Range(first, int.TryParse(Environment.GetEnvironmentVariable("DATASYNC_COPY_SEEDS"), out var seeds) ? seeds : 40)];
    }

    private RecoveredStore ReadCopy()
    {
        var store = new MemoryBlockStore(_medium);
        var head = store.OpenAsync(default).AsTask().GetAwaiter().GetResult();
        var copy = Recovery.LoadAsync(store, head, new RecoveryOptions(), default).AsTask().GetAwaiter().GetResult();
        Assert.False(copy.NeedsRepair);
        return copy;
    }

    private void AssertIsWhole()
    {
        var (copy, store) = (ReadCopy(), _cluster.Load());
        Assert.Equal(store.Image.Position, copy.Image.Position);
        Assert.Equal(store.Head.Incarnation, copy.Head.Incarnation);
        AssertSame(store.Image, copy.Image);
        Assert.Equal(store.RecentCommits[^1], copy.RecentCommits[^1]);
    }

    // A history has each list of tags in it once; what was appended at a marker stays.
    private void AssertIsPrefix(RecoveredStore copy)
    {
        var (all, some) = (ListOf(_cluster.Load().Image), ListOf(copy.Image));
        Assert.True(some.Count <= all.Count && all.Take(some.Count).SequenceEqual(some), $"The copy holds {string.Join(' ', some)}, the store {string.Join(' ', all)}.");
    }

    private static void AssertSame(BlockImage expected, BlockImage actual)
    {
        Assert.Equal(expected.FileSize, actual.FileSize);
        Assert.Equal(expected.Blocks, actual.Blocks);
        foreach (var id in expected.Blocks)
        {
            var (index, block) = ((int)(id / Extent.BlockCount), (int)(id % Extent.BlockCount));
            Assert.True(expected.Find(index)!.Block(block).SequenceEqual(actual.Find(index)!.Block(block)), $"Block {id} differs.");
        }
    }

    private static IReadOnlyList<ulong> ListOf(BlockImage image)
    {
        using var storage = new BlockStorage(new NoOwner(), image, ChecksumKind.FastHash, TabId.New(TimeProvider.System), TimeProvider.System);
        return ClusterTab.ReadList(storage);
    }

    private sealed class NoOwner : IBatchOwner
    {
        public string? TryBeginBatch() => "It is only read.";

        public void OnSealed(CommitRecord commit)
        {
        }

        public void OnBatchEnded()
        {
        }

        public void OnIdle()
        {
        }
    }

    private sealed class StoreWithCopy(IBlockStore inner, IStoreCopy copy) : IBlockStore
    {
        public event Action<StoreClosedReason>? Closed
        {
            add => inner.Closed += value;
            remove => inner.Closed -= value;
        }

        public IStoreCopy? Copy => copy;

        public ValueTask<Head> OpenAsync(CancellationToken cancellationToken) => inner.OpenAsync(cancellationToken);

        public ValueTask<Head> RaiseEpochAsync(Guid incarnation, Epoch proposed, TabId holder, CancellationToken cancellationToken) => inner.RaiseEpochAsync(incarnation, proposed, holder, cancellationToken);

        public ValueTask AppendAsync(Fence fence, IReadOnlyList<CommitRecord> commits, CancellationToken cancellationToken) => inner.AppendAsync(fence, commits, cancellationToken);

        public ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken) => inner.ReadAsync(request, cancellationToken);

        public ValueTask CheckpointAsync(Fence fence, Checkpoint checkpoint, CancellationToken cancellationToken) => inner.CheckpointAsync(fence, checkpoint, cancellationToken);

        public ValueTask DeleteAsync(CancellationToken cancellationToken) => inner.DeleteAsync(cancellationToken);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }

    /// <summary>One tab's way to the copy.</summary>
    private sealed class TestCopy(MemoryBlockMedium medium) : IStoreCopy, ICopyStore
    {
        private readonly MemoryBlockStore _store = new(medium);

        public event Action<StoreClosedReason>? Closed
        {
            add => _store.Closed += value;
            remove => _store.Closed -= value;
        }

        public bool IsReadFrom => false;

        public bool IsKeptHere { get; set; }

        public int Writes { get; private set; }

        public int Failures { get; private set; }

        public bool HasReplaced { get; private set; }

        /// <summary>What a write fails with, before or after it was done.</summary>
        public Func<StorageException?>? Fails { get; set; }

        /// <summary>What comes before it is written.</summary>
        public Func<Task>? Pause { get; set; }

        public void OnInstalled()
        {
        }

        public ValueTask ForgetAsync(CancellationToken cancellationToken) => _store.DeleteAsync(cancellationToken);

        public async ValueTask<ICopyStore?> OpenToWriteAsync(CancellationToken cancellationToken)
        {
            await _store.OpenAsync(cancellationToken);
            return this;
        }

        public async ValueTask AdoptAsync(Adoption adoption, CancellationToken cancellationToken)
        {
            if (Pause is { } pause) await pause();
            if (Fails?.Invoke() is { } error)
            {
                Failures++;
                if (error is StorageClosedException) await _store.AdoptAsync(adoption, cancellationToken); // the answer is lost
                throw error;
            }

            Writes++;
            HasReplaced |= adoption.ReplacesAll;
            await _store.AdoptAsync(adoption, cancellationToken);
        }

        public ValueTask ReadAsync(StoreRead request, CancellationToken cancellationToken) => _store.ReadAsync(request, cancellationToken);

        public ValueTask<Head> OpenAsync(CancellationToken cancellationToken) => _store.OpenAsync(cancellationToken);

        public ValueTask DeleteAsync(CancellationToken cancellationToken) => _store.DeleteAsync(cancellationToken);

        public ValueTask DisposeAsync() => _store.DisposeAsync();

        ValueTask<Head> IBlockStore.RaiseEpochAsync(Guid incarnation, Epoch proposed, TabId holder, CancellationToken cancellationToken) => throw new NotSupportedException();

        ValueTask IBlockStore.AppendAsync(Fence fence, IReadOnlyList<CommitRecord> commits, CancellationToken cancellationToken) => throw new NotSupportedException();

        ValueTask IBlockStore.CheckpointAsync(Fence fence, Checkpoint checkpoint, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
