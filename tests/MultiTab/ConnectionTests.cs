using System.Text.Json;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;
using static Microsoft.Playwright.Assertions;

namespace DataSync.MultiTab;

/// <summary>Connections of the app's own beside other tabs, and databases that are large.</summary>
[Collection(BrowserCollection.Name)]
public sealed class ConnectionTests(BrowserFixture browser, ITestOutputHelper output)
{
    private const int SqliteBusy = 5;

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_synchronous_write_is_refused_with_a_reason_on_a_follower_and_durable_after_a_sync_on_the_leader()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var other = await tabs.OpenDatabaseAsync("db=own.db");
        await other.ExecuteAsync("CREATE TABLE t(v)");
        await other.WaitForStatusAsync("s.role === 'leader'");
        var lab = await tabs.OpenPathAsync("/lab/");
        Assert.Equal("Follower", await StepAsync(lab, "Open", "own.db"));
        Assert.Equal("0", await StepAsync(lab, "Run", "SELECT count(*) FROM t"));

        foreach (var sql in new[] { "INSERT INTO t VALUES ('sync')", "BEGIN IMMEDIATE", "CREATE TABLE u(x)", "DELETE FROM t" })
        {
            var words = (await StepAsync(lab, "Run", sql)).Split(' ', 3);
            Assert.True(words[0] == $"{SqliteBusy}", $"{sql}: {string.Join(' ', words)}");
            Assert.Contains("WriteAsync", words[2], StringComparison.Ordinal);
        }

        Assert.Equal("0", await StepAsync(lab, "Run", "SELECT count(*) FROM t"));
        await other.ExecuteAsync("INSERT INTO t VALUES ('other')");
        await StepAsync(lab, "WaitFor", "2");
        Assert.Equal("1", await StepAsync(lab, "Run", "SELECT count(*) FROM t"));

        Assert.Equal("Leader", await StepAsync(lab, "RequestLeadership"));
        Assert.Equal("ok", await StepAsync(lab, "Run", "INSERT INTO t VALUES ('sync')"));
        Assert.Equal("ok", await StepAsync(lab, "Run", "INSERT INTO t VALUES ('sync')"));
        Assert.Equal("durable 4", await StepAsync(lab, "Sync"));
        await other.WaitForMarkerAsync(4);
        Assert.Equal(3, await other.ScalarAsync<int>("SELECT count(*) FROM t"));
        await lab.CloseAsync();
        await other.CloseAsync();
        Assert.Equal(3, await (await tabs.OpenDatabaseAsync("db=own.db")).ScalarAsync<int>("SELECT count(*) FROM t"));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_database_that_one_tab_deletes_stops_in_the_others_and_starts_empty()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenDatabaseAsync("db=own.db");
        await page.ExecuteAsync("CREATE TABLE t(v)");
        var lab = await tabs.OpenPathAsync("/lab/");

        Assert.Equal("deleted", await StepAsync(lab, "Delete", "own.db"));

        await Expect(page.Locator("[role=alert] strong").First).ToHaveTextAsync("StorageClosedException");
        await page.ReloadAsync();
        await page.EvaluateAsync("datasync.ready");
        await page.ExecuteAsync("CREATE TABLE t(v)");
        Assert.Equal(1, (await page.StatusAsync()).Marker);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_hundred_thousand_rows_are_inserted_scanned_and_aggregated()
    {
        const int Rows = 100_000;
        await using var tabs = await browser.NewTabsAsync(output);
        var lab = await tabs.OpenPathAsync("/lab/");
        await StepAsync(lab, "Open", "large.db");

        var times = JsonDocument.Parse(await lab.EvaluateAsync<string>("rows => lab.connection('Measure', rows)", Rows)).RootElement;

        output.WriteLine($"{Rows} rows, in milliseconds: {times}");
        Assert.Equal(Rows, times.GetProperty("rows").GetDouble());
        Assert.Equal(100, times.GetProperty("groups").GetDouble());
        Assert.Equal(Enumerable.Range(0, Rows).Sum(i => i * 0.5), times.GetProperty("total").GetDouble());
        Assert.Equal(Enumerable.Range(0, Rows).Sum(i => i + 1 + 5.0 + $"{i}".Length + i * 0.5 + i % 100), times.GetProperty("sum").GetDouble());

        // Another tab opens it and reads the same; the playground's script inserts as much again.
        var page = await tabs.OpenDatabaseAsync("db=large.db");
        Assert.Equal(Rows, await page.ScalarAsync<int>("SELECT count(*) FROM large"));
        var took = await page.EvaluateAsync<double>($$"""
            async () => {
              const start = performance.now();
              await datasync.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {{Rows}}) INSERT INTO large(name, value, grp) SELECT printf(\'more %d\', i), i, i % 100 FROM n');
              return performance.now() - start;
            }
            """);
        output.WriteLine($"{Rows} rows from one statement of a follower: {took:0} ms");
        Assert.Equal(2 * Rows, await page.ScalarAsync<int>("SELECT count(*) FROM large"));
        Assert.Equal("ok", await page.ScalarAsync<string>("PRAGMA integrity_check"));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_database_of_50_MB_opens_and_shows_its_progress()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var filling = await tabs.OpenDatabaseAsync();
        await filling.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)");
        for (var i = 0; i < 10; i++) await filling.ExecuteAsync("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO t(data) SELECT randomblob(100000) FROM n");
        var expected = await filling.RowsAsync("SELECT count(*), sum(length(data)), hex(substr(max(data), 1, 20)) FROM t");
        await filling.EvaluateAsync("datasync.close()");
        await filling.CloseAsync();

        var page = await tabs.Context.NewPageAsync();
        await page.AddInitScriptAsync("""
            globalThis.shown = [];
            new MutationObserver(() => {
              const bar = document.querySelector('main progress');
              if (bar && !document.querySelector('#state')) shown.push([bar.value, bar.max]);
            }).observe(document, { subtree: true, childList: true, attributes: true });
            """);
        await page.GotoAsync(browser.Url + "/");
        await page.EvaluateAsync("datasync.ready");

        Assert.Equal(expected, await page.RowsAsync("SELECT count(*), sum(length(data)), hex(substr(max(data), 1, 20)) FROM t"));
        var shown = (await page.EvaluateAsync<double[][]>("shown"))!;
        output.WriteLine($"progress shown: {string.Join(", ", shown.Select(step => $"{step[0]}/{step[1]}").Distinct())}");
        await Expect(page.Locator("text=/opened app.db at marker .* in .* ms/").First).ToBeVisibleAsync();
        output.WriteLine(await page.Locator("text=/opened app.db at marker .* in .* ms/").First.InnerTextAsync());
        Assert.Contains(shown, step => step[1] >= 150); // all extents but those of the last commits, which the log may still hold
        Assert.Contains(shown, step => step[0] > 0 && step[0] < step[1]);
        Assert.True(shown.Zip(shown.Skip(1)).All(pair => pair.Second[0] >= pair.First[0]), "progress went back");
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task An_export_while_another_tab_writes_is_one_moment_of_the_database()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var writing = await tabs.OpenDatabaseAsync();
        await writing.ExecuteAsync("CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB); INSERT INTO account(amount, filler) VALUES (0, randomblob(3000)), (0, randomblob(3000)), (0, randomblob(300000))");
        var exporting = await tabs.OpenDatabaseAsync();
        await writing.EvaluateAsync("""
            () => {
              globalThis.going = true;
              globalThis.written = (async () => {
                let n = 0;
                for (; going; n++) await datasync.transaction([
                  { sql: 'UPDATE account SET amount = amount + 1 WHERE id = 1' }, { sql: 'UPDATE account SET amount = amount - 1 WHERE id = 2' }]);
                return n;
              })();
            }
            """);
        var seen = new List<long>();
        for (var i = 0; i < 5; i++)
        {
            var file = await exporting.ExportAsync();
            seen.Add(NativeFile.Look(file, connection =>
            {
                Assert.Equal(["[\"ok\"]"], NativeFile.Rows(connection, "PRAGMA integrity_check"));
                Assert.Equal(["[0]"], NativeFile.Rows(connection, "SELECT sum(amount) FROM account"));
                return long.Parse(NativeFile.Rows(connection, "SELECT amount FROM account WHERE id = 1")[0].Trim('[', ']'), null);
            }));
        }

        var written = await writing.EvaluateAsync<int>("going = false, written");
        output.WriteLine($"{written} transactions meanwhile; the exports saw {string.Join(", ", seen)}");
        Assert.True(written > 0);
        Assert.Equal(seen.Order(), seen);
    }

    private static Task<string> StepAsync(IPage lab, string step, params string[] values) =>
        lab.EvaluateAsync<string>("([step, values]) => lab.connection(step, ...values)", new object[] { step, values });
}
