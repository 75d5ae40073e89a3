using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;
using static Microsoft.Playwright.Assertions;

namespace DataSync.MultiTab;

/// <summary>samples/TodoEf: an app on EF Core, published and trimmed, in several tabs.</summary>
[Collection(AppCollection.Name)]
public sealed class TodoEfTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>EF Core's first use is one long piece of work for the interpreter.</summary>
    private static readonly LocatorAssertionsToBeVisibleOptions First = new() { Timeout = Limits.Step_ms * 2 };

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Tabs_migrate_at_once_show_what_the_others_do_and_say_when_one_is_newer()
    {
        await using var server = await AppServer.StartAsync(
            new PublishedApp("", PlaygroundServer.FolderOf("DataSync.TodoEf")), new PublishedApp("/playground", PlaygroundServer.Folder));
        await using var tabs = await browser.NewTabsAsync(output, server.Url);
        var pages = await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => tabs.OpenPathAsync("/")));
        foreach (var page in pages) await Expect(page.GetByLabel("A new entry of Home")).ToBeVisibleAsync(First);

        await AddAsync(pages[0], "A new entry of Home", "milk");
        await AddAsync(pages[1], "A new entry of Home", "bread");
        await AddAsync(pages[2], "A new list", "Work");
        foreach (var page in pages)
        {
            await Expect(page.Locator("section").First.Locator("li span")).ToHaveTextAsync(["milk", "bread"]);
            await Expect(page.Locator("h2")).ToHaveTextAsync(["Home 2 open", "Work 0 open"]);
        }

        await pages[1].GetByLabel("milk", new() { Exact = true }).CheckAsync();
        await pages[2].GetByLabel("Delete bread").ClickAsync();
        await AddAsync(pages[2], "A new list", "Work"); // there is one
        await Expect(pages[2].GetByRole(AriaRole.Alert)).ToContainTextAsync("UNIQUE");
        foreach (var page in pages) await Expect(page.Locator("h2")).ToHaveTextAsync(["Home 0 open", "Work 0 open"]);

        await pages[0].CloseAsync();
        await AddAsync(pages[1], "A new entry of Work", "report");
        await pages[2].ReloadAsync();
        await Expect(pages[2].GetByLabel("A new entry of Home")).ToBeVisibleAsync(First);
        await Expect(pages[2].Locator("li span")).ToHaveTextAsync(["milk", "report"]);
        await Expect(pages[2].GetByLabel("milk", new() { Exact = true })).ToBeCheckedAsync();

        // As a newer version of the app would.
        var newer = await tabs.OpenPathAsync("/playground/?db=todo.db");
        await newer.WaitForFunctionAsync("typeof datasync === 'object'");
        await newer.ExecuteAsync("ALTER TABLE Todos ADD COLUMN Due TEXT; INSERT INTO __EFMigrationsHistory VALUES ('29990101000000_Due', '99.0')");
        foreach (var page in pages[1..]) await Expect(page.Locator("#old")).ToBeVisibleAsync();
        await AddAsync(pages[1], "A new entry of Work", "still");
        await Expect(pages[2].Locator("li span")).ToHaveTextAsync(["milk", "report", "still"]);
    }

    private static async Task AddAsync(IPage page, string field, string text)
    {
        await page.GetByLabel(field).FillAsync(text);
        await page.GetByLabel(field).PressAsync("Enter");
        await Expect(page.GetByLabel(field)).ToHaveValueAsync("");
    }
}
