using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Files;

/// <summary>The mirror holds the same files; what happens to it never harms the store, nor the other way round.</summary>
public sealed class MirrorTests
{
    private const string Base = "/simulated", Second = "/mirror", Name = "app.db";
    private static readonly FileStoreOptions Plain = new() { BaseDirectory = Base };
    private static readonly FileStoreOptions Mirrored = new() { BaseDirectory = Base, MirrorDirectory = Second };
    private readonly ListLogger _logger = new();

    [Fact]
    public async Task The_mirror_holds_the_same_files_at_every_moment()
    {
        var disk = new SimulatedDisk();
        using var script = new StoreScript(1, actions: 0);
        await using var store = new FileBlockStore(Name, Mirrored, _logger, disk);
        await script.RunAsync(store, isOpen: false);
        for (var i = 0; i < 20; i++)
        {
            script.Extend(1);
            await script.RunAsync(store, isOpen: true);
            AssertInStep(disk);
        }

        Assert.DoesNotContain(2051, _logger.Ids);
        await store.DeleteAsync(default);
        Assert.Empty(disk.Files);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_store_that_is_deleted_without_being_opened_takes_its_mirror_along_but_no_other_store(bool isForeign)
    {
        var disk = new SimulatedDisk();
        using var script = new StoreScript(1);
        await using (var store = new FileBlockStore(Name, isForeign ? Plain : Mirrored, null, disk)) await script.RunAsync(store, isOpen: false);
        if (isForeign)
        {
            await using var other = new FileBlockStore(Name, new() { BaseDirectory = Second }, null, disk);
            await other.OpenAsync(default);
        }

        await using var eraser = new FileBlockStore(Name, Mirrored, _logger, disk);
        await eraser.DeleteAsync(default);
        Assert.DoesNotContain(disk.Files.Keys, path => path.StartsWith(Base, StringComparison.Ordinal));
        Assert.Equal(isForeign, disk.Files.ContainsKey("/mirror/app.db/head.json"));
        Assert.Equal(isForeign, _logger.Ids.Contains(2052));
    }

    [Fact]
    public async Task A_damaged_head_is_not_copied_over_the_mirrors_sound_one()
    {
        const string Head = "/app.db/head.json";
        var disk = new SimulatedDisk();
        using var script = new StoreScript(1);
        await using (var store = new FileBlockStore(Name, Mirrored, null, disk)) await script.RunAsync(store, isOpen: false);
        var sound = disk.Files[Second + Head];
        var damaged = disk.Files[Base + Head];
        damaged[20] ^= 1;
        disk.Damage(Base + Head, damaged);
        await using var again = new FileBlockStore(Name, Mirrored, _logger, disk);
        await again.OpenAsync(default);
        Assert.Equal(sound, disk.Files[Second + Head]);
    }

    [Fact]
    public async Task A_mirror_that_is_added_later_is_filled()
    {
        var disk = new SimulatedDisk();
        using var script = new StoreScript(2);
        await using (var store = new FileBlockStore(Name, Plain, null, disk)) await script.RunAsync(store, isOpen: false);
        await using var again = new FileBlockStore(Name, Mirrored, _logger, disk);
        await again.OpenAsync(default);
        AssertInStep(disk);
        Assert.Contains(2050, _logger.Ids);
    }

    [Fact]
    public async Task The_store_goes_on_without_a_mirror_that_fails_and_brings_it_up_again()
    {
        // Every write fails once for the mirror only: the steps are counted there.
        var behind = 0;
        for (var step = 1; ; step++)
        {
            var disk = new SimulatedDisk { FailAt = step, Failure = new IOException("Simulated.", 5), FailsBelow = Second };
            using var script = new StoreScript(3);
            var logger = new ListLogger();
            await using (var store = new FileBlockStore(Name, Mirrored, logger, disk)) await script.RunAsync(store, isOpen: false);
            if (!disk.HasFired) break;
            if (logger.Ids.Contains(2051)) behind++;
            await AssertSoundAsync(disk, Base, script);
            await using (var store = new FileBlockStore(Name, Mirrored, logger, disk)) await store.OpenAsync(default);
            AssertInStep(disk);
        }

        Assert.True(behind > 50);
    }

    [Theory]
    [InlineData(PowerCut.KeepsAll)]
    [InlineData(PowerCut.Reorders)]
    public async Task After_a_crash_at_any_step_the_mirror_is_whole_or_says_that_it_is_not(PowerCut kind)
    {
        for (var step = 1; ; step++)
        {
            var disk = new SimulatedDisk(step) { FailAt = step };
            using var script = new StoreScript(4);
            await using (var store = new FileBlockStore(Name, Mirrored, null, disk))
            {
                try
                {
                    await script.RunAsync(store, isOpen: false);
                }
                catch (StorageException) when (disk.HasFired)
                {
                }
            }

            disk.Cut(kind);
            if (disk.Files.ContainsKey("/mirror/app.db/head.json")) await AssertSoundAsync(disk, Second, script);
            await AssertSoundAsync(disk, Base, script);
            await using (var store = new FileBlockStore(Name, Mirrored, null, disk)) await store.OpenAsync(default);

            // A crash in a checkpoint leaves extents that are ahead of the head, in one of the two at most; the state is one.
            Assert.Equal(await AssertSoundAsync(disk, Base, script), await AssertSoundAsync(disk, Second, script));
            if (!disk.HasFired) break;
        }
    }

    [Fact]
    public async Task A_mirror_of_another_store_is_left_alone()
    {
        var disk = new SimulatedDisk();
        using var script = new StoreScript(5);
        await using (var store = new FileBlockStore(Name, new() { BaseDirectory = Second }, null, disk)) await script.RunAsync(store, isOpen: false);
        var before = FilesBelow(disk, Second);
        using var other = new StoreScript(6);
        await using (var store = new FileBlockStore(Name, Mirrored, _logger, disk)) await other.RunAsync(store, isOpen: false);
        Assert.Contains(2052, _logger.Ids);
        Assert.Equal(before, FilesBelow(disk, Second));
    }

    private static void AssertInStep(SimulatedDisk disk) => Assert.Equal(FilesBelow(disk, Base), FilesBelow(disk, Second));

    private static Dictionary<string, string> FilesBelow(SimulatedDisk disk, string directory) => disk.Files
        .Where(file => file.Key.StartsWith(directory + "/", StringComparison.Ordinal))
        .ToDictionary(file => file.Key[directory.Length..], file => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(file.Value)));

    /// <summary>Opened alone, the directory holds a state that the script went through, or refuses as an unfinished copy.</summary>
    private static async Task<string?> AssertSoundAsync(SimulatedDisk disk, string directory, StoreScript script)
    {
        await using var store = new FileBlockStore(Name, new() { BaseDirectory = directory }, null, disk);
        try
        {
            var head = await store.OpenAsync(default);
            using var image = (await Recovery.LoadAsync(store, head, new(), default)).Image;
            Assert.Equal(script.States[image.Position.Marker], StoreScript.Describe(image));
            var least = directory == Base ? script.Acknowledged : Math.Min(script.Acknowledged, image.Position.Marker);
            Assert.InRange(image.Position.Marker, least, script.InFlight);
            return StoreScript.Describe(image);
        }
        catch (CorruptStoreException error) when (directory == Second && error.Report is null)
        {
            Assert.Contains("mirror", error.Message, StringComparison.Ordinal);
            return null;
        }
    }
}
