using System.Globalization;
using DataSync.MultiTab.Browser;

namespace DataSync.MultiTab.Chaos;

internal sealed partial class ChaosRun
{
    private static readonly string[] Forgeries =
    [
        // A tab that runs and does not lead, a tab that is not there, one of a newer version, an epoch out of reach, no record at all.
        "{ v: 1, epoch: epoch + 1, renewal: 1, holder: other, leading: true }",
        "{ v: 1, epoch: epoch + 3, renewal: 5, holder: '00000000-0000-7000-8000-000000000001', leading: true }",
        "{ v: 2, epoch: epoch + 1, renewal: 1, holder: '00000000-0000-7000-8000-000000000002', leading: true, more: [1] }",
        "{ v: 1, epoch: 2 ** 45, renewal: 1, holder: other, leading: true }",
        "{ v: 1, epoch: 0, renewal: 0 }",
        "'{\"v\":1,\"epoch\":'",
    ];

    private Task? deleting;

    /// <summary>Does a fault. Returns what ends it, or null when nothing does, or when it could befall nobody.</summary>
    private async Task<Func<Task>?> BeginAsync(FaultEvent fault) => fault.Fault switch
    {
        Fault.Kill => await KillAsync(fault),
        Fault.Crash => await CrashAsync(fault),
        Fault.Stop => await StopAsync(fault),
        Fault.Close => await CloseAsync(fault),
        Fault.Open => await OpenOneAsync(fault),
        Fault.Reload => await ReloadAsync(fault),
        Fault.Away => await LeaveAsync(fault),
        Fault.Freeze => await FreezeAsync(fault),
        Fault.Throttle => await ThrottleAsync(fault),
        Fault.Front => await BringToFrontAsync(fault),
        Fault.Quota => await ShrinkAsync(),
        Fault.Delete => await DeleteAsync(),
        Fault.Forge => await ForgeAsync(fault),
        _ => await ClearAsync(fault),
    };

    private Func<Task>? Done(Fault fault, Func<Task>? end = null)
    {
        Figures.Faults[fault]++;
        return end;
    }

    private static bool IsUp(ChaosTab tab) => tab.IsUp;

    private async Task<Func<Task>?> KillAsync(FaultEvent fault)
    {
        await FindProcessesAsync();
        if (await PickLeaderAsync(fault, tab => tab.IsUp && tab.Process is not null) is not { } tab) return null;
        Log.Write(tab.Page!.Name, $"kill, process {tab.Process!.Id}");
        await CrashedByAsync(tab, () => tab.Process!.Kill());
        return Done(Fault.Kill);
    }

    private async Task<Func<Task>?> CrashAsync(FaultEvent fault)
    {
        if (await PickLeaderAsync(fault, IsUp) is not { } tab) return null;
        Log.Write(tab.Page!.Name, "crash");
        await CrashedByAsync(tab, () => _ = tab.Raw.SendAsync("Page.crash").ContinueWith(task => _ = task.Exception, TaskScheduler.Default));
        return Done(Fault.Crash);
    }

    /// <summary>Does it and waits until the browser says that the renderer is gone.</summary>
    private static async Task CrashedByAsync(ChaosTab tab, Action act)
    {
        var crashed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        void OnCrashed() => crashed.TrySetResult();
        tab.Raw.Crashed += OnCrashed;
        act();
        await crashed.Task.WaitAsync(Limits.Step);
        tab.Raw.Crashed -= OnCrashed;
    }

    private async Task<Func<Task>?> StopAsync(FaultEvent fault)
    {
        await FindProcessesAsync();
        if (await PickLeaderAsync(fault, tab => tab.IsUp && tab.Process is not null) is not { } tab) return null;
        Log.Write(tab.Page!.Name, string.Create(CultureInfo.InvariantCulture, $"stop for {fault.For.TotalSeconds:0.0} s, process {tab.Process!.Id}"));
        tab.Process.Stop();
        tab.IsStopped = true;
        tab.Page.WasStopped = true;
        return Done(Fault.Stop, () =>
        {
            if (tab.IsStopped) Continue(tab);
            return Task.CompletedTask;
        });
    }

    private void Continue(ChaosTab tab)
    {
        Log.Write(tab.Page!.Name, "continue");
        tab.Process!.Continue();
        tab.IsStopped = false;
    }

    private async Task<Func<Task>?> CloseAsync(FaultEvent fault)
    {
        if (tabs.Count <= FewestTabs || await PickLeaderAsync(fault, IsUp) is not { } tab) return null;
        Log.Write(tab.Page!.Name, "close");
        lock (tabs) tabs.Remove(tab);
        await tab.Raw.CloseAsync();
        tab.Page.Lose();
        return Done(Fault.Close);
    }

    private async Task<Func<Task>?> OpenOneAsync(FaultEvent fault)
    {
        if (tabs.Count >= MostTabs) return null;
        await OpenAsync(inNewWindow: fault.Detail % 3 == 0);
        return Done(Fault.Open);
    }

    private async Task<Func<Task>?> ReloadAsync(FaultEvent fault)
    {
        if (await PickLeaderAsync(fault, IsUp) is not { } tab) return null;
        Log.Write(tab.Page!.Name, "reload");
        await LoadAsync(tab);
        return Done(Fault.Reload);
    }

    private async Task<Func<Task>?> LeaveAsync(FaultEvent fault)
    {
        if (await PickLeaderAsync(fault, IsUp) is not { } tab) return null;
        var page = tab.Page!;
        Log.Write(page.Name, "goes to another site");
        tab.IsAway = true;
        page.Lose();
        await tab.Raw.NavigateAsync(url.Replace("127.0.0.1", "localhost", StringComparison.Ordinal) + "/page.css");
        return Done(Fault.Away, () => ReturnAsync(tab, page));
    }

    /// <summary>Goes back. The browser either kept the page, which then goes on, or loads it anew.</summary>
    private async Task ReturnAsync(ChaosTab tab, ChaosPage page)
    {
        if (!tab.IsAway) return;
        tab.Process = null;
        await tab.Raw.GoBackAsync();
        var shown = await WaitForAsync(tab, "globalThis.chaos?.page ?? null");
        tab.IsAway = false;
        if (shown is not null && shown == page.Id)
        {
            var persisted = (int?)await tab.Raw.EvaluateAsync("chaos.persisted");
            Log.Write(page.Name, $"comes back as it was, persisted {persisted}");
            if (persisted is not > 0) History.Violate($"{page.Name} came back without a pageshow that says so");
            Figures.Restored++;
            page.Regain();
            page.Working = writer.WorkAsync(tab, page, isBack: true);
            return;
        }

        await LoadAsync(tab, isLoading: shown is not null);
    }

    private async Task<Func<Task>?> FreezeAsync(FaultEvent fault)
    {
        // A page that is frozen while it still loads the .NET runtime stays at that for ever, before any of DataSync's code runs.
        var hidden = new List<ChaosTab>();
        foreach (var each in tabs.Where(IsUp))
        {
            if ((bool?)await each.Raw.EvaluateAsync("document.hidden && !document.querySelector('#app > p.loading')") == true) hidden.Add(each);
        }

        if (await PickLeaderAsync(fault, hidden.Contains) is not { } tab) return null;
        var page = tab.Page!;
        var freezes = (int?)await tab.Raw.EvaluateAsync("chaos.freezes");
        await tab.Raw.SetFrozenAsync(true);
        if (await WaitForAsync(tab, $"chaos.freezes > {freezes} ? 'frozen' : null") is null)
        {
            await tab.Raw.SetFrozenAsync(false);
            return null;
        }

        var (ticks, resumes) = ((int?)await tab.Raw.EvaluateAsync("chaos.ticks"), (int?)await tab.Raw.EvaluateAsync("chaos.resumes"));
        tab.IsFrozen = true;
        Log.Write(page.Name, string.Create(CultureInfo.InvariantCulture, $"freeze for {fault.For.TotalSeconds:0.0} s"));
        return Done(Fault.Freeze, () => ThawAsync(tab, page, ticks, resumes));
    }

    private async Task ThawAsync(ChaosTab tab, ChaosPage page, int? ticks, int? resumes)
    {
        if (!tab.IsFrozen || tab.Page != page) return;

        // One that was brought to the front meanwhile was woken by that, even if it is hidden again.
        if ((int?)await tab.Raw.EvaluateAsync("chaos.resumes") == resumes)
        {
            var now = (int?)await tab.Raw.EvaluateAsync("chaos.ticks");
            if (now != ticks) History.Violate($"{page.Name} was frozen, and its timers went on from {ticks} to {now}");
            Figures.StoodStill++;
        }

        await tab.Raw.SetFrozenAsync(false);
        tab.IsFrozen = false;
        Log.Write(page.Name, "thaw");
    }

    private async Task<Func<Task>?> ThrottleAsync(FaultEvent fault)
    {
        if (await PickLeaderAsync(fault, tab => tab is { IsUp: true, IsThrottled: false }) is not { } tab) return null;
        var rate = 2 + fault.Detail % 7;
        Log.Write(tab.Page!.Name, $"a {rate}th of the CPU");
        await tab.Raw.SendAsync("Emulation.setCPUThrottlingRate", new { rate });
        tab.IsThrottled = true;
        return Done(Fault.Throttle, async () =>
        {
            if (!tab.IsThrottled || tab.IsStopped || !tabs.Contains(tab)) return;
            await tab.Raw.SendAsync("Emulation.setCPUThrottlingRate", new { rate = 1 });
            tab.IsThrottled = false;
            Log.Write(tab.Page!.Name, "all of the CPU");
        });
    }

    private async Task<Func<Task>?> BringToFrontAsync(FaultEvent fault)
    {
        if (Pick(fault, IsUp) is not { } tab) return null;
        var before = (string?)await tab.Raw.EvaluateAsync("document.visibilityState");
        await tab.Raw.ActivateAsync();
        Log.Write(tab.Page!.Name, $"comes to the front, was {before}");
        return before == "hidden" ? Done(Fault.Front) : null;
    }

    private async Task<Func<Task>?> ShrinkAsync()
    {
        Log.Write("", "little room");
        (writer.IsShort, writer.MayBeRefused) = (true, true);
        await control.SendAsync("Storage.overrideQuotaForOrigin", new { origin = url, quotaSize = 2_000_000 });
        return Done(Fault.Quota, LiftQuotaAsync);
    }

    private async Task LiftQuotaAsync()
    {
        Log.Write("", "room again");
        writer.IsShort = false;
        await control.SendAsync("Storage.overrideQuotaForOrigin", new { origin = url });
    }

    /// <summary>Asks for the deletion, which waits for pages that stand still, and goes on.</summary>
    private async Task<Func<Task>?> DeleteAsync()
    {
        if (deleting is { IsCompleted: false }) return null;
        var (begin, known) = (time.GetTimestamp(), History.KnownGenerations());
        writer.MayBeDeleted = true;
        Log.Write("", "the database is being deleted");
        deleting = WaitAsync();
        await Task.Yield();
        return Done(Fault.Delete);

        async Task WaitAsync()
        {
            await control.EvaluateAsync($"new Promise((resolve, reject) => {{ const r = indexedDB.deleteDatabase('datasync:{Database}'); r.onsuccess = () => resolve(true); r.onerror = () => reject(r.error); }})");
            History.Delete(begin, time.GetTimestamp(), known);
            Log.Write("", "the database is deleted");
        }
    }

    private async Task<Func<Task>?> ForgeAsync(FaultEvent fault)
    {
        var other = Pick(fault, tab => tab.Page?.TabId is not null)?.Page!.TabId ?? "nobody";
        var forgery = Forgeries[fault.Detail % Forgeries.Length];
        var written = (string?)await control.EvaluateAsync($$"""
            (() => {
              const key = 'datasync:{{Database}}:lease', other = '{{other}}';
              let epoch = 1;
              try { epoch = JSON.parse(localStorage.getItem(key)).epoch; } catch { }
              const record = {{forgery}};
              localStorage.setItem(key, typeof record === 'string' ? record : JSON.stringify(record));
              return localStorage.getItem(key);
            })()
            """);
        Log.Write("", $"lease forged: {written}");
        return Done(Fault.Forge);
    }

    private async Task<Func<Task>?> ClearAsync(FaultEvent fault)
    {
        var isAll = fault.Detail % 2 == 0;
        await control.EvaluateAsync(isAll ? "localStorage.clear()" : $"localStorage.removeItem('datasync:{Database}:lease')");
        Log.Write("", isAll ? "localStorage cleared" : "lease removed");
        return Done(Fault.Clear);
    }

    /// <summary>Evaluates until there is something, for five seconds at most: while a page is being replaced there is nothing to ask.</summary>
    private async Task<string?> WaitForAsync(ChaosTab tab, string expression)
    {
        for (var start = time.GetTimestamp(); time.GetElapsedTime(start) < TimeSpan.FromSeconds(5); await Task.Delay(Tick, time))
        {
            try
            {
                if ((string?)await tab.Raw.EvaluateAsync(expression) is { } value) return value;
            }
            catch (InvalidOperationException)
            {
                // It went just now.
            }
        }

        return null;
    }
}
