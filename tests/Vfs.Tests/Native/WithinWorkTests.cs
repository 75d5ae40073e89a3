using DataSync.Storage;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>What the work of a WriteAsync may ask of its own database, and what code that handles events and answers may do.</summary>
public sealed class WithinWorkTests : IDisposable
{
    private const string ManyRows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, zeroblob(1000) FROM n";
    private static readonly TimeSpan Patience = NativeTabs.Patience;
    private readonly NativeTabs _tabs = new();
    private readonly MemoryBlockMedium _medium = new();

    [Theory]
    [InlineData(Durability.Immediate)]
    [InlineData(Durability.Deferred)]
    public async Task Queries_within_the_work_see_its_open_transaction_even_when_SQLites_cache_has_spilled(Durability durability)
    {
        await using var database = await OpenAsync(durability);
        await database.WriteAsync(async connection =>
        {
            Run(connection, ManyRows);
            Assert.Equal([20000], await database.QueryAsync<int>("SELECT count(*) FROM t"));
            await Task.Yield();
            Assert.Equal(20000L, (await database.QueryAsync("SELECT count(*) FROM t")).Rows[0][0]);
        }).WaitAsync(Patience);
        await database.WriteAsync(connection =>
        {
            Run(connection, "DELETE FROM t");
            Assert.Equal([0], database.QueryAsync<int>("SELECT count(*) FROM t").Result);
        }).WaitAsync(Patience);
        Assert.Equal([0], await database.QueryAsync<int>("SELECT count(*) FROM t"));
    }

    [Fact]
    public async Task A_query_beside_work_that_has_spilled_SQLites_cache_waits_for_its_end()
    {
        await using var database = await OpenAsync();
        var beside = Task.FromResult<IReadOnlyList<int>>([]);
        await database.WriteAsync(async connection =>
        {
            Run(connection, ManyRows);
            Task<Task<IReadOnlyList<int>>> asking;
            using (ExecutionContext.SuppressFlow()) asking = Task.Factory.StartNew(() => database.QueryAsync<int>("SELECT count(*) FROM t"), default, TaskCreationOptions.None, TaskScheduler.Default);
            beside = await asking.WaitAsync(Patience);
            Assert.False(beside.IsCompleted);
        }).WaitAsync(Patience);
        Assert.Equal([20000], await beside.WaitAsync(Patience));
    }

    [Theory]
    [InlineData(Durability.Immediate)]
    [InlineData(Durability.Deferred)]
    public async Task Whatever_would_wait_for_the_works_end_throws_at_once_within_it_and_the_work_goes_on(Durability durability)
    {
        await using var database = await OpenAsync(durability);
        var calls = new Func<Task>[]
        {
            () => database.ExecuteAsync("INSERT INTO t VALUES (1, 1)"),
            () => database.ExecuteAsync([new("INSERT INTO t VALUES (1, 1)")]),
            () => database.ExecuteManyAsync("INSERT INTO t VALUES (?, 1)", [new object[] { 1 }]),
            () => database.WriteAsync(_ => { }),
            () => database.WriteAsync(_ => Task.CompletedTask),
            () => database.QueryAsync<int>("INSERT INTO t VALUES (1, 1) RETURNING a"),
            () => database.ImportAsync(new MemoryStream()),
            () => database.ExportAsync(new MemoryStream()),
            () => database.DrainAndShutdownAsync(),
        };
        await database.WriteAsync(async connection =>
        {
            foreach (var call in calls) await Assert.ThrowsAsync<InvalidOperationException>(() => call().WaitAsync(Patience));
            Run(connection, "INSERT INTO t VALUES (7, 7)");
        }).WaitAsync(Patience);
        await database.WriteAsync(connection =>
        {
            foreach (var call in calls) Assert.IsType<InvalidOperationException>(Assert.ThrowsAny<Exception>(() => call().GetAwaiter().GetResult()));
        }).WaitAsync(Patience);
        Assert.Equal([7], await database.QueryAsync<int>("SELECT a FROM t"));
    }

    [Fact]
    public async Task What_the_work_started_and_did_not_wait_for_is_within_nothing_when_the_work_has_ended()
    {
        await using var database = await OpenAsync();
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var straggler = Task.CompletedTask;
        await database.WriteAsync(connection =>
        {
            straggler = LaterAsync();
            return Task.CompletedTask;
        });
        ended.SetResult();
        await straggler.WaitAsync(Patience);
        Assert.Equal([1], await database.QueryAsync<int>("SELECT count(*) FROM t"));

        async Task LaterAsync()
        {
            await ended.Task;
            await database.ExecuteAsync("INSERT INTO t VALUES (1, 1)");
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Code_that_waits_in_place_after_an_awaited_write_does_not_stop_the_database(bool inLeader)
    {
        await using var leader = await OpenAsync();
        await using var follower = await OpenAsync(creates: false);
        var database = inLeader ? leader : follower;
        await Task.Run(async () =>
        {
            await database.ExecuteAsync("INSERT INTO t VALUES (1, 1)").ConfigureAwait(false);
            Assert.True(database.ExecuteAsync("INSERT INTO t VALUES (2, 2)").Wait(Patience));
            await database.ForceSyncAsync().ConfigureAwait(false);
            Assert.True(database.ExecuteAsync("INSERT INTO t VALUES (3, 3)").Wait(Patience));
            await database.Coordinator.WaitForLeaderAsync().ConfigureAwait(false);
            Assert.True(database.ExecuteAsync("INSERT INTO t VALUES (4, 4)").Wait(Patience));
        }).WaitAsync(Patience);
    }

    [Fact]
    public async Task Code_that_waits_in_place_after_an_awaited_election_does_not_stop_the_next_one()
    {
        await using var database = await OpenAsync();
        var tab = database.Coordinator;
        await Task.Run(async () =>
        {
            await tab.WaitForLeadershipAsync().ConfigureAwait(false);
            await tab.ResignAsync().ConfigureAwait(false);
            await tab.WaitForLeadershipAsync().ConfigureAwait(false);
            Assert.True(tab.ResignAsync().Wait(Patience));
            Assert.True(tab.WaitForLeadershipAsync().Wait(Patience));
        }).WaitAsync(Patience * 3);
    }

    [Fact]
    public async Task Handlers_that_throw_or_wait_in_place_keep_neither_each_other_nor_the_database_from_going_on()
    {
        await using var database = await OpenAsync();
        var (seen, waited) = (0, false);
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        database.Committed += (_, _) => throw new InvalidOperationException("first");
        database.Committed += (_, _) =>
        {
            if (++seen == 1) waited = database.ExecuteAsync("INSERT INTO t VALUES (10, 1)").Wait(Patience);
            if (seen == 3) all.TrySetResult();
        };
        database.Committed += (_, _) => throw new InvalidOperationException("last");
        database.Coordinator.Heartbeat += (_, _) => throw new InvalidOperationException("heartbeat");
        await database.ExecuteAsync("INSERT INTO t VALUES (1, 1)").WaitAsync(Patience);
        await database.ExecuteAsync("INSERT INTO t VALUES (2, 2)").WaitAsync(Patience);
        await all.Task.WaitAsync(Patience);
        Assert.True(waited);
    }

    [Theory]
    [InlineData(Durability.Immediate)]
    [InlineData(Durability.Deferred)]
    public async Task A_cancelled_token_is_honoured_by_every_method_before_anything_happens(Durability durability)
    {
        await using var database = await OpenAsync(durability);
        var marker = database.Marker;
        using var source = new CancellationTokenSource();
        source.Cancel();
        var token = source.Token;
        var calls = new Func<Task>[]
        {
            () => database.ExecuteAsync("INSERT INTO t VALUES (1, 1)", null, token),
            () => database.ExecuteAsync([new("INSERT INTO t VALUES (1, 1)")], token),
            () => database.ExecuteManyAsync("INSERT INTO t VALUES (?, 1)", [new object[] { 1 }], token),
            () => database.WriteAsync(connection => Run(connection, "INSERT INTO t VALUES (1, 1)"), token),
            () => database.WriteAsync(async connection => { await Task.Yield(); Run(connection, "INSERT INTO t VALUES (1, 1)"); }, token),
            () => database.QueryAsync<int>("SELECT 1", null, token),
            () => database.QueryAsync("SELECT 1", null, token),
            () => database.QueryAsync("SELECT a FROM t", null, token), // no row at which it could be noticed
            () => database.ExportAsync(new MemoryStream(), null, token),
            () => database.ImportAsync(new MemoryStream(), null, token),
            () => database.ImportAsync(new Deaf(), null, token),
            () => database.GetStorageInfoAsync(token),
            () => database.VerifyAsync(cancellationToken: token),
            () => database.SyncAsync(token),
            () => database.ForceSyncAsync(token),
            () => database.DrainAndShutdownAsync(token),
        };
        foreach (var call in calls) await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call().WaitAsync(Patience));
        Assert.Equal((marker, 0), (database.Marker, (await database.QueryAsync<int>("SELECT count(*) FROM t"))[0]));
        await database.ExecuteAsync("INSERT INTO t VALUES (1, 1)").WaitAsync(Patience);
    }

    [Fact]
    public async Task A_token_that_is_cancelled_while_a_write_waits_keeps_it_from_running()
    {
        await using var database = await OpenAsync();
        using var source = new CancellationTokenSource();
        var ran = false;
        Task? waiting = null;
        await database.WriteAsync(async _ =>
        {
            // Outside of the work's flow, as another part of the app.
            using (ExecutionContext.SuppressFlow()) waiting = Task.Run(() => database.WriteAsync(_ => { ran = true; }, source.Token));
            await Task.Yield();
            await source.CancelAsync();
        }).WaitAsync(Patience);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting!.WaitAsync(Patience));
        Assert.False(ran);
    }

    [Theory]
    [InlineData(Durability.Immediate)]
    [InlineData(Durability.Deferred)]
    public async Task A_token_that_is_cancelled_while_leave_to_write_is_given_keeps_the_work_from_running(Durability durability)
    {
        var clock = new CancellingClock();
        await using var database = await _tabs.OpenAsync(new MemoryBlockStore(_medium), new() { Durability = durability }, time: clock);
        await database.ExecuteAsync("CREATE TABLE t(a, b)").WaitAsync(Patience);
        using var file = new MemoryStream();
        await database.ExportAsync(file).WaitAsync(Patience);
        await database.Coordinator.WaitForLeadershipAsync().WaitAsync(Patience);
        var marker = database.Marker;
        var ran = false;
        var calls = new Func<CancellationToken, Task>[]
        {
            token => database.ExecuteAsync("INSERT INTO t VALUES (1, 1)", null, token),
            token => database.WriteAsync(_ => { ran = true; }, token),
            token => database.WriteAsync(async _ => { ran = true; await Task.Yield(); }, token),
            token => database.ImportAsync(new MemoryStream(file.ToArray()), null, token),
        };
        foreach (var call in calls)
        {
            using var source = new CancellationTokenSource();
            clock.CancelWhenRead(source);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call(source.Token).WaitAsync(Patience));
            clock.CancelWhenRead(null);
        }

        Assert.False(ran);
        await database.ForceSyncAsync().WaitAsync(Patience);
        Assert.Equal((marker, 0), (database.Marker, (await database.QueryAsync<int>("SELECT count(*) FROM t"))[0]));
        await database.ExecuteAsync("INSERT INTO t VALUES (1, 1)").WaitAsync(Patience);
    }

    public void Dispose() => _tabs.Dispose();

    private static void Run(SqliteConnection connection, string sql)
    {
        using var command = new SqliteCommand(sql, connection);
        command.ExecuteNonQuery();
    }

    private async Task<DataSyncDatabase> OpenAsync(Durability durability = Durability.Immediate, bool creates = true)
    {
        var database = await _tabs.OpenAsync(new MemoryBlockStore(_medium), new() { Durability = durability });
        if (!creates) return database;
        await database.ExecuteAsync("CREATE TABLE t(a, b)").WaitAsync(Patience);
        await database.ForceSyncAsync().WaitAsync(Patience);
        return database;
    }

    /// <summary>A stream that does not look at tokens.</summary>
    private sealed class Deaf : MemoryStream
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => base.ReadAsync(buffer, default);
    }

    /// <summary>Looking at the clock is the last thing before leave is given: then it cancels what the same flow of code has given it.</summary>
    private sealed class CancellingClock : TimeProvider
    {
        private readonly AsyncLocal<CancellationTokenSource?> _source = new();

        public void CancelWhenRead(CancellationTokenSource? source) => _source.Value = source;

        public override long GetTimestamp()
        {
            _source.Value?.Cancel();
            return base.GetTimestamp();
        }
    }
}
