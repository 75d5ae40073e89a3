using DataSync.Contracts;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>Each block's checksum, version and time, and blocks that are freed and come back, also after a recovery.</summary>
public sealed class BlockMetadataTests : IDisposable
{
    private readonly Cluster _cluster = new();

    [Theory]
    [InlineData(ChecksumKind.FastHash)]
    [InlineData(ChecksumKind.Crc32)]
    public void A_store_keeps_the_checksum_that_it_was_created_with(ChecksumKind kind)
    {
        _cluster.Options.CheckpointLogRecords = 2;
        _cluster.Wait(_cluster.Start(() => new MemoryBlockStore(_cluster.Medium, kind).OpenAsync(default).AsTask()));
        var tab = _cluster.Open();
        for (var i = 0; i < 5; i++) Write(tab, i, (byte)(i + 1));
        _cluster.Run(0.1);
        var other = kind == ChecksumKind.Crc32 ? ChecksumKind.FastHash : ChecksumKind.Crc32;
        using var image = _cluster.Load().Image; // from extents and log, both verified
        Assert.NotNull(_cluster.Medium.GetRecord(StoreRecordKind.Extent, 0));
        for (var i = 0; i < 5; i++)
        {
            var bytes = image.Find(0)!.Block(i);
            Assert.Equal(Checksum.Compute(kind, bytes), image.Find(0)![i].Checksum);
            Assert.NotEqual(Checksum.Compute(other, bytes), image.Find(0)![i].Checksum);
            Assert.Equal(tab.Pipeline.Storage.GetMetadata(i), image.Find(0)![i]);
        }

        // A flipped bit is found by this checksum, on demand and on load, and the block is named.
        var damaged = _cluster.Medium.GetRecord(StoreRecordKind.Extent, 0)!;
        damaged[Extent.HeaderSize + 2 * Extent.BlockSize + 7] ^= 4;
        _cluster.Medium.SetRecord(StoreRecordKind.Extent, 0, damaged);
        var progress = new List<RecoveryProgress>();
        var report = _cluster.Wait(_cluster.Start(() => tab.Pipeline.VerifyAsync(progress: new Listener(progress))));
        Assert.Equal([2L], Assert.Single(report.Findings).Blocks);
        Assert.Equal(report.Extents + report.LogRecords, progress[^1].Records);
        Assert.Empty(_cluster.Wait(_cluster.Start(() => tab.Pipeline.VerifyAsync(RecoveryMode.Skip))).Findings);
        Assert.Equal([2L], Assert.Throws<CorruptStoreException>(() => _cluster.Load()).Report!.Findings[0].Blocks);
        Assert.Equal(5, tab.Pipeline.Position.Marker);
    }

    [Fact]
    public void Writing_the_same_bytes_raises_version_and_time_of_the_touched_blocks_and_of_no_other()
    {
        var tab = _cluster.Open();
        Write(tab, 0, 1);
        Write(tab, 1, 2);
        var storage = tab.Pipeline.Storage;
        var (first, second) = (storage.GetMetadata(0), storage.GetMetadata(1));
        Assert.Equal((1L, 2L), (first.Version, second.Version));
        Assert.Equal(_cluster.Time.GetUtcNow().ToUnixTimeMilliseconds(), second.LastModifiedMs, 10.0);
        _cluster.Run(5);
        Write(tab, 1, 2);
        var again = storage.GetMetadata(1);
        Assert.Equal((3L, second.Checksum, true), (again.Version, again.Checksum, again.IsPresent));
        Assert.InRange(again.LastModifiedMs - second.LastModifiedMs, 5000, 5100);
        Assert.Equal(first, storage.GetMetadata(0));
        Assert.Equal(default, storage.GetMetadata(2));
        using var image = _cluster.Load().Image;
        Assert.Equal((first, again), (image.Find(0)![0], image.Find(0)![1]));
    }

    [Theory]
    [InlineData(512)]
    [InlineData(2)]
    public void Freed_blocks_stay_freed_after_a_recovery_and_are_empty_when_they_come_back(int checkpointRecords)
    {
        _cluster.Options.CheckpointLogRecords = checkpointRecords;
        var tab = _cluster.Open();
        for (var i = 0; i < 70; i++) Write(tab, i, 9);
        Transact(tab, storage => storage.Truncate(2 * Extent.BlockSize));
        Transact(tab, storage => storage.Write(66L * Extent.BlockSize + 5, [7]));
        _cluster.Run(0.1);
        AssertState(tab.Pipeline.Storage.GetMetadata);
        tab.CloseTab();
        var next = _cluster.Open();
        _cluster.Run(0.5);
        Assert.Equal(72, next.Pipeline.Position.Marker);
        AssertState(next.Pipeline.Storage.GetMetadata);
        var bytes = new byte[Extent.BlockSize];
        next.Pipeline.Storage.Read(65L * Extent.BlockSize, bytes);
        Assert.Equal(new byte[Extent.BlockSize], bytes);
        next.Pipeline.Storage.Read(66L * Extent.BlockSize, bytes);
        Assert.Equal([0, 0, 0, 0, 0, 7, 0], bytes[..7]);

        static void AssertState(Func<long, BlockMetadata> get)
        {
            Assert.Equal((2L, true), (get(1).Version, get(1).IsPresent));
            foreach (var block in new[] { 2, 40, 63, 64, 69 }) Assert.Equal((71L, false, 0UL), (get(block).Version, get(block).IsPresent, get(block).Checksum));
            Assert.Equal((72L, true), (get(66).Version, get(66).IsPresent));
        }
    }

    public void Dispose() => _cluster.Dispose();

    private void Write(ClusterTab tab, long block, byte value)
    {
        var bytes = new byte[Extent.BlockSize];
        bytes.AsSpan().Fill(value);
        Transact(tab, storage => storage.Write(block * Extent.BlockSize, bytes));
    }

    private void Transact(ClusterTab tab, Action<BlockStorage> work)
    {
        _cluster.Wait(_cluster.Start(async () =>
        {
            using var turn = await tab.Pipeline.BeginWriteAsync(exclusive: true);
            var storage = tab.Pipeline.Storage;
            storage.EnterRead();
            Assert.Null(storage.TryBeginBatch());
            work(storage);
            storage.CommitBatch();
            storage.ExitRead();
            turn.Dispose();
            return (await turn.Outcome).IsStale;
        }));
    }

    private sealed class Listener(List<RecoveryProgress> list) : IProgress<RecoveryProgress>
    {
        public void Report(RecoveryProgress value) => list.Add(value);
    }
}
