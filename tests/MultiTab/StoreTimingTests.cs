using System.Globalization;
using System.Text.RegularExpressions;
using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Prints how long durable writes and loads take here, on a profile on disk.</summary>
[Collection(BrowserCollection.Name)]
public sealed partial class StoreTimingTests(BrowserFixture browser, ITestOutputHelper output)
{
    /// <summary>What the platform itself takes: one record, nothing checked, no .NET.</summary>
    private const string BareAdd = """
        async () => {
          const opening = indexedDB.open('bare');
          opening.onupgradeneeded = () => opening.result.createObjectStore('log');
          const db = await new Promise(resolve => { opening.onsuccess = () => resolve(opening.result); });
          const times = [];
          for (let i = 0; i < 300; i++) {
            const data = new Uint8Array(4236).fill(i), start = performance.now();
            await new Promise((resolve, reject) => {
              const transaction = db.transaction('log', 'readwrite', { durability: 'relaxed' });
              transaction.objectStore('log').add({ data }, i);
              transaction.oncomplete = resolve;
              transaction.onabort = reject;
              transaction.commit();
            });
            times.push(performance.now() - start);
          }
          db.close();
          indexedDB.deleteDatabase('bare');
          return times.sort((a, b) => a - b)[150];
        }
        """;

    [MeasureFact(Timeout = Limits.Test_ms)]
    public async Task Prints_the_times_of_appends_and_loads()
    {
        await using var persistent = browser.NewPersistentBrowser(output);
        await using var tabs = await persistent.StartAsync();
        var page = await tabs.OpenPathAsync("/lab/");
        var bare = await page.EvaluateAsync<double>(BareAdd);
        var report = await page.EvaluateAsync<string>("lab.time()");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"a bare add in JavaScript, relaxed: median {bare:0.00} ms\n{report}"));
        Assert.Equal(12, AnyMedian().Count(report));
    }

    [MeasureFact(Timeout = Limits.Test_ms)]
    public async Task Prints_where_the_time_of_a_small_write_goes()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenPathAsync("/lab/");
        var bare = await page.EvaluateAsync<double>(BareAdd);
        var report = await page.EvaluateAsync<string>("lab.timeWrites()");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"a bare add in JavaScript, relaxed: median {bare:0.00} ms\n{report}"));
        Assert.Contains("ExecuteAsync", report);
    }

    [GeneratedRegex(@"median [\d.]+ ms")]
    private static partial Regex AnyMedian();
}
