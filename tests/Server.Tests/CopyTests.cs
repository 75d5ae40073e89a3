using DataSync.Remote;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.DependencyInjection;

namespace DataSync.Server.Tests;

/// <summary>A browser keeps a copy of the server's database, from which it opens at once and without a network.</summary>
public sealed class CopyTests : IDisposable
{
    private const string Table = "CREATE TABLE entry (id INTEGER PRIMARY KEY, text TEXT NOT NULL)";
    private const string Insert = "INSERT INTO entry (text) VALUES (?)";
    private const string All = "SELECT group_concat(text, ' ') FROM (SELECT text FROM entry ORDER BY id)";

    private readonly string _directory = Directory.CreateTempSubdirectory("server-tests-").FullName;
    private readonly TestBrowser _browser = new() { KeepsCopies = true };

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact(Timeout = 300_000)]
    public async Task Without_a_network_it_opens_and_reads_what_was_there_and_then_catches_up()
    {
        await using var server = await StartAsync();
        await using var proxy = new CutProxy(() => server.Port);
        await using var browser = _browser;
        var tab = await browser.OpenAsync(proxy.Port);
        await tab.Database.ExecuteAsync(Table);
        await AddAsync(tab.Database, "one");
        await KeptAsync(tab.Database);
        await browser.CloseAsync(tab);

        proxy.IsDown = true;
        proxy.Cut();
        tab = await browser.OpenAsync(proxy.Port, options: Impatient());
        Assert.Equal("one", await ReadAsync(tab.Database));
        Assert.Null(tab.Database.Coordinator.LeaderId);
        var error = await Assert.ThrowsAsync<NoLeaderException>(() => AddAsync(tab.Database, "lost"));
        Assert.False(error.IsOutcomeUnknown);
        var second = await browser.OpenAsync(proxy.Port, options: Impatient());
        Assert.Equal("one", await ReadAsync(second.Database));

        // Meanwhile the server goes on.
        await AddAsync((await server.OpenHereAsync()), "two");
        var seen = new TaskCompletionSource();
        tab.Database.Committed += (_, _) => seen.TrySetResult();
        proxy.IsDown = false;
        await seen.Task.WaitAsync(TestServer.Patience);
        await WriteAsync(second.Database, "three");
        foreach (var each in browser.Tabs) await SeeAsync(each.Database, "one two three");
        Assert.Equal(1, server.Connections);
        await KeptAsync(tab.Database);
    }

    [Fact(Timeout = 300_000)]
    public async Task What_is_in_the_copy_does_not_come_over_the_network_again()
    {
        await using var server = await StartAsync();
        await using var proxy = new CutProxy(() => server.Port);
        await using var browser = _browser;
        var tab = await browser.OpenAsync(proxy.Port);
        await tab.Database.ExecuteAsync("CREATE TABLE large (bytes BLOB)");
        await tab.Database.ExecuteAsync("INSERT INTO large VALUES (randomblob(3000000))");
        await tab.Database.ExecuteAsync("CREATE TABLE small (id INTEGER)"); // the last record is compared
        await KeptAsync(tab.Database);
        await browser.CloseAsync(tab);
        await (await server.OpenHereAsync()).ExecuteAsync("CREATE TABLE later (id INTEGER)");

        var before = proxy.BytesBack;
        tab = await browser.OpenAsync(proxy.Port);
        await SeeAsync(tab.Database, "1", "SELECT count(*) FROM sqlite_schema WHERE name = 'later'");
        Assert.Equal(3_000_000, (await tab.Database.QueryAsync<long>("SELECT sum(length(bytes)) FROM large")).Single());
        Assert.InRange(proxy.BytesBack - before, 1, 1_000_000);
    }

    [Fact(Timeout = 300_000)]
    public async Task The_copy_is_what_the_server_has_whoever_writes_and_leads_and_however_long()
    {
        await using var server = await StartAsync();
        await using var browser = _browser;
        var (first, second) = (await browser.OpenAsync(server.Port), await browser.OpenAsync(server.Port));
        await first.Database.ExecuteAsync(Table);
        for (var round = 0; round < 4; round++)
        {
            // More than are kept as a log; the leader's epoch rises in between.
            await Task.WhenAll(browser.Tabs.Select(async (tab, who) =>
            {
                for (var i = 0; i < 70; i++) await tab.Database.ExecuteAsync(Insert, new[] { $"{who}:{round}:{i}" });
            }));
            await first.Database.WriteAsync(connection => connection.ExecuteText("UPDATE entry SET text = text || '!' WHERE id % 7 = 0"));
            await (await server.OpenHereAsync()).ExecuteAsync("DELETE FROM entry WHERE id % 11 = 0");
            if (round == 1) await server.RestartAsync();
            if (round != 2) continue;
            await browser.CloseAsync(first); // the gateway
            first = await browser.OpenAsync(server.Port);
        }

        await (await server.OpenHereAsync()).ExecuteAsync("CREATE TABLE large (bytes BLOB); INSERT INTO large VALUES (randomblob(4000000)); DROP TABLE large");
        var here = await server.OpenHereAsync();
        await here.ExecuteAsync("VACUUM");
        foreach (var tab in browser.Tabs) await SeeAsync(tab.Database, await ReadAsync(here));
        await KeptAsync(here);
        var expected = await ReadAsync(here);
        foreach (var tab in browser.Tabs.ToArray()) await browser.CloseAsync(tab);
        await server.StopAsync();
        var offline = await browser.OpenAsync(server.Port, options: Impatient());
        Assert.Equal(expected, await ReadAsync(offline.Database));
        Assert.Equal("ok", (await offline.Database.QueryAsync<string>("PRAGMA integrity_check")).Single());
        Assert.Empty((await offline.Database.VerifyAsync()).Findings);
        await browser.CloseAsync(offline);
        await server.StartAsync();
    }

    [Fact(Timeout = 300_000)]
    public async Task A_browser_that_was_away_for_long_catches_up_by_extents()
    {
        await using var server = await StartAsync(o => o.Pipeline.CheckpointLogRecords = 1);
        await using var browser = _browser;
        await LeaveCopyAsync(server);
        var here = await server.OpenHereAsync();
        for (var i = 0; i < 30; i++) await here.ExecuteAsync(Insert, new[] { $"{i}" });
        while (here.LogRecords > 0) await Task.Delay(20); // until the log does not reach back
        var tab = await browser.OpenAsync(server.Port);
        await SeeAsync(tab.Database, await ReadAsync(here));
        await KeptAsync(here);
    }

    [Theory(Timeout = 300_000)]
    [InlineData(StoreRecordKind.Extent)]
    [InlineData(StoreRecordKind.Log)]
    [InlineData(StoreRecordKind.Head)]
    public async Task A_copy_that_is_damaged_is_made_anew(StoreRecordKind kind)
    {
        await using var server = await StartAsync();
        await using var browser = _browser;
        await (await server.OpenHereAsync()).ExecuteAsync(Table);
        var tab = await browser.OpenAsync(server.Port);
        await KeptAsync(tab.Database); // as a whole
        await AddAsync(tab.Database, "one");
        await KeptAsync(tab.Database); // behind it
        await browser.CloseAsync(tab);
        var key = kind == StoreRecordKind.Log ? tab.Database.Marker : 0;
        var record = browser.Copy.GetRecord(kind, key)!;
        record[^9] ^= 1;
        browser.Copy.SetRecord(kind, key, record);
        if (kind == StoreRecordKind.Head) browser.Copy.SetRecord(StoreRecordKind.HeadCopy, 0, record);

        tab = await browser.OpenAsync(server.Port);
        Assert.Equal("one", await ReadAsync(tab.Database));
        await KeptAsync(tab.Database);
        await browser.CloseAsync(tab);
        await server.StopAsync();
        tab = await browser.OpenAsync(server.Port, options: Impatient());
        Assert.Equal("one", await ReadAsync(tab.Database));
        await browser.CloseAsync(tab);
        await server.StartAsync();
    }

    [Fact(Timeout = 300_000)]
    public async Task A_damaged_copy_without_a_network_is_no_database()
    {
        await using var server = await StartAsync();
        await using var browser = _browser;
        await (await server.OpenHereAsync()).ExecuteAsync(Table);
        var tab = await browser.OpenAsync(server.Port);
        await KeptAsync(tab.Database);
        await browser.CloseAsync(tab);
        var record = browser.Copy.GetRecord(StoreRecordKind.Extent, 0)!;
        record[^9] ^= 1;
        browser.Copy.SetRecord(StoreRecordKind.Extent, 0, record);
        await server.StopAsync();
        await Assert.ThrowsAsync<StorageUnavailableException>(() => browser.OpenAsync(server.Port, options: Impatient()).WaitAsync(TestServer.Patience));
        await server.StartAsync();
        await SeeAsync((await browser.OpenAsync(server.Port)).Database, "", All);
    }

    [Fact(Timeout = 300_000)]
    public async Task Another_database_over_there_ends_what_is_open_and_the_copy()
    {
        await using var server = await StartAsync();
        await using var browser = _browser;
        await LeaveCopyAsync(server);
        await server.StopAsync();
        Directory.Delete(_directory, recursive: true);
        Directory.CreateDirectory(_directory);

        var tab = await browser.OpenAsync(server.Port, options: Impatient());
        var faulted = new TaskCompletionSource<StorageException>();
        tab.Database.Faulted += (_, e) => faulted.TrySetResult(e.Error);
        await server.StartAsync();
        Assert.IsType<StoreReplacedException>(await faulted.Task.WaitAsync(TestServer.Patience));
        Assert.Equal("", await ReadAsync(tab.Database)); // it can still be read
        await browser.CloseAsync(tab);
        tab = await browser.OpenAsync(server.Port);
        await SeeAsync(tab.Database, "0", "SELECT count(*) FROM sqlite_schema");
        await WriteAsync(tab.Database, "", "CREATE TABLE other (id INTEGER)");
        await KeptAsync(tab.Database);
    }

    [Fact(Timeout = 300_000)]
    public async Task A_back_up_that_was_restored_over_there_ends_what_is_open_and_the_copy()
    {
        await using var server = await StartAsync();
        await using var browser = _browser;
        var tab = await browser.OpenAsync(server.Port);
        await tab.Database.ExecuteAsync(Table);
        await AddAsync(tab.Database, "one");
        await server.StopAsync();
        var backUp = Directory.CreateTempSubdirectory("server-tests-").FullName;
        Copy(_directory, backUp);
        await server.StartAsync();
        await WriteAsync(tab.Database, "two");
        await KeptAsync(tab.Database);
        await browser.CloseAsync(tab);
        await server.StopAsync();
        Directory.Delete(_directory, recursive: true);
        Copy(backUp, _directory);
        Directory.Delete(backUp, recursive: true);

        tab = await browser.OpenAsync(server.Port, options: Impatient());
        Assert.Equal("one two", await ReadAsync(tab.Database));
        var faulted = new TaskCompletionSource<StorageException>();
        tab.Database.Faulted += (_, e) => faulted.TrySetResult(e.Error);
        await server.StartAsync();
        Assert.IsType<StoreReplacedException>(await faulted.Task.WaitAsync(TestServer.Patience));
        await browser.CloseAsync(tab);
        tab = await browser.OpenAsync(server.Port);
        await SeeAsync(tab.Database, "one");
        await WriteAsync(tab.Database, "three");
        await KeptAsync(tab.Database);
    }

    [Fact(Timeout = 300_000)]
    public async Task Who_may_not_read_the_database_any_more_has_no_copy_of_it()
    {
        var access = DatabaseAccess.Write;
        await using var server = await TestServer.StartAsync(o => o.Authorize = (_, _) => new(access), databases: Databases());
        await using var browser = _browser;
        await LeaveCopyAsync(server);
        access = DatabaseAccess.None;
        var tab = browser.NewTab(server.Port, options: Impatient());
        try
        {
            tab.Database = await tab.Factory.OpenAsync(TestServer.Database); // it depends on who is quicker
            await Assert.ThrowsAsync<AccessDeniedException>(() => WriteAsync(tab.Database, "one")).WaitAsync(TestServer.Patience);
        }
        catch (AccessDeniedException)
        {
            // Also good.
        }

        while (browser.HasCopies) await Task.Delay(20);
        await Assert.ThrowsAsync<AccessDeniedException>(() => browser.OpenAsync(server.Port));
    }

    [Fact(Timeout = 300_000)]
    public async Task The_app_deletes_the_copy_when_a_user_signs_out_and_no_other_user_sees_it()
    {
        await using var server = await StartAsync();
        await using var browser = _browser;
        var (one, other) = (browser.NewTab(server.Port, o => o.UserKey = () => "one"), browser.NewTab(server.Port, o => o.UserKey = () => "other", Impatient()));
        one.Database = await one.Factory.OpenAsync(TestServer.Database);
        await one.Database.ExecuteAsync(Table);
        await KeptAsync(one.Database);
        await one.Database.DisposeAsync();
        await server.StopAsync();
        await Assert.ThrowsAsync<StorageUnavailableException>(() => other.Factory.OpenAsync(TestServer.Database));
        await other.Factory.DeleteCopyAsync(TestServer.Database); // there is none
        Assert.True(browser.HasCopies);
        await one.Factory.DeleteCopyAsync(TestServer.Database);
        Assert.False(browser.HasCopies);
        await Assert.ThrowsAsync<StorageUnavailableException>(() => one.Factory.OpenAsync(TestServer.Database));
        await server.StartAsync();
    }

    [Fact(Timeout = 300_000)]
    public async Task An_app_that_keeps_no_copy_any_more_can_delete_the_one_that_is_there()
    {
        await using var server = await StartAsync();
        await using var browser = _browser;
        await LeaveCopyAsync(server);
        var before = await browser.CopyEndAsync();
        var tab = await browser.OpenAsync(server.Port, o => o.KeepCopy = false);
        await WriteAsync(tab.Database, "not kept");
        await tab.Database.DisposeAsync();
        Assert.Equal(before, await browser.CopyEndAsync());
        await tab.Factory.DeleteCopyAsync(TestServer.Database);
        Assert.False(browser.HasCopies);
    }

    [Fact(Timeout = 300_000)]
    public async Task A_copy_that_is_deleted_under_a_tab_stays_away_until_it_opens_anew()
    {
        await using var server = await StartAsync();
        await using var browser = _browser;
        var tab = await browser.OpenAsync(server.Port);
        await tab.Database.ExecuteAsync(Table);
        await KeptAsync(tab.Database);
        await tab.Factory.DeleteCopyAsync(TestServer.Database);
        await WriteAsync(tab.Database, "one");
        await WriteAsync(tab.Database, "two");
        Assert.Equal("one two", await ReadAsync(tab.Database));
        Assert.False(browser.HasCopies);
        await browser.CloseAsync(tab);
        Assert.False(browser.HasCopies);
        tab = await browser.OpenAsync(server.Port);
        await KeptAsync(tab.Database);
    }

    [Theory(Timeout = 300_000)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_is_written_without_a_network_is_there_after_two_reloads_and_goes_to_the_server_once_and_in_order(bool logIsGone)
    {
        await using var server = await StartAsync(o => o.Pipeline.CheckpointLogRecords = logIsGone ? 1 : 1000);
        await using var proxy = new CutProxy(() => server.Port);
        await using var browser = _browser;
        await (await server.OpenHereAsync()).ExecuteAsync("CREATE TABLE entry (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)");
        var tab = await browser.OpenAsync(proxy.Port, options: Deferred());
        await AddAsync(tab.Database, "first");
        await tab.Database.ForceSyncAsync();
        await KeptAsync(tab.Database);
        await browser.CloseAsync(tab);
        proxy.IsDown = true;
        proxy.Cut();

        tab = await browser.OpenAsync(proxy.Port, options: Deferred());
        for (var i = 0; i < 100; i++)
        {
            await AddAsync(tab.Database, $"w{i:00}");
            if (i is not (40 or 70)) continue;
            await browser.CloseAsync(tab);
            tab = await browser.OpenAsync(proxy.Port, options: Deferred());
            Assert.Equal(i + 2, (await tab.Database.QueryAsync<long>("SELECT count(*) FROM entry")).Single());
        }

        await browser.CloseAsync(tab);
        Assert.Equal(100, browser.KeptWrites);

        // Another device was first, with three of the same.
        var here = await server.OpenHereAsync();
        await here.ExecuteAsync("INSERT INTO entry (text) VALUES ('other'), ('w07'), ('w55'), ('w90')");
        while (logIsGone && here.LogRecords > 0) await Task.Delay(20); // so that the tab has to load extents
        tab = await browser.OpenAsync(proxy.Port, options: Deferred());
        var failed = new List<FailedWrite>();
        tab.Database.AutoSync.SyncFailed += (_, e) =>
        {
            lock (failed) failed.AddRange(e.Writes);
        };
        proxy.IsDown = false;
        while (browser.KeptWrites > 0) await Task.Delay(20); // nobody tells of that
        var expected = string.Join(' ', Enumerable.Range(0, 100).Where(i => i is not (7 or 55 or 90)).Select(i => $"w{i:00}"));
        await SeeAsync(here, $"first other w07 w55 w90 {expected}");
        await SeeAsync(tab.Database, $"first other w07 w55 w90 {expected}");
        while (true)
        {
            lock (failed) if (failed.Count == 3) break;
            await Task.Delay(20);
        }

        Assert.All(failed, write => Assert.Contains("UNIQUE", write.Error.Message, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Only_a_servers_database_has_a_copy()
    {
        await using var factory = new DataSyncFactory(options: new() { Directory = _directory });
        await Assert.ThrowsAsync<InvalidOperationException>(() => factory.DeleteCopyAsync("app.db"));
    }

    private static void Copy(string from, string to)
    {
        foreach (var directory in Directory.GetDirectories(from, "*", SearchOption.AllDirectories)) Directory.CreateDirectory(directory.Replace(from, to, StringComparison.Ordinal));
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file.Replace(from, to, StringComparison.Ordinal))!);
            File.Copy(file, file.Replace(from, to, StringComparison.Ordinal));
        }
    }

    private static DataSyncOptions Impatient()
    {
        var options = new DataSyncOptions();
        options.Pipeline.TurnDeadline = TimeSpan.FromMilliseconds(300);
        options.Pipeline.ResendAfter = TimeSpan.FromMilliseconds(100);
        options.Pipeline.WriteTimeout = TimeSpan.FromSeconds(1);
        return options;
    }

    private static DataSyncOptions Deferred()
    {
        var options = Impatient();
        options.Durability = Durability.Deferred;
        return options;
    }

    private static Task<ExecuteResult> AddAsync(DataSyncDatabase database, string text) => database.ExecuteAsync(Insert, new[] { text });

    private static async Task<string> ReadAsync(DataSyncDatabase database) => (await database.QueryAsync<string?>(All)).Single() ?? "";

    // Also where the connection is about to come back, or the leader to change.
    private static async Task WriteAsync(DataSyncDatabase database, string text, string? sql = null)
    {
        while (true)
        {
            try
            {
                await database.ExecuteAsync(sql ?? Insert, sql is null ? new[] { text } : null);
                return;
            }
            catch (NoLeaderException error) when (!error.IsOutcomeUnknown)
            {
                // Not yet.
            }
        }
    }

    private static async Task SeeAsync(DataSyncDatabase database, string expected, string sql = All)
    {
        var seen = new SemaphoreSlim(0);
        using var subscription = database.Subscribe(_ =>
        {
            seen.Release();
            return Task.CompletedTask;
        });
        while (Convert.ToString((await database.QueryAsync(sql)).Rows.Single()[0], System.Globalization.CultureInfo.InvariantCulture) is var found && (found ?? "") != expected)
            Assert.True(await seen.WaitAsync(TestServer.Patience), $"It still shows '{found}'.");
    }

    /// <summary>A copy of an empty table is there, and its tab is closed.</summary>
    private async Task LeaveCopyAsync(TestServer server)
    {
        var tab = await _browser.OpenAsync(server.Port);
        await tab.Database.ExecuteAsync(Table);
        await KeptAsync(tab.Database);
        await _browser.CloseAsync(tab);
    }

    private async Task KeptAsync(DataSyncDatabase database)
    {
        while (await _browser.CopyEndAsync() < database.Marker) await Task.Delay(20); // the copy is written a moment later, and tells nobody
    }

    private Action<IServiceCollection> Databases(Action<DataSyncOptions>? configure = null) => services => services.AddDataSync(o =>
    {
        o.Directory = _directory;
        configure?.Invoke(o);
    });

    private Task<TestServer> StartAsync(Action<DataSyncOptions>? configure = null) => TestServer.StartAsync(databases: Databases(configure));
}
