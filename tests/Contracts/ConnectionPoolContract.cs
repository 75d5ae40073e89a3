using System.Data;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Connections use SQLite's handles of those before them, and nobody can tell.</summary>
public abstract class ConnectionPoolContract : TwoTabsContract
{
    // EF Core makes its tables only where there are none.
    protected override bool IsPaddingHidden => true;

    /// <summary>In the browser handles are kept; natively they are opened anew, unless a connection string says otherwise.</summary>
    private static int Kept(int handles) => OperatingSystem.IsBrowser() ? handles : 0;

    private int OpenFiles => BlockVfs.Shared.CountOpenFiles(Leader.Name);

    [Fact]
    public async Task Connections_one_after_the_other_share_a_handle_and_those_at_once_do_not()
    {
        var before = OpenFiles;
        for (var i = 0; i < 5; i++)
        {
            await using var connection = await ConnectAsync(Leader);
            await using var other = await ConnectAsync(Leader);
            Assert.NotSame(connection.Handle, other.Handle);
            Assert.Equal(before + 2, OpenFiles);
            await ExecuteAsync(connection, $"CREATE TABLE t{i}(a)");
        }

        Assert.Equal(before + Kept(2), OpenFiles);
        await using var own = Leader.CreateConnection();
        own.ConnectionString += ";Pooling=False";
        await own.OpenAsync();
        Assert.Equal(before + Kept(2) + 1, OpenFiles);
        await own.CloseAsync();
        Assert.Equal(before + Kept(2), OpenFiles);
    }

    [Theory]
    [InlineData("PRAGMA foreign_keys=OFF", "PRAGMA foreign_keys")]
    [InlineData("Pragma Case_Sensitive_Like=ON", "SELECT 'a' LIKE 'A'")]
    [InlineData("CREATE TEMP TABLE mine(a)", "SELECT count(*) FROM sqlite_temp_schema")]
    [InlineData("-- mine\n; create /* only here */ temporary view v AS SELECT 1", "SELECT count(*) FROM sqlite_temp_schema")]
    [InlineData("ATTACH ':memory:' AS other", "SELECT count(*) FROM pragma_database_list WHERE name = 'other'")]
    [InlineData("BEGIN; INSERT INTO t VALUES (2)", "SELECT count(*) FROM t")]
    public async Task What_one_changed_for_itself_the_next_does_not_find(string change, string look)
    {
        await Leader.ExecuteAsync("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
        await using var first = await ConnectAsync(Leader);
        var fresh = await ScalarAsync(first, look);
        await using var connection = await ConnectAsync(Leader);
        await ExecuteAsync(connection, change);
        Assert.NotEqual(fresh, await ScalarAsync(connection, look));
        await connection.CloseAsync();
        await connection.OpenAsync();
        Assert.Equal(fresh, await ScalarAsync(connection, look));
        await connection.CloseAsync();
        await using var next = await ConnectAsync(Leader);
        Assert.Equal(fresh, await ScalarAsync(next, look));
        Assert.Equal(1, await ExecuteAsync(next, "DELETE FROM t"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_handler_sets_up_when_a_connection_opens_is_that_ones(bool isAsynchronous)
    {
        for (var i = 0; i < 2; i++)
        {
            await using var connection = Leader.CreateConnection();
            connection.StateChange += (_, e) =>
            {
                if (e.CurrentState != ConnectionState.Open) return;
                if (isAsynchronous) Assert.True(ExecuteAsync(connection, "PRAGMA foreign_keys=OFF").IsCompletedSuccessfully);
                else connection.Execute("PRAGMA foreign_keys=OFF");
            };
            await connection.OpenAsync();
            Assert.Equal(0L, await ScalarAsync(connection, "PRAGMA foreign_keys"));
        }

        await using var other = await ConnectAsync(Leader);
        Assert.Equal(1L, await ScalarAsync(other, "PRAGMA foreign_keys"));
    }

    [Fact]
    public async Task Functions_belong_to_the_connection_that_was_given_them()
    {
        await using var connection = await ConnectAsync(Leader);
        connection.CreateFunction("mine", () => 7L);
        connection.CreateFunction("upper", (string text) => text + "!");
        connection.CreateCollation("backwards", (a, b) => string.CompareOrdinal(b, a));
        Assert.Equal("7 a!", await ScalarAsync(connection, "SELECT mine() || ' ' || upper('a')"));
        await connection.CloseAsync();

        await using (var other = await ConnectAsync(Leader))
        {
            Assert.Equal("A", await ScalarAsync(other, "SELECT upper('a')"));
            await Assert.ThrowsAsync<SqliteException>(() => ScalarAsync(other, "SELECT mine()"));
            await Assert.ThrowsAsync<SqliteException>(() => ScalarAsync(other, "SELECT 'a' < 'b' COLLATE backwards"));
            other.CreateFunction("mine", () => 8L);
            Assert.Equal(8L, await ScalarAsync(other, "SELECT mine()"));
        }

        await using (var other = Leader.CreateConnection())
        {
            other.CreateFunction("mine", arguments => (long)arguments.Length); // of any number, which SQLite finds only where there is none of just this number
            await other.OpenAsync();
            Assert.Equal("0 2", await ScalarAsync(other, "SELECT mine() || ' ' || mine(1, 2)"));
        }

        // A function of the same name that is made otherwise, one that is taken away, and one that is asked to be before it is there.
        await using (var other = Leader.CreateConnection())
        {
            other.CreateAggregate("mine", 0L, (long sum) => sum + 5);
            other.CreateFunction("never", (Func<long>?)null);
            await other.OpenAsync();
            Assert.Equal(5L, await ScalarAsync(other, "SELECT mine()"));
            other.CreateFunction("mine", (Func<long>?)null);
            await Assert.ThrowsAsync<SqliteException>(() => ScalarAsync(other, "SELECT mine()"));
            other.CreateFunction("mine", () => 6L);
            Assert.Equal(6L, await ScalarAsync(other, "SELECT mine()"));
        }

        connection.CreateFunction("late", () => 9L);
        await connection.OpenAsync();
        Assert.Equal("7 a! 9", await ScalarAsync(connection, "SELECT mine() || ' ' || upper('a') || ' ' || late()"));
        Assert.Equal(0L, await ScalarAsync(connection, "SELECT 'a' < 'b' COLLATE backwards"));
    }

    [Fact]
    public async Task The_same_functions_of_one_connection_after_the_other_are_each_ones_own()
    {
        for (var i = 0L; i < 5; i++)
        {
            var mine = i;
            await using var connection = Leader.CreateConnection();
            connection.CreateFunction("mine", (long x) => x + mine, isDeterministic: i < 3);
            connection.CreateAggregate("total", mine, (long sum, long x) => sum + x);
            connection.CreateCollation("side", (a, b) => mine % 2 == 0 ? string.CompareOrdinal(a, b) : string.CompareOrdinal(b, a));
            await connection.OpenAsync();
            Assert.Equal(10 + i, await ScalarAsync(connection, "SELECT mine(10)"));
            Assert.Equal(3 + i, await ScalarAsync(connection, "SELECT total(x) FROM (SELECT 1 AS x UNION ALL SELECT 2)"));
            Assert.Equal(i % 2 == 0 ? 1L : 0L, await ScalarAsync(connection, "SELECT 'a' < 'b' COLLATE side"));
        }
    }

    [Fact]
    public async Task What_the_options_set_up_each_connection_has_and_one_that_cannot_be_set_up_is_not_open()
    {
        var setUp = 0;
        await using var factory = await OpenFactoryAsync(new() { ConfigureConnection = connection => connection.CreateFunction("runs", () => (long)++setUp) });
        await using var database = await factory.OpenAsync("configured.db");
        for (var i = 1; i < 4; i++)
        {
            await using var connection = await ConnectAsync(database);
            Assert.Equal((long)i, await ScalarAsync(connection, "SELECT runs()"));
        }

        await factory.DeleteAsync("configured.db");
        var fails = false;
        await using var failing = await OpenFactoryAsync(new() { ConfigureConnection = _ => { if (fails) throw new NotSupportedException(); } });
        await using var second = await failing.OpenAsync("failing.db");
        foreach (var isPooled in new[] { false, true })
        {
            fails = false;
            if (isPooled) await (await ConnectAsync(second)).DisposeAsync();
            fails = true;
            await using var connection = second.CreateConnection();
            await Assert.ThrowsAsync<NotSupportedException>(() => connection.OpenAsync());
            Assert.Equal(ConnectionState.Closed, connection.State);
            fails = false;
            await connection.OpenAsync();
            Assert.Equal(1L, await ScalarAsync(connection, "SELECT 1"));
        }

        await failing.DeleteAsync("failing.db");
    }

    [Fact]
    public async Task No_handle_outlives_its_database()
    {
        await using var factory = await OpenFactoryAsync(new());
        await using var connection = new DataSyncConnection(factory, "short.db");
        for (var time = 0; time < 3; time++)
        {
            await connection.OpenAsync();
            var database = connection.DataSync!;
            await ExecuteAsync(connection, "CREATE TABLE t(a)");
            await using (var other = await ConnectAsync(database)) await ScalarAsync(other, "SELECT count(*) FROM t");
            await connection.CloseAsync();
            Assert.Equal(2 + Kept(2), BlockVfs.Shared.CountOpenFiles(database.Name)); // two of its own
            if (time == 1) await database.DisposeAsync();
            await factory.DeleteAsync("short.db");
            await Assert.ThrowsAsync<ObjectDisposedException>(() => database.CreateConnection().OpenAsync());
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Pooled_contexts_are_as_new_in_both_tabs(bool inLeader)
    {
        var (here, _) = Roles(inLeader);
        var services = new ServiceCollection();
        services.AddSingleton(FactoryOf(here)); // not the container's to dispose
        services.AddPooledDataSyncDbContextFactory<BlogContext>(DatabaseName, poolSize: 2);
        await using var provider = services.BuildServiceProvider(validateScopes: true);
        await using var scope = provider.CreateAsyncScope();
        var contexts = scope.ServiceProvider.GetRequiredService<IDbContextFactory<BlogContext>>();
        await using (var creating = await contexts.CreateDbContextAsync()) await creating.Database.EnsureCreatedAsync();
        BlogContext first;
        await using (first = await contexts.CreateDbContextAsync())
        {
            first.Add(new Blog { Name = "lost" });
            await first.Blogs.LoadAsync();
            await first.Database.ExecuteSqlRawAsync("PRAGMA foreign_keys=OFF");
        }

        for (var i = 0; i < 4; i++)
        {
            await using var context = await contexts.CreateDbContextAsync();
            Assert.Same(first, context);
            Assert.Equal(ConnectionState.Closed, context.Database.GetDbConnection().State);
            Assert.Empty(context.ChangeTracker.Entries());
            context.Add(new Blog { Name = $"blog {i}" });
            await context.SaveChangesAsync();
            await using var transaction = await context.Database.BeginTransactionAsync();
            context.Add(new Blog { Name = "rolled back" });
            await context.SaveChangesAsync();
            Assert.Equal(1L, await context.Database.SqlQueryRaw<long>("SELECT foreign_keys AS Value FROM pragma_foreign_keys").SingleAsync());
        }

        await using var last = scope.ServiceProvider.GetRequiredService<BlogContext>();
        Assert.Equal(["blog 0", "blog 1", "blog 2", "blog 3"], await last.Blogs.Select(b => b.Name).Order().ToListAsync());
    }
}
