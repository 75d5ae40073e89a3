using Bunit;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Blazor.Tests;

/// <summary>When <see cref="Live{TRow}"/> begins, goes on and ends.</summary>
public sealed class LiveLifecycleTests : BlazorTestBase
{
    private const string All = "SELECT id, text FROM todo ORDER BY id";

    [Fact]
    public async Task It_runs_again_for_other_parameters_not_for_the_same_ones()
    {
        var database = await OpenTodosAsync();
        await AddAsync(database, 1, "milk");
        await AddAsync(database, 2, "nails", list: 2);
        var page = App.Render<TodoList>(p => p.Add(x => x.Database, database));
        await ShowsAsync(page, "milk");
        var query = page.FindComponent<Live<Todo>>().Instance.Query!;
        Assert.Equal(1, query.Runs);

        page.Render(p => p.Add(x => x.Title, "Other words"));
        Assert.Equal("Other words", page.Find("h1").TextContent);
        Assert.Equal(1, query.Runs);

        page.Render(p => p.Add(x => x.List, 2));
        await ShowsAsync(page, "nails");
        page.Render(p => p.Add(x => x.List, 3));
        await HasAsync(page, "#empty", "Nothing");
        Assert.Equal(3, query.Runs);
        Assert.Same(query, page.FindComponent<Live<Todo>>().Instance.Query);
    }

    [Fact]
    public async Task A_list_of_values_that_is_changed_in_place_is_another_one()
    {
        var database = await OpenTodosAsync();
        await AddAsync(database, 1, "milk");
        await AddAsync(database, 2, "nails", list: 2);
        var values = new List<object?> { 1 };
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, "SELECT id, text FROM todo WHERE list = ?").Add(x => x.Parameters, values).Add(x => x.Row, Item));
        await ShowsAsync(page, "milk");
        values[0] = 2;
        page.Render(p => p.Add(x => x.Parameters, values));
        await ShowsAsync(page, "nails");
    }

    [Fact]
    public async Task Parameters_that_do_not_fit_are_an_error_until_they_do()
    {
        var database = await OpenTodosAsync();
        await AddAsync(database, 1, "milk");
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, "SELECT id, text FROM todo WHERE list = $list").Add(x => x.Parameters, new { list = 1 }).Add(x => x.Row, Item));
        await ShowsAsync(page, "milk");
        page.Render(p => p.Add(x => x.Parameters, new { other = 1 }));
        await HasAsync(page, "[role=alert]", "$list has no value");
        page.Render(p => p.Add(x => x.Parameters, new { list = 1 }));
        await ShowsAsync(page, "milk");
        Assert.False(App.Renderer.UnhandledException.IsCompleted);
    }

    [Fact]
    public async Task Another_text_or_database_is_another_query_and_the_one_before_has_ended()
    {
        var (database, other) = (await OpenTodosAsync(), await OpenTodosAsync("other.db"));
        await AddAsync(database, 1, "milk");
        await AddAsync(other, 1, "nails");
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, All).Add(x => x.Row, Item));
        await ShowsAsync(page, "milk");
        var first = page.Instance.Query!;
        page.Render(p => p.Add(x => x.Sql, "SELECT id, upper(text) AS text FROM todo"));
        await ShowsAsync(page, "MILK");
        await Assert.ThrowsAsync<ObjectDisposedException>(first.RefreshAsync);
        page.Render(p => p.Add(x => x.Database, other));
        await ShowsAsync(page, "NAILS");
        page.Render(p => p.Add(x => x.Database, null).Add(x => x.Loading, "<p>Loading</p>"));
        Assert.Equal("Loading", page.Find("p").TextContent);
        Assert.Null(page.Instance.Query);
    }

    [Fact]
    public async Task An_outcome_of_the_text_before_that_comes_late_is_not_shown()
    {
        var database = await OpenTodosAsync();
        await AddAsync(database, 1, "milk");
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, All).Add(x => x.Row, Item));
        await ShowsAsync(page, "milk");
        var shown = new List<string>();
        page.OnMarkupUpdated += (_, _) => shown.Add(page.Markup);
        var told = new TaskCompletionSource();
        page.Instance.Query!.Changed += (_, _) => told.TrySetResult(); // after the component's own handler, whose call waits for the renderer
        await page.InvokeAsync(() =>
        {
            _ = Task.Run(() => AddAsync(database, 2, "bread"));
#pragma warning disable xUnit1031 // The renderer is kept busy on purpose.
            Assert.True(told.Task.Wait(Patience));
#pragma warning restore xUnit1031
            page.Render(p => p.Add(x => x.Sql, "SELECT id, upper(text) AS text FROM todo ORDER BY id"));
        });
        await ShowsAsync(page, "MILK", "BREAD");
        Assert.DoesNotContain(shown, markup => markup.Contains("bread", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Disposed_while_it_begins_it_does_no_harm()
    {
        var database = await OpenTodosAsync();
        var (isWriting, end) = (NewSignal(), NewSignal());
        var writing = database.WriteAsync(async connection =>
        {
            Insert(connection); // more than SQLite's cache holds, so that queries wait for the end
            isWriting.SetResult();
            await end.Task;
        });
        await isWriting.Task.WaitAsync(Patience);
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, All).Add(x => x.Row, Item).Add(x => x.Loading, "<p>Loading</p>"));
        Assert.Equal("Loading", page.Find("p").TextContent);
        var query = page.Instance.Query!;
        await App.DisposeComponentsAsync();
        end.SetResult();
        await writing.WaitAsync(Patience);

        await Assert.ThrowsAsync<ObjectDisposedException>(query.RefreshAsync);
        Assert.Empty(query.Current);
        var next = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, "SELECT id, 'next' AS text FROM todo").Add(x => x.Row, Item));
        await ShowsAsync(next, "next");
        Assert.False(App.Renderer.UnhandledException.IsCompleted);

        static void Insert(SqliteConnection connection)
        {
            using var command = connection.CreateCommand();
            command.CommandText = "INSERT INTO todo(text) VALUES (hex(zeroblob(4000000)))";
            command.ExecuteNonQuery();
        }
    }

    [Fact]
    public async Task It_waits_for_a_transaction_that_is_open_and_shows_what_became_of_it()
    {
        var database = await OpenTodosAsync();
        IRenderedComponent<Live<Todo>>? page = null;
        await database.WriteAsync(async connection =>
        {
            using var command = connection.CreateCommand();
            command.CommandText = "INSERT INTO todo(text) VALUES ('milk')";
            await command.ExecuteNonQueryAsync();
            page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, All).Add(x => x.Row, Item).Add(x => x.Empty, "<p>Nothing</p>"));
            await HasAsync(page, "p", "Nothing"); // it is not within the transaction
        });
        await ShowsAsync(page!, "milk");
    }

    [Fact]
    public async Task A_page_that_is_left_shows_no_more_and_the_database_stays_open()
    {
        var database = await OpenTodosAsync();
        var page = App.Render<TodoList>(p => p.Add(x => x.Database, database));
        await HasAsync(page, "#empty", "Nothing");
        var query = page.FindComponent<Live<Todo>>().Instance.Query!;
        await App.DisposeComponentsAsync();
        await AddAsync(database, 1, "milk");
        Assert.Empty(query.Current);
        Assert.False(App.Renderer.UnhandledException.IsCompleted);
    }

    [Fact]
    public async Task A_database_that_stops_is_told_and_another_takes_its_place()
    {
        var (database, otherTab) = (await OpenTodosAsync(), OpenTab());
        await AddAsync(database, 1, "milk");
        var page = App.Render<TodoList>(p => p.Add(x => x.Database, database));
        await ShowsAsync(page, "milk");
        await otherTab.DeleteAsync("todo.db");
        await HasAsync(page, "[role=alert]", "was deleted while it was open");
        Assert.Equal(["milk"], Items(page)); // all that is left of them
        var late = App.Render<TodoList>(p => p.Add(x => x.Database, database));
        Assert.Contains("was deleted while it was open", late.Find("[role=alert]").TextContent, StringComparison.Ordinal);

        var next = await OpenTodosAsync();
        page.Render(p => p.Add(x => x.Database, next));
        await HasAsync(page, "#empty", "Nothing");
    }

    [Fact]
    public async Task A_database_that_was_closed_is_told_where_the_query_would_run()
    {
        var database = await OpenTodosAsync();
        await AddAsync(database, 1, "milk");
        var page = App.Render<TodoList>(p => p.Add(x => x.Database, database));
        await ShowsAsync(page, "milk");
        await database.DisposeAsync();
        page.Render(p => p.Add(x => x.List, 2));
        await HasAsync(page, "[role=alert]", "was closed in this tab");
    }

    private static Microsoft.AspNetCore.Components.RenderFragment Item(Todo todo) => builder => builder.AddMarkupContent(0, $"<li>{todo.Text}</li>");

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
