using System.Text.RegularExpressions;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;
using static Microsoft.Playwright.Assertions;

namespace DataSync.MultiTab.Packages;

/// <summary><c>dotnet watch</c> on the app of README.md's five minutes.</summary>
[Collection(PackagesCollection.Name)]
public sealed class HotReloadTests(BrowserFixture browser, FreshApp app, ITestOutputHelper output)
{
    private static readonly Dictionary<string, string> Quiet = new() { ["DOTNET_WATCH_SUPPRESS_LAUNCH_BROWSER"] = "1", ["DOTNET_WATCH_SUPPRESS_EMOJIS"] = "1" };

    [LongFact]
    public async Task Markup_and_queries_change_in_the_open_page_which_keeps_its_database()
    {
        var code = await File.ReadAllTextAsync(app.PageFile);
        await using var watch = DotnetProcess.Start(Quiet, app.Folder, "watch", "--non-interactive");
        try
        {
            var url = await watch.WaitForAsync(@"Now listening on: (http://\S+)");
            await using var tabs = await browser.NewTabsAsync(output, url.TrimEnd('/'));
            var page = await tabs.OpenPathAsync("/");
            await AddAsync(page, "milk");
            await AddAsync(page, "bread");
            await Expect(page.Locator("article li")).ToHaveTextAsync(["milk", "bread"]);
            await page.EvaluateAsync("globalThis.isTheSamePage = true");

            await File.WriteAllTextAsync(app.PageFile, code
                .Replace("<ul>", "<ul class=\"changed\">", StringComparison.Ordinal)
                .Replace("ORDER BY id", "ORDER BY id DESC", StringComparison.Ordinal));
            await Expect(page.Locator("article ul")).ToHaveClassAsync(new Regex("changed"));
            await AddAsync(page, "salt");
            await Expect(page.Locator("article li")).ToHaveTextAsync(["salt", "bread", "milk"]);
            Assert.True(await page.EvaluateAsync<bool>("globalThis.isTheSamePage === true"));
        }
        finally
        {
            output.WriteLine(watch.Log);
            await File.WriteAllTextAsync(app.PageFile, code);
        }
    }

    private static async Task AddAsync(IPage page, string text)
    {
        await page.FillAsync("article input", text);
        await page.Locator("article input").BlurAsync();
        await page.ClickAsync("article button");
        await Expect(page.Locator("article li", new() { HasTextString = text })).ToBeVisibleAsync();
    }
}
