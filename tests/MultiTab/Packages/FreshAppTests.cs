using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Hosting;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;
using static Microsoft.Playwright.Assertions;

namespace DataSync.MultiTab.Packages;

/// <summary>The app of README.md's five minutes, published, in two tabs.</summary>
[Collection(PackagesCollection.Name)]
public sealed class FreshAppTests(BrowserFixture browser, FreshApp app, ITestOutputHelper output)
{
    [Fact(Timeout = Limits.LongTest_ms)]
    public async Task It_works_as_published() => await UseAsync(new("", await app.PublishAsync()));

    [Fact(Timeout = Limits.LongTest_ms)]
    public async Task It_works_under_a_base_path()
    {
        using var copy = new PublishedCopy(await app.PublishAsync());
        copy.Change("index.html", html => html.Replace("<base href=\"/\" />", "<base href=\"/app/\" />", StringComparison.Ordinal));
        await UseAsync(new("/app", copy.Folder));
    }

    /// <summary>Only the app's own assembly is kept whole, since its router finds its pages by reflection.</summary>
    [LongFact]
    public async Task It_works_fully_trimmed()
    {
        var extra = Path.Combine(app.Folder, "Directory.Build.targets");
        await File.WriteAllTextAsync(extra, "<Project><ItemGroup><TrimmerRootAssembly Include=\"app\" /></ItemGroup></Project>");
        var published = await app.PublishAsync("trimmed", "-p:TrimMode=full");
        File.Delete(extra);
        await UseAsync(new("", published));
    }

    private async Task UseAsync(PublishedApp published)
    {
        await using var server = await AppServer.StartAsync(published);
        await using var tabs = await browser.NewTabsAsync(output, server.Url);
        var first = await tabs.OpenPathAsync(published.Path + "/");
        await AddAsync(first, "milk");
        var second = await tabs.OpenPathAsync(published.Path + "/");
        await Expect(second.Locator("article li")).ToHaveTextAsync(["milk"]);

        await AddAsync(second, "bread");
        await Expect(first.Locator("article li")).ToHaveTextAsync(["milk", "bread"]);

        await first.ReloadAsync();
        await Expect(first.Locator("article li")).ToHaveTextAsync(["milk", "bread"]);
        await Expect(first.Locator("#blazor-error-ui")).ToBeHiddenAsync();
    }

    private static async Task AddAsync(IPage page, string text)
    {
        await page.FillAsync("article input", text);
        await page.Locator("article input").BlurAsync();
        await page.ClickAsync("article button");
        await Expect(page.Locator("article li", new() { HasTextString = text })).ToBeVisibleAsync();
    }
}
