using DataSync.EntityFrameworkCore;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What a context saves within an undo unit is undone and redone, by any tab.</summary>
public abstract class EntityFrameworkUndoContract : TwoTabsContract
{
    // EF Core makes its tables only where there are none.
    protected override bool IsPaddingHidden => true;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_context_saves_in_a_unit_is_undone_and_redone(bool inLeader)
    {
        var (here, there) = await CreateAsync(inLeader);
        var before = await ReadAsync(here);
        var unit = here.BeginUndoUnit("Tidy up");
        await unit.WriteAsync(async (connection, transaction) =>
        {
            await using var context = await JoinAsync(connection, transaction);
            context.Add(new Blog { Name = "new", Home = new() { Street = "Main", Number = 5 }, Links = [new() { Url = "a", Weight = 1 }], Posts = [new() { Title = "x" }] });
            await context.SaveChangesAsync();
            var kept = await context.Blogs.SingleAsync(blog => blog.Name == "kept");
            (kept.Name, kept.Links[0].Weight) = ("renamed", 9);
            context.Remove(await context.Blogs.SingleAsync(blog => blog.Name == "gone")); // its posts go by ON DELETE CASCADE
            await context.SaveChangesAsync();
        });
        await unit.WriteAsync(async (connection, transaction) =>
        {
            await using var context = await JoinAsync(connection, transaction);
            await context.Posts.Where(post => post.Title == "x").ExecuteUpdateAsync(set => set.SetProperty(post => post.Title, "y"));
        });
        var after = await ReadAsync(here);
        Assert.Equal(["kept: a1; p,q", "gone: ; r"], before);
        Assert.Equal(["renamed: a9; p,q", "new, Main 5: a1; y"], after);

        await SeeAsync(there, here.Marker);
        Assert.Equal("Tidy up", (await there.UndoAsync())!.Name);
        Assert.Equal(before, await ReadAsync(there));
        Assert.Null(await there.UndoAsync());
        await SeeAsync(here, there.Marker);
        Assert.Equal(before, await ReadAsync(here));
        Assert.Equal("Tidy up", (await here.RedoAsync())!.Name);
        Assert.Equal(after, await ReadAsync(here));
    }

    [Fact]
    public async Task What_another_context_has_saved_since_stands_in_the_way()
    {
        var (here, there) = await CreateAsync(inLeader: false);
        await here.BeginUndoUnit("Rename").WriteAsync((connection, transaction) => RenameAsync(connection, transaction, "renamed"));
        await SeeAsync(there, here.Marker);
        await using (var context = Blogs(there))
        {
            (await context.Blogs.SingleAsync(blog => blog.Name == "renamed")).Name = "another";
            await context.SaveChangesAsync();
        }

        await SeeAsync(here, there.Marker);
        var before = await ReadAsync(here);
        var error = await Assert.ThrowsAsync<UndoConflictException>(() => here.UndoAsync());
        Assert.Equal((UndoConflict.RowChanged, "Blogs"), (error.Conflict, error.Table));
        Assert.Equal(before, await ReadAsync(here));
    }

    [Fact]
    public async Task A_save_that_fails_leaves_nothing_of_the_unit()
    {
        var (here, _) = await CreateAsync(inLeader: false);
        var before = await ReadAsync(here);
        var unit = here.BeginUndoUnit("Rename");
        await Assert.ThrowsAsync<DbUpdateException>(() => unit.WriteAsync((connection, transaction) => RenameAsync(connection, transaction, "gone"))); // names are unique
        Assert.Equal(before, await ReadAsync(here));
        Assert.Empty(await here.GetUndoHistoryAsync());
        await unit.WriteAsync((connection, transaction) => RenameAsync(connection, transaction, "other"));
        await here.UndoAsync();
        Assert.Equal(before, await ReadAsync(here));
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 1)]
    [InlineData(false, 2)] // then it begins a transaction
    public async Task A_context_of_its_own_connection_is_refused_within_the_work(bool inLeader, int count)
    {
        var (here, _) = await CreateAsync(inLeader);
        var before = await ReadAsync(here);
        await here.BeginUndoUnit("Wrong").WriteAsync(async (_, _) =>
        {
            await using var context = Blogs(here);
            for (var i = 0; i < count; i++) context.Add(new Blog { Name = $"new {i}" });
            var error = await Assert.ThrowsAnyAsync<Exception>(() => context.SaveChangesAsync());
            Assert.Contains("use the connection that it is given", Assert.IsType<InvalidOperationException>(error.GetBaseException()).Message, StringComparison.Ordinal);
        });
        Assert.Equal(before, await ReadAsync(here));
        Assert.Empty(await here.GetUndoHistoryAsync());
    }

    [Fact]
    public async Task A_context_of_its_own_connection_saves_outside_of_any_unit()
    {
        var (here, _) = await CreateAsync(inLeader: false);
        await here.BeginUndoUnit("Rename").WriteAsync((connection, transaction) => RenameAsync(connection, transaction, "renamed"));
        await using (var context = Blogs(here))
        {
            context.Add(new Blog { Name = "new" });
            await context.SaveChangesAsync();
        }

        await here.UndoAsync();
        Assert.Equal(["kept: a1; p,q", "gone: ; r", "new: ; "], await ReadAsync(here));
        Assert.True(Assert.Single(await here.GetUndoHistoryAsync()).IsUndone);
    }

    private static async Task RenameAsync(SqliteConnection connection, SqliteTransaction transaction, string name)
    {
        await using var context = await JoinAsync(connection, transaction);
        (await context.Blogs.SingleAsync(blog => blog.Name == "kept")).Name = name;
        await context.SaveChangesAsync();
    }

    /// <summary>A context within the work of a write, as docs/UNDO.md has it.</summary>
    private static async Task<BlogContext> JoinAsync(SqliteConnection connection, SqliteTransaction transaction)
    {
        var context = new BlogContext(new DbContextOptionsBuilder<BlogContext>().UseSqlite(connection).Options);
        await context.Database.UseTransactionAsync(transaction);
        return context;
    }

    private async Task<(DataSyncDatabase Here, DataSyncDatabase There)> CreateAsync(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using (var context = Blogs(here))
        {
            await context.Database.EnsureCreatedAsync();
            context.Add(new Blog { Name = "kept", Links = [new() { Url = "a", Weight = 1 }], Posts = [new() { Title = "p" }, new() { Title = "q" }] });
            context.Add(new Blog { Name = "gone", Posts = [new() { Title = "r" }] });
            await context.SaveChangesAsync();
        }

        await SeeAsync(there, here.Marker);
        return (here, there);
    }

    /// <summary>Each blog with what belongs to it.</summary>
    private async Task<IReadOnlyList<string>> ReadAsync(DataSyncDatabase database)
    {
        await using var context = Blogs(database);
        var blogs = await context.Blogs.AsNoTracking().Include(blog => blog.Posts).OrderBy(blog => blog.Id).ToListAsync();
        return [.. blogs.Select(blog => blog.Name + (blog.Home is { } home ? $", {home.Street} {home.Number}" : "")
            + $": {string.Join(',', blog.Links.Select(link => $"{link.Url}{link.Weight}"))}; {string.Join(',', blog.Posts.Select(post => post.Title).Order())}")];
    }

    private BlogContext Blogs(DataSyncDatabase database)
    {
        var options = new DbContextOptionsBuilder<BlogContext>();
        options.UseDataSync(FactoryOf(database), DatabaseName);
        return new(options.Options);
    }
}
