using DataSync.MultiTab.Browser;
using Microsoft.Playwright;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab;

/// <summary>Files go in and out: what SQLite made elsewhere is used here, and what was made here is used elsewhere.</summary>
[Collection(AppCollection.Name)]
public sealed class NativeFileTests(BrowserFixture browser, ITestOutputHelper output)
{
    private const string Change = """
        INSERT INTO person(name, height) VALUES ('Ђорђе', 1.95);
        DELETE FROM person WHERE name = 'Ada';
        UPDATE person SET photo = substr(photo, 1000) WHERE name = 'photo';
        UPDATE pair SET note = note || ' ✓' WHERE b % 3 = 0;
        INSERT INTO text(title, body) VALUES ('new', 'eine neue straße');
        DELETE FROM text WHERE rowid = 7;
        DELETE FROM area WHERE id = 105;
        CREATE TABLE later AS SELECT name FROM person;
        """;

    [Fact(Timeout = Limits.LongTest_ms)]
    public async Task A_native_file_of_any_page_size_is_imported_used_in_another_tab_exported_and_opened_natively()
    {
        await using var tabs = await browser.NewTabsAsync(output);
        var importing = await tabs.OpenDatabaseAsync();
        var other = await tabs.OpenDatabaseAsync();
        for (var pageSize = 512; pageSize <= 65536; pageSize *= 2) // each in place of the one before
        {
            output.WriteLine($"page size {pageSize}");
            await TakeInAndOutAsync(importing, other, pageSize);
        }
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task A_checkpointed_file_in_wal_mode_is_imported_without_its_wal()
    {
        var file = NativeFile.Create(4096, "PRAGMA journal_mode=WAL");
        Assert.Equal(2, file[18]);
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenDatabaseAsync();

        await page.ImportAsync(file);

        Assert.Equal(NativeFile.Look(file, NativeFile.Answers), await AnswersAsync(page));
        await page.ExecuteAsync(Change);
        var exported = await page.ExportAsync();
        Assert.Equal(["[\"ok\"]"], NativeFile.Look(exported, connection => NativeFile.Rows(connection, "PRAGMA integrity_check")));
        Assert.Equal(["[\"delete\"]"], NativeFile.Look(exported, connection => NativeFile.Rows(connection, "PRAGMA journal_mode")));
    }

    [Fact(Timeout = Limits.Test_ms)]
    public async Task An_import_survives_a_reload_and_an_export_is_the_same_file_twice()
    {
        var file = NativeFile.Create(4096);
        await using var tabs = await browser.NewTabsAsync(output);
        var page = await tabs.OpenDatabaseAsync();
        await page.ImportAsync(file);
        var before = await page.ExportAsync();

        await page.ReloadAsync();
        await page.EvaluateAsync("datasync.ready");

        Assert.Equal(NativeFile.Look(file, NativeFile.Answers), await AnswersAsync(page));
        Assert.Equal(before, await page.ExportAsync());
        Assert.Equal(file.Length, before.Length);
    }

    private static async Task TakeInAndOutAsync(IPage importing, IPage other, int pageSize)
    {
        var file = NativeFile.Create(pageSize, pageSize == 8192 ? "PRAGMA auto_vacuum=INCREMENTAL" : "");
        await importing.ExecuteAsync("CREATE TABLE gone(x); INSERT INTO gone VALUES (1)");

        await importing.ImportAsync(file);
        await CatchUpAsync(other, importing);
        Assert.Equal(NativeFile.Look(file, NativeFile.Answers), await AnswersAsync(other));
        Assert.Equal("ok", await other.ScalarAsync<string>("PRAGMA integrity_check"));
        Assert.Equal(pageSize, await other.ScalarAsync<int>("PRAGMA page_size"));

        await other.ExecuteAsync(Change);
        var expected = NativeFile.Look(file, connection =>
        {
            NativeFile.Execute(connection, Change);
            return NativeFile.Answers(connection);
        });
        Assert.Equal(expected, await AnswersAsync(other));

        await CatchUpAsync(importing, other);
        var exported = await importing.ExportAsync();
        NativeFile.Look(exported, connection =>
        {
            Assert.Equal(["[\"ok\"]"], NativeFile.Rows(connection, "PRAGMA integrity_check"));
            Assert.Equal([$"[{pageSize}]"], NativeFile.Rows(connection, "PRAGMA page_size"));
            Assert.Equal(expected, NativeFile.Answers(connection));
            NativeFile.Execute(connection, "INSERT INTO text(text) VALUES ('integrity-check')");
            NativeFile.Execute(connection, "VACUUM");
            return 0;
        });
    }

    /// <summary>Waits until a tab shows what another one shows.</summary>
    private static async Task CatchUpAsync(IPage behind, IPage ahead) => await behind.WaitForMarkerAsync((await ahead.StatusAsync()).Marker);

    private static async Task<string[][]> AnswersAsync(IPage page)
    {
        var answers = new List<string[]>();
        foreach (var question in NativeFile.Questions)
        {
            var rows = await page.RowsAsync(question);
            answers.Add([.. rows.Select(PageJson.Normalize)]);
        }

        return [.. answers];
    }
}
