using DataSync.Contracts;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using SQLitePCL;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>Slow readers, cancelled and failing statements, and closing at a bad moment: each ends within its bound.</summary>
public sealed class NothingHangsTests : IDisposable
{
    private const int Busy = 5, Interrupt = 9, Rows = 5000;
    private const string Endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    private static readonly TimeSpan Patience = NativeTabs.Patience;
    private readonly NativeTabs _tabs = new();
    private readonly MemoryBlockMedium _medium = new();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_large_result_read_slowly_shows_one_state_while_another_tab_writes(bool readsInLeader)
    {
        await using var leader = await OpenAsync();
        await using var follower = await OpenAsync();
        var (reading, writing) = readsInLeader ? (leader, follower) : (follower, leader);
        var marker = await FillAsync(leader);
        await NativeTabs.WaitForAsync(follower, marker);
        using (var connection = OpenConnection(reading))
        using (var reader = new SqliteCommand("SELECT a, b FROM t", connection).ExecuteReader())
        {
            var rows = 0;
            for (; reader.Read(); rows++)
            {
                Assert.Equal("old", reader.GetString(1));
                if (rows % 500 != 0) continue;
                var written = await writing.ExecuteAsync("UPDATE t SET b = 'new'; INSERT INTO t VALUES (0, 'more')").WaitAsync(Patience);
                Assert.True(reading.Marker == marker && written.Marker > marker);
            }

            Assert.Equal(Rows, rows);
        }

        await NativeTabs.WaitForAsync(reading, marker + 10);
        Assert.Equal([Rows + 10], await reading.QueryAsync<int>("SELECT count(*) FROM t"));
    }

    /// <summary>The leader's tab runs the follower's statements beside what its own code writes on another thread.</summary>
    [Fact]
    public async Task Synchronous_writes_of_the_leader_and_statements_of_the_follower_stay_apart()
    {
        const int Each = 150;
        await using var leader = await OpenAsync();
        await using var follower = await OpenAsync();
        var marker = await FillAsync(leader);
        await NativeTabs.WaitForAsync(follower, marker);
        await follower.ExecuteAsync("INSERT INTO t VALUES (0, 'follower')");
        var ofFollower = 1;
        leader.Committed += (_, e) => ofFollower += e.Writer == follower.Coordinator.Id ? 1 : 0;
        var synchronous = Task.Run(() =>
        {
            using var connection = OpenConnection(leader);
            using var insert = new SqliteCommand("INSERT INTO t VALUES (0, 'leader')", connection);
            for (var done = 0; done < Each;)
            {
                try
                {
                    done += insert.ExecuteNonQuery();
                }
                catch (SqliteException busy) when (busy.SqliteErrorCode == SqliteResult.Busy)
                {
                    // The turn is another tab's for a moment.
                }
            }
        });
        for (var i = 1; i < Each; i++) await follower.ExecuteAsync("INSERT INTO t VALUES (0, 'follower')").WaitAsync(Patience);
        await synchronous.WaitAsync(Patience);
        await leader.ForceSyncAsync();
        await NativeTabs.WaitForAsync(leader, follower.Marker);
        await NativeTabs.WaitForAsync(follower, leader.Marker);
        foreach (var database in (DataSyncDatabase[])[leader, follower])
            Assert.Equal(["follower 150", "leader 150"], await database.QueryAsync<string>("SELECT b || ' ' || count(*) FROM t WHERE b <> 'old' GROUP BY b ORDER BY 1"));
        Assert.True(leader.StatementRuns > 0, "None was run in the leader's tab.");
        Assert.InRange(ofFollower, Each, Each + 1);
    }

    [Fact]
    public async Task A_write_behind_a_reader_of_its_own_tab_is_told_so_and_works_when_the_reader_has_gone()
    {
        await using var database = await OpenAsync();
        await FillAsync(database);
        using (var connection = OpenConnection(database))
        using (var reader = new SqliteCommand("SELECT a FROM t", connection).ExecuteReader())
        {
            Assert.True(reader.Read());
            var error = await Assert.ThrowsAsync<SqliteException>(() => database.ExecuteAsync("DELETE FROM t").WaitAsync(Patience));
            Assert.Equal(Busy, error.SqliteErrorCode);
            for (var rows = 1; rows < Rows; rows++) Assert.True(reader.Read());
            Assert.False(reader.Read());
        }

        Assert.Equal(Rows, (await database.ExecuteAsync("DELETE FROM t").WaitAsync(Patience)).Changes);
    }

    [Fact]
    public async Task Readers_and_writers_on_many_connections_of_two_tabs_see_whole_transactions_only()
    {
        const int Accounts = 20, Transfers = 40;
        await using var leader = await OpenAsync();
        await using var follower = await OpenAsync();
        await leader.ExecuteAsync($"CREATE TABLE t(a INTEGER PRIMARY KEY, n INT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {Accounts}) INSERT INTO t SELECT i, 100 FROM n");
        var marker = (await leader.ExecuteAsync("CREATE TABLE done(a)")).Marker;
        await NativeTabs.WaitForAsync(follower, marker);
        using var over = new CancellationTokenSource();
        using var started = new CountdownEvent(4);
        var readers = new[] { leader, follower, leader, follower }.Select(tab => Task.Run(() => ReadUntil(tab, over.Token))).ToArray();
        Assert.True(started.Wait(Patience));
        var writers = Enumerable.Range(0, 4).Select(writer => Task.Run(async () =>
        {
            var random = new Random(writer);
            var tab = writer % 2 == 0 ? leader : follower;
            for (var i = 0; i < Transfers; i++)
            {
                var (from, to, amount) = (random.Next(Accounts) + 1, random.Next(Accounts) + 1, random.Next(50));
                await RetryWhileBusyAsync(() => tab.WriteAsync(connection =>
                {
                    connection.Execute("UPDATE t SET n = n - $0 WHERE a = $1", amount, from);
                    connection.Execute("UPDATE t SET n = n + $0 WHERE a = $1", amount, to);
                    connection.Execute("INSERT INTO done VALUES ($0)", writer);
                }));
            }
        })).ToArray();
        await Task.WhenAll(writers).WaitAsync(Patience);
        await over.CancelAsync();
        Assert.All(await Task.WhenAll(readers).WaitAsync(Patience), reads => Assert.True(reads > 1));
        Assert.Equal([$"{4 * Transfers}|{Accounts * 100}"], RowsOf(leader, "SELECT (SELECT count(*) FROM done), sum(n) FROM t"));

        int ReadUntil(DataSyncDatabase tab, CancellationToken over)
        {
            using var connection = OpenConnection(tab);
            var reads = 0;
            while (!over.IsCancellationRequested)
            {
                try
                {
                    Assert.Equal(Accounts * 100, connection.Scalar<int>("SELECT sum(n) FROM t"));
                    if (++reads == 1) started.Signal();
                }
                catch (SqliteException error) when (error.SqliteErrorCode == Busy)
                {
                    // A writer of this tab was about to commit for the whole timeout.
                }
            }

            return reads;
        }
    }

    [Fact]
    public async Task An_interrupted_statement_ends_and_its_transaction_can_go_on()
    {
        await using var database = await OpenAsync();
        await FillAsync(database);
        using var connection = OpenConnection(database);
        connection.Execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (1, 'kept')");
        connection.CreateFunction<long>("reached", () =>
        {
            raw.sqlite3_interrupt(connection.Handle);
            return 1;
        });
        var endless = Task.Run(() => Assert.Throws<SqliteException>(() => connection.Execute(Endless.Replace("count(*)", "count(reached())", StringComparison.Ordinal))));
        Assert.Equal(Interrupt, (await endless.WaitAsync(Patience)).SqliteErrorCode);
        connection.Execute("COMMIT");
        await database.ForceSyncAsync().WaitAsync(Patience);
        Assert.Equal([Rows + 1], await database.QueryAsync<int>("SELECT count(*) FROM t"));
    }

    [Fact]
    public async Task A_token_ends_a_query_or_a_write_within_a_statement_and_nothing_was_changed()
    {
        var running = new SemaphoreSlim(0);
        var options = new DataSyncOptions { ConfigureConnection = connection => connection.CreateFunction<long>("running", () => running.Release()) };
        await using var database = await _tabs.OpenAsync(new MemoryBlockStore(_medium), options);
        var marker = await FillAsync(database);
        var endless = Endless.Replace("SELECT 1", "SELECT 1 + 0 * running()", StringComparison.Ordinal);
        await AssertCancelledAsync(token => database.QueryAsync<long>(endless, null, token));
        await AssertCancelledAsync(token => database.ExecuteAsync($"DELETE FROM t; INSERT INTO t SELECT 1, 'x' FROM ({endless})", null, token));
        await AssertCancelledAsync(token => database.WriteAsync(connection => connection.Execute($"INSERT INTO t SELECT 1, 'x' FROM ({endless})"), token));
        Assert.Equal((Rows, marker), ((await database.QueryAsync<int>("SELECT count(*) FROM t"))[0], database.Marker));
        await database.ExecuteAsync("DELETE FROM t").WaitAsync(Patience);

        async Task AssertCancelledAsync(Func<CancellationToken, Task> run)
        {
            using var cancellation = new CancellationTokenSource();
            var task = Task.Run(() => run(cancellation.Token));
            Assert.True(await running.WaitAsync(Patience));
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => task.WaitAsync(Patience));
        }
    }

    [Fact]
    public async Task A_token_ends_the_wait_for_the_write_turn()
    {
        await using var database = await OpenAsync();
        await FillAsync(database);
        var (entered, release) = (new TaskCompletionSource(), new TaskCompletionSource());
        var holder = database.WriteAsync(async connection =>
        {
            connection.Execute("DELETE FROM t WHERE a = 1");
            entered.SetResult();
            await release.Task;
        });
        await entered.Task.WaitAsync(Patience);
        using var cancellation = new CancellationTokenSource();
        var waiting = database.ExecuteAsync("DELETE FROM t", null, cancellation.Token);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(Patience));
        release.SetResult();
        await holder.WaitAsync(Patience);
        Assert.Equal([Rows - 1], await database.QueryAsync<int>("SELECT count(*) FROM t"));
    }

    [Fact]
    public async Task A_statement_that_fails_within_a_transaction_takes_back_what_its_kind_says()
    {
        await using var database = await OpenAsync();
        await database.ExecuteAsync("CREATE TABLE t(a INTEGER PRIMARY KEY)");
        await Assert.ThrowsAsync<SqliteException>(() => database.WriteAsync(connection =>
        {
            connection.Execute("INSERT INTO t VALUES (1)");
            connection.Execute("INSERT INTO t VALUES (2), (1)");
        }).WaitAsync(Patience));
        Assert.Empty(await database.QueryAsync<int>("SELECT a FROM t"));
        using var connection = OpenConnection(database);
        connection.Execute("BEGIN; INSERT INTO t VALUES (1)");
        Assert.Throws<SqliteException>(() => connection.Execute("INSERT INTO t VALUES (2), (1)"));
        connection.Execute("INSERT INTO t VALUES (3); COMMIT");
        await database.ForceSyncAsync().WaitAsync(Patience);
        Assert.Equal([1, 3], await database.QueryAsync<int>("SELECT a FROM t ORDER BY a"));
    }

    [Fact]
    public async Task A_reader_that_nobody_disposed_does_not_keep_the_database_from_closing()
    {
        var database = await OpenAsync();
        await FillAsync(database);
        var connection = OpenConnection(database);
        var reader = new SqliteCommand("SELECT b FROM t", connection).ExecuteReader();
        Assert.True(reader.Read());
        await database.DisposeAsync().AsTask().WaitAsync(Patience);

        // It still sees its state, cannot write, and can be closed.
        while (reader.Read()) Assert.Equal("old", reader.GetString(0));
        reader.Dispose();
        Assert.Throws<SqliteException>(() => connection.Execute("DELETE FROM t"));
        connection.Dispose();
        await using var again = await OpenAsync();
        Assert.Equal([Rows], await again.QueryAsync<int>("SELECT count(*) FROM t"));
    }

    [Fact]
    public async Task Closing_while_writes_are_under_way_ends_each_of_them_and_keeps_what_was_acknowledged()
    {
        var store = new FaultyBlockStore(new MemoryBlockStore(_medium));
        var database = await _tabs.OpenAsync(store);
        await FillAsync(database);
        var held = store.HoldAt(StoreOperation.Append, nth: 4);
        var writes = Enumerable.Range(0, 20).Select(i => Task.Run(() => database.ExecuteAsync("INSERT INTO t VALUES ($i, 'w')", new { i = 1_000_000 + i }))).ToList();
        await held.Reached.WaitAsync(Patience);
        var closing = database.DisposeAsync().AsTask();
        held.Release();
        await closing.WaitAsync(Patience);
        var acknowledged = 0;
        foreach (var write in writes)
        {
            try
            {
                await write.WaitAsync(Patience);
                acknowledged++;
            }
            catch (Exception error) when (error is StorageException or ObjectDisposedException or SqliteException)
            {
                // Told, and within the bound.
            }
        }

        await using var again = await OpenAsync();
        Assert.InRange((await again.QueryAsync<int>("SELECT count(*) FROM t WHERE b = 'w'"))[0], Math.Max(acknowledged, 3), 20);
    }

    [Fact]
    public async Task Closing_waits_for_the_work_that_runs_and_begins_none_that_waits()
    {
        var database = await OpenAsync();
        await FillAsync(database);
        using var goesOn = new SemaphoreSlim(0);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var running = Task.Run(() => database.WriteAsync(connection =>
        {
            begun.SetResult();
            Assert.True(goesOn.Wait(Patience));
            using var command = new SqliteCommand("DELETE FROM t", connection);
            command.ExecuteNonQuery();
        }));
        await begun.Task.WaitAsync(Patience);
        var waiting = Task.Run(() => database.ExecuteAsync("INSERT INTO t VALUES (1, 'too late')"));
        await Task.Run(() => database.QueryAsync<int>("SELECT count(*) FROM t")).WaitAsync(Patience);
        var closing = database.DisposeAsync().AsTask();
        goesOn.Release();
        await closing.WaitAsync(Patience);
        await Assert.ThrowsAnyAsync<Exception>(() => waiting.WaitAsync(Patience));
        await running.ContinueWith(_ => { }, TaskScheduler.Default).WaitAsync(Patience);
        await using var again = await OpenAsync();
        Assert.Empty(await again.QueryAsync<int>("SELECT a FROM t WHERE b = 'too late'"));
        Assert.Equal(running.IsCompletedSuccessfully ? 0 : Rows, (await again.QueryAsync<int>("SELECT count(*) FROM t"))[0]);
    }

    public void Dispose() => _tabs.Dispose();

    private static async Task RetryWhileBusyAsync(Func<Task> write)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await write();
                return;
            }
            catch (SqliteException error) when (error.SqliteErrorCode == Busy && attempt < 50)
            {
            }
        }
    }

    private static string[] RowsOf(DataSyncDatabase database, string sql)
    {
        using var connection = OpenConnection(database);
        return connection.Rows(sql);
    }

    private static SqliteConnection OpenConnection(DataSyncDatabase database)
    {
        var connection = new SqliteConnection(database.ConnectionString);
        connection.Open();
        return connection;
    }

    private Task<DataSyncDatabase> OpenAsync() => _tabs.OpenAsync(new MemoryBlockStore(_medium));

    private static async Task<long> FillAsync(DataSyncDatabase database) =>
        (await database.ExecuteAsync($"CREATE TABLE t(a INT, b TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {Rows}) INSERT INTO t SELECT i, 'old' FROM n")).Marker;
}
