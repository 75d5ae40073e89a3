using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>The tools of the other tests, tried on themselves: a test that kills the wrong process proves nothing.</summary>
[Collection(BrowserCollection.Name)]
public sealed class FixtureTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Fact(Timeout = Limits.Test_ms)]
    public async Task Killing_a_renderer_crashes_its_tab_and_no_other()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var victim = await tabs.OpenAsync();
        var other = await tabs.OpenAsync();
        var crashed = new TaskCompletionSource();
        victim.Crash += (_, _) => crashed.TrySetResult();

        (await RendererProcess.OfEachAsync(victim, other))[0].Kill();

        await crashed.Task.WaitAsync(Limits.Step);
        Assert.Equal(2, await other.EvaluateAsync<int>("1 + 1"));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_stopped_renderer_does_nothing_until_it_continues()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var victim = await tabs.OpenAsync();
        var other = await tabs.OpenAsync();
        var process = (await RendererProcess.OfEachAsync(victim, other))[0];

        process.Stop();
        Task<int> answer;
        try
        {
            answer = victim.EvaluateAsync<int>("1 + 1");
            await other.EvaluateAsync("new Promise(done => setTimeout(done, 500))");
            Assert.False(answer.IsCompleted);
        }
        finally
        {
            process.Continue();
        }

        Assert.Equal(2, await answer);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_killed_browser_starts_again_with_the_same_storage()
    {
        await using var persistent = browser.NewPersistentBrowser(output);
        var before = await persistent.StartAsync();
        var page = await before.OpenAsync();
        await page.EvaluateAsync("""
            () => new Promise((resolve, reject) => {
              const open = indexedDB.open('fixture');
              open.onupgradeneeded = () => open.result.createObjectStore('s');
              open.onerror = reject;
              open.onsuccess = () => {
                const write = open.result.transaction('s', 'readwrite', { durability: 'strict' });
                write.objectStore('s').put('kept', 'key');
                write.oncomplete = resolve;
                write.onabort = reject;
              };
            })
            """);
        await PersistentBrowser.KillAsync(before);

        await using var after = await persistent.StartAsync();
        var kept = await (await after.OpenAsync()).EvaluateAsync<string>("""
            () => new Promise((resolve, reject) => {
              const open = indexedDB.open('fixture');
              open.onerror = reject;
              open.onsuccess = () => {
                const read = open.result.transaction('s').objectStore('s').get('key');
                read.onsuccess = () => resolve(read.result);
              };
            })
            """);
        Assert.Equal("kept", kept);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_hidden_tab_of_the_raw_browser_can_be_frozen()
    {
        await using var chromium = await browser.StartRawAsync(output);
        var hidden = await chromium.OpenAsync();
        var front = await chromium.OpenAsync();
        await front.ActivateAsync();
        Assert.Equal("hidden", (string?)await hidden.EvaluateAsync("document.visibilityState"));
        await hidden.EvaluateAsync("globalThis.ticks = 0; globalThis.froze = false; document.addEventListener('freeze', () => froze = true); setInterval(() => ticks++, 10)");

        await hidden.SetFrozenAsync(true);
        var atFreeze = (int?)await hidden.EvaluateAsync("ticks");
        await front.EvaluateAsync("new Promise(done => setTimeout(done, 2500))");

        Assert.True((bool?)await hidden.EvaluateAsync("froze"));
        Assert.Equal(atFreeze, (int?)await hidden.EvaluateAsync("ticks"));
        await hidden.SetFrozenAsync(false);
    }
}
