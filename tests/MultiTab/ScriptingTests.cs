using System.Text.Json;
using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>The page's scripting object, <c>globalThis.datasync</c>.</summary>
[Collection(AppCollection.Name)]
public sealed class ScriptingTests(BrowserFixture browser, ITestOutputHelper output)
{
    [Fact(Timeout = Limits.Test_ms)]
    public async Task Values_of_every_kind_come_back_as_they_were()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenAsync();

        var wrong = await page.EvaluateAsync<string[]>("""
            async () => {
              const values = [null, 0, -1.5, 2 ** 53, 9223372036854775807n, -9223372036854775808n, 'ä€😀', '', Infinity, -Infinity,
                new Uint8Array([0, 255]), new Uint8Array(0), new Uint8Array(100000).fill(7)];
              const isSame = (a, b) => a instanceof Uint8Array ? b instanceof Uint8Array && a.length === b.length && a.every((x, i) => x === b[i])
                : typeof a === 'bigint' || typeof b === 'bigint' ? BigInt(a) === BigInt(b) : Object.is(a, b);
              const wrong = [];
              for (const value of values) {
                const [byName] = await datasync.query('SELECT $v AS v', { $v: value });
                const [byPosition] = await datasync.query("SELECT '?' AS mark, ? AS v -- ?", [value]);
                if (!isSame(value, byName.v)) wrong.push(`by name ${String(value)}: ${String(byName.v)}`);
                if (!isSame(value, byPosition.v)) wrong.push(`by position ${String(value)}: ${String(byPosition.v)}`);
              }
              return wrong;
            }
            """);

        Assert.Empty(wrong);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Whole_numbers_are_integers_and_what_SQLite_has_no_value_for_is_refused()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenAsync();

        var seen = (await page.EvaluateAsync("""
            async () => {
              await datasync.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)');
              const scalar = async (sql, ...params) => Object.values((await datasync.query(sql, params))[0])[0];
              const failure = (params) => datasync.execute('SELECT $v', params).then(() => 'none', error => `${error.name}: ${error.message}`);
              return {
                quotient: await scalar('SELECT 7 / ?', 2),
                types: await Promise.all([5, -5, 2 ** 53, 2 ** 62, 2 ** 63, 1.5, 1e300, true].map(value => scalar('SELECT typeof(?)', value))),
                power: String(await scalar('SELECT ?', 2 ** 62)),
                text: (await datasync.query('INSERT INTO t VALUES (1, ?) RETURNING text', [5]))[0].text,
                rowid: String((await datasync.execute('INSERT INTO t(id) VALUES (?)', [9007199254740993n])).lastInsertRowId),
                last: String((await datasync.transaction([{ sql: 'INSERT INTO t(id) VALUES (9223372036854775807)' }])).lastInsertRowId),
                surrogate: await scalar('SELECT hex(?)', 'a\ud800b'),
                literal: await scalar("SELECT hex('\udc00')"),
                inTransaction: (await datasync.transaction([{ sql: "INSERT INTO t VALUES (2, '\ud800' || ?)", params: ['\udfff'] }])).changes,
                stored: await scalar('SELECT hex(text) FROM t WHERE id = 2'),
                object: await failure({ v: { $int: '5' } }),
                array: await failure({ $v: [1] }),
                date: await failure({ $v: new Date() }),
                huge: await failure({ $v: 2n ** 63n }),
                params: await failure('text'),
              };
            }
            """))!.Value;

        Assert.Equal(3, seen.GetProperty("quotient").GetInt32());
        Assert.Equal("""["integer","integer","integer","integer","real","real","real","integer"]""", seen.GetProperty("types").GetRawText());
        Assert.Equal("4611686018427387904", seen.GetProperty("power").GetString());
        Assert.Equal("5", seen.GetProperty("text").GetString());
        Assert.Equal("9007199254740993", seen.GetProperty("rowid").GetString());
        Assert.Equal("9223372036854775807", seen.GetProperty("last").GetString());
        Assert.Equal("61EFBFBD62", seen.GetProperty("surrogate").GetString());
        Assert.Equal("EFBFBD", seen.GetProperty("literal").GetString());
        Assert.Equal("EFBFBDEFBFBD", seen.GetProperty("stored").GetString());
        Assert.StartsWith("TypeError: The parameter v is of type Object", seen.GetProperty("object").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("TypeError: The parameter $v is of type Array", seen.GetProperty("array").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("TypeError: The parameter $v is of type Date", seen.GetProperty("date").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("RangeError: The parameter $v is 9223372036854775808", seen.GetProperty("huge").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("TypeError: Parameters are an object", seen.GetProperty("params").GetString(), StringComparison.Ordinal);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_write_in_one_tab_is_told_to_and_read_by_the_other()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync();
        await first.EvaluateAsync("datasync.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)')");
        var second = await tabs.OpenAsync();
        await second.EvaluateAsync("""
            async () => {
              await datasync.ready;
              globalThis.told = new Promise(resolve => datasync.onCommit(commit => { if (!commit.isLocal) resolve(commit.marker); }));
            }
            """);

        var written = (await first.EvaluateAsync("datasync.execute('INSERT INTO t(text) VALUES ($text)', { text: 'hello' })"))!.Value;
        var told = await second.EvaluateAsync<long>("told");
        var read = await second.EvaluateAsync<string>("datasync.query('SELECT text FROM t').then(rows => rows[0].text)");

        Assert.Equal(written.GetProperty("marker").GetInt64(), told);
        Assert.Equal(1, written.GetProperty("changes").GetInt32());
        Assert.Equal(1, written.GetProperty("lastInsertRowId").GetInt64());
        Assert.Equal("hello", read);
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_live_query_shows_what_another_tab_writes_until_it_is_stopped()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync();
        await first.EvaluateAsync("datasync.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)')");
        var second = await tabs.OpenAsync();
        await second.EvaluateAsync("""
            async () => {
              globalThis.shown = [];
              await datasync.ready;
              globalThis.failed = await datasync.live('SELECT * FROM nowhere', [], () => {}).catch(error => error.name);
              globalThis.live = await datasync.live('SELECT text FROM t WHERE id > $from ORDER BY id', { from: 0 }, (rows, error) => shown.push(error?.name ?? rows.map(row => row.text).join()));
            }
            """);
        await first.EvaluateAsync("datasync.execute('INSERT INTO t(text) VALUES ($text)', { text: 'a' })");
        await second.WaitForFunctionAsync("shown.at(-1) === 'a'");
        await first.EvaluateAsync("datasync.execute('DROP TABLE t')");
        await second.WaitForFunctionAsync("shown.at(-1) === 'SqliteException'");
        await first.EvaluateAsync("datasync.execute('CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT); INSERT INTO t(text) VALUES (2)')");
        await second.WaitForFunctionAsync("shown.at(-1) === '2'");
        Assert.Equal("SqliteException,", await second.EvaluateAsync<string>("failed + ',' + shown[0]"));
        await second.EvaluateAsync("live.stop()");
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_transaction_is_all_or_nothing_and_its_failure_has_the_exceptions_name()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenAsync();

        var seen = (await page.EvaluateAsync("""
            async () => {
              await datasync.execute('CREATE TABLE t(id INTEGER PRIMARY KEY)');
              const good = await datasync.transaction([
                { sql: 'INSERT INTO t VALUES (?), (?)', params: [1, 2] }, { sql: 'INSERT INTO t SELECT max(id) + $step FROM t', params: { step: 5 } }]);
              const failure = await datasync.transaction([
                { sql: 'INSERT INTO t VALUES (8)' }, { sql: 'INSERT INTO t VALUES (1)' }]).catch(error => error);
              return { good, name: failure.name, isError: failure instanceof Error, code: failure.sqliteErrorCode,
                ids: (await datasync.query('SELECT id FROM t ORDER BY id')).map(row => row.id), marker: datasync.status().marker };
            }
            """))!.Value;

        Assert.Equal("[1,2,7]", seen.GetProperty("ids").GetRawText());
        Assert.Equal(3, seen.GetProperty("good").GetProperty("changes").GetInt32());
        Assert.Equal(2, seen.GetProperty("marker").GetInt64());
        Assert.Equal("SqliteException", seen.GetProperty("name").GetString());
        Assert.True(seen.GetProperty("isError").GetBoolean());
        Assert.Equal(19, seen.GetProperty("code").GetInt32());
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Leadership_is_asked_for_given_away_and_left_by_closing()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync();
        var leader = await first.EvaluateAsync<string>("datasync.waitForLeader()");
        var second = await tabs.OpenAsync();
        await second.EvaluateAsync("datasync.requestLeadership()");

        var status = await StatusAsync(second);
        Assert.Equal("leader", status.GetProperty("role").GetString());
        Assert.Equal(status.GetProperty("id").GetString(), status.GetProperty("leaderId").GetString());
        Assert.NotEqual(leader, status.GetProperty("leaderId").GetString());
        Assert.True(status.GetProperty("epoch").GetInt64() > 1);
        Assert.Contains(leader, status.GetProperty("members").EnumerateArray().Select(member => member.GetString()));

        await second.EvaluateAsync("datasync.resign()");
        Assert.NotEmpty(await second.EvaluateAsync<string>("datasync.waitForLeader()"));
        await second.EvaluateAsync("datasync.close()");
        Assert.Equal("ObjectDisposedException", await second.EvaluateAsync<string>("datasync.query('SELECT 1').catch(error => error.name)"));
        Assert.Equal(leader, await first.EvaluateAsync<string>("datasync.waitForLeader()"));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task The_query_string_chooses_the_database()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync("db=one%20ä.db&durability=strict");
        var second = await tabs.OpenAsync("db=two.db");
        await first.EvaluateAsync("datasync.execute('CREATE TABLE only_in_one(x)')");

        Assert.Equal(0, await second.EvaluateAsync<int>("datasync.query('SELECT count(*) AS n FROM sqlite_master').then(rows => rows[0].n)"));

        // An open database may be read before its tab is elected.
        foreach (var page in new[] { first, second })
        {
            await page.EvaluateAsync("datasync.waitForLeader()");
            Assert.Equal("leader", (await StatusAsync(page)).GetProperty("role").GetString());
        }
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_database_is_exported_and_imported_as_bytes()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var first = await tabs.OpenAsync("db=a.db");
        var second = await tabs.OpenAsync("db=b.db");
        await first.EvaluateAsync("datasync.execute('CREATE TABLE t AS SELECT 7 AS x')");
        var file = await first.EvaluateAsync<int[]>("datasync.export().then(bytes => [...bytes])");
        await second.EvaluateAsync("file => datasync.import(new Uint8Array(file))", file);

        Assert.Equal(7, await second.EvaluateAsync<int>("datasync.query('SELECT x FROM t').then(rows => rows[0].x)"));
        Assert.Equal("DatabaseImportException", await second.EvaluateAsync<string>("datasync.import(new Uint8Array(3000)).catch(error => error.name)"));
        Assert.Equal(7, await second.EvaluateAsync<int>("datasync.query('SELECT x FROM t').then(rows => rows[0].x)"));
    }

    private static async Task<JsonElement> StatusAsync(IPage page) => (await page.EvaluateAsync("datasync.status()"))!.Value;
}
