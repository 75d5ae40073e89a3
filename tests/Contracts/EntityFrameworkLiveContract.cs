using DataSync.EntityFrameworkCore;
using DataSync.Vfs;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Queries of LINQ that follow the database, in the leader's tab and in the other.</summary>
public abstract class EntityFrameworkLiveContract : TwoTabsContract
{
    // EF Core makes its tables only where there are none.
    protected override bool IsPaddingHidden => true;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_query_follows_what_any_tab_saves(bool inLeader)
    {
        var (here, there) = await CreateAsync(inLeader);
        await using var query = await here.LiveAsync(c => c.Posts.Where(post => post.Blog.Name == "one").OrderBy(post => post.Title));
        Assert.Equal(["Blogs", "Posts"], query.Tables!.Order(StringComparer.Ordinal));
        LiveDiff<Post>? diff = null;
        query.Changed += (_, e) => diff = e.Diff;
        var blog = new Blog { Name = "one", Posts = [new() { Title = "x" }, new() { Title = "y" }] };
        await using (var context = there.CreateDbContext())
        {
            context.Add(blog);
            await context.SaveChangesAsync();
        }

        var shown = await ShowsAsync(query, posts => posts.Count == 2);
        await using (var context = there.CreateDbContext())
        {
            (await context.Posts.SingleAsync(post => post.Title == "y")).Title = "z";
            await context.SaveChangesAsync();
        }

        var now = await ShowsAsync(query, posts => posts[1].Title == "z");
        Assert.Same(shown[0], now[0]); // the same row is the same object
        Assert.Equal(("y", "z"), (diff!.Changed.Single().Before.Title, diff.Changed.Single().Row.Title)); // by the entity's key
    }

    [Fact]
    public async Task What_was_included_counts_and_what_is_not_read_does_not()
    {
        var (here, there) = await CreateAsync(inLeader: false);
        await using (var context = there.CreateDbContext())
        {
            context.Add(new Blog { Name = "one", Home = new() { Street = "Main" }, Links = [new() { Url = "a" }], Posts = [new() { Title = "x" }] });
            await context.SaveChangesAsync();
        }

        await SeeAsync(Follower, Leader.Marker);
        await SeeAsync(Leader, Follower.Marker);
        await using var query = await here.LiveAsync(c => c.Blogs.AsSplitQuery().Include(blog => blog.Posts).Where(blog => blog.Name == "one"));
        await using var values = await here.LiveAsync(c => c.Values.Where(v => v.Decimal > 1m).Select(v => v.Text)); // a function of EF Core's own
        Assert.Equal(["Blogs", "Posts"], query.Tables!.Order(StringComparer.Ordinal));
        Assert.Equal(["Values"], values.Tables!);
        var runs = query.Runs;
        await using (var context = there.CreateDbContext())
        {
            context.Add(new Values { Text = "more", Decimal = 2 });
            await context.SaveChangesAsync();
        }

        await ShowsAsync(values, rows => rows is ["more"]);
        Assert.Equal(runs, query.Runs);
        await using (var context = there.CreateDbContext())
        {
            var blog = await context.Blogs.Include(b => b.Posts).SingleAsync(b => b.Name == "one");
            blog.Links[0].Weight = 9;
            await context.SaveChangesAsync();
            await ShowsAsync(query, rows => rows[0].Links[0].Weight == 9);
            blog.Posts[0].Title = "y";
            await context.SaveChangesAsync();
        }

        await ShowsAsync(query, rows => rows[0].Posts[0].Title == "y");
    }

    [Fact]
    public async Task The_same_outcome_is_not_told_and_a_captured_variable_is_read_anew()
    {
        var (here, _) = await CreateAsync(inLeader: true);
        var name = "seeded";
        await using var query = await here.LiveAsync(c => c.Blogs.Where(blog => blog.Name == name).Select(blog => new { blog.Name, Titles = blog.Posts.Select(post => post.Title).ToList() }));
        var told = 0;
        query.Changed += (_, _) => told++;
        var shown = query.Current;
        await query.RefreshAsync();
        Assert.Equal(0, told);
        Assert.Same(shown[0], query.Current[0]);
        name = "none";
        await query.RefreshAsync();
        Assert.Empty(query.Current);
        Assert.Equal(1, told);
        await Assert.ThrowsAsync<InvalidOperationException>(() => query.SetParametersAsync(new { name }));
    }

    private async Task<(IDbContextFactory<BlogContext> Here, IDbContextFactory<BlogContext> There)> CreateAsync(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        var (one, other) = (new Contexts(FactoryOf(here), DatabaseName), new Contexts(FactoryOf(there), DatabaseName));
        await using (var context = one.CreateDbContext())
        {
            await context.Database.EnsureCreatedAsync();
            context.Add(new Blog { Name = "seeded", Posts = [new() { Title = "t" }] });
            await context.SaveChangesAsync();
        }

        await SeeAsync(there, here.Marker);
        return (one, other);
    }

    private static async Task<IReadOnlyList<T>> ShowsAsync<T>(LiveQuery<T> query, Func<IReadOnlyList<T>, bool> isWanted)
    {
        await foreach (var rows in query)
        {
            if (isWanted(rows)) return rows;
        }

        throw new InvalidOperationException("The query ended.");
    }

    private sealed class Contexts(DataSyncFactory factory, string name) : IDbContextFactory<BlogContext>
    {
        public BlogContext CreateDbContext()
        {
            var options = new DbContextOptionsBuilder<BlogContext>();
            options.UseDataSync(factory, name);
            return new(options.Options);
        }
    }
}
