using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;
using static Microsoft.Playwright.Assertions;

namespace DataSync.MultiTab;

/// <summary>samples/SharedTodo, published: browsers with profiles of their own as clients of one server's process.</summary>
[Collection(AppCollection.Name)]
public sealed class SharedTodoTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>With pictures, when DATASYNC_SCREENSHOTS names a folder for them.</summary>
    [Fact(Timeout = Limits.Test_ms)]
    public async Task Two_browsers_see_each_others_changes_and_go_on_when_the_server_was_killed()
    {
        await using var server = await SharedTodoServer.StartNewAsync();
        await using var annas = await browser.NewTabsAsync(output, server.Url);
        await using var bens = await browser.NewTabsAsync(output, server.Url);
        var anna = await annas.OpenPathAsync("/");
        await PictureAsync(anna, "sign-in");
        await SignInAsync(anna, "Anna");
        var ben = await bens.OpenPathAsync("/");
        await SignInAsync(ben, "Ben");

        await AddAsync(anna, "milk");
        await AddAsync(ben, "bread");
        await AddAsync(anna, "apples");
        foreach (var page in new[] { anna, ben }) await Expect(page.Locator("li span")).ToHaveTextAsync(["milk", "bread", "apples"]);
        await ben.GetByLabel("milk", new() { Exact = true }).CheckAsync();
        await anna.GetByLabel("Delete bread").ClickAsync();
        foreach (var page in new[] { anna, ben }) await Expect(page.Locator("li span")).ToHaveTextAsync(["apples", "milk"]);
        await Expect(anna.GetByLabel("milk", new() { Exact = true })).ToBeCheckedAsync();
        await PictureAsync(ben, "list");

        // Without a server both show what was there, and what is written waits.
        await server.KillAsync();
        foreach (var page in new[] { anna, ben }) await Expect(page.Locator("#offline")).ToBeVisibleAsync();
        await AddAsync(ben, "tea");
        await Expect(ben.Locator("#waiting")).ToBeVisibleAsync();
        await PictureAsync(ben, "offline");
        await Expect(anna.Locator("li span")).ToHaveTextAsync(["apples", "milk"]);
        await Expect(ben.Locator("li span")).ToHaveTextAsync(["apples", "tea", "milk"]);
        await server.StartAsync();
        foreach (var page in new[] { anna, ben })
        {
            await Expect(page.Locator("#online")).ToBeVisibleAsync();
            await Expect(page.Locator("li span")).ToHaveTextAsync(["apples", "tea", "milk"]);
        }

        await Expect(ben.Locator("#waiting")).ToHaveCountAsync(0);
        await AddAsync(anna, "salt");
        await Expect(ben.Locator("li span")).ToHaveTextAsync(["apples", "tea", "salt", "milk"]);

        // Who comes later, already signed in, loads what is there.
        await anna.ReloadAsync();
        await Expect(anna.Locator("li span")).ToHaveTextAsync(["apples", "tea", "salt", "milk"]);
        Assert.DoesNotContain("fail:", server.Log, StringComparison.Ordinal);
    }

    /// <summary>Four tabs go over the connection of one of them; when that is closed, and the next one's process killed, over another's.</summary>
    [Fact(Timeout = Limits.Test_ms)]
    public async Task All_tabs_of_a_browser_have_one_connection_whichever_goes()
    {
        await using var server = await SharedTodoServer.StartNewAsync();
        await using var tabs = await browser.NewTabsAsync(output, server.Url);
        var pages = new List<IPage> { await tabs.OpenPathAsync("/") };
        await SignInAsync(pages[0], "Anna");
        var killed = -1;
        var gateway = new int[1];
        for (var i = 1; i < 4; i++)
        {
            var tab = i;
            pages.Add(await tabs.OpenPathAsync("/"));
            pages[i].Console += (_, message) =>
            {
                if (message.Text.Contains("leads scope remote:", StringComparison.Ordinal)) Volatile.Write(ref gateway[0], tab);
            };
            await Expect(pages[i].Locator("#online")).ToBeVisibleAsync();
        }

        Assert.Equal((1, 1), server.CountConnections());
        var processes = await RendererProcess.OfEachAsync(pages);
        var stop = false;
        var acknowledged = new int[4];
        var writers = pages.Select((page, tab) => Task.Run(async () =>
        {
            for (var number = 0; !Volatile.Read(ref stop); number++)
            {
                try
                {
                    await AddAsync(page, $"{tab}-{number}");
                    await Expect(page.Locator("#waiting")).ToHaveCountAsync(0); // it is durable
                    Interlocked.Increment(ref acknowledged[tab]);
                }
                catch (Exception error) when ((tab == 0 || tab == Volatile.Read(ref killed)) && error is PlaywrightException or TimeoutException)
                {
                    return; // its page is gone
                }
            }
        })).ToList();
        await ReachAsync(acknowledged, [2, 2, 2, 2]);
        await pages[0].CloseAsync();
        await ReachAsync(acknowledged, [0, acknowledged[1] + 2, acknowledged[2] + 2, acknowledged[3] + 2]);
        await ReachAsync(gateway, [1]);
        Volatile.Write(ref killed, gateway[0]);
        processes[killed].Kill();
        await ReachAsync(acknowledged, [.. acknowledged.Select((count, tab) => tab == 0 || tab == killed ? 0 : count + 3)]);
        Volatile.Write(ref stop, true);
        int[] left = [.. Enumerable.Range(1, 3).Where(tab => tab != killed)];
        await Task.WhenAll(left.Select(tab => writers[tab])).WaitAsync(Limits.Step);
        var rows = await pages[left[0]].Locator("li span").AllTextContentsAsync();
        output.WriteLine(server.Log);
        output.WriteLine($"{rows.Count} rows, acknowledged {string.Join(", ", acknowledged)}, connections {server.CountConnections()}");
        Assert.Equal(rows.Count, rows.Distinct().Count());
        for (var tab = 0; tab < 4; tab++) Assert.Empty(Enumerable.Range(0, acknowledged[tab]).Select(number => $"{tab}-{number}").Except(rows));
        await Expect(pages[left[1]].Locator("li span")).ToHaveTextAsync(rows);
        Assert.Equal((1, 3), server.CountConnections()); // the first gateway's, the second's, the third's
    }

    /// <summary>The page comes from its service worker, the list from the copy that the browser keeps.</summary>
    [Fact(Timeout = Limits.Test_ms)]
    public async Task Without_the_server_the_page_opens_with_what_was_there_and_goes_on_when_it_is_back()
    {
        await using var server = await SharedTodoServer.StartNewAsync();
        await using var annas = await browser.NewTabsAsync(output, server.Url, ServiceWorkerPolicy.Allow);
        await using var bens = await browser.NewTabsAsync(output, server.Url);
        var anna = await annas.OpenPathAsync("/");
        await SignInAsync(anna, "Anna");
        var ben = await bens.OpenPathAsync("/");
        await SignInAsync(ben, "Ben");
        foreach (var text in (string[])["milk", "bread", "apples"]) await AddAsync(anna, text);
        await Expect(ben.Locator("li span")).ToHaveTextAsync(["milk", "bread", "apples"]);
        await UntilAsync(anna, "async () => (await navigator.serviceWorker.getRegistration())?.active?.state === 'activated'");
        await KeptAsync(anna, 4); // the table, and three
        await server.KillAsync();

        await anna.ReloadAsync();
        await Expect(anna.Locator("#offline")).ToBeVisibleAsync();
        await Expect(anna.Locator("li span")).ToHaveTextAsync(["milk", "bread", "apples"]);
        await PictureAsync(anna, "offline-opened");
        var second = await annas.OpenPathAsync("/");
        await Expect(second.Locator("li span")).ToHaveTextAsync(["milk", "bread", "apples"]);

        // What is written without it is there after a reload as well.
        await AddAsync(anna, "cake");
        await AddAsync(anna, "jam");
        await Expect(anna.Locator("li span")).ToHaveTextAsync(["milk", "bread", "apples", "cake", "jam"]);
        for (var i = 0; i < 2; i++)
        {
            await anna.ReloadAsync();
            await Expect(anna.Locator("li span")).ToHaveTextAsync(["milk", "bread", "apples", "cake", "jam"]);
            await Expect(anna.Locator("#waiting")).ToContainTextAsync("2 on the way");
        }

        // What a tab leaves that is not opened anew another one runs.
        var third = await annas.OpenPathAsync("/");
        await AddAsync(third, "honey");
        await third.CloseAsync();

        // The first that is heard of it is another one's.
        await AddAsync(ben, "tea");
        await server.StartAsync();
        await Expect(ben.Locator("#online")).ToBeVisibleAsync();
        foreach (var page in new[] { anna, second })
        {
            await Expect(page.Locator("#online")).ToContainTextAsync("Anna");
            await Expect(page.Locator("li span")).ToHaveCountAsync(7);
            await Expect(page.Locator("#waiting")).ToHaveCountAsync(0);
        }

        var texts = await ben.Locator("li span").AllTextContentsAsync();
        Assert.Equal(["milk", "bread", "apples"], texts.Take(3));
        Assert.Equal(["cake", "honey", "jam", "tea"], texts.Skip(3).Order());
        Assert.True(texts.ToList().IndexOf("cake") < texts.ToList().IndexOf("jam"), "They are not in their order.");
        await AddAsync(second, "salt");
        foreach (var page in new[] { anna, second, ben }) await Expect(page.Locator("li span")).ToHaveTextAsync([.. texts, "salt"]);

        // Who signs out leaves nothing behind.
        await second.CloseAsync();
        await anna.Locator("#sign-out").ClickAsync();
        await Expect(anna.GetByLabel("Your name")).ToBeVisibleAsync();
        Assert.DoesNotContain(await anna.EvaluateAsync<string[]>("async () => (await indexedDB.databases()).map(({ name }) => name)"), name => name.StartsWith("datasync:remote:", StringComparison.Ordinal));
    }

    /// <summary>Waits until the browser's copy has as many commits.</summary>
    private static Task KeptAsync(IPage page, int commits) => UntilAsync(
        page,
        """
        async commits => {
          const found = (await indexedDB.databases()).find(({ name }) => name.startsWith('datasync:remote:'));
          if (!found) return false;
          const db = await new Promise((done, failed) => Object.assign(indexedDB.open(found.name), { onsuccess: e => done(e.target.result), onerror: failed }));
          const ask = request => new Promise((done, failed) => Object.assign(request, { onsuccess: () => done(request.result), onerror: failed }));
          try {
            const transaction = db.transaction(['head', 'log']);
            const [head, keys] = await Promise.all([ask(transaction.objectStore('head').get('head')), ask(transaction.objectStore('log').getAllKeys())]);
            return Math.max(head?.marker ?? 0, ...keys) >= commits;
          } finally {
            db.close();
          }
        }
        """,
        commits);

    // WaitForFunction takes a promise for a truth.
    private static async Task UntilAsync(IPage page, string asynchronous, object? argument = null)
    {
        for (var start = TimeProvider.System.GetTimestamp(); !await page.EvaluateAsync<bool>(asynchronous, argument);)
        {
            if (TimeProvider.System.GetElapsedTime(start) > Limits.Step) throw new TimeoutException(asynchronous);
            await Task.Delay(50);
        }
    }

    private static async Task ReachAsync(int[] counts, int[] targets)
    {
        for (var start = TimeProvider.System.GetTimestamp(); counts.Zip(targets).Any(pair => pair.First < pair.Second);)
        {
            if (TimeProvider.System.GetElapsedTime(start) > Limits.Step) throw new TimeoutException($"{string.Join(", ", counts)} of {string.Join(", ", targets)} writes.");
            await Task.Delay(50);
        }
    }

    private static async Task SignInAsync(IPage page, string name)
    {
        await page.GetByLabel("Your name").FillAsync(name);
        await page.GetByLabel("Your name").PressAsync("Enter");
        await Expect(page.Locator("#online")).ToContainTextAsync(name);
    }

    private static async Task AddAsync(IPage page, string text)
    {
        await page.GetByLabel("What is to be done").FillAsync(text);
        await page.GetByLabel("What is to be done").PressAsync("Enter");
        await Expect(page.GetByLabel("What is to be done")).ToHaveValueAsync("");
    }

    private static async Task PictureAsync(IPage page, string name)
    {
        if (Environment.GetEnvironmentVariable("DATASYNC_SCREENSHOTS") is not { Length: > 0 } folder) return;
        await Expect(page.Locator("form input")).ToBeVisibleAsync();
        foreach (var width in (int[])[360, 1280])
        {
            await page.SetViewportSizeAsync(width, 640);
            await page.ScreenshotAsync(new() { Path = Path.Combine(folder, $"shared-todo-{name}-{width}.png") });
        }
    }
}
