using System.Collections.Concurrent;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Server.Tests;

/// <summary>What an app lets its users have the server run, and that they can do nothing else where pages are not taken.</summary>
public sealed class StatementFilterTests
{
    private const string Table = "CREATE TABLE entry (id INTEGER PRIMARY KEY, writer TEXT NOT NULL UNIQUE)";

    [Fact]
    public async Task Without_pages_one_who_writes_alone_has_everything_run_by_the_server()
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().AllowPages = false);
        var here = await server.OpenHereAsync();
        var client = await server.OpenAsync();
        await client.ExecuteAsync(Table);
        for (var i = 0; i < 10; i++) Assert.Equal((1, i + 1L), Short(await client.ExecuteAsync("INSERT INTO entry (writer) VALUES (?)", new object[] { $"w{i}" })));
        Assert.Equal(11, here.StatementRuns);

        // What changes nothing, several as one, and one for many.
        Assert.Equal(0, (await client.ExecuteAsync("UPDATE entry SET writer = 'x' WHERE id = 99")).Changes);
        await client.ExecuteAsync([new("INSERT INTO entry (writer) VALUES ('a')", null), new("DELETE FROM entry WHERE id = 1", null)]);
        await client.ExecuteManyAsync("INSERT INTO entry (writer) VALUES (?)", new object[] { new object[] { "b" }, new object[] { "c" } });

        // An error is SQLite's own.
        var error = await Assert.ThrowsAsync<SqliteException>(() => client.ExecuteAsync("INSERT INTO entry (writer) VALUES ('a')"));
        Assert.Equal(2067, error.SqliteExtendedErrorCode); // UNIQUE
        Assert.Equal(12, (await client.QueryAsync<long>("SELECT count(*) FROM entry")).Single());
        await AssertSameAsync(here, client);
    }

    [Theory]
    [InlineData(Durability.Immediate)]
    [InlineData(Durability.Deferred)]
    public async Task Without_pages_many_calls_at_once_are_run(Durability durability)
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().AllowPages = false);
        var here = await server.OpenHereAsync();
        var (a, b) = (await server.OpenAsync(configure: o => o.Durability = durability), await server.OpenAsync());
        await a.ExecuteAsync(Table);
        var writes = Enumerable.Range(0, 60).Select(i => (i % 2 == 0 ? a : b).ExecuteAsync("INSERT INTO entry (writer) VALUES (?)", new object[] { $"w{i}" })).ToList();
        try
        {
            await Task.WhenAll(writes).WaitAsync(TestServer.Patience);
        }
        catch (SqliteException)
        {
            // b had not seen the table yet: its own error.
        }

        foreach (var write in writes.Where((_, i) => i % 2 == 0)) await write;
        var done = writes.Count(write => write.IsCompletedSuccessfully);
        Assert.Equal(done, (await here.QueryAsync<long>("SELECT count(*) FROM entry")).Single());
    }

    [Fact]
    public async Task Without_pages_work_of_the_clients_own_is_refused_with_an_error_that_says_what_to_do()
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().AllowPages = false);
        var client = await server.OpenAsync(configure: o => o.Durability = Durability.Deferred);
        await client.ExecuteAsync(Table);
        Func<Task>[] refused =
        [
            () => client.WriteAsync(connection => connection.ExecuteText("INSERT INTO entry (writer) VALUES ('pages')")),
            () => client.ExecuteAsync("INSERT INTO entry (writer) VALUES (?)", new object[] { new string('x', 20_000) }), // too large to travel
            () => client.ExecuteAsync("INSERT INTO entry (writer) SELECT 'last ' || last_insert_rowid()"), // means something else there
        ];
        foreach (var write in refused)
        {
            var error = await Assert.ThrowsAsync<AccessDeniedException>(() => write().WaitAsync(TestServer.Patience));
            Assert.Contains("ExecuteAsync", error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(0, (await client.QueryAsync<long>("SELECT count(*) FROM entry")).Single());
        await client.ExecuteAsync("INSERT INTO entry (writer) VALUES ('and goes on')");
        Assert.Equal("and goes on", (await (await server.OpenHereAsync()).QueryAsync<string>("SELECT writer FROM entry")).Single());
    }

    /// <summary>Statements that find a reader in the server's tab are not run there; where they are the only way, they come again.</summary>
    [Fact]
    public async Task Without_pages_statements_that_the_server_was_not_ready_for_are_sent_again()
    {
        var asked = 0;
        SqliteDataReader? reader = null;
        await using var server = await TestServer.StartAsync(o =>
        {
            o.AllowEverybody().AllowPages = false;
            o.StatementFilter = (_, _, sql) =>
            {
                if (sql.StartsWith("INSERT", StringComparison.Ordinal) && ++asked == 3) reader!.Dispose();
                return true;
            };
        });
        var here = await server.OpenHereAsync();
        var client = await server.OpenAsync();
        await client.ExecuteAsync(Table);
        await using var connection = here.CreateConnection();
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT name FROM sqlite_schema, (VALUES (1), (2))";
        reader = (SqliteDataReader)await command.ExecuteReaderAsync();
        Assert.True(await reader.ReadAsync());
        await client.ExecuteAsync("INSERT INTO entry (writer) VALUES ('patient')").WaitAsync(TestServer.Patience);
        Assert.Equal(3, asked);
        Assert.Equal("patient", (await here.QueryAsync<string>("SELECT writer FROM entry")).Single());
    }

    [Fact]
    public async Task The_filter_sees_each_text_and_what_it_refuses_is_not_run()
    {
        var seen = new ConcurrentQueue<(string User, string Database, string Sql)>();
        await using var server = await TestServer.StartAsync(o =>
        {
            o.AllowEverybody().AllowPages = false;
            o.StatementFilter = (context, database, sql) =>
            {
                seen.Enqueue((context.Request.Headers["user"].ToString(), database, sql));
                return !sql.Contains("DELETE", StringComparison.OrdinalIgnoreCase);
            };
        });
        var client = await server.OpenAsync(user: "anne");
        await client.ExecuteAsync(Table);
        await client.ExecuteAsync("INSERT INTO entry (writer) VALUES (@who)", new { who = "DELETE me" });
        await client.ExecuteManyAsync("INSERT INTO entry (writer) VALUES (?)", new object[] { new object[] { "many" } });
        foreach (var write in new Func<Task>[]
        {
            () => client.ExecuteAsync("DELETE FROM entry"),
            () => client.ExecuteAsync([new("INSERT INTO entry (writer) VALUES ('with')", null), new("delete from entry", null)]),
        })
        {
            var error = await Assert.ThrowsAsync<AccessDeniedException>(() => write().WaitAsync(TestServer.Patience));
            Assert.Contains("does not allow this statement", error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(["DELETE me", "many"], await client.QueryAsync<string>("SELECT writer FROM entry ORDER BY id"));
        Assert.Equal(
            [Table, "INSERT INTO entry (writer) VALUES (@who)", "INSERT INTO entry (writer) VALUES (?)", "DELETE FROM entry", "INSERT INTO entry (writer) VALUES ('with')", "delete from entry"],
            seen.Select(one => one.Sql));
        Assert.All(seen, one => Assert.Equal(("anne", TestServer.Database), (one.User, one.Database)));
    }

    /// <summary>Calls that were made at the same time share a message: only the one that may not be run fails.</summary>
    [Fact]
    public async Task What_is_sent_together_with_a_refused_statement_is_run()
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().StatementFilter = (_, _, sql) => !sql.Contains("evil", StringComparison.Ordinal));
        var here = await server.OpenHereAsync();
        await here.ExecuteAsync(Table);
        await using var raw = await RawClient.JoinAsync(server);
        var traits = ConnectionHash(here);
        byte[] MakeRecord(string who) => [.. Guid.NewGuid().ToByteArray(), .. MakeStatement($"INSERT INTO entry (writer) VALUES ('{who}')", traits)];
        byte[][] records = [MakeRecord("good"), MakeRecord("evil"), MakeRecord("better")];
        await raw.SayAsync(CommitMessageKind.Statements, m => m with { Position = new(0, CommitId.None), Records = records });
        var refused = await raw.HearAsync(CommitMessageKind.Refused);
        Assert.Equal((StorageErrorCode.Denied, new Guid(records[1].AsSpan(0, 16))), (refused.Code, refused.Position.Commit.Value));
        while ((await raw.HearAsync(CommitMessageKind.Committed)).Position.Marker < 3)
        {
            // One after the other, or both together.
        }

        Assert.Equal(["good", "better"], await here.QueryAsync<string>("SELECT writer FROM entry ORDER BY id"));
    }

    /// <summary>Advisory: with pages a client can write what it likes. But a refusal is not turned into pages by itself.</summary>
    [Fact]
    public async Task With_pages_a_refusal_comes_back_as_an_error_all_the_same()
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().StatementFilter = (_, _, sql) => !sql.Contains("evil", StringComparison.Ordinal));
        var here = await server.OpenHereAsync();
        var client = await server.OpenAsync();
        await client.ExecuteAsync(Table);
        while (here.StatementRuns == 0)
        {
            // The server writes as well, so the client's go as statements.
            await here.ExecuteAsync("INSERT INTO entry (writer) SELECT 'here ' || count(*) FROM entry");
            await client.ExecuteAsync("INSERT INTO entry (writer) SELECT 'there ' || count(*) FROM entry").WaitAsync(TestServer.Patience);
        }

        await here.ExecuteAsync("INSERT INTO entry (writer) SELECT 'here ' || count(*) FROM entry");
        await Assert.ThrowsAsync<AccessDeniedException>(() => client.ExecuteAsync("INSERT INTO entry (writer) VALUES ('evil')").WaitAsync(TestServer.Patience));
        Assert.Equal(0, (await here.QueryAsync<long>("SELECT count(*) FROM entry WHERE writer = 'evil'")).Single());
    }

    [Fact]
    public async Task A_commit_that_is_too_large_for_the_server_fails_at_once_and_says_so()
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().MaxMessageBytes = 64 << 10);
        var client = await server.OpenAsync();
        await client.ExecuteAsync("CREATE TABLE large (bytes BLOB)");
        foreach (var size in new[] { 200_000, 20_000_000 }) // in one part, and in several
        {
            var error = await Assert.ThrowsAsync<CommitTooLargeException>(() => client.ExecuteAsync($"INSERT INTO large VALUES (randomblob({size}))").WaitAsync(TestServer.Patience));
            Assert.Contains("65536", error.Message, StringComparison.Ordinal);
        }

        await client.ExecuteAsync("INSERT INTO large VALUES (randomblob(2000))").WaitAsync(TestServer.Patience);
        var here = await server.OpenHereAsync();
        Assert.Equal(2000, (await here.QueryAsync<long>("SELECT sum(length(bytes)) FROM large")).Single());
    }

    private static (long Changes, long Row) Short(ExecuteResult result) => (result.Changes, result.LastInsertRowId);

    private static async Task AssertSameAsync(DataSyncDatabase a, DataSyncDatabase b) =>
        Assert.Equal(await a.QueryAsync<string>("SELECT writer FROM entry ORDER BY id"), await b.QueryAsync<string>("SELECT writer FROM entry ORDER BY id"));

    private static byte[] MakeStatement(string sql, ulong traits) => StatementBody.Encode(traits, [new TravellingStatement(sql, null, IsMany: false)], value => value)!;

    private static ulong ConnectionHash(DataSyncDatabase database)
    {
        using var connection = new CachedConnection(database.Name, null);
        return ConnectionTraits.Of(connection, null).Hash;
    }
}
