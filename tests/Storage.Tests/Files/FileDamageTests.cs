using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Files;

/// <summary>Bits that flip, repairs and deletions that are stopped in the middle.</summary>
public sealed class FileDamageTests
{
    private const string Name = "app.db";
    private static readonly FileStoreOptions Options = new() { BaseDirectory = "/simulated" };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_flipped_bit_is_found_named_and_repaired_or_means_nothing(int seed)
    {
        var (disk, script) = await FillAsync(seed);
        var random = new Random(seed);
        var (found, harmless) = (0, 0);
        for (var round = 0; round < 80; round++)
        {
            var copy = disk.Clone();
            var (path, bytes) = copy.Files.ElementAt(random.Next(copy.Files.Count));
            var at = random.Next(bytes.Length);
            bytes[at] ^= (byte)(1 << random.Next(8));
            copy.Damage(path, bytes);
            await using var store = new FileBlockStore(Name, Options, null, copy);
            try
            {
                var head = await store.OpenAsync(default);
                using var image = (await Recovery.LoadAsync(store, head, new(), default)).Image;
                Assert.Equal(script.States[script.Acknowledged], StoreScript.Describe(image));
                harmless++;
            }
            catch (CorruptStoreException error)
            {
                found++;
                var finding = error.Report!.Findings[0];
                Assert.Contains(finding.Where.Split(' ')[0], path, StringComparison.Ordinal);
                if (finding.Kind == RecoveryFindingKind.CorruptExtent && at >= Extent.HeaderSize)
                {
                    var index = long.Parse(finding.Where.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
                    Assert.Equal([index * Extent.BlockCount + (at - Extent.HeaderSize) / Extent.BlockSize], finding.Blocks);
                }

                await AssertRepairedAsync(store, copy, bytes);
            }
        }

        Assert.True(found > 30 && harmless < 20, $"{found} found, {harmless} harmless.");
        script.Dispose();
    }

    [Fact]
    public async Task A_repair_that_a_crash_stops_anywhere_is_done_again_and_keeps_what_it_removes()
    {
        var (disk, script) = await FillAsync(3);
        var (path, bytes) = disk.Files.Last(file => file.Key.EndsWith(".commit", StringComparison.Ordinal));
        bytes[^5] ^= 1;
        disk.Damage(path, bytes);
        var (extentPath, extent) = disk.Files.First(file => file.Key.EndsWith(".extent", StringComparison.Ordinal));
        extent[^5] ^= 1;
        disk.Damage(extentPath, extent);
        var wanted = await RepairAsync(disk.Clone());
        Assert.NotNull(wanted);
        foreach (var kind in new[] { PowerCut.KeepsAll, PowerCut.DropsAll, PowerCut.Reorders })
        {
            for (var step = 1; ; step++)
            {
                var copy = disk.Clone(step);
                copy.FailAt = step;
                await RepairAsync(copy);
                var isOver = !copy.HasFired;
                copy.Cut(kind);
                Assert.Equal(wanted, await RepairAsync(copy));
                Assert.Single(copy.Files, file => file.Key.Contains("quarantine", StringComparison.Ordinal) && file.Value.AsSpan().SequenceEqual(bytes));
                Assert.Single(copy.Files, file => file.Key.Contains("quarantine", StringComparison.Ordinal) && file.Value.AsSpan().SequenceEqual(extent));
                if (isOver) break;
            }
        }

        script.Dispose();
    }

    [Theory]
    [InlineData(PowerCut.KeepsAll)]
    [InlineData(PowerCut.DropsAll)]
    [InlineData(PowerCut.Reorders)]
    public async Task A_deletion_that_a_crash_stops_anywhere_is_finished_or_was_not_begun(PowerCut kind)
    {
        var (disk, script) = await FillAsync(4);
        for (var step = 1; ; step++)
        {
            var copy = disk.Clone(step);
            var returned = false;
            await using (var store = new FileBlockStore(Name, Options, null, copy))
            {
                await store.OpenAsync(default);
                copy.FailAt = copy.Steps + step;
                try
                {
                    await store.DeleteAsync(default);
                    returned = true;
                }
                catch (StorageException) when (copy.HasFired)
                {
                }
            }

            var isOver = !copy.HasFired;
            copy.Cut(kind);
            await using (var store = new FileBlockStore(Name, Options, null, copy))
            {
                var head = await store.OpenAsync(default);
                using var image = (await Recovery.LoadAsync(store, head, new(), default)).Image;
                var isGone = image.Position == Position.Start;
                Assert.True(isGone || !returned);
                Assert.Equal(isGone ? StoreScript.Describe(new BlockImage()) : script.States[script.Acknowledged], StoreScript.Describe(image));
                if (isGone) Assert.Equal(["/simulated/app.db/head.copy.json", "/simulated/app.db/head.json"], copy.Files.Keys.Order(StringComparer.Ordinal));
            }

            if (isOver) break;
        }

        script.Dispose();
    }

    [Fact]
    public async Task A_head_of_which_any_bit_flips_is_mended_with_nothing_lost()
    {
        var (disk, script) = await FillAsync(5);
        const string path = "/simulated/app.db/head.json";
        var length = disk.Files[path].Length;
        for (var bit = 0; bit < length * 8; bit += 13)
        {
            var copy = disk.Clone();
            var bytes = copy.Files[path];
            bytes[bit / 8] ^= (byte)(1 << bit % 8);
            copy.Damage(path, bytes);
            Assert.Equal(script.States[script.Acknowledged], await RepairAsync(copy));
            Assert.Contains(copy.Files, file => file.Key.Contains("quarantine/head.json", StringComparison.Ordinal) && file.Value.AsSpan().SequenceEqual(bytes));
        }

        script.Dispose();
    }

    private static async Task<(SimulatedDisk Disk, StoreScript Script)> FillAsync(int seed)
    {
        // The log and the extents both hold something.
        var disk = new SimulatedDisk();
        var script = new StoreScript(seed, actions: 0);
        await using var store = new FileBlockStore(Name, Options, null, disk);
        await script.RunAsync(store, isOpen: false);
        while (!disk.Files.Keys.Any(path => path.EndsWith(".extent", StringComparison.Ordinal))
            || disk.Files.Keys.Count(path => path.EndsWith(".commit", StringComparison.Ordinal)) < 3)
        {
            script.Extend(1);
            await script.RunAsync(store, isOpen: true);
        }

        return (disk, script);
    }

    /// <summary>Opens, leads, repairs; the state after it, or null when the process stopped.</summary>
    private static async Task<string?> RepairAsync(SimulatedDisk disk)
    {
        await using var store = new FileBlockStore(Name, Options, null, disk);
        try
        {
            var opened = await store.OpenAsync(default);
            var head = await store.RaiseEpochAsync(opened.Incarnation, default, TabId.New(TimeProvider.System), default);
            var damaged = await Recovery.LoadAsync(store, head, new(Action: CorruptionAction.Repair), default);
            using var image = (await Recovery.RepairAsync(store, new(head.Incarnation, head.Epoch), damaged, default)).Image;
            Assert.Empty((await Recovery.VerifyAsync(store)).Findings);
            return StoreScript.Describe(image);
        }
        catch (StorageException) when (disk.HasFired)
        {
            return null;
        }
    }

    private static async Task AssertRepairedAsync(FileBlockStore store, SimulatedDisk disk, byte[] damaged)
    {
        var head = await StoreHead.ReadAsync(store);
        head = await store.RaiseEpochAsync(head.Incarnation, default, TabId.New(TimeProvider.System), default);
        var recovered = await Recovery.LoadAsync(store, head, new(Action: CorruptionAction.Repair), default);
        using var image = (await Recovery.RepairAsync(store, new(head.Incarnation, head.Epoch), recovered, default)).Image;
        Assert.Empty((await Recovery.VerifyAsync(store)).Findings);
        Assert.Contains(disk.Files, file => file.Key.Contains("quarantine", StringComparison.Ordinal) && file.Value.AsSpan().SequenceEqual(damaged));
        using var again = (await Recovery.LoadAsync(store, head, new(), default)).Image;
        Assert.Equal(StoreScript.Describe(image), StoreScript.Describe(again));
    }
}
