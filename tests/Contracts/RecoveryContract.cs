using DataSync.Coordination;
using DataSync.Storage;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What recovery makes of a store, sound or damaged, whatever the store.</summary>
public abstract class RecoveryContract : StoreSuite
{
    private static readonly RecoveryOptions Fail = new(), Report = new(Action: CorruptionAction.Report), Repair = new(Action: CorruptionAction.Repair);

    [Fact]
    public async Task An_empty_store_is_an_empty_image()
    {
        var (store, head) = await OpenAsync();
        using var recovered = await LoadAsync(store, Fail, head);
        Assert.Equal(Position.Start, recovered.Image.Position);
        Assert.Equal(0, recovered.Image.FileSize);
        Assert.Empty(recovered.RecentCommits);
        Assert.False(recovered.Result.NeedsRepair);
    }

    [Fact]
    public async Task The_log_is_applied_over_the_extents()
    {
        var (store, fence, chain) = await FilledAsync();
        using var recovered = await LoadAsync(store, Fail);
        Assert.Equal(chain[4].Position, recovered.Image.Position);
        Assert.Equal(chain[4].FileSize, recovered.Image.FileSize);
        for (var block = 0; block < 5; block++) Assert.Equal(BlockBytes(block, block + 1), recovered.Block(block));
        Assert.Equal(chain.Select(commit => commit.Id), recovered.RecentCommits);
        Assert.Equal(3, recovered.Result.LogRecords);
        Assert.Equal([0], recovered.Result.DirtyExtents);
        Assert.Equal(chain[2..].Sum(commit => commit.Bytes.Length), recovered.Result.LogBytes);
        Assert.Empty(recovered.Report.Findings);
        Assert.Equal((1, 3, 0), (recovered.Report.Extents, recovered.Report.LogRecords, recovered.Report.RolledBack));
        Assert.Equal(fence.Epoch, recovered.Result.Head.Epoch);
    }

    [Fact]
    public async Task Progress_is_told_to_the_end()
    {
        var (store, _, _) = await FilledAsync();
        var progress = new ProgressList();
        using var recovered = await LoadAsync(store, Fail with { Progress = progress });
        Assert.Equal([0, 1, 2, 3, 4], progress.Values.Select(value => value.Records));
        Assert.All(progress.Values, value => Assert.Equal(4, value.Total));
    }

    [Fact]
    public async Task A_store_that_was_replaced_is_not_loaded()
    {
        var (store, head) = await OpenAsync();
        await Assert.ThrowsAsync<StoreReplacedException>(() => LoadAsync(store, Fail, head with { Incarnation = Guid.NewGuid() }));
    }

    [Theory]
    [InlineData(0, "no commit header")]
    [InlineData(40, "header fails")]
    [InlineData(154, "body fails")]
    [InlineData(1000, "block 3 fails")]
    public async Task A_damaged_commit_ends_the_history(int offset, string detail)
    {
        var (store, fence, chain) = await FilledAsync();
        await DamageAsync(StoreRecordKind.Log, 4, offset);
        var error = await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, Fail));
        var finding = Assert.Single(error.Report!.Findings);
        Assert.Equal((RecoveryFindingKind.CorruptLog, "log 4"), (finding.Kind, finding.Where));
        Assert.Contains(detail, finding.Detail, StringComparison.Ordinal);
        Assert.Contains("log 4", error.Message, StringComparison.Ordinal);
        Assert.NotNull(await GetRecordAsync(StoreRecordKind.Log, 5));
        await AssertRepairedAsync(store, fence, chain[2].Position, rolledBack: 2);
    }

    [Fact]
    public async Task A_commit_that_is_cut_short_where_that_cannot_happen_is_damage()
    {
        var (store, fence, chain) = await FilledAsync();
        await SetRecordAsync(StoreRecordKind.Log, 5, chain[4].Bytes[..^100].ToArray());
        var error = await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, Fail));
        Assert.Equal(RecoveryFindingKind.CorruptLog, Assert.Single(error.Report!.Findings).Kind);
        await AssertRepairedAsync(store, fence, chain[3].Position, rolledBack: 1);
    }

    [Fact]
    public async Task A_missing_commit_ends_the_history()
    {
        var (store, fence, chain) = await FilledAsync();
        await SetRecordAsync(StoreRecordKind.Log, 4, null);
        var error = await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, Fail));
        Assert.Contains("commit 4 is missing", Assert.Single(error.Report!.Findings).Detail, StringComparison.Ordinal);
        await AssertRepairedAsync(store, fence, chain[2].Position, rolledBack: 1);
    }

    [Fact]
    public async Task A_commit_of_another_history_ends_the_history()
    {
        var (store, fence, chain) = await FilledAsync();
        var fork = Commit(fence, new Position(3, CommitId.New()), 0);
        await SetRecordAsync(StoreRecordKind.Log, 4, fork.Bytes.ToArray());
        var error = await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, Fail));
        Assert.Contains("not built on", Assert.Single(error.Report!.Findings).Detail, StringComparison.Ordinal);
        await AssertRepairedAsync(store, fence, chain[2].Position, rolledBack: 2);
    }

    [Fact]
    public async Task Epochs_neither_fall_nor_run_ahead_of_the_store()
    {
        var (store, fence, chain) = await FilledAsync();
        var low = Commit(fence with { Epoch = default }, chain[3].Position, 0);
        await SetRecordAsync(StoreRecordKind.Log, 5, low.Bytes.ToArray());
        using (var recovered = await LoadAsync(store, Report)) Assert.Contains("lower", recovered.Report.Findings[0].Detail, StringComparison.Ordinal);
        var high = Commit(fence with { Epoch = fence.Epoch.Next }, chain[3].Position, 0);
        await SetRecordAsync(StoreRecordKind.Log, 5, high.Bytes.ToArray());
        using (var recovered = await LoadAsync(store, Report)) Assert.Contains("higher", recovered.Report.Findings[0].Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Left_overs_of_another_store_at_the_end_are_rolled_back_without_a_complaint()
    {
        var (store, fence, chain) = await FilledAsync();
        var foreign = Chain(fence with { Incarnation = Guid.NewGuid() }, chain[4].Position, 2);
        foreach (var commit in foreign) await SetRecordAsync(StoreRecordKind.Log, commit.Marker, commit.Bytes.ToArray());
        using var recovered = await LoadAsync(store, Fail);
        Assert.Equal(RecoveryFindingKind.ForeignLog, Assert.Single(recovered.Report.Findings).Kind);
        Assert.Equal((6, 2), (recovered.Result.DropFrom, recovered.Report.RolledBack));
        await AssertRepairedAsync(store, fence, chain[4].Position, rolledBack: 2, isCorrupt: false);
    }

    [Fact]
    public async Task A_commit_of_another_store_before_own_ones_is_damage()
    {
        var (store, fence, chain) = await FilledAsync();
        var foreign = Commit(fence with { Incarnation = Guid.NewGuid() }, chain[2].Position, 0);
        await SetRecordAsync(StoreRecordKind.Log, 4, foreign.Bytes.ToArray());
        await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, Fail));
    }

    [Fact]
    public async Task A_damaged_block_is_named_and_keeps_its_bytes()
    {
        var (store, fence, chain) = await FilledAsync();
        await DamageAsync(StoreRecordKind.Extent, 0, Extent.HeaderSize + Extent.BlockSize + 9);
        var error = await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, Fail));
        var finding = Assert.Single(error.Report!.Findings);
        Assert.Equal((RecoveryFindingKind.CorruptExtent, "extent 0"), (finding.Kind, finding.Where));
        Assert.Equal([1L], finding.Blocks);
        using var recovered = await AssertRepairedAsync(store, fence, chain[4].Position, rolledBack: 0);
        var expected = BlockBytes(1, 2);
        expected[9] ^= 0xFF;
        Assert.Equal(expected, recovered.Block(1));
        Assert.Equal(BlockBytes(0, 1), recovered.Block(0));
    }

    [Fact]
    public async Task A_damaged_block_that_a_later_commit_wrote_again_is_whole()
    {
        var (store, fence, chain) = await FilledAsync();
        var again = Commit(fence, chain[4].Position, 1);
        await store.AppendAsync(fence, [again], None);
        await DamageAsync(StoreRecordKind.Extent, 0, Extent.HeaderSize + Extent.BlockSize + 9);
        using var recovered = await AssertRepairedAsync(store, fence, again.Position, rolledBack: 0);
        Assert.Equal(BlockBytes(1, 6), recovered.Block(1));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(40)]
    [InlineData(64)]
    [InlineData(576)]
    public async Task A_damaged_block_table_keeps_the_bytes(int offset)
    {
        var (store, fence, chain) = await FilledAsync();
        await DamageAsync(StoreRecordKind.Extent, 0, offset);
        Assert.True((await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, Fail))).Report!.IsCorrupt);
        using var recovered = await AssertRepairedAsync(store, fence, chain[4].Position, rolledBack: 0);
        for (var block = 0; block < 5; block++) Assert.Equal(BlockBytes(block, block + 1), recovered.Block(block));
    }

    [Fact]
    public async Task An_extent_that_is_cut_short_loses_what_is_missing_only()
    {
        var (store, fence, chain) = await FilledAsync();
        var bytes = (await GetRecordAsync(StoreRecordKind.Extent, 0))!;
        await SetRecordAsync(StoreRecordKind.Extent, 0, bytes[..(Extent.HeaderSize + Extent.BlockSize)]);
        using var recovered = await AssertRepairedAsync(store, fence, chain[4].Position, rolledBack: 0);
        Assert.Equal(BlockBytes(0, 1), recovered.Block(0));
        Assert.Equal(new byte[Extent.BlockSize], recovered.Block(1));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_extent_that_is_not_its_own_reads_as_zero(bool emptyRecord)
    {
        var (store, fence, chain) = await FilledAsync();
        using var foreign = MakeExtent(fence with { Incarnation = Guid.NewGuid() }, 0, 2, 0, 1);
        await SetRecordAsync(StoreRecordKind.Extent, 0, emptyRecord ? [] : foreign.RecordBytes[..foreign.RecordSize].ToArray());
        using var recovered = await AssertRepairedAsync(store, fence, chain[4].Position, rolledBack: 0);
        Assert.Equal(new byte[Extent.BlockSize], recovered.Block(0));
        Assert.Equal(BlockBytes(2, 3), recovered.Block(2));
    }

    [Fact]
    public async Task Extents_ahead_of_a_log_that_lost_its_end_are_damage()
    {
        var (store, fence, chain) = await FilledAsync();
        using var ahead = MakeExtent(fence, 0, 5, 0, 1);
        await SetRecordAsync(StoreRecordKind.Extent, 0, ahead.RecordBytes[..ahead.RecordSize].ToArray());
        using (var sound = await LoadAsync(store, Fail)) Assert.Empty(sound.Report.Findings);
        await DamageAsync(StoreRecordKind.Log, 5, 1000);
        using var recovered = await AssertRepairedAsync(store, fence, chain[3].Position, rolledBack: 1);
        Assert.All(Enumerable.Range(0, 60), block => Assert.True(recovered.Image.Find(0)![block].Version <= 4));
    }

    [Fact]
    public async Task Less_is_verified_when_less_is_asked_for()
    {
        var (store, _, chain) = await FilledAsync();
        await DamageAsync(StoreRecordKind.Extent, 0, Extent.HeaderSize + 9);
        await DamageAsync(StoreRecordKind.Log, 5, 1000);
        using (var skipped = await LoadAsync(store, new(RecoveryMode.Skip)))
        {
            Assert.Equal(chain[4].Position, skipped.Image.Position);
            Assert.Empty(skipped.Report.Findings);
        }

        using var sampled = await LoadAsync(store, new(RecoveryMode.Sample, CorruptionAction.Report));
        Assert.Equal("log 5", Assert.Single(sampled.Report.Findings, finding => finding.Kind == RecoveryFindingKind.CorruptLog).Where);
        await DamageAsync(StoreRecordKind.Extent, 0, 40);
        Assert.True((await Assert.ThrowsAsync<CorruptStoreException>(() => LoadAsync(store, new(RecoveryMode.Skip)))).Report!.IsCorrupt);
    }

    [Fact]
    public async Task Only_what_this_leadership_read_is_repaired()
    {
        var (store, fence, _) = await FilledAsync();
        await DamageAsync(StoreRecordKind.Log, 5, 1000);
        using var recovered = await LoadAsync(store, Repair);
        var raised = await store.RaiseEpochAsync(fence.Incarnation, default, Tab, None);
        var later = fence with { Epoch = raised.Epoch };
        await Assert.ThrowsAsync<InvalidOperationException>(async () => await Recovery.RepairAsync(store, later, recovered.Result, None));
        await Assert.ThrowsAsync<FencedException>(async () => await Recovery.RepairAsync(store, fence, recovered.Result, None));
        Assert.NotNull(await GetRecordAsync(StoreRecordKind.Log, 5));
    }

    [Fact]
    public async Task The_log_behind_a_position_is_read()
    {
        var (store, fence, chain) = await FilledAsync();
        Assert.Equal("3 4 5", await MarkersAfterAsync(chain[1].Position));
        Assert.Equal("5", await MarkersAfterAsync(chain[3].Position));
        Assert.Equal("", await MarkersAfterAsync(chain[4].Position));
        Assert.Null(await MarkersAfterAsync(chain[0].Position));
        Assert.Null(await MarkersAfterAsync(Position.Start));
        Assert.Null(await MarkersAfterAsync(chain[3].Position with { Commit = CommitId.New() }));
        Assert.Null(await MarkersAfterAsync(new Position(6, CommitId.New())));
        await Assert.ThrowsAsync<StoreReplacedException>(async () => await Recovery.ReadLogAsync(store, Guid.NewGuid(), chain[4].Position, None));
        await DamageAsync(StoreRecordKind.Log, 4, 1000);
        await Assert.ThrowsAsync<CorruptStoreException>(() => MarkersAfterAsync(chain[2].Position));
        Assert.Equal("5", await MarkersAfterAsync(chain[3].Position));

        async Task<string?> MarkersAfterAsync(Position position)
        {
            var tail = await Recovery.ReadLogAsync(store, fence.Incarnation, position, None);
            return tail.NeedsReload ? null : string.Join(' ', tail.Commits.Select(commit => commit.Marker));
        }
    }

    /// <summary>A store with commits 1 to 5, block by block, of which 1 and 2 are in an extent and the others in the log.</summary>
    private protected async Task<(IBlockStore Store, Fence Fence, List<CommitRecord> Chain)> FilledAsync()
    {
        var (store, fence) = await LeadAsync();
        return await FillAsync(store, fence);
    }

    private protected static async Task<(IBlockStore Store, Fence Fence, List<CommitRecord> Chain)> FillAsync(IBlockStore store, Fence fence)
    {
        var chain = Chain(fence, Position.Start, 5);
        await store.AppendAsync(fence, chain, None);
        using var extent = MakeExtent(fence, 0, 1, 0);
        FillBlock(extent.Block(1), 1, 2);
        extent[1] = new(2, Checksum.Compute(ChecksumKind.FastHash, extent.Block(1)), 5, true);
        extent.SealRecord(fence.Incarnation, ChecksumKind.FastHash);
        var head = await HeadAtAsync(store, chain[1].Position, 8192, chain[0].Id, chain[1].Id);
        await store.CheckpointAsync(fence, new Checkpoint(head, [extent]), None);
        return (store, fence, chain);
    }

    private protected static async Task<Recovered> LoadAsync(IBlockStore store, RecoveryOptions options, Head? opened = null) =>
        new(await Recovery.LoadAsync(store, opened, options, None));

    private protected async Task DamageAsync(StoreRecordKind kind, long key, int offset)
    {
        var bytes = (await GetRecordAsync(kind, key))!;
        bytes[offset] ^= 0xFF;
        await SetRecordAsync(kind, key, bytes);
    }

    /// <summary>Reported twice alike with nothing changed; repaired once; sound after that; writable.</summary>
    private protected static async Task<Recovered> AssertRepairedAsync(
        IBlockStore store, Fence fence, Position position, int rolledBack, bool isCorrupt = true)
    {
        for (var i = 0; i < 2; i++)
        {
            using var reported = await LoadAsync(store, Report);
            Assert.Equal((position, isCorrupt, rolledBack), (reported.Image.Position, reported.Report.IsCorrupt, reported.Report.RolledBack));
        }

        using (var damaged = await LoadAsync(store, Repair))
        {
            Assert.True(damaged.Result.NeedsRepair);
            var repaired = await Recovery.RepairAsync(store, fence, damaged.Result, None);
            Assert.False(repaired.NeedsRepair);
            Assert.Equal(position, repaired.Head.Checkpoint);
        }

        var content = await StoreContent.ReadAsync(store);
        using (var sound = await LoadAsync(store, Fail))
        {
            Assert.Equal((position, false), (sound.Image.Position, sound.Result.NeedsRepair));
            Assert.Empty(sound.Report.Findings);
            Assert.Equal(sound.Result, await Recovery.RepairAsync(store, fence, sound.Result, None));
        }

        Assert.Equal(content.Head.Checkpoint, (await StoreContent.ReadAsync(store)).Head.Checkpoint);
        await store.AppendAsync(fence, [Commit(fence, position, 60)], None);
        return await LoadAsync(store, Fail);
    }

    private sealed class ProgressList : IProgress<RecoveryProgress>
    {
        public List<RecoveryProgress> Values { get; } = [];

        public void Report(RecoveryProgress value) => Values.Add(value);
    }

    /// <summary>What was recovered, with the image disposed in the end.</summary>
    private protected sealed class Recovered(RecoveredStore result) : IDisposable
    {
        public RecoveredStore Result => result;

        public BlockImage Image => result.Image;

        public RecoveryReport Report => result.Report;

        public IReadOnlyList<CommitId> RecentCommits => result.RecentCommits;

        public byte[] Block(int id) => Image.Find(id / Extent.BlockCount)?.Block(id % Extent.BlockCount).ToArray() ?? new byte[Extent.BlockSize];

        public void Dispose() => Image.Dispose();
    }
}
