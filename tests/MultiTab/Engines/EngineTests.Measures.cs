using System.Globalization;
using DataSync.MultiTab.Browser;

namespace DataSync.MultiTab.Engines;

/// <inheritdoc cref="MeasureFactAttribute"/>
[AttributeUsage(AttributeTargets.Method)]
public sealed class EngineMeasureAttribute : EngineFactAttribute
{
    public EngineMeasureAttribute() => Skip = MeasureFactAttribute.SkipReason;
}

public abstract partial class EngineTests<TEngine>
{
    /// <summary>Writes without telling the test of each row, which would be a part of the time.</summary>
    private const string WriteRows = """
        const start = performance.now();
        for (let n = 0; n < arg; n++) await datasync.execute('INSERT INTO measured VALUES (?)', [n]);
        return performance.now() - start;
        """;

    /// <summary>What a page's means take, in milliseconds: the median of many.</summary>
    private const string Means = """
        const median = times => times.sort((a, b) => a - b)[times.length >> 1];
        const time = async (count, action) => {
          const times = [];
          for (let i = 0; i < count; i++) { const start = performance.now(); await action(i); times.push(performance.now() - start); }
          return median(times);
        };
        const [one, other] = [new BroadcastChannel('means'), new BroadcastChannel('means')];
        other.onmessage = () => other.postMessage(0);
        const db = await new Promise(done => {
          const open = indexedDB.open('means');
          open.onupgradeneeded = () => open.result.createObjectStore('s');
          open.onsuccess = () => done(open.result);
        });
        const transaction = durability => i => new Promise(done => {
          const work = db.transaction('s', 'readwrite', { durability });
          work.objectStore('s').put(new Uint8Array(4096), i);
          work.commit?.();
          work.oncomplete = done;
        });
        return {
          messageThereAndBack: await time(100, () => new Promise(done => { one.onmessage = done; one.postMessage(0); })),
          timer0: await time(20, () => new Promise(done => setTimeout(done, 0))),
          webLock: await time(100, () => navigator.locks.request('means', () => { })),
          indexedDbRelaxed: await time(100, transaction('relaxed')),
          indexedDbStrict: await time(50, transaction('strict')),
          query: await time(300, () => datasync.query('SELECT 1')),
          status: await time(300, () => datasync.status()),
        };
        """;

    /// <summary>Two pages add to one key of localStorage, inside one Web Lock. What is missing in the sum was lost.</summary>
    private const string Increment = """
        for (let i = 0; i < 300; i++) {
          await navigator.locks.request('increment', () => localStorage.setItem('sum', Number(localStorage.getItem('sum') ?? 0) + 1));
        }
        """;

    [EngineMeasure(Timeout = Limits.LongTest_ms)]
    public async Task How_long_things_take()
    {
        var time = TimeProvider.System;
        var pages = new List<IEngineTab>();
        while (pages.Count < 4)
        {
            var start = time.GetTimestamp();
            pages.Add(await OpenAsync());
            Tell($"tab {pages.Count} opened in {time.GetElapsedTime(start).TotalSeconds:0.0} s");
        }

        await EngineTab.AgreeAsync(pages);
        await pages[0].ExecuteAsync("CREATE TABLE measured(n)");
        foreach (var page in pages) await page.WaitUntilAsync("datasync.query('SELECT n FROM measured LIMIT 1').then(() => true, () => false)");
        var leader = await EngineTab.AgreeAsync(pages);
        foreach (var round in new[] { "first", "second" })
        {
            Tell($"{round} time: 100 rows of the leader alone {await leader.CallAsync<double>(WriteRows, 100):0} ms, of a follower alone {await pages.First(page => page != leader).CallAsync<double>(WriteRows, 100):0} ms");
            var took = await Task.WhenAll(pages.Select(page => page.CallAsync<double>(WriteRows, 100)));
            Tell($"{round} time: 4 × 100 rows in {took.Max():0} ms");
        }

        var means = await leader.CallAsync<Dictionary<string, double>>(Means);
        Tell($"median in ms: {string.Join(", ", means.Select(one => Invariant($"{one.Key} {one.Value:0.00}")))}");
        var visibilities = await Task.WhenAll(pages.Select(page => page.CallAsync<string>("return document.visibilityState;")));
        Tell($"the tabs are {string.Join(", ", visibilities)}");
    }

    [EngineMeasure(Timeout = Limits.LongTest_ms)]
    public async Task How_often_two_pages_lose_each_others_localStorage_and_how_many_elections_four_new_tabs_need()
    {
        var pages = await OpenManyAsync(2);
        await Task.WhenAll(pages.Select(page => page.CallAsync<object?>(Increment)));
        Tell($"{await pages[0].CallAsync<string>("await new Promise(done => setTimeout(done, 2000)); return localStorage.getItem('sum');")} of 600 increments arrived");

        pages.AddRange(await OpenManyAsync(2));
        for (var round = 1; round <= 5; round++)
        {
            await Task.WhenAll(pages.Select(page => page.CallAsync<object?>("setTimeout(() => { location.search = arg; });", $"?db=election{round}.db")));
            await Task.WhenAll(pages.Select(page => page.WaitUntilAsync($"location.search.includes('election{round}') && typeof datasync === 'object' && datasync.ready.then(() => true)")));
            await EngineTab.AgreeAsync(pages);
            Tell($"four tabs opened at once agree in epoch {(await pages[0].StatusAsync()).Epoch}");
        }
    }

    private void Tell(FormattableString line) => output.WriteLine(Invariant(line));

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
