using System.Data.Common;
using DataSync.EntityFrameworkCore;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Ordinary contexts, in the leader's tab, in another one, and in both at once.</summary>
public abstract class EntityFrameworkContract : TwoTabsContract
{
    // EF Core makes its tables only where there are none.
    protected override bool IsPaddingHidden => true;

    private static readonly Func<BlogContext, string, Task<int>> CountPosts =
        EF.CompileAsyncQuery((BlogContext context, string name) => context.Posts.Count(post => post.Blog.Name == name));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_graph_is_saved_changed_and_deleted_and_seen_in_the_other_tab(bool inLeader)
    {
        var (here, there) = await CreateAsync(inLeader);
        var blog = new Blog { Name = "one", Home = new() { Street = "Main", Number = 5 }, Links = [new() { Url = "a", Weight = 1 }, new() { Url = "b", Weight = 9 }], Posts = [new() { Title = "x" }, new() { Title = "y" }] };
        await using (var context = Blogs(here))
        {
            context.Add(blog);
            Assert.Equal(3, await context.SaveChangesAsync()); // what is owned counts with its owner
            Assert.Equal((true, 0), (blog.Id > 1, here.AutoSync.DirtyCommits));
        }

        await SeeAsync(there, here.Marker);
        await LoadAsync(there); // EF Core cannot save again by itself what removes elements of a JSON collection
        await using (var context = Blogs(there))
        {
            var found = await context.Blogs.Include(b => b.Posts).SingleAsync(b => b.Home!.Number == 5 && b.Links.Any(link => link.Weight > 8));
            Assert.Equal(("one", "Main", 2, "x,y"), (found.Name, found.Home!.Street, found.Links.Count, string.Join(',', found.Posts.Select(p => p.Title).Order())));
            found.Name = "two";
            found.Links.RemoveAt(0);
            context.Remove(found.Posts[0]);
            await context.SaveChangesAsync();
        }

        await SeeAsync(here, there.Marker);
        await using (var context = Blogs(here))
        {
            var found = await context.Blogs.AsSplitQuery().Include(b => b.Posts).SingleAsync(b => b.Id == blog.Id);
            Assert.Equal(("two", "b", 1), (found.Name, Assert.Single(found.Links).Url, found.Posts.Count));
            context.Remove(found);
            await context.SaveChangesAsync();
            Assert.Equal(0, await CountPosts(context, "two"));
            Assert.Equal(["seeded"], await context.Blogs.Select(b => b.Name).ToListAsync());
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Every_type_comes_back_as_it_was(bool inLeader)
    {
        var (here, there) = await CreateAsync(inLeader);
        var values = new Values
        {
            Bool = true, Byte = 255, Short = -3, Long = long.MinValue, ULong = ulong.MaxValue, Float = 1.5f, Double = Math.PI, Decimal = 79228162514264337593543950335m, Char = 'ß', Text = "né\0e",
            Bytes = [0, 255, 7], Guid = Guid.Parse("01234567-89ab-cdef-0123-456789abcdef"), DateTime = new(2026, 2, 28, 23, 59, 59, 123), Offset = new(2026, 1, 1, 0, 0, 0, TimeSpan.FromHours(5.5)),
            Date = new(1, 1, 1), Time = new(23, 59, 59, 999), Span = TimeSpan.FromDays(-3.25), Mood = Mood.High, Uri = new("https://example.org/a?b=c"),
        };
        await using (var context = Blogs(here))
        {
            context.Add(values);
            await context.SaveChangesAsync();
        }

        await SeeAsync(there, here.Marker);
        await using var other = Blogs(there);
        Assert.Equivalent(values, await other.Values.AsNoTracking().SingleAsync(v => v.Guid == values.Guid && v.Decimal > 1m), strict: true);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_concurrency_token_tells_that_the_other_tab_was_first(bool inLeader)
    {
        var (here, there) = await CreateAsync(inLeader);
        await using var mine = Blogs(here);
        mine.Add(new Post { Title = "t", BlogId = 1 });
        await mine.SaveChangesAsync();
        await SeeAsync(there, here.Marker);
        await using var others = Blogs(there);
        await RaiseAsync(others);
        await SeeAsync(here, there.Marker);
        await Assert.ThrowsAsync<DbUpdateConcurrencyException>(() => RaiseAsync(mine, isLoaded: true));
        var error = await Assert.ThrowsAsync<DbUpdateException>(() => AddAsync(Blogs(here), "seeded"));
        Assert.Equal(19, Assert.IsType<SqliteException>(error.InnerException).SqliteErrorCode);

        static async Task RaiseAsync(BlogContext context, bool isLoaded = false)
        {
            var post = isLoaded ? context.Posts.Local.Single() : await context.Posts.SingleAsync();
            post.Version++;
            await context.SaveChangesAsync();
        }
    }

    /// <summary>EF Core cannot save again itself where it has renumbered the elements of a JSON collection.</summary>
    [Theory]
    [InlineData("nothing", "a,b,c", false)]
    [InlineData("add", "a,b,c,d", false)]
    [InlineData("clear", "", false)]
    [InlineData("remove the first", "b,c", true)]
    [InlineData("remove the second", "a,c", true)]
    [InlineData("remove the first, add", "b,c,d", true)]
    public async Task What_is_saved_again_since_another_tab_was_first_is_saved_whole_or_not_at_all(string how, string expected, bool isRefused)
    {
        var (here, _) = await CreateAsync(true);
        await using (var context = Blogs(here))
        {
            context.Add(new Blog { Name = "one", Home = new() { Street = "Main" }, Links = [new() { Url = "a" }, new() { Url = "b" }, new() { Url = "c" }], Posts = [new() { Title = "x" }, new() { Title = "y" }] });
            await context.SaveChangesAsync();
        }

        var refusal = new Refusal(2, () => new StaleCommitException(1));
        await LoadAsync(here);
        await using (var context = Blogs(here, options => options.AddInterceptors(refusal)))
        {
            if (!isRefused) await ChangeAsync(context);
            else
            {
                var error = await Assert.ThrowsAsync<DbUpdateException>(() => ChangeAsync(context));
                Assert.True(Assert.IsType<StaleCommitException>(error.InnerException).IsTransient);
                await using var other = Blogs(here);
                await ChangeAsync(other);
            }
        }

        Assert.Equal(isRefused ? 1 : 3, refusal.Count);
        await using (var context = Blogs(here))
        {
            var found = await context.Blogs.Include(b => b.Posts).SingleAsync(b => b.Name == "two");
            Assert.Equal(("Side", expected, 1), (found.Home!.Street, string.Join(',', found.Links.Select(link => link.Url)), found.Posts.Count));
        }

        async Task ChangeAsync(BlogContext context)
        {
            var found = await context.Blogs.Include(b => b.Posts).SingleAsync(b => b.Name == "one");
            (found.Name, found.Home!.Street) = ("two", "Side");
            if (how.StartsWith("remove the first", StringComparison.Ordinal)) found.Links.RemoveAt(0);
            if (how == "remove the second") found.Links.RemoveAt(1);
            if (how.EndsWith("add", StringComparison.Ordinal)) found.Links.Add(new() { Url = "d" });
            if (how == "clear") found.Links.Clear();
            context.Remove(found.Posts[0]);
            await context.SaveChangesAsync();
        }
    }

    [Fact]
    public async Task A_save_is_run_as_often_as_it_meets_something_that_is_not_in_memory()
    {
        const int Places = 20; // more than it would be run for other tabs' sake
        await CreateAsync(inLeader: true);
        var missing = new Refusal(Places, () => new NotResidentException());
        await using var context = Blogs(Follower, options => options.AddInterceptors(missing));
        (await context.Blogs.SingleAsync()).Name = "found";
        Assert.Equal(1, await context.SaveChangesAsync());
        Assert.InRange(missing.Count, Places + 1, IsOnDemand ? int.MaxValue : Places + 1);
        Assert.Equal("found", await context.Blogs.Select(blog => blog.Name).SingleAsync());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Transactions_savepoints_and_statements_work_as_ever(bool inLeader)
    {
        var (here, there) = await CreateAsync(inLeader);
        await LoadAsync(here);
        await using var context = Blogs(here);
        await using (var transaction = await context.Database.BeginTransactionAsync())
        {
            await AddAsync(context, "a");
            await transaction.CreateSavepointAsync("s");
            await AddAsync(context, "b");
            await transaction.RollbackToSavepointAsync("s");
            await Assert.ThrowsAsync<DbUpdateException>(() => AddAsync(context, "a"));
            context.ChangeTracker.Clear();
            Assert.Equal(1, await context.Blogs.Where(b => b.Name == "a").ExecuteUpdateAsync(set => set.SetProperty(b => b.Name, "c")));
            await transaction.CommitAsync();
        }

        await using (await context.Database.BeginTransactionAsync()) await context.Blogs.ExecuteDeleteAsync();
        Assert.Equal(1, await context.Database.ExecuteSqlAsync($"UPDATE Blogs SET Name = {"d"} WHERE Name = {"c"}"));
        Assert.Equal(1, await context.Blogs.Where(b => b.Name == "seeded").ExecuteDeleteAsync());
        Assert.Equal(["d"], await context.Database.SqlQuery<string>($"SELECT Name AS Value FROM Blogs").ToListAsync());
        await SeeAsync(there, here.Marker);
        await using var other = Blogs(there);
        var names = new List<string>();
        await foreach (var blog in other.Blogs.FromSql($"SELECT * FROM Blogs").AsAsyncEnumerable()) names.Add(blog.Name);
        Assert.Equal(["d"], names);
        await other.Database.CreateExecutionStrategy().ExecuteAsync(async () =>
        {
            other.ChangeTracker.Clear(); // it may be run again
            await using var transaction = await other.Database.BeginTransactionAsync();
            await AddAsync(other, "e");
            await transaction.CommitAsync();
        });
        Assert.Equal(2, await other.Blogs.CountAsync());
    }

    [Fact]
    public async Task Both_tabs_save_at_once_and_every_entity_is_there_once()
    {
        const int Count = 20;
        await CreateAsync(inLeader: true);
        await Task.WhenAll(SaveAsync(Leader, "a", 1), SaveAsync(Follower, "b", 1), SaveAsync(Follower, "c", 2));
        await using var context = Blogs(Leader);
        Assert.Equal(1 + Count * 4, await context.Blogs.CountAsync());

        async Task SaveAsync(DataSyncDatabase database, string name, int each)
        {
            for (var i = 0; i < Count; i++)
            {
                await using var context = Blogs(database);
                for (var j = 0; j < each; j++) context.Add(new Blog { Name = $"{name}{i}.{j}" });
                await context.SaveChangesAsync();
            }

            await SeeAsync(Leader, database.Marker);
        }
    }

    [Fact]
    public async Task A_save_whose_turn_was_taken_away_is_run_again_with_the_same_entities()
    {
        await ReopenWithShortTurnsAsync();
        await CreateAsync(inLeader: true);
        var interceptor = new OnFirstCommit(() => Leader.ExecuteAsync("UPDATE Blogs SET Name = 'meanwhile' WHERE Id = 1"));
        await using var context = Blogs(Follower, options => options.AddInterceptors(interceptor));
        var blogs = new[] { new Blog { Name = "a" }, new Blog { Name = "b" } };
        context.AddRange(blogs);
        Assert.Equal(2, await context.SaveChangesAsync());
        Assert.Equal(2, interceptor.Commits);
        Assert.Equal(["a", "b", "meanwhile"], await context.Blogs.OrderBy(b => b.Name).Select(b => b.Name).ToListAsync());
        Assert.All(blogs, blog => Assert.Equal(EntityState.Unchanged, context.Entry(blog).State));
    }

    [Fact]
    public async Task Several_that_create_or_migrate_at_once_do_it_once()
    {
        await Task.WhenAll(CreateAsync(Leader), CreateAsync(Follower), CreateAsync(Follower));
        await using (var blogs = Blogs(Leader)) Assert.Equal(1, await blogs.Blogs.CountAsync());

        await using (var first = Notes(Leader)) await first.Database.MigrateAsync("20260101000000_First");
        await Leader.ExecuteAsync("INSERT INTO Notes(Text) VALUES ('old')");
        await SeeAsync(Follower, Leader.Marker);
        await Task.WhenAll(MigrateAsync(Leader), MigrateAsync(Follower), MigrateAsync(Follower), MigrateAsync(Leader));
        var marker = Leader.Marker;
        await MigrateAsync(Leader); // with nothing to do it writes nothing
        Assert.Equal(marker, Leader.Marker);
        await using var notes = Notes(Leader);
        var note = await notes.Notes.SingleAsync();
        Assert.Equal(("old!", 3), (note.Text, note.Stars));
        Assert.Equal(2, (await notes.Database.GetAppliedMigrationsAsync()).Count());
        Assert.DoesNotContain("__EFMigrationsLock", await Leader.QueryAsync<string>("SELECT name FROM sqlite_schema"));

        async Task CreateAsync(DataSyncDatabase database)
        {
            await using var context = Blogs(database);
            await context.Database.EnsureCreatedAsync();
        }

        async Task MigrateAsync(DataSyncDatabase database)
        {
            await using var context = Notes(database);
            await context.Database.MigrateAsync();
            Assert.Empty(await context.Database.GetPendingMigrationsAsync());
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_migration_that_fails_has_changed_nothing(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using (var first = Notes(here)) await first.Database.MigrateAsync("20260101000000_First");
        await here.ExecuteAsync("INSERT INTO Notes(Text) VALUES ('old'); ALTER TABLE Notes ADD COLUMN Stars");
        await using (var context = Notes(here))
        {
            // On a connection that stays open: what comes after it writes as ever.
            await context.Database.OpenConnectionAsync();
            await Assert.ThrowsAsync<SqliteException>(() => context.Database.MigrateAsync());
            Assert.Equal(1, await context.Database.ExecuteSqlAsync($"UPDATE Notes SET Text = Text"));
        }

        await SeeAsync(there, here.Marker);
        await there.ExecuteAsync("ALTER TABLE Notes DROP COLUMN Stars");
        await SeeAsync(here, there.Marker);
        Assert.Equal(["old"], await here.QueryAsync<string>("SELECT Text FROM Notes"));
        await using var again = Notes(here);
        await again.Database.MigrateAsync();
        Assert.Equal(3, (await again.Notes.SingleAsync()).Stars);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_tab_hears_of_migrations_that_its_version_of_the_app_does_not_have(bool inLeader)
    {
        var (old, newer) = Roles(inLeader);
        var told = new List<string>();
        var heard = new SemaphoreSlim(0);
        var before = Task.CompletedTask;
        IDisposable watch;
        await using (var context = Notes(old)) watch = await context.Database.WatchMigrationsAsync(Hear); // before there is a table
        await using (var context = Notes(newer)) await context.Database.MigrateAsync();
        await SeeAsync(old, newer.Marker);
        await MigratePastAsync("20990101000000_Third", "20990201000000_Fourth");
        await heard.WaitAsync();
        await newer.ExecuteAsync("INSERT INTO Notes(Text, Stars) VALUES ('no news', 1)");
        await SeeAsync(old, newer.Marker);
        await MigratePastAsync("20990301000000_Fifth");
        await heard.WaitAsync();
        Assert.Equal(["20990101000000_Third,20990201000000_Fourth", "20990101000000_Third,20990201000000_Fourth,20990301000000_Fifth"], told);

        // Its own writes come after another tab's while the handler is at work.
        var working = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        before = working.Task;
        await MigratePastAsync("20990401000000_Sixth");
        await heard.WaitAsync();
        await MigratePastAsync("20990501000000_Seventh");
        await SeeAsync(old, newer.Marker);
        await old.ExecuteAsync("INSERT INTO Notes(Text, Stars) VALUES ('own', 1)");
        working.SetResult();
        await heard.WaitAsync();
        Assert.EndsWith("20990501000000_Seventh", told[^1], StringComparison.Ordinal);
        watch.Dispose();

        // It was there before: told before the call returns.
        await using (var context = Notes(newer)) (await context.Database.WatchMigrationsAsync(Hear)).Dispose();
        Assert.Equal(told[^2], told[^1]);
        await using var other = new NoteContext(new DbContextOptionsBuilder<NoteContext>().UseSqlite("Data Source=:memory:").Options);
        await Assert.ThrowsAsync<InvalidOperationException>(() => other.Database.WatchMigrationsAsync(Hear));

        Task MigratePastAsync(params string[] ids) => newer.ExecuteAsync(
            string.Join(';', ids.Select(id => $"INSERT INTO __EFMigrationsHistory VALUES ('{id}', '99.0')")));

        Task Hear(IReadOnlyList<string> ids)
        {
            told.Add(string.Join(',', ids));
            heard.Release();
            return before;
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_work_of_a_write_can_use_a_context(bool inLeader)
    {
        var (here, there) = await CreateAsync(inLeader);
        await here.WriteAsync(async (connection, transaction) =>
        {
            var options = new DbContextOptionsBuilder<BlogContext>().UseSqlite(connection).Options;
            await using var context = new BlogContext(options);
            await context.Database.UseTransactionAsync(transaction);
            context.AddRange(new Blog { Name = "a" }, new Blog { Name = "b" });
            await context.SaveChangesAsync();
        });
        await SeeAsync(there, here.Marker);
        await using var other = Blogs(there);
        Assert.Equal(3, await other.Blogs.CountAsync());
    }

    [Fact]
    public async Task Deleting_deletes_for_every_tab_and_a_new_one_can_be_made()
    {
        await CreateAsync(inLeader: true);
        var gone = new TaskCompletionSource<Exception>(TaskCreationOptions.RunContinuationsAsynchronously);
        Follower.Faulted += (_, fault) => gone.TrySetResult(fault.Error);
        await using var context = Blogs(Leader);
        Assert.True(await context.Database.CanConnectAsync());
        Assert.Throws<InvalidOperationException>(() => context.Database.EnsureDeleted());
        Assert.True(await context.Database.EnsureDeletedAsync());
        Assert.Equal(StoreClosedReason.Deleted, Assert.IsType<StorageClosedException>(await gone.Task).Reason);
        Assert.True(await context.Database.EnsureCreatedAsync());
        Assert.Equal(1, await context.Blogs.CountAsync());
    }

    [Fact]
    public async Task A_context_stays_with_its_database_and_says_so()
    {
        await CreateAsync(inLeader: true);
        await using var fresh = Blogs(Leader);
        fresh.Database.SetConnectionString("Data Source=other.db");
        await Assert.ThrowsAsync<ArgumentException>(() => fresh.Blogs.CountAsync());
        await using var used = Blogs(Leader);
        Assert.Equal(1, await used.Blogs.CountAsync());
        Assert.Throws<ArgumentException>(() => used.Database.SetConnectionString("Data Source=other.db"));
        used.Database.SetConnectionString($"Data Source={DatabaseName}");
        Assert.Equal(1, await used.Blogs.CountAsync());
    }

    private async Task<(DataSyncDatabase Here, DataSyncDatabase There)> CreateAsync(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using (var context = Blogs(here)) await context.Database.EnsureCreatedAsync();
        await SeeAsync(there, here.Marker);
        return (here, there);
    }

    private BlogContext Blogs(DataSyncDatabase database, Action<DbContextOptionsBuilder>? configure = null) => new(Options<BlogContext>(database, configure));

    private NoteContext Notes(DataSyncDatabase database) =>
        new(Options<NoteContext>(database, options => options.ConfigureWarnings(warnings => warnings.Ignore(RelationalEventId.PendingModelChangesWarning))));

    private DbContextOptions<T> Options<T>(DataSyncDatabase database, Action<DbContextOptionsBuilder>? configure)
        where T : DbContext
    {
        var options = new DbContextOptionsBuilder<T>();
        options.UseDataSync(FactoryOf(database), DatabaseName);
        if (typeof(T) == typeof(BlogContext)) options.UseAsyncSeeding(SeedAsync);
        configure?.Invoke(options);
        return options.Options;
    }

    private static async Task SeedAsync(DbContext context, bool isNew, CancellationToken cancellationToken)
    {
        if (await context.Set<Blog>().AnyAsync(cancellationToken)) return;
        context.Add(new Blog { Name = "seeded" });
        await context.SaveChangesAsync(cancellationToken);
    }

    private static async Task AddAsync(BlogContext context, string name)
    {
        context.Add(new Blog { Name = name });
        await context.SaveChangesAsync();
    }

    private sealed class OnFirstCommit(Func<Task> work) : DbTransactionInterceptor
    {
        public int Commits { get; private set; }

        public override async ValueTask<InterceptionResult> TransactionCommittingAsync(
            DbTransaction transaction, TransactionEventData eventData, InterceptionResult result, CancellationToken cancellationToken = default)
        {
            if (++Commits == 1) await work();
            return result;
        }
    }

    /// <summary>Refuses the first writes, as when other tabs have committed meanwhile.</summary>
    private sealed class Refusal(int times, Func<Exception> make) : DbCommandInterceptor
    {
        public int Count { get; private set; }

        public override ValueTask<InterceptionResult<DbDataReader>> ReaderExecutingAsync(
            DbCommand command, CommandEventData eventData, InterceptionResult<DbDataReader> result, CancellationToken cancellationToken = default)
        {
            if (command.CommandText.StartsWith("UPDATE", StringComparison.Ordinal) && ++Count <= times) throw make();
            return new(result);
        }
    }
}
