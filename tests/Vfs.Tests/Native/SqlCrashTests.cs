using DataSync.Contracts;
using DataSync.Storage;
using DataSync.Storage.Tests.Files;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.Vfs.Tests.Native;

/// <summary>
/// SQL transactions through the whole stack, whose process ends or whose store meets an error at the N-th operation, N = 1 until it
/// gets through. Many N at once: each waits for an election in real time.
/// </summary>
public sealed class SqlCrashTests(ITestOutputHelper output)
{
    private const int AtOnce = 24, Most = 600;
    private static readonly TimeSpan Patience = NativeTabs.Patience;
    private static readonly FileStoreOptions Files = new() { BaseDirectory = "/simulated" };

    [Theory]
    [InlineData(PowerCut.KeepsAll)]
    [InlineData(PowerCut.DropsAll)]
    [InlineData(PowerCut.Reorders)]
    public async Task A_process_that_ends_at_any_step_on_its_disk_leaves_what_it_acknowledged_or_that_and_the_one_in_flight(PowerCut kind)
    {
        var paths = new List<string>();
        var steps = await SweepAsync(async step =>
        {
            var disk = new SimulatedDisk(step) { FailAt = step };
            var (acknowledged, end) = await RunUntilAsync(new FileBlockStore("app.db", Files, null, disk), disk.Fired);
            if (disk.HasFired)
            {
                var path = await disk.Fired;
                lock (paths) paths.Add(path);
                var next = disk.CutAway(kind, step);
                await AssertRecoveredAsync(() => new FileBlockStore("app.db", Files, null, next), acknowledged, () => next.Files);
            }

            await end;
            return disk.HasFired;
        });
        output.WriteLine($"{steps} steps");
        foreach (var part in new[] { "head.json", "/log/", "/extents/" }) Assert.Contains(paths, path => path.Contains(part, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_process_that_ends_at_any_call_of_its_store_leaves_the_same(bool afterwards)
    {
        var stoppedIn = new HashSet<StoreOperation>();
        await SweepAsync(async call =>
        {
            var medium = new MemoryBlockMedium();
            var (calls, stopped) = (0, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
            var store = new FaultyBlockStore(new MemoryBlockStore(medium));
            Func<StoreCall, Task> stop = which =>
            {
                // From there on nothing that the process does reaches the store, and nothing comes back.
                if (stopped.Task.IsCompleted || Interlocked.Increment(ref calls) == call)
                {
                    lock (stoppedIn) stoppedIn.Add(which.Operation);
                    stopped.TrySetResult();
                    throw new StorageClosedException(StoreClosedReason.Lost);
                }

                return Task.CompletedTask;
            };
            store.Before = which => afterwards && !stopped.Task.IsCompleted ? Task.CompletedTask : stop(which);
            if (afterwards) store.After = stop;
            var (acknowledged, end) = await RunUntilAsync(store, stopped.Task);
            var hasFired = stopped.Task.IsCompleted;
            if (hasFired) await AssertRecoveredAsync(() => new MemoryBlockStore(medium), acknowledged, null);
            await end;
            return hasFired;
        });
        Assert.Superset(new HashSet<StoreOperation> { StoreOperation.Append, StoreOperation.Checkpoint, StoreOperation.RaiseEpoch }, stoppedIn);
    }

    [Theory]
    [InlineData(5, false)]
    [InlineData(28, false)]
    [InlineData(5, true)]
    public async Task An_error_at_any_step_on_the_disk_is_survived_and_whoever_writes_is_told_the_truth(int error, bool afterwards)
    {
        await SweepAsync(async step =>
        {
            var disk = new SimulatedDisk { FailAt = step, Failure = new IOException("Simulated.", error), FailsAfterwards = afterwards, FailsBelow = "/simulated/app.db" };
            var store = new FileBlockStore("app.db", Files, null, disk);
            using var tabs = new NativeTabs();
            var database = await OpenAsync(tabs, store, disk);
            for (var i = 0; i < CrashScript.Length;)
            {
                try
                {
                    await CrashScript.RunAsync(database, i).WaitAsync(Patience);
                    i++;
                }
                catch (StorageException)
                {
                    Assert.True(disk.HasFired);
                }

                using var connection = new Microsoft.Data.Sqlite.SqliteConnection(database.ConnectionString + ";Pooling=False");
                connection.Open();
                Assert.Equal(CrashScript.States[i], CrashScript.Describe(connection));
            }

            await database.DisposeAsync();
            disk.FailAt = 0;
            await using var again = new FileBlockStore("app.db", Files, null, disk);
            Assert.Equal(CrashScript.States[^1], (await CrashScript.ReadAsync(again)).State);
            return disk.HasFired;
        });
    }

    // The first steps are those of opening, which the error makes fail: then the app opens again.
    private static async Task<DataSyncDatabase> OpenAsync(NativeTabs tabs, FileBlockStore store, SimulatedDisk disk)
    {
        try
        {
            return await tabs.OpenAsync(store, CrashScript.Options()).WaitAsync(Patience);
        }
        catch (StorageException) when (disk.HasFired)
        {
            return await tabs.OpenAsync(new FileBlockStore("app.db", Files, null, disk), CrashScript.Options()).WaitAsync(Patience);
        }
    }

    private static async Task<int> SweepAsync(Func<int, Task<bool>> run)
    {
        for (var step = 1; step < Most; step += AtOnce)
        {
            var fired = await Task.WhenAll(Enumerable.Range(step, AtOnce).Select(s => Task.Run(() => run(s))));
            if (Array.TrueForAll(fired, f => !f)) return step;
        }

        throw new InvalidOperationException("The script does not end.");
    }

    /// <summary>How many transactions were acknowledged before the process ended or the script was over; and the end of what is left of it.</summary>
    private static async Task<(int Acknowledged, Task End)> RunUntilAsync(IBlockStore store, Task stopped)
    {
        var tabs = new NativeTabs();
        var acknowledged = 0;
        var opening = tabs.OpenAsync(store, CrashScript.Options());
        if (await IsDoneBeforeAsync(opening))
        {
            for (; acknowledged < CrashScript.Length; acknowledged++)
            {
                if (!await IsDoneBeforeAsync(CrashScript.RunAsync(await opening, acknowledged))) break;
            }
        }

        return (acknowledged, EndAsync());

        async Task<bool> IsDoneBeforeAsync(Task work)
        {
            await Task.WhenAny(work, stopped).WaitAsync(Patience);
            if (work.IsCompletedSuccessfully) return true;
            _ = work.Exception;
            _ = work.ContinueWith(t => t.Exception, TaskScheduler.Default);
            Assert.True(stopped.IsCompleted, work.Exception?.ToString());
            return false;
        }

        // What a process that has ended never does; here its threads have to.
        async Task EndAsync()
        {
            try
            {
                await (await opening).DisposeAsync();
            }
            catch (StorageException)
            {
            }

            tabs.Dispose();
        }
    }

    private static async Task AssertRecoveredAsync(Func<IBlockStore> open, int acknowledged, Func<object>? files)
    {
        string state;
        await using (var store = open())
        {
            (state, var report) = await CrashScript.ReadAsync(store);
            Assert.Empty(report.Findings);
            Assert.Contains(state, CrashScript.States.Skip(acknowledged).Take(2));
        }

        // Once more: nothing has changed, neither what is read nor a file.
        var before = files?.Invoke();
        await using (var store = open()) Assert.Equal(state, (await CrashScript.ReadAsync(store)).State);
        Assert.Equal(before, files?.Invoke());

        // And the whole stack goes on from there.
        using var tabs = new NativeTabs();
        await using (var database = await tabs.OpenAsync(open(), CrashScript.Options()).WaitAsync(Patience))
        {
            await database.ExecuteAsync("CREATE TABLE after(a); INSERT INTO after VALUES ('went on')").WaitAsync(Patience);
        }

        await using var last = open();
        Assert.Contains("went on", (await CrashScript.ReadAsync(last)).State, StringComparison.Ordinal);
    }
}
