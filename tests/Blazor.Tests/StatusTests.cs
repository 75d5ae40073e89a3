using Bunit;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Blazor.Tests;

/// <summary>What <see cref="DataSyncStatus"/> says.</summary>
public sealed class StatusTests : BlazorTestBase
{
    [Fact]
    public async Task It_says_who_leads_and_how_many_tabs_there_are()
    {
        var page = App.Render<DataSyncStatus>();
        Assert.Equal("", page.Find("[role=status]").TextContent);
        Assert.Equal("", page.Find("[role=alert]").TextContent);
        var database = await OpenTodosAsync();
        page.Render(p => p.Add(x => x.Database, database));
        await SaysAsync(page, "This tab leads, 1 tab");

        var other = await OpenTodosAsync();
        await using var otherApp = new BunitContext();
        var otherPage = otherApp.Render<DataSyncStatus>(p => p.Add(x => x.Database, other));
        await SaysAsync(page, "This tab leads, 2 tabs");
        await SaysAsync(otherPage, "This tab follows, 2 tabs");
        await database.DisposeAsync();
        await SaysAsync(otherPage, "This tab leads, 1 tab");
    }

    [Fact]
    public async Task It_counts_what_is_not_durable_yet()
    {
        var database = await OpenTodosAsync(configure: Deferred);
        await database.SyncAsync();
        var page = App.Render<DataSyncStatus>(p => p.Add(x => x.Database, database));
        await SaysAsync(page, "This tab leads, 1 tab");
        await AddAsync(database, 1, "milk");
        await AddAsync(database, 2, "bread");
        await UntilAsync(page, () => Status(page).StartsWith("This tab leads, 1 tab, 2 writes not durable yet (", StringComparison.Ordinal));
        Assert.Equal("off", page.Find(".datasync-dirty").GetAttribute("aria-live"));
        await database.SyncAsync();
        await SaysAsync(page, "This tab leads, 1 tab");
    }

    [Fact]
    public async Task It_tells_of_writes_that_were_taken_back_until_others_are_durable()
    {
        var database = await OpenTodosAsync(configure: Deferred);
        await database.SyncAsync();
        var other = await OpenTodosAsync();
        var page = App.Render<DataSyncStatus>(p => p.Add(x => x.Database, database));
        const int OwnCommits = 5;
        var id = 0;
        do
        {
            // As long as the last commits are its own, a tab writes without asking for the turn, which would have the deferred write made durable before.
            for (var i = 1; i <= OwnCommits; i++) await AddAsync(other, ++id, "its own");
            Assert.InRange(++id, 1, 100);
            await AddAsync(database, id, "milk");
        }
        while (!await IsFirstAsync(other, id));

        await UntilAsync(page, () => Alert(page).StartsWith("1 write taken back: ", StringComparison.Ordinal) && Alert(page).Contains("UNIQUE", StringComparison.Ordinal));
        await AddAsync(database, id + 1, "salt");
        await database.SyncAsync();
        await UntilAsync(page, () => Alert(page).Length == 0);

        // On a busy machine it may have asked for the turn all the same.
        static async Task<bool> IsFirstAsync(DataSyncDatabase tab, int id)
        {
            try
            {
                await AddAsync(tab, id, "bread");
                return true;
            }
            catch (SqliteException)
            {
                return false;
            }
        }
    }

    [Fact]
    public async Task It_tells_why_the_database_has_stopped()
    {
        var (database, otherTab) = (await OpenTodosAsync(), OpenTab());
        var page = App.Render<DataSyncStatus>(p => p.Add(x => x.Database, database));
        await SaysAsync(page, "This tab leads, 1 tab");
        await otherTab.DeleteAsync("todo.db");
        await UntilAsync(page, () => Alert(page) == "The database was deleted while it was open. Open it again to start with an empty one.");
        Assert.Equal(Alert(page), Alert(App.Render<DataSyncStatus>(p => p.Add(x => x.Database, database))));

        var next = await OpenTodosAsync();
        page.Render(p => p.Add(x => x.Database, next));
        await UntilAsync(page, () => Alert(page).Length == 0);
    }

    [Fact]
    public async Task An_app_has_words_of_its_own()
    {
        var (database, otherTab) = (await OpenTodosAsync(), OpenTab());
        App.RenderTree.Add<CascadingValue<DataSyncDatabase>>(p => p.Add(x => x.Value, database));
        var page = App.Render<DataSyncStatus>(p => p
            .Add(x => x.ChildContent, now => $"{now.Role}: {now.Tabs} Tab(s), {now.DirtyCommits} ungesichert")
            .Add(x => x.Trouble, now => $"<b>Gestoppt: {now.IsStopped}</b> {now.Trouble!.GetType().Name}"));
        await SaysAsync(page, "Leader: 1 Tab(s), 0 ungesichert");
        await otherTab.DeleteAsync("todo.db");
        await UntilAsync(page, () => Alert(page) == $"Gestoppt: True {nameof(StorageClosedException)}");
    }

    [Fact]
    public async Task Gone_it_follows_no_more()
    {
        var database = await OpenTodosAsync(configure: Deferred);
        await database.SyncAsync();
        var page = App.Render<DataSyncStatus>(p => p.Add(x => x.Database, database));
        await SaysAsync(page, "This tab leads, 1 tab");
        await App.DisposeComponentsAsync();
        await AddAsync(database, 1, "milk");
        await database.SyncAsync();
        Assert.False(App.Renderer.UnhandledException.IsCompleted);
    }

    // Nothing is synced that is not asked for.
    private static void Deferred(DataSyncOptions options)
    {
        options.Durability = Durability.Deferred;
        options.AutoSync.Debounce = options.AutoSync.Interval = TimeSpan.FromMinutes(5);
    }

    private static Task SaysAsync(IRenderedComponent<DataSyncStatus> page, string text) => UntilAsync(page, () => Status(page) == text);

    private static string Status(IRenderedComponent<DataSyncStatus> page) => page.Find("[role=status]").TextContent.Trim();

    private static string Alert(IRenderedComponent<DataSyncStatus> page) => page.Find("[role=alert]").TextContent.Trim();
}
