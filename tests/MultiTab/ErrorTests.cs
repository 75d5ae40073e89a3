using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>What a user or an app does wrong: a typed error that says so, and the database as it was, in every tab.</summary>
[Collection(BrowserCollection.Name)]
public sealed class ErrorTests(BrowserFixture browser, ITestOutputHelper output)
{
    private const string Schema = """
        CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, age INTEGER CHECK (age >= 0));
        CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO t VALUES (1, 'one', 1);
        """;

    [Fact(Timeout = Limits.Test_ms)]
    public async Task Failed_sql_names_its_cause_and_changes_nothing_in_leader_and_follower()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var leader = await tabs.OpenDatabaseAsync();
        await leader.ExecuteAsync(Schema);
        var follower = await tabs.OpenDatabaseAsync();
        var marker = await leader.EvaluateAsync<int>("datasync.status().marker");

        foreach (var page in new[] { leader, follower })
        {
            await AssertSqlFailsAsync(page, "SELEC 1", "syntax error");
            await AssertSqlFailsAsync(page, "INSERT INTO missing VALUES (1)", "no such table: missing");
            await AssertSqlFailsAsync(page, "INSERT INTO t VALUES (2, 'one', 1)", "UNIQUE constraint failed: t.name");
            await AssertSqlFailsAsync(page, "INSERT INTO t VALUES (2, NULL, 1)", "NOT NULL constraint failed: t.name");
            await AssertSqlFailsAsync(page, "INSERT INTO t VALUES (2, 'two', -1)", "CHECK constraint failed: age >= 0");
            await AssertSqlFailsAsync(page, "INSERT INTO t VALUES (2, 'two', 2); INSERT INTO t VALUES (1, 'again', 2)", "UNIQUE constraint failed: t.id");
            await AssertSqlFailsAsync(page, "INSERT INTO child VALUES (1, 99)", "FOREIGN KEY constraint failed");
            await AssertSqlFailsAsync(page, "INSERT INTO t VALUES (2, 'two', 2); SELECT absent FROM t", "no such column: absent");
            await AssertSqlFailsAsync(page, "BEGIN; INSERT INTO t VALUES (2, 'two', 2)", "transaction");
        }

        var statements = await follower.FailureOfAsync("""
            datasync.transaction([{ sql: "INSERT INTO t VALUES (3, 'three', 3)" }, { sql: 'INSERT INTO t VALUES (3, $name, 4)', params: { name: 'x' } }])
            """);
        Assert.Equal("SqliteException", statements.Name);
        foreach (var page in new[] { leader, follower })
        {
            Assert.Equal(["[1,\"one\",1]"], await page.RowsAsync("SELECT * FROM t"));
            Assert.Equal(marker, await page.EvaluateAsync<int>("datasync.status().marker"));
        }

        await follower.ExecuteAsync("INSERT INTO t VALUES (2, 'two', 2)");
        await leader.ExecuteAsync("INSERT INTO t VALUES (3, 'three', 3)");
        Assert.Equal(3, await leader.ScalarAsync<int>("SELECT count(*) FROM t"));
        Assert.Equal("ok", await leader.ScalarAsync<string>("PRAGMA integrity_check"));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_missing_parameter_and_a_statement_without_leave_are_told()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenDatabaseAsync();
        await page.ExecuteAsync(Schema);

        var missing = await page.FailureOfAsync("datasync.execute('INSERT INTO t VALUES ($id, $name, 1)', { id: 5 })");
        Assert.Equal("InvalidOperationException", missing.Name);
        Assert.Contains("$name", missing.Message, StringComparison.Ordinal);
        var fewer = await page.FailureOfAsync("datasync.execute('INSERT INTO t VALUES (?, ?, ?)', [5])");
        Assert.Contains("3 parameters, but only 1 value", fewer.Message, StringComparison.Ordinal);

        Assert.Equal(1, await page.ScalarAsync<int>("SELECT count(*) FROM t"));
        await page.ExecuteAsync("INSERT INTO t VALUES (2, 'two', 2)");
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_file_that_is_no_whole_database_is_not_imported()
    {
        var file = NativeFile.Create(4096);
        var damaged = file.ToArray();
        damaged.AsSpan(4096, 8192).Fill(0xA5);
        var impossible = file.ToArray();
        impossible[16] = 3;
        (string What, byte[] File, string Message)[] cases =
        [
            ("text", "This is a letter, not a database. "u8.ToArray(), "no SQLite database"),
            ("nothing", [], "is empty"),
            ("noise", [.. Enumerable.Range(0, 9000).Select(i => (byte)(i * 7))], "no SQLite database"),
            ("a header alone", file[..100], "cut short"),
            ("half", file[..(file.Length / 2 / 4096 * 4096)], "cut short"),
            ("half a page less", file[..^2048], "cut short"),
            ("one byte more", [.. file, 0], "1 bytes behind the database's end"),
            ("an impossible page size", impossible, "page size"),
            ("damaged pages", damaged, "damaged"),
        ];
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenDatabaseAsync();
        await page.ExecuteAsync(Schema);
        var other = await tabs.OpenDatabaseAsync();

        foreach (var (what, content, message) in cases)
        {
            var failure = await page.FailureOfAsync(
                "fetch('data:;base64,' + argument).then(r => r.arrayBuffer()).then(file => datasync.import(new Uint8Array(file)))", Convert.ToBase64String(content));
            Assert.True(failure.Name == "DatabaseImportException", $"{what}: {failure}");
            Assert.Contains(message, failure.Message, StringComparison.Ordinal);
            Assert.Contains("Nothing was imported", failure.Message, StringComparison.Ordinal);
        }

        foreach (var tab in new[] { page, other })
        {
            Assert.Equal(["[1,\"one\",1]"], await tab.RowsAsync("SELECT * FROM t"));
            Assert.Equal("ok", await tab.ScalarAsync<string>("PRAGMA integrity_check"));
        }

        await page.ExecuteAsync("INSERT INTO t VALUES (2, 'two', 2)");
        await page.ImportAsync(file);
        Assert.Equal(6, await page.ScalarAsync<int>("SELECT count(*) FROM person"));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_transaction_that_is_larger_than_a_browser_stores_fails_before_it_is_sent()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var leader = await tabs.OpenDatabaseAsync();
        await leader.ExecuteAsync("CREATE TABLE big(x)");
        var follower = await tabs.OpenDatabaseAsync();

        foreach (var page in new[] { follower, leader })
        {
            var failure = await page.FailureOfAsync("datasync.execute('INSERT INTO big VALUES (zeroblob(150000000))')");
            Assert.Equal("CommitTooLargeException", failure.Name);
            Assert.Contains("split it into smaller ones", failure.Message, StringComparison.Ordinal);
            await page.ExecuteAsync("INSERT INTO big VALUES ('small')");
        }

        Assert.Equal(2, await leader.ScalarAsync<int>("SELECT count(*) FROM big"));
        Assert.Equal("ok", await leader.ScalarAsync<string>("PRAGMA integrity_check"));
    }

    private static async Task AssertSqlFailsAsync(IPage page, string sql, string message)
    {
        var failure = await page.FailureOfAsync("datasync.execute(argument)", sql);
        Assert.True(failure.Name == "SqliteException", $"{sql}: {failure}");
        Assert.Contains(message, failure.Message, StringComparison.Ordinal);
    }
}
