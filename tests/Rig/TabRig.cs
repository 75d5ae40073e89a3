using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;

namespace DataSync.Rig;

/// <summary>
/// One tab, put together as the library does it, over surroundings that a test rules: no chance, and nothing leaves the thread of its
/// clock.
/// </summary>
internal sealed class TabRig
{
    public TabRig(
        string scope, InMemoryTabPlatform platform, IBlockStore store, ICommitChannel channel, PipelineOptions options,
        ITabPlatform? page = null, TimeProvider? clock = null, ILogger? logger = null, Func<double>? jitter = null, Func<CommitId>? newCommitId = null)
    {
        (Platform, Clock) = (platform, clock ?? platform.Clock);
        Coordinator = new TabCoordinator(page ?? platform, new CoordinationOptions { Scope = scope }, Clock, logger) { RunsInPlace = true };
        Store = new FaultyBlockStore(store);
        Pipeline = new CommitPipeline(Store, channel, Coordinator, options, Clock, logger, new PipelineSources
        {
            RunsInPlace = true,
            NewCommitId = newCommitId ?? CommitId.New,
            Jitter = jitter ?? (() => 0.5),
            Later = action => platform.Clock.CreateTimer(_ => action(), null, TimeSpan.Zero, Timeout.InfiniteTimeSpan),
        });
    }

    /// <summary>The page, with its life: hidden, frozen, closed, crashed. Its clock stands still while it does.</summary>
    public InMemoryTabPlatform Platform { get; }

    /// <summary>The tab's own clock, which may drift.</summary>
    public TimeProvider Clock { get; }

    public TabCoordinator Coordinator { get; }

    public FaultyBlockStore Store { get; }

    public CommitPipeline Pipeline { get; }

    /// <summary>Passes time on the page's own clock: a tab that is gone never comes back from it.</summary>
    public Task Delay(double ms)
    {
        // Task.Delay would cut this to whole milliseconds.
        var passed = new TaskCompletionSource();
        Platform.Clock.CreateTimer(_ => passed.TrySetResult(), null, TimeSpan.FromMilliseconds(ms), Timeout.InfiniteTimeSpan);
        return passed.Task;
    }
}
