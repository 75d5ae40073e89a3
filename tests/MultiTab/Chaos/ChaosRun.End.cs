using System.Globalization;
using System.Text.Json.Nodes;

namespace DataSync.MultiTab.Chaos;

internal sealed partial class ChaosRun
{
    /// <summary>L1 says 6 s where a page is there that runs; what comes on top is for a machine that is busy.</summary>
    private static readonly TimeSpan RecoveryLimit = TimeSpan.FromSeconds(30);

    /// <summary>The same for pages that have to load first.</summary>
    private static readonly TimeSpan LoadLimit = TimeSpan.FromMinutes(3);

    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(90);

    /// <summary>Lifts all faults; then everybody writes, agrees, and is judged.</summary>
    private async Task EndAsync()
    {
        Log.Write("", "the end: all faults are lifted");
        await LiftAsync();
        var lifted = time.GetTimestamp();
        await TendAsync();
        if (tabs.Exists(tab => tab is { IsUp: true, NeedsReload: false } && tab.Page!.Generation.Length > 0))
        {
            await SucceedAsync("a tab to write again", RecoveryLimit, () => Task.FromResult(tabs.Exists(tab => HasWrittenSince(tab, lifted))));
            Figures.Recovery = time.GetElapsedTime(lifted);
        }

        await SucceedAsync("every tab to write again", LoadLimit, async () =>
        {
            await TendAsync();
            var working = tabs.Where(tab => tab.Page!.Generation.Length > 0 && !tab.NeedsReload).ToArray();
            return working.Length == tabs.Count && Array.TrueForAll(working, tab => HasWrittenSince(tab, lifted));
        }, () => DescribeAsync(tab => !HasWrittenSince(tab, lifted)));
        Figures.FullRecovery = time.GetElapsedTime(lifted);

        writer.IsOver = true;
        await SucceedAsync("every write to be answered", AnswerLimit, () => Task.FromResult(tabs.TrueForAll(tab => tab.Page!.Working.IsCompleted)), () => DescribeAsync(tab => !tab.Page!.Working.IsCompleted));
        foreach (var tab in tabs) await tab.Page!.Working;
        await AgreeAsync();

        var fresh = await OpenAsync(inNewWindow: false);
        await fresh.Page!.Working;
        await AgreeAsync();
        await CompareAsync(fresh);
        foreach (var tab in tabs)
        {
            if (!await writer.WriteAsync(tab, tab.Page!, 2, 10)) History.Violate($"{tab.Page!.Name} could not write at the end");
        }

        await AgreeAsync();
        await CompareAsync(fresh);
        History.Judge(fresh.Page.Generation);
    }

    private async Task LiftAsync()
    {
        foreach (var tab in tabs.Where(tab => tab.IsStopped).ToArray()) Continue(tab);
        foreach (var tab in tabs.ToArray())
        {
            if (tab.IsFrozen) await tab.Raw.SetFrozenAsync(false);
            tab.IsFrozen = false;
            if (tab.IsAway) await ReturnAsync(tab, tab.Page!);
            if (tab.IsThrottled) await tab.Raw.SendAsync("Emulation.setCPUThrottlingRate", new { rate = 1 });
            tab.IsThrottled = false;
        }

        await LiftQuotaAsync();
        if (deleting is not null) await deleting.WaitAsync(AnswerLimit);
        Log.Write("", "everything runs");
    }

    private bool HasWrittenSince(ChaosTab tab, long moment) => History.LastAcknowledgement(tab.Page!.Name) > moment;

    /// <summary>Waits until all tabs show one leader among them, and the same marker.</summary>
    private async Task AgreeAsync()
    {
        var said = "";
        await SucceedAsync("all tabs to agree", LoadLimit, async () =>
        {
            var statuses = await Task.WhenAll(tabs.Select(tab => tab.Page!.AskAsync("datasync.status()")));
            said = string.Join(' ', statuses.Select(status => status.ToJsonString()));
            var leaders = statuses.Where(status => status["role"]!.GetValue<string>() == "leader").Select(status => status["id"]!.GetValue<string>()).ToArray();
            return leaders.Length == 1 && Array.TrueForAll(statuses, status =>
                status["leaderId"]?.GetValue<string>() == leaders[0]
                && status["members"]!.AsArray().Count == tabs.Count
                && JsonNode.DeepEquals(status["marker"], statuses[0]["marker"])
                && JsonNode.DeepEquals(status["epoch"], statuses[0]["epoch"]));
        }, () => Task.FromResult(said));
    }

    /// <summary>Every tab reads everything; all must be the same, and whole.</summary>
    private async Task CompareAsync(ChaosTab fresh)
    {
        await writer.ReadAsync(fresh.Page!, isWhole: true);
        var total = History.KnownRows(fresh.Page!.Generation);
        foreach (var tab in tabs)
        {
            var page = tab.Page!;
            if (page.Generation != fresh.Page.Generation) History.Violate($"{page.Name} shows history {page.Generation}, a new tab {fresh.Page.Generation}");
            await writer.ReadAsync(page, isWhole: true);
            var state = await page.AskAsync("chaos.check()");
            var expected = string.Create(CultureInfo.InvariantCulture, $$"""{"integrity":"ok","counter":{{total}},"total":{{total}},"last":{{total}},"metas":1,"live":true}""");
            if (state.ToJsonString() != expected) History.Violate($"{page.Name} is not whole: {state.ToJsonString()}, expected {expected}");
        }

        if (History.KnownRows(fresh.Page.Generation) != total) History.Violate("a tab shows more than a new one");
    }

    private async Task SucceedAsync(string what, TimeSpan limit, Func<Task<bool>> condition, Func<Task<string>>? state = null)
    {
        for (var start = time.GetTimestamp(); time.GetElapsedTime(start) < limit; await Task.Delay(Tick, time))
        {
            if (await condition()) return;
        }

        var said = state is null ? "" : await state();
        throw new TimeoutException(string.Create(CultureInfo.InvariantCulture, $"{limit.TotalSeconds} s were not enough for {what}. {said}"));
    }

    /// <summary>Where the tabs stand that are waited for.</summary>
    private async Task<string> DescribeAsync(Func<ChaosTab, bool> isLate)
    {
        var lines = new List<string>();
        foreach (var tab in tabs.Where(isLate))
        {
            try
            {
                lines.Add($"{tab.Page!.Name}: {await tab.Raw.EvaluateAsync("chaos.state()").WaitAsync(TimeSpan.FromSeconds(5))}");
            }
            catch (Exception error) when (error is TimeoutException or InvalidOperationException)
            {
                lines.Add($"{tab.Page!.Name}: {error.Message}");
            }
        }

        return string.Join("; ", lines);
    }
}
