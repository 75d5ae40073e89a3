using DataSync.Storage;
using Microsoft.Data.Sqlite;
using SQLitePCL;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>BEGIN, COMMIT and their like where DataSync has the transaction; statements that fail behind their own commit.</summary>
public sealed class TransactionControlTests : IDisposable
{
    private static readonly TimeSpan Patience = NativeTabs.Patience;
    private readonly NativeTabs _tabs = new();
    private readonly MemoryBlockMedium _medium = new();

    public static TheoryData<Durability, bool, string> Openers => Each("BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s", "BEGIN; -- and nothing more");

    public static TheoryData<Durability, bool, string> Enders => Each("COMMIT", "END", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK; BEGIN");

    public static TheoryData<Durability, bool, string> LateFailures => Each(
        "INSERT OR FAIL INTO t SELECT value FROM json_each('[10, 11, 1]')",
        "INSERT INTO t SELECT value FROM json_each('[20, 21]') RETURNING CASE a WHEN 20 THEN 1 ELSE NULL END");

    [Theory]
    [MemberData(nameof(Openers))]
    public async Task A_statement_that_begins_a_transaction_is_refused_and_later_writes_reach_every_tab(Durability durability, bool inLeader, string sql)
    {
        await using var leader = await OpenAsync(durability);
        await using var follower = await OpenAsync(durability);
        var (here, there) = await PrepareAsync(leader, follower, inLeader);
        await Refused(() => here.ExecuteAsync(sql));
        await Refused(() => here.QueryAsync(sql));
        await CheckAsync(here, there, 1);
    }

    [Theory]
    [MemberData(nameof(Enders))]
    public async Task Work_that_ends_its_transaction_is_refused_and_nothing_of_it_is_kept(Durability durability, bool inLeader, string sql)
    {
        await using var leader = await OpenAsync(durability);
        await using var follower = await OpenAsync(durability);
        var (here, there) = await PrepareAsync(leader, follower, inLeader);
        await Refused(() => here.WriteAsync(connection =>
        {
            Run(connection, "INSERT INTO t VALUES (2)");
            Run(connection, sql);
            Run(connection, "INSERT INTO t VALUES (3)");
        }));
        await Refused(() => here.WriteAsync(connection => Run(connection, $"INSERT INTO t VALUES (4); {sql}; INSERT INTO t VALUES (5)")));
        await Refused(() => here.WriteAsync(async connection =>
        {
            Run(connection, "INSERT INTO t VALUES (6)");
            await Task.Yield();
            Run(connection, sql);
            await Task.Yield();
            Run(connection, "INSERT INTO t VALUES (7)");
        }));
        if (!sql.Contains("BEGIN", StringComparison.Ordinal)) await Refused(() => here.ExecuteAsync($"INSERT INTO t VALUES (8); {sql}"));
        await Refused(() => here.ExecuteAsync([new("INSERT INTO t VALUES (9)"), new(sql)]));
        await CheckAsync(here, there, 1);
    }

    [Theory]
    [MemberData(nameof(LateFailures))]
    public async Task A_statement_that_throws_has_changed_nothing_even_where_SQLite_has_committed(Durability durability, bool inLeader, string sql)
    {
        await using var leader = await OpenAsync(durability);
        await using var follower = await OpenAsync(durability);
        var (here, there) = await PrepareAsync(leader, follower, inLeader);
        await Assert.ThrowsAnyAsync<Exception>(() => here.QueryAsync<int>(sql).WaitAsync(Patience));
        if (sql.Contains("FAIL", StringComparison.Ordinal)) await Assert.ThrowsAsync<SqliteException>(() => here.ExecuteAsync(sql).WaitAsync(Patience));
        await CheckAsync(here, there, 1);
    }

    [Fact]
    public async Task A_query_cannot_make_its_connection_one_that_writes()
    {
        var store = new FaultyBlockStore(new MemoryBlockStore(_medium));
        await using var database = await _tabs.OpenAsync(store);
        await database.ExecuteAsync("CREATE TABLE t(a)");
        await database.QueryAsync("PRAGMA query_only=OFF");
        var held = store.HoldAt(StoreOperation.Append);
        var query = database.QueryAsync("INSERT INTO t VALUES (1)");
        await held.Reached.WaitAsync(Patience);
        Assert.False(query.IsCompleted); // before it is durable
        held.Release();
        await query.WaitAsync(Patience);
        Assert.Equal([1], await database.QueryAsync<int>("SELECT a FROM t"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_another_connection_wrote_just_before_the_work_began_is_not_the_works(bool fails)
    {
        Action? atBegin = null;
        var options = new DataSyncOptions
        {
            ConfigureConnection = connection => raw.sqlite3_set_authorizer(connection.Handle, Authorize, null),
        };
        await using var database = await _tabs.OpenAsync(new MemoryBlockStore(_medium), options);
        await database.ExecuteAsync("CREATE TABLE t(a)");
        await database.Coordinator.WaitForLeadershipAsync();
        using var own = new SqliteConnection(database.ConnectionString);
        own.Open();
        atBegin = () => Run(own, "INSERT INTO t VALUES (1)");
        var write = database.WriteAsync(connection =>
        {
            Run(connection, "INSERT INTO t VALUES (2)");
            if (fails) throw new FormatException("by the test");
        }).WaitAsync(Patience);
        if (fails) await Assert.ThrowsAsync<FormatException>(() => write);
        else await write;
        Assert.Null(atBegin);
        await database.ForceSyncAsync().WaitAsync(Patience);
        Assert.Equal(fails ? [1] : [1, 2], await database.QueryAsync<int>("SELECT a FROM t ORDER BY a"));

        // The transaction's BEGIN is compiled when the turn is there already.
        int Authorize(object state, int action, string first, string second, string name, string trigger)
        {
            var now = action == raw.SQLITE_TRANSACTION ? atBegin : null;
            if (now is not null) atBegin = null;
            now?.Invoke();
            return raw.SQLITE_OK;
        }
    }

    [Fact]
    public async Task Savepoints_within_the_work_are_its_own()
    {
        await using var database = await OpenAsync(Durability.Immediate);
        await database.ExecuteAsync("CREATE TABLE t(a)");
        await database.WriteAsync(connection => Run(connection, "INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s; RELEASE s; INSERT INTO t VALUES (3)"));
        Assert.Equal([1, 3], await database.QueryAsync<int>("SELECT a FROM t"));
    }

    public void Dispose() => _tabs.Dispose();

    private static TheoryData<Durability, bool, string> Each(params string[] texts)
    {
        var data = new TheoryData<Durability, bool, string>();
        foreach (var durability in Enum.GetValues<Durability>())
        {
            foreach (var inLeader in (bool[])[true, false])
            {
                foreach (var text in texts) data.Add(durability, inLeader, text);
            }
        }

        return data;
    }

    private static void Run(SqliteConnection connection, string sql)
    {
        using var command = new SqliteCommand(sql, connection);
        command.ExecuteNonQuery();
    }

    private static async Task Refused(Func<Task> call)
    {
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => call().WaitAsync(Patience));
        Assert.Contains("WriteAsync", error.Message, StringComparison.Ordinal);
    }

    private static async Task<(DataSyncDatabase Here, DataSyncDatabase There)> PrepareAsync(DataSyncDatabase leader, DataSyncDatabase follower, bool inLeader)
    {
        await leader.ExecuteAsync("CREATE TABLE t(a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)").WaitAsync(Patience);
        await leader.ForceSyncAsync().WaitAsync(Patience);
        await NativeTabs.WaitForAsync(follower, leader.Marker);
        return inLeader ? (leader, follower) : (follower, leader);
    }

    /// <summary>The table is as it was, in both tabs, and each still writes and sees what the other has written.</summary>
    private static async Task CheckAsync(DataSyncDatabase here, DataSyncDatabase there, params int[] rows)
    {
        Assert.Equal(rows, await here.QueryAsync<int>("SELECT a FROM t ORDER BY a").WaitAsync(Patience));
        Assert.Equal(1, (await here.ExecuteAsync("INSERT INTO t VALUES (100)").WaitAsync(Patience)).Changes);
        await here.ForceSyncAsync().WaitAsync(Patience);
        await NativeTabs.WaitForAsync(there, here.Marker);
        Assert.Equal([.. rows, 100], await there.QueryAsync<int>("SELECT a FROM t ORDER BY a"));
        await there.ExecuteAsync("INSERT INTO t VALUES (101)").WaitAsync(Patience);
        await there.ForceSyncAsync().WaitAsync(Patience);
        await NativeTabs.WaitForAsync(here, there.Marker);
        Assert.Equal([.. rows, 100, 101], await here.QueryAsync<int>("SELECT a FROM t ORDER BY a"));
    }

    private Task<DataSyncDatabase> OpenAsync(Durability durability) => _tabs.OpenAsync(new MemoryBlockStore(_medium), new() { Durability = durability });
}
