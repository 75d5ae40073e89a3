using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>Images of which not everything is in memory: what is missing is asked for, comes in as it was, and leaves again.</summary>
public sealed class ResidencyTests : IDisposable
{
    private const int Extents = 6, ReadBlocks = Extents * Extent.BlockCount;
    private readonly Cluster _cluster = new();

    public void Dispose()
    {
        Sabotage.Remove(Guard.None);
        _cluster.Dispose();
    }

    [Fact]
    public void A_tab_opens_with_the_beginning_and_the_log_and_loads_what_is_needed()
    {
        var leader = OpenFilled();
        Write(leader, (70, 2)); // in the log, not in an extent yet
        var tab = OpenPartial(long.MaxValue);
        var storage = tab.Pipeline.Storage;
        Assert.Equal([1, 2, 3, 4, 5], storage.FindIncomplete());
        Assert.Equal(1, ValueAt(storage, 3));
        Assert.Equal(2, ValueAt(storage, 70)); // the log says it
        Assert.Throws<NotResidentException>(() => ValueAt(storage, 71));
        Assert.Throws<NotResidentException>(() => storage.GetMetadata(200));
        Assert.Equal(0, storage.GetReadAddress(71 * Extent.BlockSize, 100));
        Assert.Equal(2, storage.Misses);

        Load(tab, round: 0);
        Assert.Equal(1, ValueAt(storage, 71));
        Assert.Equal(2, ValueAt(storage, 70));
        Assert.Equal(1, storage.GetMetadata(200).Version);
        Assert.Equal(2, storage.GetMetadata(70).Version);
        Load(tab, all: true);
        Assert.Empty(storage.FindIncomplete());
        Assert.All(Enumerable.Range(0, ReadBlocks), block => Assert.Equal(block == 70 ? 2 : 1, ValueAt(storage, block)));
    }

    [Fact]
    public void An_extent_that_a_checkpoint_has_renewed_meanwhile_comes_in_when_the_image_is_as_new() => ReadBehindACheckpoint(out _, out _);

    [Fact]
    public void Without_the_look_at_versions_a_tab_shows_a_mixture()
    {
        Sabotage.Remove(Guard.ExtentVersion);
        Assert.ThrowsAny<Exception>(() => ReadBehindACheckpoint(out var first, out var second));
    }

    [Fact]
    public void What_is_written_over_a_missing_block_can_be_taken_back_and_is_missing_again()
    {
        var leader = OpenFilled();
        var tab = OpenPartial(long.MaxValue);
        var storage = tab.Pipeline.Storage;
        storage.EnterRead();
        _cluster.Do(() => Assert.Null(leader.Pipeline.Storage.TryBeginBatch()));
        _cluster.Do(leader.Pipeline.Storage.RollbackBatch);
        storage.ExitRead();

        var slot = _cluster.Wait(_cluster.Start(async () => await tab.Pipeline.BeginWriteAsync()));
        _cluster.Do(() =>
        {
            storage.EnterRead();
            Assert.Null(storage.TryBeginBatch());
            storage.Write(100 * Extent.BlockSize, BlockOf(7)); // whole: nobody needs to know what it was
            Assert.Throws<NotResidentException>(() => storage.Write(101 * Extent.BlockSize + 5, [1, 2, 3]));
            Assert.Equal(7, ValueAt(storage, 100));
            Assert.Equal(1, storage.FindIncomplete()[0]);
            storage.RollbackBatch();
            storage.ExitRead();
            Assert.Throws<NotResidentException>(() => ValueAt(storage, 100));
            slot.Dispose();
        });
        Load(tab);
        Assert.Equal(1, ValueAt(storage, 100));
        Assert.Equal(1, ValueAt(storage, 101));
    }

    [Fact]
    public void An_extent_that_comes_in_below_a_batch_is_what_the_batch_is_taken_back_to()
    {
        OpenFilled();
        var tab = OpenPartial(long.MaxValue);
        var storage = tab.Pipeline.Storage;
        var slot = _cluster.Wait(_cluster.Start(async () => await tab.Pipeline.BeginWriteAsync()));
        _cluster.Do(() =>
        {
            storage.EnterRead();
            Assert.Null(storage.TryBeginBatch());
            storage.Write(100 * Extent.BlockSize, BlockOf(7));
        });
        Load(tab, all: true);
        Assert.Equal(7, ValueAt(storage, 100));
        Assert.Equal(1, ValueAt(storage, 101));
        _cluster.Do(() =>
        {
            storage.RollbackBatch();
            storage.ExitRead();
            slot.Dispose();
        });
        Assert.Equal(1, ValueAt(storage, 100));
    }

    [Fact]
    public void Truncating_frees_what_is_missing()
    {
        OpenFilled().CloseTab();
        _cluster.Run(1);
        var tab = OpenPartial(long.MaxValue);
        _cluster.Run(10);
        _cluster.Wait(_cluster.Start(async () =>
        {
            using var slot = await tab.Pipeline.BeginWriteAsync();
            var storage = tab.Pipeline.Storage;
            storage.EnterRead();
            Assert.Null(storage.TryBeginBatch());
            storage.Truncate(2 * Extent.DataSize);
            storage.CommitBatch();
            storage.ExitRead();
            slot.Dispose();
            return await slot.Outcome;
        }));
        _cluster.Run(5);
        using var image = _cluster.Load().Image;
        Assert.Equal(2 * Extent.DataSize, image.FileSize);
        Assert.All(image.Blocks, block => Assert.True(block < 2 * Extent.BlockCount));
        Assert.Equal(2 * Extent.BlockCount, image.Blocks.Count());
    }

    [Fact]
    public void A_leader_loads_what_it_folds()
    {
        OpenFilled().CloseTab();
        _cluster.Run(1);
        _cluster.Options.CheckpointLogRecords = 3;
        var tab = OpenPartial(long.MaxValue);
        _cluster.Run(10);
        Assert.True(tab.Pipeline.IsLeading);
        for (var i = 0; i < 7; i++) Write(tab, (i * 50 + 3, 10 + i));
        _cluster.Run(1);
        Assert.True(tab.Pipeline.LogRecords < 4, $"{tab.Pipeline.LogRecords} records were not folded.");
        using var image = _cluster.Load().Image;
        foreach (var block in Enumerable.Range(0, ReadBlocks))
            Assert.Equal(block % 50 == 3 && block / 50 < 7 ? 10 + block / 50 : 1, BitConverter.ToInt32(image.Find(block / Extent.BlockCount)!.Block(block % Extent.BlockCount)));
    }

    [Fact]
    public void What_was_not_used_for_longest_leaves_memory_and_what_is_not_in_a_checkpoint_stays()
    {
        _cluster.Options.CheckpointLogRecords = 1000;
        var leader = OpenFilled();
        Write(leader, (4 * Extent.BlockCount, 5)); // stays in the log
        var tab = OpenPartial(3L * Extent.MaxRecordSize);
        var storage = tab.Pipeline.Storage;
        Load(tab, all: true);
        _cluster.Do(() => ValueAt(storage, 2 * Extent.BlockCount)); // used last
        _cluster.Do(tab.Pipeline.Extents.UnpinAll);
        Assert.Equal(3L * Extent.MaxRecordSize, storage.ResidentBytes);
        Assert.Equal([1, 3, 5], storage.FindIncomplete());
        Assert.Equal(5, ValueAt(storage, 4 * Extent.BlockCount));
        Load(tab, all: true);
        Assert.All(Enumerable.Range(0, ReadBlocks), block => Assert.Equal(block == 4 * Extent.BlockCount ? 5 : 1, ValueAt(storage, block)));
    }

    [Fact]
    public void Nothing_leaves_while_somebody_reads_or_compares()
    {
        OpenFilled();
        var tab = OpenPartial(1);
        var storage = tab.Pipeline.Storage;
        _cluster.Do(storage.EnterRead);
        Load(tab, all: true);
        Assert.Empty(storage.FindIncomplete());
        var past = storage.Remember();
        _cluster.Do(storage.ExitRead);
        _cluster.Run(3);
        Assert.Empty(storage.FindIncomplete());
        storage.Forget(past);
        _cluster.Run(3);
        Assert.Empty(storage.FindIncomplete());
        _cluster.Do(tab.Pipeline.Extents.UnpinAll);
        Assert.Equal(Extents - 1, storage.FindIncomplete().Length);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_was_read_in_part_before_everything_was_needed_does_not_come_in_behind_it(bool isBeingRead)
    {
        var leader = OpenFilled();
        var tab = OpenPartial(long.MaxValue);
        Load(tab, all: true);
        tab.Pipeline.Extents.UnpinAll();
        var storage = tab.Pipeline.Storage;
        _cluster.Options.CheckpointLogRecords = 1;
        leader.CloseTab();
        _cluster.Do(tab.Platform.Freeze);
        var other = _cluster.Open();
        _cluster.Run(10);
        Write(other, (70, 2));
        Write(other, (140, 3));
        _cluster.Run(5);
        Assert.Equal(0, other.Pipeline.LogRecords);

        // The log does not reach back to what this tab shows: the image is read anew, in part, and is either on its way or waits for a reader.
        var reading = isBeingRead ? tab.Store.HoldAt(StoreOperation.Read, nth: 2, after: true) : null;
        if (!isBeingRead) storage.EnterRead();
        _cluster.Do(tab.Platform.Thaw);
        _cluster.Run(1);
        Assert.Equal(1, storage.Durable.Marker);
        Assert.Empty(storage.FindIncomplete());
        var pinning = _cluster.Start(async () =>
        {
            await tab.Pipeline.Extents.PinAllAsync(default);
            return storage.FindIncomplete().Length;
        });
        _cluster.Run(1);
        if (reading is not null) _cluster.Do(reading.Release);
        if (!isBeingRead) _cluster.Do(storage.ExitRead);
        Assert.Equal(0, _cluster.Wait(pinning));
        _cluster.Run(5);
        Assert.Empty(storage.FindIncomplete());
        Assert.Equal((3, 2, 3), ((int)storage.Durable.Marker, ValueAt(storage, 70), ValueAt(storage, 140)));
    }

    [Fact]
    public void Damage_is_found_when_an_extent_is_loaded()
    {
        OpenFilled();
        var bytes = _cluster.Medium.GetRecord(StoreRecordKind.Extent, 3)!;
        bytes[Extent.HeaderSize + 17]++;
        _cluster.Medium.SetRecord(StoreRecordKind.Extent, 3, bytes);
        var tab = OpenPartial(long.MaxValue);
        Assert.Throws<CorruptStoreException>(() => Load(tab, all: true));
        var storage = tab.Pipeline.Storage;
        Assert.Contains(3, storage.FindIncomplete());
        Assert.Throws<NotResidentException>(() => ValueAt(storage, 3 * Extent.BlockCount));
        Assert.Null(tab.Pipeline.Fault);
    }

    [Fact]
    public void A_record_beyond_any_database_fails_the_opening()
    {
        OpenFilled();
        _cluster.Medium.SetRecord(StoreRecordKind.Extent, int.MaxValue, _cluster.Medium.GetRecord(StoreRecordKind.Extent, 3));
        var error = Assert.ThrowsAny<Exception>(() => OpenPartial(long.MaxValue));
        Assert.Contains("beyond any database", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Reading_on_brings_more_and_more()
    {
        OpenFilled(100);
        var tab = OpenPartial(long.MaxValue);
        var storage = tab.Pipeline.Storage;
        var reads = 0;
        tab.Store.Before += call =>
        {
            if (call.Operation == StoreOperation.Read) reads++;
            return Task.CompletedTask;
        };
        for (var extent = 0; extent < 100; extent++)
        {
            try
            {
                ValueAt(storage, extent * Extent.BlockCount);
            }
            catch (NotResidentException)
            {
                Load(tab, round: 0);
                ValueAt(storage, extent * Extent.BlockCount);
            }
        }

        Assert.InRange(reads, 4, 9);
    }

    // A follower reads while the leader commits and folds; then it needs an extent that was renewed meanwhile.
    private void ReadBehindACheckpoint(out ClusterTab leader, out ClusterTab tab)
    {
        _cluster.Options.CheckpointLogRecords = 2;
        leader = OpenFilled();
        tab = OpenPartial(long.MaxValue);
        var storage = tab.Pipeline.Storage;
        _cluster.Do(storage.EnterRead);
        Write(leader, (65, 2), (129, 2));
        Write(leader, (130, 3));
        Write(leader, (131, 4));
        _cluster.Run(2);
        Assert.Equal(1, storage.Durable.Marker);
        Assert.Throws<NotResidentException>(() => ValueAt(storage, 66));
        var (pipeline, loading) = (tab.Pipeline, Task.CompletedTask);
        _cluster.Do(() => loading = pipeline.Extents.LoadWantedAsync(0, default));
        _cluster.Run(1);

        // All that this reader sees is of the marker at which it began.
        Assert.All([65, 129, 130], block => Assert.Equal(1, TryValueAt(storage, block) ?? 1));
        Assert.False(loading.IsCompleted);
        _cluster.Do(storage.ExitRead);
        _cluster.Run(1);
        Assert.True(loading.IsCompletedSuccessfully);
        Load(tab, all: true);
        Assert.Equal([2, 1, 2, 3, 4], Enumerable.Range(65, 67).Where(block => block is 65 or 66 or >= 129).Select(block => ValueAt(storage, block)));
    }

    [Fact]
    public void What_other_tabs_write_leaves_when_it_is_in_a_checkpoint_though_this_tab_reads_nothing()
    {
        _cluster.Options.CheckpointLogRecords = Extents - 2;
        var leader = OpenFilled();
        var tab = OpenPartial(1);
        for (var extent = 1; extent < Extents; extent++) Write(leader, (extent * Extent.BlockCount + 3, 2));
        _cluster.Run(1);
        Assert.InRange(leader.Pipeline.LogRecords, 0, 1);
        _cluster.Run(10);
        Assert.InRange(tab.Pipeline.Storage.ResidentBytes, Extent.MaxRecordSize, 2 * Extent.MaxRecordSize);
    }

    /// <summary>A leader's tab and a store in which each block of each extent has the value 1, in a checkpoint at marker 1.</summary>
    private ClusterTab OpenFilled(int extents = Extents)
    {
        var records = _cluster.Options.CheckpointLogRecords;
        _cluster.Options.CheckpointLogRecords = 1;
        var tab = _cluster.Open();
        _cluster.Run(1);
        Write(tab, [.. Enumerable.Range(0, extents * Extent.BlockCount).Select(block => (block, 1))]);
        _cluster.Run(5);
        Assert.Equal(0, tab.Pipeline.LogRecords);
        tab.CloseTab();
        _cluster.Run(1);
        _cluster.Options.CheckpointLogRecords = records;
        tab = _cluster.Open();
        _cluster.Run(10);
        Assert.True(tab.Pipeline.IsLeading);
        return tab;
    }

    private ClusterTab OpenPartial(long maxBytes)
    {
        _cluster.Residency = Residency.OnDemand(maxBytes);
        return _cluster.Open();
    }

    private void Write(ClusterTab tab, params (int Block, int Value)[] writes) => _cluster.Wait(_cluster.Start(async () =>
    {
        using var slot = await tab.Pipeline.BeginWriteAsync();
        var storage = tab.Pipeline.Storage;
        storage.EnterRead();
        Assert.Null(storage.TryBeginBatch());
        foreach (var (block, value) in writes) storage.Write((long)block * Extent.BlockSize, BlockOf(value));
        storage.CommitBatch();
        storage.ExitRead();
        slot.Dispose();
        var outcome = await slot.Outcome;
        Assert.False(outcome.IsStale);
        return outcome;
    }));

    private void Load(ClusterTab tab, int round = 20, bool all = false) => _cluster.Wait(_cluster.Start(async () =>
    {
        await (all ? tab.Pipeline.Extents.PinAllAsync(default) : tab.Pipeline.Extents.LoadWantedAsync(round, default));
        return true;
    }));

    private static byte[] BlockOf(int value)
    {
        var bytes = new byte[Extent.BlockSize];
        BitConverter.TryWriteBytes(bytes, value);
        return bytes;
    }

    private static int ValueAt(BlockStorage storage, int block)
    {
        Span<byte> bytes = stackalloc byte[4];
        storage.Read((long)block * Extent.BlockSize, bytes);
        return BitConverter.ToInt32(bytes);
    }

    private static int? TryValueAt(BlockStorage storage, int block)
    {
        try
        {
            return ValueAt(storage, block);
        }
        catch (NotResidentException)
        {
            return null;
        }
    }
}
