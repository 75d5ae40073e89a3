using DataSync.MultiTab.Browser;
using Microsoft.Playwright;

namespace DataSync.Bench;

/// <summary>W16 in browsers: what a write costs in a page whose database is a server's, over PostgreSQL, beside a bare WebSocket to that server.</summary>
internal sealed class ClusterBrowsers : IAsyncDisposable
{
    /// <summary>The limit, as one of <see cref="ClusterBench.Stores"/>.</summary>
    public const string WebSocket = "cluster-websocket";

    private const string RoundTrip = "w16.browser.roundtrip";

    /// <summary>About what the message of one insert is.</summary>
    private const int RoundTripBytes = 300;

    private const int Pause_ms = 50;

    /// <summary>Ids of one step's rows are apart from every other's.</summary>
    private const long IdsOfStep = 100_000;

    /// <summary>A copy of 10,000 rows is in IndexedDB long before.</summary>
    private static readonly TimeSpan CopyLimit = TimeSpan.FromSeconds(3);

    private static Library Client => ClusterBench.Stores.Single(store => store.Id == ClusterBench.DataSync);

    private readonly BenchOptions options;
    private readonly Measurements results;
    private readonly Action<string> tell;
    private readonly IPlaywright playwright;
    private readonly string chromium;
    private long lastId, rows;

    private ClusterBrowsers(BenchOptions options, Measurements results, Action<string> tell, IPlaywright playwright, string chromium) =>
        (this.options, this.results, this.tell, this.playwright, this.chromium) = (options, results, tell, playwright, chromium);

    public static IReadOnlyList<Metric> Metrics { get; } =
    [
        Of(RoundTrip, $"one message of {RoundTripBytes} bytes to the server and back, by the page's script"),
        Of($"{RoundTrip}.net", "the same by .NET in the page"),
        Of("alone", "one write, the only tab of the only browser", RoundTrip),
        Of("tab", "one write of a second tab of that browser, whose connection is the first one's", RoundTrip),
        Of("turns", "one write, two browsers by turns", RoundTrip),
        Of("both", "one write, two browsers at once", RoundTrip),
        Of("deferred", "one deferred write, until it is kept in IndexedDB"),
        Of("lag", "from a write in another browser, begun, to its row on the page", RoundTrip),
        Of("open.empty", "open to first answer, 10,000 rows, nothing in IndexedDB"),
        Of("open.copy", "the same with a copy in IndexedDB"),
    ];

    /// <summary>The browser's version, once one has run.</summary>
    public string Version { get; private set; } = "";

    private double SampleLimit_ms => options.SampleLimit.TotalMilliseconds;

    /// <summary>Null, and told why, where there is no browser or no page for it.</summary>
    public static async Task<ClusterBrowsers?> StartAsync(BenchOptions options, Measurements results, Action<string> tell)
    {
        if (!BenchHost.HasRemotePage)
        {
            tell("W16 in browsers: left out, since only a release build publishes the page.");
            return null;
        }

        var playwright = await Playwright.CreateAsync();
        try
        {
            return new(options, results, tell, playwright, await Chromium.FindOrInstallAsync(playwright));
        }
        catch (Exception error) when (error is FileNotFoundException or TimeoutException)
        {
            tell($"W16 in browsers: left out. {error.Message.Split('\n')[0]}");
            playwright.Dispose();
            return null;
        }
    }

    /// <summary>One round, with a server of its own.</summary>
    /// <param name="connection">Of PostgreSQL.</param>
    /// <param name="round">Part of the databases' names.</param>
    public async Task RunAsync(string connection, int round)
    {
        var (server, url) = await ClusterServer.StartAsync(connection);
        using var ending = server;
        foreach (var (what, part) in ((string, Func<string, string, Task>)[])[("one browser", WriteInOneAsync), ("two browsers", WriteInTwoAsync), ("deferred", DeferAsync), ("opening", ReopenAsync)])
        {
            try
            {
                rows = 0;
                await part(url, $"{what.Replace(' ', '-')}-{round}.db");
            }
            catch (BenchException failure)
            {
                results.Fail(ClusterBench.DataSync, ClusterBench.Id, failure.Message);
                tell($"  W16, {what}: {failure.Message}");
            }
        }
    }

    public ValueTask DisposeAsync()
    {
        playwright.Dispose();
        return default;
    }

    private async Task WriteInOneAsync(string url, string database)
    {
        await using var browser = await LaunchAsync(url);
        var first = await OpenAsync(browser, database);
        var roundTrips = await browser.StepAsync(first, "roundTrips", new { warm = options.Warm, count = options.TabWrites, bytes = RoundTripBytes, metric = RoundTrip });
        results.Add(WebSocket, roundTrips);
        await WarmAsync(browser, first);
        await WriteAsync(browser, first, "alone");
        var second = await OpenAsync(browser, database);
        await WarmAsync(browser, second);
        await WriteAsync(browser, second, "tab");
        await CheckAsync(browser, second);
    }

    private async Task WriteInTwoAsync(string url, string database)
    {
        await using var one = await LaunchAsync(url);
        await using var other = await LaunchAsync(url);
        BenchBrowser[] browsers = [one, other];
        IPage[] pages = [await OpenAsync(one, database), await OpenAsync(other, database)];
        for (var i = 0; i < 2; i++) await WarmAsync(browsers[i], pages[i]);
        for (var i = 0; i < options.TabWrites; i++) await WriteAsync(browsers[i % 2], pages[i % 2], "turns", count: 1);
        var start_ms = (TimeProvider.System.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalMilliseconds + 500;
        await Task.WhenAll([WriteAsync(one, pages[0], "both", start_ms), WriteAsync(other, pages[1], "both", start_ms)]);

        // As W13: twice, the first time is not counted.
        await other.StepAsync(pages[1], "watch", new { own = 1, others = 0 });
        foreach (var isCounted in (bool[])[false, true])
        {
            var firstId = NextIds();
            var count = isCounted ? options.TabWrites : options.TabWrites / 4;
            var written = await one.StepAsync(pages[0], "writesApart", new { firstId, count, pause_ms = Pause_ms });
            var seen = await other.StepAsync(pages[1], "seen", new { firstId = firstId + count - 1, limit_ms = options.StepLimit.TotalMilliseconds / 2 });
            rows += count;
            var shown = seen.Series["ids"].Zip(seen.Series["times"]).ToList();
            if (isCounted) results.Add(ClusterBench.DataSync, "w16.browser.lag", [.. written.Series["begins"].Select((begin, i) => shown.First(row => row.First >= firstId + i).Second - begin)]);
        }

        await CheckAsync(other, pages[1]);
    }

    private async Task DeferAsync(string url, string database)
    {
        await using var browser = await LaunchAsync(url, "deferred");
        var page = await OpenAsync(browser, database);
        await WarmAsync(browser, page);
        await WriteAsync(browser, page, "deferred");
        await browser.StepAsync(page, "close"); // when all has reached the server
    }

    private async Task ReopenAsync(string url, string database)
    {
        await using (var filling = await LaunchAsync(url))
        {
            var page = await OpenAsync(filling, database);
            await filling.StepAsync(page, "fill", new { rows = options.Rows, chunk = options.Rows });
            await filling.StepAsync(page, "close");
        }

        for (var i = 0; i < options.Opens; i++)
        {
            await using var browser = await LaunchAsync(url);
            foreach (var metric in (string[])["open.empty", "open.copy"])
            {
                var page = await browser.OpenPageAsync();
                var opened = await browser.StepAsync(page, "openFirst", new { database, rows = options.Rows, metric = $"w16.browser.{metric}" });
                results.Add(ClusterBench.DataSync, opened);
                await Task.Delay(CopyLimit);
                await browser.StepAsync(page, "close");
                await page.CloseAsync();
            }
        }
    }

    private async Task<BenchBrowser> LaunchAsync(string url, string query = "")
    {
        var browser = await BenchBrowser.StartAsync(playwright, chromium, url, Client with { Query = query }, options);
        Version = browser.Version;
        return browser;
    }

    private static async Task<IPage> OpenAsync(BenchBrowser browser, string database)
    {
        var page = await browser.OpenPageAsync();
        await browser.StepAsync(page, "open", new { database });
        return page;
    }

    private async Task WarmAsync(BenchBrowser browser, IPage page)
    {
        var warmed = await browser.StepAsync(page, "warm", new { firstId = NextIds(), count = options.Warm, limit_ms = 4 * SampleLimit_ms });
        rows += (long)warmed.Series["warmed"][0];
    }

    private async Task WriteAsync(BenchBrowser browser, IPage page, string metric, double start_ms = 0, int? count = null)
    {
        metric = $"w16.browser.{metric}";
        var times = (await browser.StepAsync(page, "writes", new { firstId = NextIds(), count = count ?? options.TabWrites, start_ms, limit_ms = SampleLimit_ms, metric })).Series[metric];
        lock (results)
        {
            results.Add(ClusterBench.DataSync, metric, times);
            rows += times.Length;
        }
    }

    /// <summary>A page shows all that was written.</summary>
    private async Task CheckAsync(BenchBrowser browser, IPage page)
    {
        var count = (await browser.StepAsync(page, "count")).Series["count"][0];
        if (count != rows) throw new BenchException($"wrong answer: {count} rows instead of {rows}");
    }

    private long NextIds() => Interlocked.Add(ref lastId, IdsOfStep);

    private static Metric Of(string id, string title, string? limit = null) =>
        new(id.StartsWith("w16", StringComparison.Ordinal) ? id : $"w16.browser.{id}", ClusterBench.Id, $"W16 in a browser: {title}", Limit: limit is null ? null : WebSocket, LimitMetric: limit);
}
