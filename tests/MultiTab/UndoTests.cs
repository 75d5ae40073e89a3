using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Undo and redo in two real tabs, which are reloaded and closed meanwhile.</summary>
[Collection(AppCollection.Name)]
public sealed class UndoTests(BrowserFixture browser, ITestOutputHelper output)
{
    private const string Before = "1milk 2bread", After = "1oat milk 2bread 3tea";

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_unit_is_undone_and_redone_by_any_tab_also_after_a_reload_and_a_conflict_changes_nothing()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var (first, firstId) = await OpenAsync(tabs);
        await StepAsync<object?>(first, "Execute", "INSERT INTO item VALUES (1, 'milk'), (2, 'bread')");
        var (second, secondId) = await OpenAsync(tabs);

        await StepAsync<object?>(first, "Write", "Shop", "UPDATE item SET text = 'oat milk' WHERE id = 1\nINSERT INTO item VALUES (3, 'tea')");
        await ShowAsync(first, second, After, $"Shop of {firstId}");
        Assert.Equal("Shop", await StepAsync<string>(second, "Undo"));
        await ShowAsync(second, first, Before, $"Shop of {firstId}, undone");
        Assert.Equal("nothing", await StepAsync<string>(second, "Undo"));
        Assert.Equal("Shop", await StepAsync<string>(first, "Redo"));
        await ShowAsync(first, second, After, $"Shop of {firstId}");
        Assert.Equal("nothing", await StepAsync<string>(first, "Redo"));

        // The other tab has changed the same row, and not within a unit.
        await StepAsync<object?>(second, "Execute", "UPDATE item SET text = 'soy milk' WHERE id = 1");
        const string Changed = "1soy milk 2bread 3tea";
        await ShowAsync(second, first, Changed, $"Shop of {firstId}");
        await RefuseAsync(first, "Undo", "RowChanged in item: Shop");
        await RefuseAsync(second, "Undo", "RowChanged in item: Shop");
        await ShowAsync(second, first, Changed, $"Shop of {firstId}");

        var reloadedId = await ReloadAsync(first);
        Assert.NotEqual(firstId, reloadedId);
        await ShowAsync(second, first, Changed, $"Shop of {firstId}");
        await RefuseAsync(first, "Undo", "RowChanged in item: Shop");
        await StepAsync<object?>(second, "Execute", "UPDATE item SET text = 'oat milk' WHERE id = 1");
        await ShowAsync(second, first, After, $"Shop of {firstId}");
        Assert.Equal("Shop", await StepAsync<string>(first, "Undo"));
        await ShowAsync(first, second, Before, $"Shop of {firstId}, undone");
        await StepAsync<object?>(second, "Execute", "INSERT INTO item VALUES (3, 'coffee')");
        await ShowAsync(second, first, Before + " 3coffee", $"Shop of {firstId}, undone");
        await RefuseAsync(first, "Redo", "RowExists in item: Shop");
        await StepAsync<object?>(second, "Execute", "DELETE FROM item WHERE id = 3");
        await ShowAsync(second, first, Before, $"Shop of {firstId}, undone");
        Assert.Equal("Shop", await StepAsync<string>(first, "Redo"));
        await StepAsync<object?>(first, "Write", "Pay", "DELETE FROM item");
        await ShowAsync(first, second, "", $"Pay of {reloadedId}", $"Shop of {firstId}");
        Assert.Equal("Pay", await StepAsync<string>(second, "Undo"));
        await ShowAsync(second, first, After, $"Pay of {reloadedId}, undone", $"Shop of {firstId}");

        // Both are gone, and one that was never there before undoes and redoes.
        await first.CloseAsync();
        await second.CloseAsync();
        var (third, thirdId) = await OpenAsync(tabs);
        await ShowAsync(third, third, After, $"Pay of {reloadedId}, undone", $"Shop of {firstId}");
        Assert.Equal("Pay", await StepAsync<string>(third, "Redo"));
        await ShowAsync(third, third, "", $"Pay of {reloadedId}", $"Shop of {firstId}");
        Assert.Equal("Pay", await StepAsync<string>(third, "Undo"));
        Assert.Equal("Shop", await StepAsync<string>(third, "Undo"));
        await ShowAsync(third, third, Before, $"Pay of {reloadedId}, undone", $"Shop of {firstId}, undone");
        await StepAsync<object?>(third, "Write", "Begin anew", "DELETE FROM item WHERE id = 1");
        await ShowAsync(third, third, "2bread", $"Begin anew of {thirdId}");
        Assert.Equal("nothing", await StepAsync<string>(third, "Redo"));
        Assert.Equal(3, new HashSet<string> { firstId, secondId, thirdId }.Count);
    }

    private static async Task<(IPage Page, string Id)> OpenAsync(TabGroup tabs)
    {
        var page = await tabs.OpenPathAsync("/lab/");
        return (page, await BeginAsync(page));
    }

    private static async Task<string> ReloadAsync(IPage page)
    {
        await page.ReloadAsync();
        return await BeginAsync(page);
    }

    /// <summary>Returns the tab's id.</summary>
    private static async Task<string> BeginAsync(IPage page)
    {
        await page.EvaluateAsync("lab.ready").WaitAsync(Limits.Step);
        return await StepAsync<string>(page, "Open", "undo.db");
    }

    /// <summary>What one tab has done is shown by it and by another: the rows, by live queries too, and the history, newest first.</summary>
    private static async Task ShowAsync(IPage from, IPage to, string rows, params string[] history)
    {
        var marker = await StepAsync<int>(from, "Marker");
        foreach (var page in new[] { from, to })
        {
            var seen = await StepAsync<string>(page, "Look", marker);
            Assert.Equal([rows, rows, .. history], seen.Split('\n'));
        }
    }

    /// <summary>It is refused for this reason, and nothing is written.</summary>
    private static async Task RefuseAsync(IPage page, string step, string conflict)
    {
        var marker = await StepAsync<int>(page, "Marker");
        Assert.Equal(conflict, await StepAsync<string>(page, step));
        Assert.Equal(marker, await StepAsync<int>(page, "Marker"));
    }

    private static Task<T> StepAsync<T>(IPage page, string step, params object[] values) => page.CallAsync<T>("lab.undo(arg.step, ...arg.values)", new { step, values });
}
