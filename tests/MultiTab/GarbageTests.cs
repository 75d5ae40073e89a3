using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Anything on the origin can post on the channels: what is no message of this version is dropped, and nothing breaks.</summary>
[Collection(BrowserCollection.Name)]
public sealed class GarbageTests(BrowserFixture browser, ITestOutputHelper output)
{
    // Posts noise, and what it hears from the tabs with other versions, cut short, damaged, or turned into something else.
    private const string Disturb = """
        name => {
          const control = new BroadcastChannel('datasync:' + name), data = new BroadcastChannel(`datasync:${name}:commits`);
          const heard = { control: 0, data: 0 };
          let seed = 1;
          const random = below => (seed = (seed * 48271) % 2147483647) % below;
          const noise = length => Uint8Array.from({ length }, () => random(256));
          const changed = (bytes, at, value) => { const copy = bytes.slice(); copy[at] = value; return copy; };
          control.onmessage = ({ data: text }) => {
            heard.control++;
            if (typeof text !== 'string') return;
            control.postMessage(text.slice(0, -1));
            control.postMessage(text.replace('"v":1', '"v":2'));
            control.postMessage(text.replace('"epoch":', '"epoch":-'));
            control.postMessage(text.replace('"epoch":', '"epoch":1e999,"x":'));
            control.postMessage(text.replace('"sender":"', '"sender":"x'));
            control.postMessage(text.replace('"scope":"', '"scope":"x'));
            control.postMessage(text + ' '.repeat(5000));
            control.postMessage({ v: 1, kind: 'leading' });
          };
          data.onmessage = ({ data: bytes }) => {
            heard.data++;
            if (!(bytes instanceof Uint8Array)) return;
            data.postMessage(changed(bytes, 4, 2));
            data.postMessage(changed(bytes, 5, 99));
            data.postMessage(changed(bytes, random(120), random(256)));
            data.postMessage(bytes.slice(0, random(bytes.length)));
            data.postMessage(Uint8Array.from([...bytes, 0]));
            data.postMessage([...bytes.slice(0, 200)]);
            data.postMessage(bytes.buffer);
          };
          const fragment = (index, count, length, size) => {
            const part = new Uint8Array(40 + size);
            const view = new DataView(part.buffer);
            view.setUint32(0, 0x31465344, true);
            part.set(noise(16), 8);
            view.setInt32(24, index, true);
            view.setInt32(28, count, true);
            view.setBigInt64(32, BigInt(length), true);
            return part;
          };
          const timer = setInterval(() => {
            for (const message of ['', 'null', '{}', '[]', '"x"', '{"v":1}', '{"v":"1"}', 'x'.repeat(3000), '\u0000', null, 7, {}, noise(50)]) control.postMessage(message);
            for (const message of ['text', null, 7, {}, new Uint8Array(0), noise(3), noise(119), noise(120), noise(500), new Uint8Array(10000)]) data.postMessage(message);
            data.postMessage(fragment(0, 128, 2 ** 30, 10));
            data.postMessage(fragment(0, 1, -1, 10));
            data.postMessage(fragment(-1, 2, 9000000, 10));
            data.postMessage(fragment(1, 2, 9000000, 10));
          }, 50);
          globalThis.stopDisturbing = () => { clearInterval(timer); return heard; };
        }
        """;

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Garbage_on_both_channels_is_dropped_while_tabs_join_write_and_lead_in_turn()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var raw = await RawRecords.OpenAsync(tabs);
        await raw.Page.EvaluateAsync(Disturb, "app.db");
        var first = await tabs.OpenDatabaseAsync();
        await first.ExecuteAsync("CREATE TABLE t(tab INTEGER, i INTEGER, PRIMARY KEY(tab, i))");
        var second = await tabs.OpenDatabaseAsync();
        var third = await tabs.OpenDatabaseAsync();
        IPage[] pages = [first, second, third];
        await DataSyncPage.AgreeAsync(pages);

        await WriteAsync(pages, from: 0);
        await third.EvaluateAsync("datasync.requestLeadership()");
        await DataSyncPage.AgreeAsync(pages);
        await WriteAsync(pages, from: 100);

        foreach (var page in pages)
        {
            Assert.Equal(150, await page.ScalarAsync<int>("SELECT count(*) FROM t"));
            Assert.Equal("ok", await page.ScalarAsync<string>("PRAGMA integrity_check"));
            Assert.Equal(151, (await page.StatusAsync()).Marker);
        }

        var heard = (await raw.Page.EvaluateAsync("stopDisturbing()"))!.Value;
        output.WriteLine($"heard on the channels: {heard}");
        Assert.True(heard.GetProperty("data").GetInt32() > 150);
        Assert.True(heard.GetProperty("control").GetInt32() > 3);
    }

    private static async Task WriteAsync(IPage[] pages, int from)
    {
        await Task.WhenAll(pages.Select((page, tab) => page.EvaluateAsync(
            "async ([tab, from]) => { for (let i = from; i < from + 25; i++) await datasync.execute('INSERT INTO t VALUES (?, ?)', [tab, i]); }", new[] { tab, from })));
        var marker = (await Task.WhenAll(pages.Select(page => page.StatusAsync()))).Max(status => status.Marker);
        await Task.WhenAll(pages.Select(page => page.WaitForMarkerAsync(marker)));
    }
}
