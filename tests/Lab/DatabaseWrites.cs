using DataSync.Contracts;
using DataSync.Storage;
using DataSync.Vfs;
using DataSync.Vfs.Browser;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Lab;

/// <summary>Writing with <see cref="DataSyncDatabase"/>: statements, delegates, events.</summary>
public sealed class DatabaseWrites : DatabaseSuite
{
    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await Database.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE)");
    }

    [Fact]
    public async Task Each_write_is_one_commit_and_tells_what_it_did()
    {
        var marker = Database.Marker;
        Assert.Equal(new ExecuteResult(2, 2, marker + 1), await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('a'), ('b')"));
        Assert.Equal(new ExecuteResult(3, 3, marker + 2), await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('c'); UPDATE t SET v = v || '!' WHERE id < 3;"));
        Assert.Equal(new ExecuteResult(2, 5, marker + 3), await Database.ExecuteAsync([new("INSERT INTO t(v) VALUES ($v)", new { v = "d" }), new("INSERT INTO t(v) VALUES (?)", new[] { "e" })]));
        var noChange = await Database.ExecuteAsync("UPDATE t SET v = 'x' WHERE id = 99");
        Assert.Equal((0, marker + 3), (noChange.Changes, noChange.Marker));
        Assert.Equal(["a!", "b!", "c", "d", "e"], await Database.QueryAsync<string>("SELECT v FROM t ORDER BY id"));
    }

    [Fact]
    public async Task A_failing_list_of_statements_changes_nothing()
    {
        await Assert.ThrowsAsync<SqliteException>(() => Database.ExecuteAsync([new("INSERT INTO t(v) VALUES ('a')"), new("INSERT INTO t(v) VALUES ('a')")]));
        await Assert.ThrowsAsync<SqliteException>(() => Database.ExecuteAsync("INSERT INTO t(v) VALUES ('a'); INSERT INTO nothing VALUES (1)"));
        Assert.Equal(0, await CountAsync("t"));
        await Database.ExecuteAsync([]);
        await Database.ExecuteAsync("VACUUM");
        await Database.ExecuteAsync("CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET v = new.v || '?' WHERE id = new.id; SELECT 1; END");
        await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('a')");
        Assert.Equal(["a?"], await Database.QueryAsync<string>("SELECT v FROM t"));
    }

    [Fact]
    public async Task A_delegate_reads_what_it_wrote_and_its_savepoints_nest()
    {
        var result = await Database.WriteAsync(connection =>
        {
            connection.Execute("INSERT INTO t(v) VALUES ('a')");
            connection.Execute("SAVEPOINT one");
            connection.Execute("INSERT INTO t(v) VALUES ('gone')");
            connection.Execute("ROLLBACK TO one");
            connection.Execute("RELEASE one");
            connection.Execute("INSERT INTO t(v) SELECT v || count(*) FROM t");
        });
        Assert.Equal(Database.Marker, result.Marker);
        Assert.Equal(["a", "a1"], await Database.QueryAsync<string>("SELECT v FROM t ORDER BY id"));
    }

    [Theory]
    [InlineData("INSERT INTO t(v) VALUES (?)", false)]
    [InlineData("INSERT INTO t(v) VALUES (?)", true)] // values that cannot be gathered
    public async Task While_thousands_of_rows_are_written_the_page_does_other_things(string sql, bool isOneByOne)
    {
        const int Rows = 30_000;
        var rows = Enumerable.Range(0, Rows).Select(i => (object?)(isOneByOne ? new object[] { TimeSpan.FromTicks(i) } : [$"row {i}"])).ToList();
        var writing = Database.ExecuteManyAsync(sql, rows);
        var (turns, seen) = (0, new HashSet<long>());
        while (!writing.IsCompleted)
        {
            seen.Add(await CountAsync("t"));
            await SqliteImports.YieldToPage();
            turns++;
        }

        Assert.Equal(Rows, (await writing).Changes);
        Assert.True(turns > 2, $"{turns} turns");
        Assert.DoesNotContain(seen, count => count is not (0 or Rows));
        Assert.Equal(Rows, await CountAsync("t"));
    }

    [Fact]
    public async Task Thousands_of_rows_are_written_all_or_none()
    {
        var rows = Enumerable.Range(0, 30_000).Select(i => (object?)new object[] { i }).ToList();
        using var stop = new CancellationTokenSource();
        var writing = Database.ExecuteManyAsync("INSERT INTO t(v) VALUES (?)", rows, stop.Token);
        var next = Database.ExecuteAsync("INSERT INTO t(v) VALUES ('next')");
        await SqliteImports.YieldToPage();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing);
        rows[^1] = new object[] { 0 };
        await Assert.ThrowsAsync<SqliteException>(() => Database.ExecuteManyAsync("INSERT INTO t(v) VALUES (?)", rows));
        await Assert.ThrowsAsync<ArgumentException>(() => Database.ExecuteManyAsync("DELETE FROM t; SELECT 1", rows));
        await next;
        Assert.Equal(["next"], await Database.QueryAsync<string>("SELECT v FROM t"));

        var unit = Database.BeginUndoUnit("many");
        rows.RemoveAt(rows.Count - 1);
        await unit.ExecuteManyAsync("INSERT INTO t(v) VALUES (?)", rows);
        Assert.Equal(30_000, await CountAsync("t"));
        await Database.UndoAsync();
        Assert.Equal(["next"], await Database.QueryAsync<string>("SELECT v FROM t"));
    }

    [Fact]
    public async Task An_asynchronous_delegate_is_one_transaction_that_nobody_sees_before_its_end()
    {
        var half = new TaskCompletionSource();
        var go = new TaskCompletionSource();
        var writing = Database.WriteAsync(async connection =>
        {
            connection.Execute("INSERT INTO t(v) VALUES ('a')");
            half.SetResult();
            await go.Task;
            connection.Execute("INSERT INTO t(v) VALUES ('b')");
        });
        await half.Task;
        var reading = CountAsync("t");
        var second = Database.ExecuteAsync("INSERT INTO t(v) VALUES ('c')");
        if (reading.IsCompleted) Assert.Equal(0, await reading);
        Assert.False(second.IsCompleted);
        go.SetResult();
        await writing;
        await second;
        Assert.Contains(await reading, new long[] { 0, 2, 3 });
        Assert.Equal(["a", "b", "c"], await Database.QueryAsync<string>("SELECT v FROM t ORDER BY id"));
    }

    [Fact]
    public async Task A_failing_delegate_changes_nothing_and_its_exception_comes_out()
    {
        var marker = Database.Marker;
        var sync = await Assert.ThrowsAsync<FormatException>(() => Database.WriteAsync(connection =>
        {
            connection.Execute("INSERT INTO t(v) VALUES ('a')");
            throw new FormatException("by the test");
        }));
        Assert.Equal("by the test", sync.Message);
        await Assert.ThrowsAsync<FormatException>(() => Database.WriteAsync(async connection =>
        {
            connection.Execute("INSERT INTO t(v) VALUES ('a')");
            await Task.Yield();
            throw new FormatException("by the test");
        }));
        await Assert.ThrowsAsync<SqliteException>(() => Database.WriteAsync(connection => connection.Execute("INSERT INTO t(v) VALUES ('a'), ('a')")));
        Assert.Equal((0, marker), (await CountAsync("t"), Database.Marker));
        await Database.WriteAsync(connection => connection.Execute("INSERT INTO t(v) VALUES ('a')"));
        Assert.Equal(1, await CountAsync("t"));
    }

    [Fact]
    public async Task A_delegate_that_ends_the_transaction_itself_is_told_so_and_nothing_is_left_open()
    {
        foreach (var end in (string[])["ROLLBACK", "COMMIT", "COMMIT; BEGIN"])
            await Assert.ThrowsAsync<InvalidOperationException>(() => Database.WriteAsync(connection => connection.Execute("INSERT INTO t(v) VALUES ('a'); " + end)));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Database.ExecuteAsync("BEGIN"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Database.QueryAsync("SAVEPOINT s"));
        Assert.Equal(0, await CountAsync("t"));
        await Database.ExecuteAsync("INSERT INTO t(v) VALUES ('b')");
        Assert.Equal(1, await CountAsync("t"));
    }

    [Fact]
    public async Task Many_writes_at_once_are_all_done_in_order()
    {
        var results = await Task.WhenAll(Enumerable.Range(1, 200).Select(i => Database.ExecuteAsync("INSERT INTO t(v) VALUES ($i)", new { i })));
        Assert.Equal(Enumerable.Range(1, 200).Select(i => (long)i), results.Select(r => r.LastInsertRowId));
        Assert.Equal(results.Select(r => r.Marker), results.Select(r => r.Marker).Order());
        Assert.Equal(200, await CountAsync("t"));
    }

    [Fact]
    public async Task Committed_tells_each_commit_once_and_its_handler_sees_it()
    {
        var told = new List<(long Marker, bool IsLocal, Task<long> Count)>();
        Database.Committed += (_, e) => told.Add((e.Position.Marker, e.IsLocal, CountAsync("t")));
        var marker = Database.Marker;
        for (var i = 0; i < 3; i++) await Database.ExecuteAsync("INSERT INTO t(v) VALUES ($i)", new { i });
        Assert.Equal([marker + 1, marker + 2, marker + 3], told.Select(t => t.Marker));
        Assert.All(told, t => Assert.True(t.IsLocal));
        var counts = await Task.WhenAll(told.Select(t => t.Count));
        Assert.Equal([1, 2, 3], counts);
    }

    [Fact]
    public async Task Foreign_keys_are_enforced_on_every_connection()
    {
        await Database.ExecuteAsync("CREATE TABLE child(t INTEGER NOT NULL REFERENCES t(id))");
        Assert.Equal(19, (await Assert.ThrowsAsync<SqliteException>(() => Database.ExecuteAsync("INSERT INTO child VALUES (5)"))).SqliteErrorCode);
        using var connection = Connect();
        Assert.Equal(1, connection.Scalar<long>("PRAGMA foreign_keys"));
    }
}
