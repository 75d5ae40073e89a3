using Bunit;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components;
using Xunit;

namespace DataSync.Blazor.Tests;

/// <summary>A page over databases in a directory; each factory is a tab.</summary>
public abstract class BlazorTestBase : IAsyncLifetime
{
    /// <summary>More than anything here may take; what hangs fails with it.</summary>
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("datasync-").FullName;
    private readonly List<DataSyncFactory> _tabs = [];

    protected BunitContext App { get; } = new();

    public virtual Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await App.DisposeAsync();
        foreach (var tab in _tabs) await tab.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    protected DataSyncFactory OpenTab(Action<DataSyncOptions>? configure = null)
    {
        var options = new DataSyncOptions { Directory = _folder };
        configure?.Invoke(options);
        var tab = new DataSyncFactory(options: options);
        _tabs.Add(tab);
        return tab;
    }

    protected async Task<DataSyncDatabase> OpenTodosAsync(string name = "todo.db", Action<DataSyncOptions>? configure = null)
    {
        var database = await OpenTab(configure).OpenAsync(name);
        await database.ExecuteAsync("CREATE TABLE IF NOT EXISTS todo(id INTEGER PRIMARY KEY, list INTEGER NOT NULL DEFAULT 1, text TEXT NOT NULL, rank INTEGER NOT NULL DEFAULT 0)");
        return database;
    }

    protected static Task AddAsync(DataSyncDatabase database, long id, string text, long list = 1) =>
        database.ExecuteAsync("INSERT INTO todo(id, text, list) VALUES ($id, $text, $list)", new { id, text, list });

    protected static IEnumerable<string> Items<T>(IRenderedComponent<T> page) where T : IComponent => page.FindAll("li").Select(item => item.FirstChild!.TextContent);

    protected static Task ShowsAsync<T>(IRenderedComponent<T> page, params string[] items) where T : IComponent => UntilAsync(page, () => Items(page).SequenceEqual(items));

    protected static Task HasAsync<T>(IRenderedComponent<T> page, string selector, string text) where T : IComponent =>
        UntilAsync(page, () => page.FindAll(selector).Any(element => element.TextContent.Contains(text, StringComparison.Ordinal)));

    /// <summary>Looks after each time the page was rendered. No thread is blocked: it could be the one that brings the database its answers.</summary>
    protected static async Task UntilAsync<T>(IRenderedComponent<T> page, Func<bool> isSo) where T : IComponent
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        page.OnMarkupUpdated += Look;
        await page.InvokeAsync(() => Look(null, EventArgs.Empty));
        try
        {
            await done.Task.WaitAsync(Patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException("The page never showed it; it shows: " + page.Markup);
        }

        page.OnMarkupUpdated -= Look;

        void Look(object? sender, EventArgs e)
        {
            if (isSo()) done.TrySetResult();
        }
    }
}
