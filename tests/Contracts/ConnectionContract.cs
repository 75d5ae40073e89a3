using System.Data.Common;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What <see cref="DataSyncConnection"/> promises, in the leader's tab and in another one.</summary>
public abstract class ConnectionContract : TwoTabsContract
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_awaited_command_is_durable_and_its_rows_come_typed(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var connection = await ConnectAsync(here);
        Assert.Equal(0, await ExecuteAsync(connection, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL, c BLOB)"));
        Assert.Equal(1, await ExecuteAsync(connection, "INSERT INTO t(a, b, c) VALUES ($0, $1, $2)", "one", 1.5, new byte[] { 1, 2 }));
        Assert.Equal(2L, await ScalarAsync(connection, "INSERT INTO t(a) VALUES ('two') RETURNING id"));
        await using (var command = Command(connection, "INSERT INTO t(a, b) VALUES ('three', 3), ('four', NULL) RETURNING id AS \"the \"\" id\", a, b, c"))
        await using (var reader = await command.ExecuteReaderAsync())
        {
            // Seen elsewhere before the first row is read.
            await SeeAsync(there, here.Marker);
            Assert.Equal(4, (await there.QueryAsync<long>("SELECT count(*) FROM t"))[0]);
            Assert.True(reader.HasRows);
            Assert.True(await reader.ReadAsync());
            Assert.Equal(("the \" id", 3L, "three", 3.0, true), (reader.GetName(0), reader.GetInt64(0), reader.GetString(1), reader.GetDouble(2), reader.IsDBNull(3)));
            Assert.Equal(typeof(double), reader.GetFieldType(2));
            await Assert.ThrowsAsync<InvalidOperationException>(() => command.ExecuteReaderAsync());
            Assert.True(await reader.ReadAsync());
            Assert.Equal((4L, true), (reader.GetFieldValue<long>(0), await reader.IsDBNullAsync(2)));
            Assert.False(await reader.ReadAsync());
            Assert.False(await reader.NextResultAsync());
        }

        await using (var none = Command(connection, "DELETE FROM t WHERE id > 99 RETURNING a"))
        await using (var reader = await none.ExecuteReaderAsync())
            Assert.Equal((false, 1, "a"), (await reader.ReadAsync(), reader.FieldCount, reader.GetName(0)));
        Assert.Equal(0, here.AutoSync.DirtyCommits);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Many_returned_rows_come_all(bool inLeader)
    {
        var (here, _) = Roles(inLeader);
        await using var connection = await ConnectAsync(here);
        await ExecuteAsync(connection, "CREATE TABLE t(a, b, c)");
        for (var round = 0; round < 2; round++)
        {
            await using var command = Command(connection, "INSERT INTO t SELECT value, 'v' || value, x'00' FROM generate_series RETURNING a, b, c, a"
                .Replace("generate_series", "(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 1000) SELECT value FROM n)", StringComparison.Ordinal));
            await using var reader = await command.ExecuteReaderAsync();
            for (var i = 1; i <= 1000; i++)
            {
                Assert.True(await reader.ReadAsync());
                Assert.Equal((i, $"v{i}", 1, i, "a"), (reader.GetInt32(0), reader.GetString(1), ((byte[])reader[2]).Length, reader.GetInt32(3), reader.GetName(3)));
            }

            Assert.False(await reader.ReadAsync());
        }

        Assert.Empty(connection.Rows("SELECT name FROM sqlite_temp_schema"));
        Assert.Equal(2000L, await ScalarAsync(connection, "SELECT count(*) FROM t"));

        // Of one column: as many as fit into one text, and one more.
        foreach (var count in (int[])[500, 501])
        {
            await using var narrow = Command(connection, "UPDATE t SET c = 1 WHERE rowid <= $0 RETURNING rowid", count);
            await using var rows = await narrow.ExecuteReaderAsync();
            for (var i = 1; i <= count; i++) Assert.Equal((true, i), (await rows.ReadAsync(), rows.GetInt32(0)));
            Assert.False(await rows.ReadAsync());
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_transaction_commits_rolls_back_and_has_savepoints(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var connection = await ConnectAsync(here);
        await ExecuteAsync(connection, "CREATE TABLE t(a)");
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            Assert.Same(connection, transaction.Connection);
            Assert.True(transaction.SupportsSavepoints);
            await ExecuteAsync(connection, "INSERT INTO t VALUES (1)");
            await transaction.SaveAsync("s");
            await ExecuteAsync(connection, "INSERT INTO t VALUES (2)");
            await transaction.RollbackAsync("s");
            await ExecuteAsync(connection, "INSERT INTO t VALUES (3)");
            await transaction.ReleaseAsync("s");
            await using var command = Command(connection, "SELECT count(*) FROM t");
            Assert.Same(transaction, ((DbCommand)command).Transaction);
            command.Transaction = null;
            ((DbCommand)command).Transaction = transaction;
            Assert.Equal(2L, await command.ExecuteScalarAsync());
            Assert.Equal([0L], await here.QueryAsync<long>("SELECT count(*) FROM t"));
            await transaction.CommitAsync();
            Assert.Null(transaction.Connection);
            await Assert.ThrowsAsync<InvalidOperationException>(() => transaction.CommitAsync());
            Assert.Throws<InvalidOperationException>(transaction.Rollback);
        }

        await SeeAsync(there, here.Marker);
        Assert.Equal([1L, 3L], await there.QueryAsync<long>("SELECT a FROM t ORDER BY a"));
        foreach (var end in new Func<DbTransaction, Task>[] { t => t.RollbackAsync(), t => t.DisposeAsync().AsTask(), _ => connection.CloseAsync() })
        {
            var transaction = await connection.BeginTransactionAsync();
            await ExecuteAsync(connection, "DELETE FROM t");
            await end(transaction);
            if (connection.State != System.Data.ConnectionState.Open) await connection.OpenAsync();
            Assert.Equal(2L, await ScalarAsync(connection, "SELECT count(*) FROM t"));
        }

        // The turn was given back each time.
        await SeeAsync(there, here.Marker);
        await there.ExecuteAsync("INSERT INTO t VALUES (4)");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task While_a_transaction_is_open_nobody_else_writes(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var connection = await ConnectAsync(here);
        await ExecuteAsync(connection, "CREATE TABLE t(a)");
        await SeeAsync(there, here.Marker);
        await LoadAsync(here);
        var transaction = await connection.BeginTransactionAsync();
        var elsewhere = there.ExecuteAsync("INSERT INTO t SELECT count(*) FROM t");
        var besides = here.ExecuteAsync("INSERT INTO t SELECT count(*) FROM t");
        await ExecuteAsync(connection, "INSERT INTO t VALUES ('first')");
        await ExecuteAsync(connection, "INSERT INTO t VALUES ('second')");
        Assert.False(elsewhere.IsCompleted || besides.IsCompleted);
        await transaction.CommitAsync();
        await Task.WhenAll(elsewhere, besides);
        await SeeAsync(here, (await elsewhere).Marker);
        Assert.Equal(["first", "second", "2", "3"], connection.Rows("SELECT a FROM t ORDER BY rowid"));
    }

    [Fact]
    public async Task Both_tabs_count_in_transactions_at_once_and_no_step_is_lost()
    {
        const int Steps = 25;
        await Leader.ExecuteAsync("CREATE TABLE t(n); INSERT INTO t VALUES (0)");
        await SeeAsync(Follower, Leader.Marker);
        await Task.WhenAll(CountAsync(Leader), CountAsync(Follower), CountAsync(Follower));
        await SeeAsync(Leader, Follower.Marker); // it tells the follower of its commits before it shows them
        Assert.Equal(3L * Steps, (await Leader.QueryAsync<long>("SELECT n FROM t"))[0]);

        async Task CountAsync(DataSyncDatabase database)
        {
            await using var connection = await ConnectAsync(database);
            for (var i = 0; i < Steps; i++)
            {
                await using var transaction = await connection.BeginTransactionAsync();
                try
                {
                    var n = (long)(await ScalarAsync(connection, "SELECT n FROM t"))!;
                    await ExecuteAsync(connection, "UPDATE t SET n = $0", n + 1);
                    await transaction.CommitAsync();
                }
                catch (NotResidentException) when (IsOnDemand)
                {
                    i--; // what it needed is loaded: run again
                }
            }
        }
    }

    [Fact]
    public async Task Both_tabs_write_at_once_without_transactions_and_each_row_comes_once()
    {
        const int Rows = 25;
        await Leader.ExecuteAsync("CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE)");
        await SeeAsync(Follower, Leader.Marker);
        await Task.WhenAll(FillAsync(Leader, "a"), FillAsync(Follower, "b"), FillAsync(Follower, "c"));
        Assert.Equal(3L * Rows, (await Leader.QueryAsync<long>("SELECT count(*) FROM t"))[0]);

        async Task FillAsync(DataSyncDatabase database, string name)
        {
            await using var connection = await ConnectAsync(database);
            for (var i = 0; i < Rows; i++)
            {
                var id = (long)(await ScalarAsync(connection, "INSERT INTO t(v) VALUES ($0) RETURNING id", $"{name}{i}"))!;
                Assert.Equal($"{name}{i}", await ScalarAsync(connection, "SELECT v FROM t WHERE id = $0", id));
            }

            await SeeAsync(Leader, database.Marker);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Synchronous_members_work_as_far_as_they_need_not_wait(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var connection = await ConnectAsync(here);
        await ExecuteAsync(connection, "CREATE TABLE t(a)");
        using (var transaction = await connection.BeginTransactionAsync())
        {
            connection.Execute("INSERT INTO t VALUES (1)");
            transaction.Commit();
        }

        await here.ForceSyncAsync();
        await SeeAsync(there, here.Marker);
        Assert.Equal([1L], await there.QueryAsync<long>("SELECT a FROM t"));
        Assert.Equal(["1"], connection.Rows("SELECT a FROM t"));
        if (inLeader)
        {
            Assert.Equal(1, connection.Execute("INSERT INTO t VALUES (2)"));
            using (var transaction = connection.BeginTransaction())
            {
                connection.Execute("INSERT INTO t VALUES (3)");
                transaction.Commit();
            }

            await here.ForceSyncAsync();
            Assert.Equal(0, here.AutoSync.DirtyCommits);
            await SeeAsync(there, here.Marker);
            Assert.Equal([1L, 2, 3], await there.QueryAsync<long>("SELECT a FROM t"));
            return;
        }

        foreach (var (write, name) in new (Action, string)[]
        {
            (() => connection.Execute("INSERT INTO t VALUES (2)"), "ExecuteNonQueryAsync"), (() => connection.Scalar<long>("INSERT INTO t VALUES (2) RETURNING a"), "ExecuteScalarAsync"),
            (() => connection.Rows("INSERT INTO t VALUES (2) RETURNING a"), "ExecuteReaderAsync"), (() => connection.BeginTransaction(), "BeginTransactionAsync"),
        })
        {
            var error = Assert.Throws<SqliteException>(write);
            Assert.Equal(SqliteResult.BusyRefused, error.SqliteExtendedErrorCode);
            Assert.Contains(name, error.Message, StringComparison.Ordinal);
        }

        Assert.Equal(["1"], connection.Rows("SELECT a FROM t"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Transactions_by_text_and_texts_of_several_statements_are_whole(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var connection = await ConnectAsync(here);
        await ExecuteAsync(connection, "CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1)");
        await SeeAsync(there, here.Marker);
        await LoadAsync(here);
        await ExecuteAsync(connection, "BEGIN");
        var elsewhere = there.ExecuteAsync("INSERT INTO t SELECT 10 + count(*) FROM t");
        await ExecuteAsync(connection, "INSERT INTO t VALUES (2)");
        await ExecuteAsync(connection, "COMMIT");
        await elsewhere;
        await SeeAsync(here, (await elsewhere).Marker);
        await ExecuteAsync(connection, "SAVEPOINT s");
        await ExecuteAsync(connection, "INSERT INTO t VALUES (3)");
        await ExecuteAsync(connection, "ROLLBACK TO s");
        await ExecuteAsync(connection, "RELEASE s");
        await ExecuteAsync(connection, "BEGIN; INSERT INTO t VALUES (4); COMMIT");
        await Assert.ThrowsAsync<SqliteException>(() => ExecuteAsync(connection, "INSERT INTO t VALUES (5); INSERT INTO t VALUES (1)"));
        Assert.Equal(["1", "2", "4", "12"], connection.Rows("SELECT a FROM t ORDER BY a"));
        await SeeAsync(there, here.Marker);
        Assert.Equal([1L, 2, 4, 12], await there.QueryAsync<long>("SELECT a FROM t ORDER BY a"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_commit_waits_for_readers_of_its_own_tab(bool inLeader)
    {
        var (here, _) = Roles(inLeader);
        await here.ExecuteAsync("CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)");
        await using var writing = await ConnectAsync(here);
        await using var reading = await ConnectAsync(here);
        await using var command = Command(reading, "SELECT a FROM t");
        var reader = await command.ExecuteReaderAsync();
        Assert.True(await reader.ReadAsync());
        await using var transaction = await writing.BeginTransactionAsync();
        await ExecuteAsync(writing, "INSERT INTO t VALUES (3)");
        var commit = transaction.CommitAsync();
        Assert.False(commit.IsCompleted);
        Assert.True(await reader.ReadAsync());
        await reader.CloseAsync();
        await commit;
        Assert.Equal([1L, 2, 3], await here.QueryAsync<long>("SELECT a FROM t"));
    }

    [Fact]
    public async Task A_turn_that_was_taken_away_says_so_as_a_transient_error_and_keeps_nothing()
    {
        await ReopenWithShortTurnsAsync();
        await Leader.ExecuteAsync("CREATE TABLE t(a)");
        await SeeAsync(Follower, Leader.Marker);
        await LoadAsync(Follower);
        await using var connection = await ConnectAsync(Follower);
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await ExecuteAsync(connection, "INSERT INTO t VALUES ('late')");
            await Leader.ExecuteAsync("INSERT INTO t VALUES ('other')"); // let in when the turn's time is over
            var error = await Assert.ThrowsAsync<StaleCommitException>(() => transaction.CommitAsync());
            Assert.True(error.IsTransient);
            Assert.IsAssignableFrom<DbException>(error);
        }

        Assert.Equal(["other"], connection.Rows("SELECT a FROM t"));
        Assert.Equal(1, await ExecuteAsync(connection, "INSERT INTO t VALUES ('again')"));
    }

    [Fact]
    public async Task Of_several_transactions_whose_turn_was_taken_away_the_failure_is_told_once()
    {
        await ReopenWithShortTurnsAsync();
        await Leader.ExecuteAsync("CREATE TABLE t(a)");
        await SeeAsync(Follower, Leader.Marker);
        await LoadAsync(Follower);
        await using var connection = await ConnectAsync(Follower);
        await connection.HoldTurnAsync(default);
        await ExecuteAsync(connection, "INSERT INTO t VALUES (1)");
        await ExecuteAsync(connection, "INSERT INTO t VALUES (2)");
        await Leader.ExecuteAsync("INSERT INTO t VALUES ('other')");
        await Assert.ThrowsAsync<StaleCommitException>(connection.ReleaseTurnAsync);
        await Follower.ForceSyncAsync();
        Assert.Equal(["other"], connection.Rows("SELECT a FROM t"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Wrong_calls_are_told_apart_and_change_nothing(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await here.ExecuteAsync("CREATE TABLE t(a)");
        await SeeAsync(there, here.Marker);
        await LoadAsync(here);
        var connection = here.CreateConnection();
        await Assert.ThrowsAsync<InvalidOperationException>(() => ExecuteAsync(connection, "INSERT INTO t VALUES (1)"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => connection.BeginTransactionAsync().AsTask());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connection.OpenAsync(new(canceled: true)));
        await connection.OpenAsync();
        await connection.OpenAsync();
        await using (var transaction = await connection.BeginTransactionAsync())
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => connection.BeginTransactionAsync().AsTask());
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => transaction.CommitAsync(new(canceled: true)));
            await Assert.ThrowsAsync<SqliteException>(() => ExecuteAsync(connection, "INSERT INTO nowhere VALUES (1)"));
            await ExecuteAsync(connection, "INSERT INTO t VALUES (2)");
            await transaction.CommitAsync();
        }

        await using (var command = Command(connection, "INSERT INTO t VALUES (3)"))
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => command.ExecuteNonQueryAsync(new(canceled: true)));
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => connection.BeginTransactionAsync(new(canceled: true)).AsTask());
        }

        await here.WriteAsync(async _ => await Assert.ThrowsAsync<InvalidOperationException>(() => ExecuteAsync(connection, "INSERT INTO t VALUES (4)")));
        await there.ExecuteAsync("INSERT INTO t VALUES (5)");
        await SeeAsync(here, there.Marker);
        Assert.Equal(["2", "5"], connection.Rows("SELECT a FROM t"));
        await connection.DisposeAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => ExecuteAsync(connection, "INSERT INTO t VALUES (6)"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_command_whose_table_comes_only_later_is_durable_then(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await using var connection = await ConnectAsync(here);
        const string Insert = "INSERT INTO later VALUES (1)";
        await Assert.ThrowsAsync<SqliteException>(() => ExecuteAsync(connection, Insert));
        await there.ExecuteAsync("CREATE TABLE later(a)");
        await SeeAsync(here, there.Marker);
        await ExecuteAsync(connection, Insert);
        Assert.Equal(0, here.AutoSync.DirtyCommits);
        await SeeAsync(there, here.Marker);
        Assert.Equal([1L], await there.QueryAsync<long>("SELECT a FROM later"));
    }

    [Fact]
    public async Task A_connection_of_a_factory_opens_the_database_and_says_who_cannot()
    {
        await using var factory = await OpenFactoryAsync(new());
        await using var connection = new DataSyncConnection(factory, "other.db");
        var error = Assert.Throws<InvalidOperationException>(connection.Open);
        Assert.Contains("OpenAsync", error.Message, StringComparison.Ordinal);
        await connection.OpenAsync();
        Assert.NotNull(connection.DataSync!.Coordinator.LeaderId);
        connection.Execute("CREATE TABLE t(a)"); // the only tab leads by now
        await using var second = new DataSyncConnection(factory, "other.db");
        second.Open();
        Assert.Same(connection.DataSync, second.DataSync);
        await second.CloseAsync();
        await connection.CloseAsync();
        await factory.DeleteAsync("other.db");
        Assert.Throws<InvalidOperationException>(second.Open);
    }

    [Fact]
    public async Task A_query_gives_addresses_and_tuples()
    {
        await Leader.ExecuteAsync("CREATE TABLE t(n INTEGER, url TEXT); INSERT INTO t VALUES (1, 'https://example.org/a'), (2, '/b')");
        Assert.Equal([new Uri("https://example.org/a"), new Uri("/b", UriKind.Relative)], await Leader.QueryAsync<Uri>("SELECT url FROM t"));
        Assert.Equal([(2L, "/b")], await Leader.QueryAsync<(long, string)>("SELECT n, url FROM t WHERE n = 2"));
    }

    [Fact]
    public async Task The_version_that_is_told_before_SQLite_is_loaded_is_its_own()
    {
        await using var connection = await ConnectAsync(Leader);
        Assert.Equal(await ScalarAsync(connection, "SELECT sqlite_version()"), connection.ServerVersion);
        Assert.Equal(connection.ServerVersion, SQLitePCL.raw.sqlite3_libversion().utf8_to_string());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_work_of_a_write_has_a_transaction_of_its_own(bool inLeader)
    {
        var (here, there) = Roles(inLeader);
        await here.ExecuteAsync("CREATE TABLE t(a)");
        await here.WriteAsync((connection, transaction) =>
        {
            Assert.Same(connection, transaction.Connection);
            using var command = new SqliteCommand("INSERT INTO t VALUES (1)", connection, transaction);
            command.ExecuteNonQuery();
        });
        await here.WriteAsync(async (connection, transaction) =>
        {
            await Task.Yield();
            await using var command = new SqliteCommand("INSERT INTO t VALUES (2)", connection, transaction);
            await command.ExecuteNonQueryAsync();
        });
        await Assert.ThrowsAsync<NotSupportedException>(() => here.WriteAsync((connection, _) =>
        {
            connection.Execute("INSERT INTO t VALUES (3)");
            throw new NotSupportedException();
        }));
        await Assert.ThrowsAsync<InvalidOperationException>(() => here.WriteAsync((_, transaction) => transaction.Commit()));
        await Assert.ThrowsAsync<InvalidOperationException>(() => here.WriteAsync((_, transaction) => transaction.Rollback()));
        await here.ExecuteAsync("INSERT INTO t VALUES (4)");
        await SeeAsync(there, here.Marker);
        Assert.Equal([1L, 2, 4], await there.QueryAsync<long>("SELECT a FROM t"));
    }

    [Fact]
    public async Task Several_transactions_under_one_turn_are_sent_together_or_not_at_all()
    {
        await Leader.ExecuteAsync("CREATE TABLE t(a)");
        await SeeAsync(Follower, Leader.Marker);
        await LoadAsync(Follower);
        await using var connection = await ConnectAsync(Follower);
        foreach (var isKept in new[] { true, false })
        {
            var before = Leader.Marker;
            await connection.HoldTurnAsync(default);
            for (var i = 0; i < 3; i++)
            {
                await using var transaction = await connection.BeginTransactionAsync();
                await ExecuteAsync(connection, "INSERT INTO t VALUES ($0)", i);
                await transaction.CommitAsync();
            }

            await ExecuteAsync(connection, "INSERT INTO t VALUES (3)");
            Assert.Equal("4", Assert.Single(connection.Rows("SELECT count(*) FROM t")));
            Assert.Equal(before, Leader.Marker);
            if (isKept) await connection.ReleaseTurnAsync();
            else connection.DropTurn();
            await Leader.ExecuteAsync("DELETE FROM t; CREATE TABLE IF NOT EXISTS other AS SELECT 1; UPDATE other SET rowid = rowid + 1");
            Assert.Equal(before + (isKept ? 5 : 1), Leader.Marker);
            await SeeAsync(Follower, Leader.Marker);
        }
    }
}
