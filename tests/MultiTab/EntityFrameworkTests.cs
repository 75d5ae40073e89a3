using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Ordinary contexts of EF Core in several real tabs.</summary>
[Collection(AppCollection.Name)]
public sealed class EntityFrameworkTests(BrowserFixture browser, ITestOutputHelper output)
{
    private const string Database = "ef.db", First = "20260101000000_First";

    /// <summary>EF Core's first use of a context is one long piece of work for the interpreter.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Four_tabs_save_at_once_and_each_entity_is_there_once()
    {
        const int Count = 100;
        await using var tabs = await browser.NewTabsAsync(output);
        var pages = await OpenAsync(tabs, 4);
        var saved = await Task.WhenAll(pages.Select((page, i) => CallAsync<int>(page, "Save", Database, $"tab{i}-", Count)));
        Assert.All(saved, count => Assert.Equal(Count, count));
        await AssertNamesAsync(pages, [.. Enumerable.Range(0, 4).SelectMany(tab => Enumerable.Range(0, Count).Select(i => $"tab{tab}-{i}"))]);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task The_leader_is_killed_in_the_middle_and_no_save_of_the_others_fails_or_counts_twice()
    {
        const int Count = 60;
        await using var tabs = await browser.NewTabsAsync(output);
        var pages = await OpenAsync(tabs, 4);
        var processes = await RendererProcess.OfEachAsync(pages);
        var first = pages[0]; // it opened the database first, alone, and so leads
        var rest = pages.Skip(1).ToArray();
        _ = CallAsync<int>(first, "Save", Database, "lost-", 10_000).ContinueWith(task => task.Exception, TaskScheduler.Default);
        var saves = rest.Select((page, i) => CallAsync<int>(page, "Save", Database, $"tab{i}-", Count)).ToArray();
        await WaitAsync(rest[0], "async () => (await lab.ef('Saved')) >= 10");
        processes[0].Kill();
        Assert.All(await Task.WhenAll(saves), count => Assert.Equal(Count, count));
        await AssertNamesAsync(rest, [.. Enumerable.Range(0, 3).SelectMany(tab => Enumerable.Range(0, Count).Select(i => $"tab{tab}-{i}"))], besides: "lost-");
    }

    [Theory(Timeout = Limits.Test_ms)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Four_tabs_migrate_at_once_and_one_that_dies_inside_leaves_nothing_behind(bool isBehind)
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var pages = await OpenAsync(tabs, 5, create: false);
        if (isBehind)
        {
            await CallAsync<object?>(pages[0], "Migrate", Database, First, false);
            await CallAsync<object?>(pages[0], "AddOldNote", Database, "old");
        }

        // One is in the middle of it, the others come, and it dies.
        var processes = await RendererProcess.OfEachAsync(pages);
        _ = CallAsync<object?>(pages[4], "Migrate", Database, "", true).ContinueWith(task => task.Exception, TaskScheduler.Default);
        await WaitAsync(pages[4], "async () => await lab.ef('Hangs')");
        var rest = pages.Take(4).ToArray();
        var migrations = rest.Select(page => CallAsync<object?>(page, "Migrate", Database, "", false)).ToArray();
        processes[4].Kill();
        await Task.WhenAll(migrations);
        foreach (var page in rest) await WaitAsync(page, $"async () => (await lab.ef('Notes', '{Database}')) === '{(isBehind ? "old!3" : "")}|2'");
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_sole_tab_that_was_busy_for_longer_than_the_lease_saves_and_still_leads()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = (await OpenAsync(tabs, 1))[0];
        var epoch = await CallAsync<int>(page, "SaveAfterBusyTime", Database, 0, "before");
        Assert.Equal(epoch, await CallAsync<int>(page, "SaveAfterBusyTime", Database, 9000, "after"));

        // Likewise right after it was opened.
        await page.ReloadAsync();
        await page.EvaluateAsync("lab.ready").WaitAsync(Limits.Step);
        var reopened = await CallAsync<int>(page, "SaveAfterBusyTime", Database, 9000, "again");
        Assert.Equal(epoch + 1, reopened);
        await AssertNamesAsync([page], ["before", "after", "again"]);
    }

    private static async Task<IPage[]> OpenAsync(TabGroup tabs, int count, bool create = true)
    {
        var pages = new List<IPage>();
        for (var i = 0; i < count; i++)
        {
            var page = await tabs.OpenPathAsync("/lab/");
            await page.EvaluateAsync("lab.ready").WaitAsync(Limits.Step);
            if (create) await CallAsync<object?>(page, "Create", Database);
            pages.Add(page);
        }

        return [.. pages];
    }

    private static async Task AssertNamesAsync(IPage[] pages, string[] wanted, string besides = "none")
    {
        foreach (var page in pages)
        {
            // As soon as all commits have come there, and then nothing more than that.
            var least = string.Join('\n', wanted.Order(StringComparer.Ordinal));
            await WaitAsync(page, $$"""async () => (await lab.ef('Names', '{{Database}}')).split('\n').filter(name => !name.startsWith('{{besides}}')).length >= {{wanted.Length}}""");
            var names = (await CallAsync<string>(page, "Names", Database)).Split('\n').Where(name => !name.StartsWith(besides, StringComparison.Ordinal));
            Assert.Equal(least, string.Join('\n', names));
        }
    }

    private static Task<T> CallAsync<T>(IPage page, string step, params object[] values) =>
        page.EvaluateAsync<T>("async ([step, values]) => (await lab.ef(step, ...values)) ?? null", new object[] { step, values }).WaitAsync(Patience);

    private static async Task WaitAsync(IPage page, string condition)
    {
        var holds = await page.EvaluateAsync<bool>(
            $$"""async () => { for (const end = performance.now() + 60000; performance.now() < end; await new Promise(done => setTimeout(done, 50))) if (await ({{condition}})()) return true; return false; }""").WaitAsync(Patience);
        Assert.True(holds, condition);
    }
}
