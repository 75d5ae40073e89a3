using Bunit;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Blazor.Tests;

/// <summary>What <see cref="Live{TRow}"/> shows, and when.</summary>
public sealed class LiveTests : BlazorTestBase
{
    private const string All = "SELECT id, text FROM todo ORDER BY id";

    [Fact]
    public async Task It_shows_that_it_loads_then_that_there_is_nothing_then_the_rows()
    {
        var page = App.Render<TodoList>();
        Assert.Equal("Loading", page.Find("#loading").TextContent);
        var database = await OpenTodosAsync();
        page.Render(p => p.Add(x => x.Database, database));
        await HasAsync(page, "#empty", "Nothing");
        await AddAsync(database, 1, "milk");
        await ShowsAsync(page, "milk");
        Assert.Empty(page.FindAll("p"));
    }

    [Fact]
    public async Task Two_tabs_show_what_either_writes()
    {
        var (one, other) = (await OpenTodosAsync(), await OpenTodosAsync());
        var here = App.Render<TodoList>(p => p.Add(x => x.Database, one));
        await using var otherApp = new BunitContext();
        var there = otherApp.Render<TodoList>(p => p.Add(x => x.Database, other));
        await AddAsync(one, 1, "milk");
        await AddAsync(other, 2, "bread");
        await ShowsAsync(here, "milk", "bread");
        await ShowsAsync(there, "milk", "bread");
        await other.ExecuteAsync("DELETE FROM todo WHERE id = 1");
        await ShowsAsync(here, "bread");
        await ShowsAsync(there, "bread");
    }

    [Fact]
    public async Task A_row_keeps_its_elements_when_it_changes_or_moves_and_others_are_not_rendered_again()
    {
        var database = await OpenTodosAsync();
        for (var id = 1; id <= 3; id++) await AddAsync(database, id, $"item {id}");
        var page = App.Render<TodoList>(p => p.Add(x => x.Database, database));
        await ShowsAsync(page, "item 1", "item 2", "item 3");
        var before = Rows(page);
        var renders = before.Select(row => row.Renders).ToArray();

        await database.ExecuteAsync("UPDATE todo SET text = 'changed' WHERE id = 2");
        await ShowsAsync(page, "item 1", "changed", "item 3");
        Assert.Equal(before, Rows(page));
        Assert.Equal([renders[0], renders[1] + 1, renders[2]], before.Select(row => row.Renders));

        await database.ExecuteAsync("UPDATE todo SET rank = 1 WHERE id = 1");
        await ShowsAsync(page, "changed", "item 3", "item 1");
        Assert.Equal([before[1], before[2], before[0]], Rows(page));
        Assert.Equal([renders[0], renders[1] + 1, renders[2]], before.Select(row => row.Renders));

        page.Render(p => p.Add(x => x.Title, "Another"));
        Assert.Equal([before[1], before[2], before[0]], Rows(page));
    }

    [Fact]
    public async Task Rows_without_a_key_are_told_apart_by_what_they_are_even_where_their_values_are_the_same()
    {
        var database = await OpenTodosAsync();
        for (var id = 1; id <= 3; id++) await AddAsync(database, id, "same");
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, "SELECT 7 AS id, text FROM todo ORDER BY todo.id")
            .Add(x => x.Row, todo => b => { b.OpenComponent<Probe>(0); b.AddComponentParameter(1, "Todo", todo); b.CloseComponent(); }));
        await ShowsAsync(page, "same", "same", "same");
        var before = Rows(page);
        await database.ExecuteAsync("UPDATE todo SET text = 'other' WHERE id = 1");
        await ShowsAsync(page, "other", "same", "same");
        Assert.Equal(before[1..], Rows(page)[1..]);
        Assert.NotSame(before[0], Rows(page)[0]);
    }

    [Fact]
    public async Task Rows_of_one_column_may_be_alike_or_nothing()
    {
        var database = await OpenTodosAsync();
        var page = App.Render<Live<string?>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, "SELECT nullif(text, '-') FROM todo ORDER BY id").Add(x => x.Row, text => $"<li>[{text}]</li>"));
        await database.ExecuteManyAsync("INSERT INTO todo(text) VALUES (?)", [.. "|a|a|-|-|".Split('|').Select(text => new object[] { text })]);
        await ShowsAsync(page, "[]", "[a]", "[a]", "[]", "[]", "[]");
        await database.ExecuteAsync("DELETE FROM todo WHERE id = 1");
        await ShowsAsync(page, "[a]", "[a]", "[]", "[]", "[]");
    }

    [Fact]
    public async Task The_plain_content_shows_the_whole_list()
    {
        var database = await OpenTodosAsync();
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, All).Add(x => x.ChildContent, rows => $"<p>{rows.Count} rows</p>"));
        await HasAsync(page, "p", "0 rows");
        await AddAsync(database, 1, "milk");
        await HasAsync(page, "p", "1 rows");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void One_template_is_needed(bool both)
    {
        var error = Assert.Throws<InvalidOperationException>(() => App.Render<Live<Todo>>(p =>
        {
            p.Add(x => x.Sql, All);
            if (both) p.Add(x => x.Row, _ => "").Add(x => x.ChildContent, _ => "");
        }));
        Assert.Contains(both ? "has both" : "has none", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cascading_database_serves_where_none_is_given_and_null_is_given()
    {
        var database = await OpenTodosAsync();
        await AddAsync(database, 1, "milk");
        App.RenderTree.Add<CascadingValue<DataSyncDatabase>>(p => p.Add(x => x.Value, database));
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Sql, All).Add(x => x.Row, todo => $"<li>{todo.Text}</li>"));
        await ShowsAsync(page, "milk");
        var waiting = App.Render<Live<Todo>>(p => p.Add(x => x.Database, null).Add(x => x.Sql, All).Add(x => x.Row, todo => $"<li>{todo.Text}</li>"));
        Assert.Null(waiting.Instance.Query);
    }

    [Fact]
    public async Task A_query_that_fails_at_first_and_later_tells_so_and_goes_on()
    {
        var database = await OpenTab().OpenAsync("todo.db");
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, All).Add(x => x.Row, todo => $"<li>{todo.Text}</li>"));
        await HasAsync(page, "p.datasync-error[role=alert]", "no such table: todo");
        await database.ExecuteAsync("CREATE TABLE todo(id INTEGER PRIMARY KEY, text); INSERT INTO todo(text) VALUES ('milk')");
        await ShowsAsync(page, "milk");
        Assert.Empty(page.FindAll("p"));

        page.Render(p => p.Add(x => x.Error, error => $"<p>Failed: {error.GetType().Name}</p>"));
        await database.ExecuteAsync("ALTER TABLE todo RENAME TO other");
        await HasAsync(page, "p", "Failed: SqliteException");
        Assert.Empty(page.FindAll("li"));
        await database.ExecuteAsync("ALTER TABLE other RENAME TO todo; INSERT INTO todo(text) VALUES ('bread')");
        await ShowsAsync(page, "milk", "bread");
    }

    [Fact]
    public async Task Keys_that_are_no_keys_are_an_error_that_passes()
    {
        var database = await OpenTodosAsync();
        var page = App.Render<Live<Todo>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, All).Add(x => x.Key, todo => todo.Text).Add(x => x.Row, todo => $"<li>{todo.Text}</li>"));
        await AddAsync(database, 1, "milk");
        await ShowsAsync(page, "milk");
        await AddAsync(database, 2, "milk");
        await HasAsync(page, "[role=alert]", "have the key 'milk'");
        await database.ExecuteAsync("UPDATE todo SET text = 'bread' WHERE id = 2");
        await ShowsAsync(page, "milk", "bread");
    }

    [Fact]
    public async Task A_query_that_writes_is_refused()
    {
        var database = await OpenTodosAsync();
        var page = App.Render<Live<long>>(p => p.Add(x => x.Database, database).Add(x => x.Sql, "INSERT INTO todo(text) VALUES ('x') RETURNING id").Add(x => x.Row, id => $"<li>{id}</li>"));
        await HasAsync(page, "[role=alert]", "must not write");
        Assert.Equal([0L], await database.QueryAsync<long>("SELECT count(*) FROM todo"));
    }

    [Fact]
    public async Task A_template_that_throws_breaks_only_its_own_list()
    {
        var database = await OpenTodosAsync();
        var (page, other) = (App.Render<TodoList>(p => p.Add(x => x.Database, database)), App.Render<TodoList>(p => p.Add(x => x.Database, database).Add(x => x.List, 2)));
        await AddAsync(database, 1, "throw");
        await HasAsync(page, "#broken", "The template failed.");
        await AddAsync(database, 2, "milk", list: 2);
        await ShowsAsync(other, "milk");
        Assert.False(App.Renderer.UnhandledException.IsCompleted);
    }

    [Fact]
    public async Task A_handler_in_a_row_that_throws_is_its_pages_affair()
    {
        var database = await OpenTodosAsync();
        await AddAsync(database, 1, "milk");
        var page = App.Render<TodoList>(p => p.Add(x => x.Database, database).Add(x => x.OnClick, _ => throw new InvalidOperationException("The handler failed.")));
        await ShowsAsync(page, "milk");
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => page.InvokeAsync(() => page.Find("button").ClickAsync(new())));
        Assert.Equal("The handler failed.", error.Message);
        await AddAsync(database, 2, "bread");
        await ShowsAsync(page, "milk", "bread");
    }

    private static Probe[] Rows<T>(IRenderedComponent<T> page) where T : class, IComponent => [.. page.FindComponents<Probe>().Select(row => row.Instance)];
}
