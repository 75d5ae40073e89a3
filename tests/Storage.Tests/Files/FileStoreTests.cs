using DataSync.Contracts;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Files;

/// <summary>What only a store of files can meet: files that others made, names, and other processes' writes.</summary>
public sealed class FileStoreTests : StoreSuite
{
    private readonly FileSource _source = new();
    private readonly ListLogger _logger = new();

    private protected override IStoreSource Source => _source;

    private string Log => Path.Combine(_source.Directory, "log");

    private string Extents => Path.Combine(_source.Directory, "extents");

    [Fact]
    public async Task A_group_of_commits_is_one_file()
    {
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 3), None);
        Assert.Equal("1.commit", Path.GetFileName(Assert.Single(Directory.GetFiles(Log))));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(40)]
    [InlineData(112)]
    [InlineData(2000)]
    public async Task Damage_within_a_group_leaves_what_is_before_it(int offset)
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, chain, None);
        var path = Path.Combine(Log, "1.commit");
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[chain[0].Bytes.Length + offset] ^= 1;
        await File.WriteAllBytesAsync(path, bytes);

        var error = await Assert.ThrowsAsync<CorruptStoreException>(async () => await Recovery.LoadAsync(store, null, new(), None));
        var finding = Assert.Single(error.Report!.Findings);
        Assert.Equal(("log 2", 2), (finding.Where, error.Report.RolledBack));
        Assert.Equal(offset == 2000 ? [1L] : [], finding.Blocks);
        Assert.Equal(error.Report.Findings[0].Detail, (await Recovery.VerifyAsync(store)).Findings[0].Detail);

        var recovered = await Recovery.LoadAsync(store, null, new(Action: CorruptionAction.Repair), None);
        using var image = (await Recovery.RepairAsync(store, fence, recovered, None)).Image;
        Assert.Equal(chain[0].Position, image.Position);
        Assert.Equal(bytes, await File.ReadAllBytesAsync(Path.Combine(_source.Directory, "quarantine", "1.commit")));
        Assert.Empty(Directory.GetFiles(Log));
        Assert.Contains(2043, _logger.Ids);
        Assert.Empty((await Recovery.VerifyAsync(store)).Findings);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(5000)]
    public async Task A_short_record_is_damage_since_none_has_its_name_before_it_is_whole(int length)
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 2);
        await store.AppendAsync(fence, chain[..1], None);
        await store.AppendAsync(fence, chain[1..], None);
        await File.WriteAllBytesAsync(Path.Combine(Log, "2.commit"), chain[1].Bytes[..Math.Min(length, chain[1].Bytes.Length - 1)].ToArray());
        var error = await Assert.ThrowsAsync<CorruptStoreException>(async () => await Recovery.LoadAsync(store, null, new(), None));
        Assert.Equal((RecoveryFindingKind.CorruptLog, "log 2"), (error.Report!.Findings[0].Kind, error.Report.Findings[0].Where));
    }

    [Fact]
    public async Task Temporary_files_go_at_the_next_open_and_strangers_stay()
    {
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 2), None);
        await store.DisposeAsync();
        string[] own = [Path.Combine(Log, "3.commit.tmp"), Path.Combine(Log, "3.commit.claim.tmp"), Path.Combine(Extents, "0.extent.tmp"), Path.Combine(_source.Directory, "head.json.tmp")];
        string[] others = [Path.Combine(Log, "notes.tmp"), Path.Combine(Log, "03.commit"), Path.Combine(Log, "-1.commit"), Path.Combine(Extents, ".DS_Store"), Path.Combine(Extents, "99999999999.extent.bak")];
        foreach (var path in own.Concat(others)) await File.WriteAllTextAsync(path, "x");

        var (again, _) = await OpenAsync();
        Assert.All(own, path => Assert.False(File.Exists(path), path));
        Assert.Empty((await Recovery.VerifyAsync(again)).Findings);
        Assert.Contains(_logger.Lines, line => line.Id == 2041 && line.Text.Contains("removed 4", StringComparison.Ordinal));
        Assert.Contains(_logger.Lines, line => line.Id == 2042 && line.Text.Contains("log/03.commit", StringComparison.Ordinal));
        await again.DeleteAsync(None);
        Assert.All(others, path => Assert.True(File.Exists(path), path));
        Assert.False(File.Exists(Path.Combine(Log, "1.commit")));
    }

    [Fact]
    public async Task A_record_that_is_there_twice_is_damage()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, chain, None);
        await File.WriteAllBytesAsync(Path.Combine(Log, "2.commit"), chain[1].Bytes.ToArray());
        Assert.True((await Recovery.VerifyAsync(store)).IsCorrupt);
    }

    [Fact]
    public async Task A_writer_that_came_in_without_the_lock_is_noticed()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 2);
        await store.AppendAsync(fence, chain[..1], None);
        var theirs = new byte[] { 1, 2, 3 };
        await File.WriteAllBytesAsync(Path.Combine(Log, "2.commit"), theirs);
        await Assert.ThrowsAsync<MarkerConflictException>(async () => await store.AppendAsync(fence, chain[1..], None));
        Assert.Equal(theirs, await File.ReadAllBytesAsync(Path.Combine(Log, "2.commit")));
        Assert.Equal(2, Directory.GetFiles(Log).Length);

        var raised = (await StoreContent.ReadAsync(store)).Head with { Epoch = new Epoch(9) };
        await File.WriteAllBytesAsync(_source.PathOf(StoreRecordKind.Head, 0), HeadCodec.Encode(raised));
        var refused = await Assert.ThrowsAsync<FencedException>(async () => await store.AppendAsync(fence, chain[1..], None));
        Assert.Equal(9, refused.StoreEpoch.Value);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Of_many_that_want_a_name_one_gets_it(bool byClaim)
    {
        var directory = Directory.CreateDirectory(Path.Combine(_source.Base, "names")).FullName;
        for (var round = 0; round < 50; round++)
        {
            var target = Path.Combine(directory, $"{round}.commit");
            var contenders = Enumerable.Range(0, 6).Select(i => $"{target}.{i}").ToList();
            foreach (var path in contenders) await File.WriteAllTextAsync(path, path);
            using var start = new Barrier(contenders.Count);
            var won = await Task.WhenAll(contenders.Select(path => Task.Factory.StartNew(() =>
            {
                start.SignalAndWait();
                return byClaim ? DiskFiles.RenameByClaim(path, target) : DiskFiles.Instance.Rename(path, target, replace: false);
            }, None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
            Assert.Equal(1, won.Count(has => has));
            Assert.Equal(contenders[Array.IndexOf(won, true)], await File.ReadAllTextAsync(target));
            Assert.Equal(won.Select(has => !has), contenders.Select(File.Exists));
        }
    }

    [Theory]
    [InlineData("../../evil")]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("/etc/passwd")]
    [InlineData("a\\b:c*?")]
    public void No_name_leaves_the_base_directory(string name)
    {
        using var store = new Disposed(new FileBlockStore(name, _source.Options));
        Assert.Equal(_source.Options.BaseDirectory, Path.GetDirectoryName(store.Store.Directory));
        Assert.False(Path.GetFileName(store.Store.Directory) is "." or "..");
    }

    [Fact]
    public void The_environment_names_the_base_directory()
    {
        Environment.SetEnvironmentVariable(FileStoreOptions.BaseVariable, _source.Base);
        try
        {
            using var store = new Disposed(new FileBlockStore("app.db"));
            Assert.Equal(Path.Combine(_source.Base, "app.db"), store.Store.Directory);
        }
        finally
        {
            Environment.SetEnvironmentVariable(FileStoreOptions.BaseVariable, null);
        }
    }

    [Fact]
    public void Options_out_of_range_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new FileBlockStore("", _source.Options));
        Assert.Contains("255", Assert.Throws<ArgumentException>(() => new FileBlockStore(new string('漢', 29), _source.Options)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new FileBlockStore(new string('a', 256), _source.Options));
        Assert.Throws<ArgumentException>(() => new FileBlockStore(new string('a', 254) + ".", _source.Options));
        Assert.Throws<ArgumentException>(() => new FileBlockStore("a", new() { Checksum = (ChecksumKind)9 }));
        Assert.Throws<ArgumentException>(() => new FileBlockStore("a", new() { BaseDirectory = _source.Base, MirrorDirectory = _source.Base }));
    }

    [Theory]
    [InlineData('a', 255)]
    [InlineData('漢', 28)]
    public async Task The_longest_name_is_what_the_file_system_takes(char letter, int count)
    {
        await using var store = new FileBlockStore(new string(letter, count), _source.Options);
        await store.OpenAsync(None);
        await store.DeleteAsync(None);
    }

    [Fact]
    public async Task A_holder_that_cannot_be_written_gives_the_lock_back()
    {
        var holder = Path.Combine(_source.Directory, "holder");
        Directory.CreateDirectory(holder);
        await using var store = new FileBlockStore(FileSource.Name, _source.Options);
        await Assert.ThrowsAsync<StorageUnavailableException>(async () => await store.OpenAsync(None));
        Directory.Delete(holder);
        await store.OpenAsync(None);
    }

    [Fact]
    public async Task A_folder_that_cannot_be_made_gives_the_lock_back()
    {
        Directory.CreateDirectory(_source.Directory);
        await File.WriteAllTextAsync(Log, "");
        await using var store = new FileBlockStore(FileSource.Name, _source.Options);
        await Assert.ThrowsAnyAsync<StorageException>(async () => await store.OpenAsync(None));
        File.Delete(Log);
        await store.OpenAsync(None);
    }

    [Fact]
    public async Task A_mirror_that_another_holds_gives_the_stores_lock_back()
    {
        var mirrored = new FileStoreOptions { BaseDirectory = _source.Options.BaseDirectory, MirrorDirectory = Path.Combine(_source.Base, "second") };
        await using var store = new FileBlockStore(FileSource.Name, mirrored);
        await using (var other = FileBlockStore.InDirectory(Path.Combine(_source.Base, "second", FileSource.Name)))
        {
            await other.OpenAsync(None);
            await Assert.ThrowsAsync<StoreInUseException>(async () => await store.OpenAsync(None));
            await other.DeleteAsync(None);
        }

        await store.OpenAsync(None);
    }

    [Fact]
    public async Task A_store_that_another_holds_is_not_deleted()
    {
        var (store, _) = await OpenAsync();
        var link = Path.Combine(_source.Base, "link");
        Directory.CreateSymbolicLink(link, _source.Directory);
        await using var other = FileBlockStore.InDirectory(link);
        Assert.Equal(Environment.ProcessId, (await Assert.ThrowsAsync<StoreInUseException>(async () => await other.DeleteAsync(None))).ProcessId);
        Assert.Empty((await Recovery.VerifyAsync(store)).Findings);
    }

    [Fact]
    public async Task Verifying_finds_what_loading_finds_and_tells_its_progress()
    {
        var (store, fence) = await LeadAsync();
        using (var extent = MakeExtent(fence, 0, 0, [.. Enumerable.Range(0, 64)]))
            await store.CheckpointAsync(fence, new Checkpoint(await HeadAtAsync(store, Position.Start, 1 << 18), [extent]), None);
        await store.AppendAsync(fence, Chain(fence, Position.Start, 4), None);
        var path = _source.PathOf(StoreRecordKind.Extent, 0);
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[Extent.HeaderSize + 7 * Extent.BlockSize] ^= 1;
        bytes[Extent.HeaderSize + 9 * Extent.BlockSize] ^= 1;
        await File.WriteAllBytesAsync(path, bytes);

        var progress = new List<RecoveryProgress>();
        var report = await Recovery.VerifyAsync(store, RecoveryMode.Full, new Progress(progress));
        Assert.Equal([7L, 9L], Assert.Single(report.Findings).Blocks);
        Assert.Equal((1, 4, 4L), (report.Extents, report.LogRecords, report.Position.Marker));
        Assert.Equal(new RecoveryProgress(5, 5), progress[^1]);
        Assert.Empty((await Recovery.VerifyAsync(store, RecoveryMode.Sample)).Findings);
        using var image = (await Recovery.LoadAsync(store, null, new(Action: CorruptionAction.Report), None)).Image;
        Assert.Equal(report.Position, image.Position);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await Recovery.VerifyAsync(store, cancellationToken: new CancellationToken(canceled: true)));
    }

    private protected override IBlockStore NewStore() => new FileBlockStore(FileSource.Name, _source.Options, _logger);

    private sealed class Progress(List<RecoveryProgress> list) : IProgress<RecoveryProgress>
    {
        public void Report(RecoveryProgress value) => list.Add(value);
    }

    /// <summary>A store that was never opened needs no asynchronous end.</summary>
    private sealed class Disposed(FileBlockStore store) : IDisposable
    {
        public FileBlockStore Store => store;

        public void Dispose() => store.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
