using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

[Collection(BrowserCollection.Name)]
public sealed class PlaygroundTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Fact(Timeout = 60_000)]
    public async Task Two_tabs_run_in_two_processes()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync();
        var second = await tabs.OpenAsync();

        await Assertions.Expect(first.Locator("#state")).ToHaveTextAsync("running");
        await Assertions.Expect(second.Locator("#state")).ToHaveTextAsync("running");
        var processes = await RendererProcess.OfEachAsync(first, second);
        output.WriteLine(string.Join(", ", processes.Select(process => process.Id)));
    }
}
