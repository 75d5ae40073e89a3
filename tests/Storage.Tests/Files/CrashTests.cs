using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Files;

/// <summary>A leader stops or meets an error at its N-th step on the disk, N = 1 until it gets through.</summary>
public sealed class CrashTests
{
    private static readonly FileStoreOptions Options = new() { BaseDirectory = "/simulated" };

    [Theory]
    [InlineData(PowerCut.KeepsAll, 1)]
    [InlineData(PowerCut.DropsAll, 2)]
    [InlineData(PowerCut.Reorders, 3)]
    [InlineData(PowerCut.Reorders, 4)]
    public async Task After_a_crash_at_any_step_the_store_holds_what_was_acknowledged_or_that_and_what_was_in_flight(PowerCut kind, int seed)
    {
        var steps = await SweepAsync(async step =>
        {
            var disk = new SimulatedDisk(seed * 1000 + step) { FailAt = step };
            using var script = new StoreScript(seed);
            await RunUntilStoppedAsync(script, disk);
            disk.Cut(kind);
            await AssertRecoveredAsync(disk, script, script.Acknowledged);
            return disk.HasFired;
        });
        Assert.True(steps > 70, $"The script took {steps} steps only.");
    }

    [Theory]
    [InlineData(5, 5, false)]
    [InlineData(5, 6, true)]
    [InlineData(28, 7, false)]
    public async Task After_an_error_at_any_step_the_leader_goes_on_where_the_store_stands(int error, int seed, bool afterwards)
    {
        await SweepAsync(async step =>
        {
            var disk = new SimulatedDisk { FailAt = step, Failure = new IOException("Simulated.", error), FailsAfterwards = afterwards };
            using var script = new StoreScript(seed);
            await using var store = new FileBlockStore("app.db", Options, null, disk);
            try
            {
                await script.RunAsync(store, isOpen: false);
            }
            catch (StorageException cause)
            {
                await AssertAfterErrorAsync(store, script, cause);
                await script.RunAsync(store, isOpen: false);
            }

            await store.DisposeAsync();
            disk.FailAt = 0;
            await AssertRecoveredAsync(disk, script, script.Acknowledged);
            Assert.Equal(script.InFlight, script.Acknowledged);
            return disk.HasFired;
        });
    }

    [Theory]
    [InlineData(8)]
    [InlineData(9)]
    public async Task What_a_disk_lost_that_it_called_durable_is_found_and_repaired(int seed)
    {
        var found = 0;
        for (var round = 0; round < 60; round++)
        {
            var disk = new SimulatedDisk(seed * 1000 + round);
            using var script = new StoreScript(seed * 100 + round, actions: 6);
            await using var store = new FileBlockStore("app.db", Options, null, disk);
            await script.RunAsync(store, isOpen: false);
            disk.LiesAboutFiles = true;
            script.Extend(8);
            await script.RunAsync(store, isOpen: true);
            await store.DisposeAsync();
            disk.LiesAboutFiles = false;
            disk.Cut(PowerCut.Reorders);
            if (await IsFoundAsync(disk, script)) found++;
        }

        Assert.True(found > 20, $"{found} of 60 only.");
    }

    /// <summary>Sound, in a state that once was; or refused, then reported, then repaired.</summary>
    private static async Task<bool> IsFoundAsync(SimulatedDisk disk, StoreScript script)
    {
        await using var store = new FileBlockStore("app.db", Options, null, disk);
        try
        {
            var head = await store.OpenAsync(default);
            using var sound = (await Recovery.LoadAsync(store, head, new(), default)).Image;
            Assert.Equal(script.States[sound.Position.Marker], StoreScript.Describe(sound));
            return false;
        }
        catch (CorruptStoreException error) when (error.Report is null)
        {
            return true; // the head and its copy: nothing can be made of that
        }
        catch (CorruptStoreException error)
        {
            Assert.NotEmpty(error.Report!.Findings);
        }

        var before = disk.Files;
        var reported = await Recovery.LoadAsync(store, null, new(Action: CorruptionAction.Report), default);
        reported.Image.Dispose();
        Assert.Equal(before, disk.Files);
        Assert.True(reported.Report.IsCorrupt);

        var raised = await store.RaiseEpochAsync(reported.Head.Incarnation, default, TabId.New(TimeProvider.System), default);
        var damaged = await Recovery.LoadAsync(store, raised, new(Action: CorruptionAction.Repair), default);
        var repaired = await Recovery.RepairAsync(store, new(raised.Incarnation, raised.Epoch), damaged, default);
        var kept = StoreScript.Describe(repaired.Image);
        repaired.Image.Dispose();
        Assert.Contains(disk.Files.Keys, path => path.Contains("quarantine", StringComparison.Ordinal));
        using var again = (await Recovery.LoadAsync(store, raised, new(), default)).Image;
        Assert.Equal(kept, StoreScript.Describe(again));
        return true;
    }

    private static async Task<int> SweepAsync(Func<int, Task<bool>> run)
    {
        for (var step = 1; step < 2000; step++)
        {
            if (!await run(step)) return step;
        }

        throw new InvalidOperationException("The script does not end.");
    }

    private static async Task RunUntilStoppedAsync(StoreScript script, SimulatedDisk disk)
    {
        await using var store = new FileBlockStore("app.db", Options, null, disk);
        try
        {
            await script.RunAsync(store, isOpen: false);
        }
        catch (StorageException) when (disk.HasFired)
        {
        }
    }

    private static async Task AssertAfterErrorAsync(FileBlockStore store, StoreScript script, StorageException cause)
    {
        var isOpen = false;
        try
        {
            await StoreHead.ReadAsync(store);
            isOpen = true;
        }
        catch (StorageClosedException)
        {
            await store.OpenAsync(default);
        }

        using var image = (await Recovery.LoadAsync(store, null, new(), default)).Image;
        Assert.Equal(script.States[image.Position.Marker], StoreScript.Describe(image));
        Assert.Contains(image.Position.Marker, new[] { script.Acknowledged, script.InFlight });
        if (isOpen && cause is not StorageClosedException) Assert.Equal(script.Acknowledged, image.Position.Marker);
        script.Resume(image.Position.Marker);
    }

    /// <summary>The state is the one of an allowed marker; recovering again changes nothing; the store takes commits.</summary>
    private static async Task AssertRecoveredAsync(SimulatedDisk disk, StoreScript script, long acknowledged)
    {
        await using var store = new FileBlockStore("app.db", Options, null, disk);
        var head = await store.OpenAsync(default);
        var after = disk.Files;
        var recovered = await Recovery.LoadAsync(store, head, new(), default);
        using (recovered.Image)
        {
            Assert.Empty(recovered.Report.Findings);
            Assert.Contains(recovered.Image.Position.Marker, new[] { acknowledged, script.InFlight });
            Assert.Equal(script.States[recovered.Image.Position.Marker], StoreScript.Describe(recovered.Image));
            Assert.Equal(recovered.Image.Position.Commit, recovered.RecentCommits.Count == 0 ? default : recovered.RecentCommits[^1]);
        }

        await store.DisposeAsync();
        await using var again = new FileBlockStore("app.db", Options, null, disk);
        await again.OpenAsync(default);
        using (var image = (await Recovery.LoadAsync(again, head, new(), default)).Image)
            Assert.Equal(script.States[recovered.Report.Position.Marker], StoreScript.Describe(image));
        Assert.Equal(after, disk.Files);

        script.Resume(recovered.Report.Position.Marker);
        script.Extend(3);
        await script.RunAsync(again, isOpen: false);
        using var final = (await Recovery.LoadAsync(again, null, new(), default)).Image;
        Assert.Equal(script.States[script.Acknowledged], StoreScript.Describe(final));
    }
}
