using DataSync.Contracts;
using DataSync.Storage;

namespace DataSync.Simulation;

internal enum StoreEffect
{
    Abort,
    Quota,
    Throw,
    LoseBefore,
    LoseAfter,
    CrashBefore,
    CrashAfter,
    HangBefore,
    HangAfter,
    FreezeBefore,
    CacheAfter,
    HoldBefore,
    HoldAfter,
}

/// <summary>What the tabs' stores do beside what they should: take time, fail, and lose their connection.</summary>
internal sealed class SimStore(World world, Dice dice)
{
    private readonly List<(SimTab Tab, StoreOperation? Operation, StoreEffect Effect, double Ms)> _planned = [];

    private readonly List<TaskCompletionSource> _held = [];

    /// <summary>Nobody has a reason to ask so often at one moment: it would be for ever.</summary>
    private const int MaxAtOnce = 2000;

    private (double Ms, int Count) _atOnce;

    public double MaxMs { get; set; }

    public double SlowUntilMs { get; set; }

    public double QuotaUntilMs { get; set; }

    public void Plan(SimTab tab, StoreOperation? operation, StoreEffect effect, double ms) => _planned.Add((tab, operation, effect, ms));

    public void Heal()
    {
        _planned.Clear();
        var held = _held.ToList();
        _held.Clear();
        foreach (var one in held) one.TrySetResult();
        (SlowUntilMs, QuotaUntilMs) = (0, 0);
    }

    public async Task BeforeAsync(SimTab tab, StoreCall call)
    {
        world.CheckThread();
        if (call.Operation == StoreOperation.Append) world.CheckDeadline(tab);
        tab.Trace($"store {call.Operation} {call.Number} begins");
        _atOnce = (world.Clock.NowMs, _atOnce.Ms == world.Clock.NowMs ? _atOnce.Count + 1 : 1);
        if (_atOnce.Count > MaxAtOnce)
        {
            world.Fail("L1", $"{tab.Name} asks the store again and again, and no time passes.");
            await new TaskCompletionSource().Task;
        }

        await PassAsync(tab);
        var effect = Take(tab, call.Operation, e => !IsAfter(e));
        if (call.Operation is StoreOperation.Append or StoreOperation.Checkpoint && world.Clock.NowMs < QuotaUntilMs)
            await ApplyAsync(tab, call, (StoreEffect.Quota, 0));
        if (effect is { } found) await ApplyAsync(tab, call, found);
        if (call.Operation == StoreOperation.Append) world.BeforeAppend(tab, call);
    }

    public async Task AfterAsync(SimTab tab, StoreCall call)
    {
        world.Observe(tab, call);
        if (call.Operation == StoreOperation.Append && call.Commits.Count > 1) world.Coverage.Hit("state group commit");
        if (Take(tab, call.Operation, IsAfter) is { } found)
            await ApplyAsync(tab, call, found);
        await PassAsync(tab);
        tab.Trace($"store {call.Operation} {call.Number} ends");
        if (call.Operation == StoreOperation.Read) tab.Seen = default; // what comes into the image now is looked at, though its position stays
    }

    private static bool IsAfter(StoreEffect effect) =>
        effect is StoreEffect.LoseAfter or StoreEffect.CrashAfter or StoreEffect.HangAfter or StoreEffect.CacheAfter or StoreEffect.HoldAfter;

    private Task PassAsync(SimTab tab)
    {
        var most = world.Clock.NowMs < SlowUntilMs ? MaxMs * 20 + 100 : MaxMs;
        return most > 0 ? tab.DelayAsync(dice.From(0, most)) : Task.CompletedTask;
    }

    private (StoreEffect Effect, double Ms)? Take(SimTab tab, StoreOperation operation, Func<StoreEffect, bool> fits)
    {
        // What is planned for an opening meets the next tab of the slot, too.
        var index = _planned.FindIndex(p => (p.Tab == tab || (p.Operation == StoreOperation.Open && p.Tab.Slot == tab.Slot)) && (p.Operation is null || p.Operation == operation) && fits(p.Effect));
        if (index < 0) return null;
        var (_, _, effect, ms) = _planned[index];
        _planned.RemoveAt(index);
        return (effect, ms);
    }

    private async Task ApplyAsync(SimTab tab, StoreCall call, (StoreEffect Effect, double Ms) fault)
    {
        world.Coverage.Hit($"fault store {fault.Effect} at {call.Operation}");
        if (world.IsTracing) world.Trace(tab, $"store fault {fault.Effect} at {call.Operation} {call.Number}{(fault.Ms > 0 ? $" for {fault.Ms:0.#} ms" : "")}");
        switch (fault.Effect)
        {
            case StoreEffect.Abort when call.Operation == StoreOperation.Open:
                throw new StorageUnavailableException();
            case StoreEffect.Abort:
                throw new StorageException("The transaction was aborted.") { PlatformName = "AbortError" };
            case StoreEffect.Quota:
                throw new StorageQuotaException();
            case StoreEffect.Throw:
                throw new SimStoreException();
            case StoreEffect.LoseBefore or StoreEffect.LoseAfter:
                tab.Inner.OnClosed(StoreClosedReason.Lost);
                throw new StorageClosedException(StoreClosedReason.Lost);
            case StoreEffect.CrashBefore or StoreEffect.CrashAfter:
                world.Leave(tab, ActionKind.Crash);
                await new TaskCompletionSource().Task;
                break;
            case StoreEffect.HangBefore or StoreEffect.HangAfter:
                world.Stop(tab, ActionKind.Hang, fault.Ms);
                await tab.DelayAsync(0);
                break;
            case StoreEffect.FreezeBefore or StoreEffect.CacheAfter:
                world.Stop(tab, fault.Effect == StoreEffect.FreezeBefore ? ActionKind.Freeze : ActionKind.Cache, fault.Ms);
                await tab.DelayAsync(0);
                break;
            default:
                // A tab that is gone by then never comes back from it.
                var release = new TaskCompletionSource();
                _held.Add(release);
                tab.Platform.Clock.CreateTimer(_ => release.TrySetResult(), null, World.Ms(fault.Ms), Timeout.InfiniteTimeSpan);
                await release.Task;
                if (tab.IsGone) await new TaskCompletionSource().Task;
                await tab.DelayAsync(0);
                break;
        }
    }
}

/// <summary>Something that a store should not throw.</summary>
internal sealed class SimStoreException : Exception;
