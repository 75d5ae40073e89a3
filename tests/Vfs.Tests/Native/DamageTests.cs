using DataSync.Storage;
using DataSync.Storage.Tests.Files;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>A flipped bit in a store, seen through an open database, for each <see cref="CorruptionAction"/>.</summary>
public sealed class DamageTests : IDisposable
{
    private static readonly FileStoreOptions Files = new() { BaseDirectory = "/simulated" };
    private readonly NativeTabs _tabs = new();

    [Theory]
    [InlineData("extent")]
    [InlineData("log")]
    [InlineData("head")]
    public async Task It_fails_the_open_or_is_read_around_or_repaired_and_the_block_is_named(string kind)
    {
        var (disk, path, block) = await DamageAsync(kind);
        var damaged = disk.Files[path];

        // Fail: nothing is opened, nothing changed.
        var before = disk.Files;
        var error = await Assert.ThrowsAsync<CorruptStoreException>(() => OpenAsync(disk, CorruptionAction.Fail));
        AssertNamed(error.Report!);
        Assert.Equal(before, disk.Files);

        // Report: what is good can be read, and only that.
        await using (var database = await OpenAsync(disk, CorruptionAction.Report))
        {
            AssertNamed(database.RecoveryReport!);
            AssertNamed(await database.VerifyAsync());
            Assert.NotEmpty(await database.QueryAsync<string>("SELECT name FROM sqlite_schema"));
            await Assert.ThrowsAsync<CorruptStoreException>(() => database.ExecuteAsync("CREATE TABLE more(a)").WaitAsync(NativeTabs.Patience));
        }

        Assert.Equal(before, disk.Files);

        // Repair: the report names it once, what it replaces is kept aside, and then the store is sound and can be written.
        await using (var database = await OpenAsync(disk, CorruptionAction.Repair))
        {
            AssertNamed(database.RecoveryReport!);
            await database.ExecuteAsync("CREATE TABLE more(a)").WaitAsync(NativeTabs.Patience);
            Assert.Empty((await database.VerifyAsync()).Findings);
        }

        Assert.Contains(disk.Files, file => file.Key.Contains("quarantine", StringComparison.Ordinal) && file.Value.AsSpan().SequenceEqual(damaged));
        await using var again = await OpenAsync(disk, CorruptionAction.Fail);
        Assert.Empty(again.RecoveryReport!.Findings);
        Assert.Contains("more", await again.QueryAsync<string>("SELECT name FROM sqlite_schema"));

        void AssertNamed(RecoveryReport report)
        {
            var finding = Assert.Single(report.Findings);
            Assert.StartsWith(kind, finding.Where, StringComparison.Ordinal);
            if (kind == "head") Assert.Equal(RecoveryFindingKind.CorruptHead, finding.Kind);
            else if (kind == "extent") Assert.Equal([block], finding.Blocks);
            else Assert.Contains($"block {block} ", finding.Detail, StringComparison.Ordinal);
        }
    }

    public void Dispose() => _tabs.Dispose();

    /// <summary>A store with extents and a log, and a flipped bit in the last block of one of its records.</summary>
    private async Task<(SimulatedDisk Disk, string Path, long Block)> DamageAsync(string kind)
    {
        var disk = new SimulatedDisk();
        await using (var database = await OpenAsync(disk, CorruptionAction.Fail))
        {
            for (var i = 0; i < CrashScript.Length; i++) await CrashScript.RunAsync(database, i);
        }

        if (kind == "head")
        {
            var (path, bytes) = disk.Files.First(file => file.Key.EndsWith("/head.json", StringComparison.Ordinal));
            bytes[^100] ^= 8;
            disk.Damage(path, bytes);
            return (disk, path, -1);
        }

        if (kind == "extent")
        {
            var (path, bytes) = disk.Files.Last(file => file.Key.EndsWith("/0.extent", StringComparison.Ordinal));
            bytes[^100] ^= 8;
            disk.Damage(path, bytes);
            return (disk, path, (bytes.Length - Extent.HeaderSize) / Extent.BlockSize - 1);
        }

        var (logPath, log) = disk.Files.Last(file => file.Key.EndsWith(".commit", StringComparison.Ordinal));
        var commit = CommitRecord.Parse(log, verifyBlocks: true, out _)!;
        var block = commit.BlockIds[^1];
        log[^100] ^= 8;
        disk.Damage(logPath, log);
        return (disk, logPath, block);
    }

    private Task<DataSyncDatabase> OpenAsync(SimulatedDisk disk, CorruptionAction action)
    {
        var options = CrashScript.Options();
        options.Recovery = new(Action: action);
        return _tabs.OpenAsync(new FileBlockStore("app.db", Files, null, disk), options);
    }
}
