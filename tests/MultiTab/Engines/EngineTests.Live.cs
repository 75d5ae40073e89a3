using DataSync.MultiTab.Browser;
using Xunit;

namespace DataSync.MultiTab.Engines;

public abstract partial class EngineTests<TEngine>
{
    [EngineFact(ChromiumHas = nameof(PlaygroundTests), Timeout = Limits.LongTest_ms)]
    public async Task A_live_query_and_the_list_of_a_page_follow_what_the_other_tab_writes()
    {
        const string Live = "(await lab.live('Followed'))";
        var page = await OpenAsync();
        await page.ExecuteAsync("CREATE TABLE todo(id INTEGER PRIMARY KEY, text TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0, tab TEXT NOT NULL)"); // as the page's first item would
        var lab = await (await engine.SharedBrowserAsync()).OpenTabAsync(engine.Server.Url + "/lab/");
        tabs.Add(lab);
        await lab.CallAsync<object?>("await lab.live('Open', arg); await lab.live('Follow', 'SELECT id, text FROM todo ORDER BY done, id');", Database);
        Assert.Equal(" | ", await lab.CallAsync<string>($"return {Live};"));

        // The query tells what became of each row.
        await page.ExecuteAsync("INSERT INTO todo(text, tab) VALUES ('milk', ''), ('bread', ''), ('tea', '')");
        await lab.WaitUntilAsync($"{Live}.startsWith('milk bread tea |')");
        await page.ExecuteAsync("CREATE TABLE other(x)");
        await page.ExecuteAsync("INSERT INTO other VALUES (1)");
        await page.ExecuteAsync("UPDATE todo SET done = 1 WHERE text = 'milk'");
        await lab.WaitUntilAsync($"{Live}.startsWith('bread tea milk |')");
        await page.ExecuteAsync("UPDATE todo SET text = 'rye bread' WHERE text = 'bread'");
        await lab.WaitUntilAsync($"{Live}.startsWith('rye bread tea milk |')");
        await page.ExecuteAsync("DELETE FROM todo WHERE text = 'tea'");
        await lab.WaitUntilAsync($"{Live}.startsWith('rye bread milk |')");
        Assert.Equal("rye bread milk | +milk@0 +bread@1 +tea@2, milk@0>2, bread=rye bread@0, -tea@1", await lab.CallAsync<string>($"return {Live};"));

        // And the page's own list, which is a <Live>.
        await ListAsync("rye bread, milk");
        await page.CallAsync<object?>("globalThis.milk = document.querySelector('#todo-items li:last-child');");
        await lab.CallAsync<int>("return lab.live('Execute', \"INSERT INTO todo(text, tab) VALUES ('jam', ''); UPDATE todo SET text = 'oat milk' WHERE text = 'milk'\");");
        await ListAsync("jam, rye bread, oat milk");
        Assert.True(await page.CallAsync<bool>("return milk === document.querySelector('#todo-items li:last-child');")); // the row is still the same element

        Task ListAsync(string items) => page.WaitUntilAsync($"[...document.querySelectorAll('#todo-items li label')].map(item => item.innerText.trim()).join(', ') === '{items}'");
    }
}
