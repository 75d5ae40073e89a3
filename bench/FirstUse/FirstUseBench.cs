using System.Text.Json;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;

namespace DataSync.Bench;

/// <summary>W17: what a newcomer waits for, from an empty cache: the bare template beside the same with DataSync, one tab and four at once.</summary>
internal sealed class FirstUseBench(BenchOptions options, Measurements results, Action<string> tell)
{
    public const string Id = "w17";
    public const string Template = "template";
    public const string WithDataSync = "template-datasync";

    private const int Tabs = 4;

    /// <summary>Notes when the page shows its heading, and when it shows what is in the database.</summary>
    private const string Watch = """
        globalThis.firstUse = { origin: performance.timeOrigin };
        new MutationObserver(() => {
          const now = performance.now();
          if (!firstUse.render && document.querySelector('h1')) firstUse.render = now;
          const shown = document.querySelector('[data-epoch]');
          if (!firstUse.ready && shown) Object.assign(firstUse, { ready: now, epoch: Number(shown.dataset.epoch) });
        }).observe(document, { childList: true, subtree: true });
        """;

    private const string Outcome = """
        () => JSON.stringify({ ...firstUse, bytes: [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].reduce((sum, entry) => sum + entry.encodedBodySize, 0) })
        """;

    public static IReadOnlyList<Library> Apps { get; } =
    [
        new(Template, "dotnet new blazorwasm", "", []),
        new(WithDataSync, "the same with DataSync", "", []),
    ];

    public async Task RunAsync()
    {
        tell("W17: making and publishing two apps …");
        using var bare = await TemplateApp.PublishAsync(hasDataSync: false);
        using var full = await TemplateApp.PublishAsync(hasDataSync: true);
        await using var bareServer = await AppServer.StartAsync(new PublishedApp("", bare.Published));
        await using var fullServer = await AppServer.StartAsync(new PublishedApp("", full.Published));
        using var playwright = await Playwright.CreateAsync();
        var chromium = await Chromium.FindOrInstallAsync(playwright);
        for (var round = 1; round <= options.Rounds; round++)
        {
            foreach (var count in (int[])[1, Tabs])
            {
                var rendered = await OpenAsync(playwright, chromium, bareServer.Url, count, "firstUse.render");
                var ready = await OpenAsync(playwright, chromium, fullServer.Url, count, "firstUse.ready");
                var begin = rendered.Min(tab => tab.Origin);
                var name = count == 1 ? "one" : "four";
                results.Add(Template, $"w17.{name}", rendered.Max(tab => tab.Origin + tab.Render) - begin);
                begin = ready.Min(tab => tab.Origin);
                results.Add(WithDataSync, $"w17.{name}", ready.Max(tab => tab.Origin + tab.Ready) - begin);
                results.Add(WithDataSync, "w17.lost", Math.Max(0, ready.Max(tab => tab.Epoch) - 1));
                if (count > 1) continue;
                results.Add(Template, "w17.bytes", rendered[0].Bytes);
                results.Add(WithDataSync, "w17.bytes", ready[0].Bytes);
                results.Add(WithDataSync, "w17.render", ready[0].Render);
                results.Add(WithDataSync, "w17.after", ready[0].Ready - ready[0].Render);
            }

            tell($"round {round} of {options.Rounds}: first use");
        }
    }

    /// <summary>Opens tabs at once in a new browser with a new profile, and waits for them.</summary>
    private async Task<FirstUse[]> OpenAsync(IPlaywright playwright, string chromium, string url, int count, string condition)
    {
        var profile = Directory.CreateTempSubdirectory("datasync-bench-").FullName;
        try
        {
            await using var context = await playwright.Chromium.LaunchPersistentContextAsync(profile, new() { ExecutablePath = chromium, Args = Chromium.Switches, Headless = true });
            context.SetDefaultTimeout((float)options.StepLimit.TotalMilliseconds * 4);
            await context.AddInitScriptAsync(Watch);
            var pages = new List<IPage>();
            for (var i = 0; i < count; i++) pages.Add(await context.NewPageAsync());
            return await Task.WhenAll(pages.Select(async page =>
            {
                await page.GotoAsync(url + "/", new() { WaitUntil = WaitUntilState.Commit });
                await page.WaitForFunctionAsync(condition);
                return JsonSerializer.Deserialize<FirstUse>(await page.EvaluateAsync<string>(Outcome), JsonSerializerOptions.Web)!;
            }));
        }
        finally
        {
            TemporaryFolder.Delete(profile);
        }
    }

    /// <summary>Milliseconds: the page's start since 1970, and since then its first render and the database's first answer.</summary>
    private sealed record FirstUse(double Origin, double Render, double Ready, double Epoch, double Bytes);
}
