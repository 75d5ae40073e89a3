using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;
using Npgsql;
using Xunit;

namespace DataSync.PostgreSql.Tests;

/// <summary>What holds for a store in PostgreSQL beside the contract.</summary>
[Collection(PostgresCollection.Name)]
public sealed class StoreTests(PostgresCluster cluster) : StoreSuite
{
    private readonly PostgresStoreSource _source = new(cluster, new() { ReconnectTimeout = TimeSpan.FromSeconds(20) });

    private protected override IStoreSource Source => _source;

    [Fact]
    public async Task Two_databases_in_one_schema_know_nothing_of_each_other()
    {
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 3), None);
        var others = new PostgresStoreSource(cluster);
        await using (var other = others.NewStore())
        {
            var head = await other.OpenAsync(None);
            Assert.NotEqual(fence.Incarnation, head.Incarnation);
            Assert.Empty((await StoreContent.ReadAsync(other)).Log);
            await Assert.ThrowsAsync<StoreReplacedException>(async () => await other.AppendAsync(fence, Chain(fence, Position.Start, 1), None));
        }

        await others.RemoveAsync();
        Assert.Equal([1, 2, 3], (await StoreContent.ReadAsync(store)).Markers);
    }

    [Fact]
    public async Task A_refused_write_leaves_no_transaction_open()
    {
        var (old, stale) = await LeadAsync();
        await old.AppendAsync(stale, Chain(stale, Position.Start, 1), None);
        await LeadAsync();
        await Assert.ThrowsAsync<FencedException>(async () => await old.AppendAsync(stale, [Commit(stale, Position.Start, 1)], None));
        Assert.Equal(0, await cluster.QueryAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"));
    }

    [Theory]
    [InlineData(PostgresBlockStore.MaxPiece / Extent.BlockSize)]
    [InlineData(130 << 20 >> 12)]
    public async Task A_commit_larger_than_one_piece_comes_back_as_it_was(int blocks)
    {
        var (store, fence) = await LeadAsync();
        var commit = Commit(fence, Position.Start, [.. Enumerable.Range(0, blocks).Select(id => (uint)id)]);
        await store.AppendAsync(fence, [commit], None);
        await store.AppendAsync(fence, [commit], None); // the same again counts
        var content = await StoreContent.ReadAsync(store);
        Assert.True(commit.Bytes.Span.SequenceEqual(Assert.Single(content.Log).Bytes));
        Assert.Equal((commit.Bytes.Length + PostgresBlockStore.MaxPiece - 1L) / PostgresBlockStore.MaxPiece, await cluster.QueryAsync<long>(
            "SELECT count(*) FROM datasync.log WHERE database = (SELECT id FROM datasync.databases WHERE name = $1)", _source.Name));
    }

    [Fact]
    public async Task A_lost_connection_closes_the_store_once_and_it_can_be_opened_again()
    {
        var source = _source.NewSource("to be ended");
        await using var store = _source.NewStore(source);
        var head = await store.OpenAsync(None);
        var reasons = new List<StoreClosedReason>();
        store.Closed += reasons.Add;

        // In the middle of a reading, which waits for the table: a session that is idle may be gone from the pool before anybody uses it.
        await using (var locking = await cluster.Admin.OpenConnectionAsync())
        {
            await using var transaction = await locking.BeginTransactionAsync();
            await new NpgsqlCommand($"LOCK TABLE {_source.Schema}.heads", locking, transaction).ExecuteNonQueryAsync();
            var reading = StoreContent.ReadAsync(store);
            while (await cluster.QueryAsync<long>("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'to be ended' AND wait_event_type = 'Lock'") == 0)
                await Task.Yield();
            await cluster.EndSessionsAsync("to be ended");
            var error = await Assert.ThrowsAsync<StorageClosedException>(async () => await reading);
            Assert.Equal(StoreClosedReason.Lost, error.Reason);
        }

        await Assert.ThrowsAsync<StorageClosedException>(async () => await StoreContent.ReadAsync(store));
        Assert.Equal([StoreClosedReason.Lost], reasons);
        Assert.Equal(head.Incarnation, (await store.OpenAsync(None)).Incarnation);
        await StoreContent.ReadAsync(store);
    }

    [Fact]
    public async Task A_store_whose_server_crashed_waits_until_it_is_back()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 20);
        foreach (var commit in chain) await store.AppendAsync(fence, [commit], None);
        await cluster.StopAsync();
        await Assert.ThrowsAsync<StorageClosedException>(async () => await StoreContent.ReadAsync(store));
        var opening = store.OpenAsync(None).AsTask();
        await cluster.StartAsync();
        cluster.Admin.Clear();
        Assert.Equal(fence.Incarnation, (await opening.WaitAsync(TimeSpan.FromSeconds(30))).Incarnation);
        Assert.Equal(chain.Select(c => c.Bytes.ToArray()), (await StoreContent.ReadAsync(store)).Log.Select(record => record.Bytes));
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_said_so_at_once_where_nothing_was_open()
    {
        var data = NpgsqlDataSource.Create("Host=127.0.0.1;Port=1;Username=x;Database=x");
        await using var source = new PostgresSource(data, isOwned: true, new(), TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        await using var store = _source.NewStore(source);
        var error = await Assert.ThrowsAsync<StorageUnavailableException>(async () => await store.OpenAsync(None));
        Assert.Contains("cannot be reached", error.Message, StringComparison.Ordinal);
        Assert.Equal("ConnectionRefused", error.PlatformName);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_server_that_knows_less_than_this_process_holds_another_store(bool hasEpochFallen)
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, chain[..2], None);
        if (hasEpochFallen)
        {
            var before = await GetRecordAsync(StoreRecordKind.Head, 0);
            await store.RaiseEpochAsync(fence.Incarnation, default, Tab, None);
            foreach (var kind in new[] { StoreRecordKind.Head, StoreRecordKind.HeadCopy }) await SetRecordAsync(kind, 0, before);
        }
        else
        {
            await store.AppendAsync(fence, chain[2..], None);
            await SetRecordAsync(StoreRecordKind.Log, 3, null);
        }

        var error = await Assert.ThrowsAsync<StoreReplacedException>(async () => await StoreContent.ReadAsync(store));
        Assert.Contains("back-up", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<StoreReplacedException>(async () => await store.OpenAsync(None));
        await Assert.ThrowsAsync<StorageClosedException>(async () => await store.AppendAsync(fence, Chain(fence, chain[1].Position, 1), None));
        var (fresh, _) = await OpenAsync(); // who knows nothing better goes on with it
        Assert.Equal([1, 2], (await StoreContent.ReadAsync(fresh)).Markers);
    }

    [Fact]
    public async Task A_deletion_that_was_not_heard_of_is_found_by_the_next_call()
    {
        await using var proxy = new PostgresProxy(cluster.Port);
        var data = NpgsqlDataSource.Create(PostgresCluster.Connect(proxy.Port));
        await using var source = new PostgresSource(data, isOwned: true, new(), TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        await using var store = _source.NewStore(source);
        await store.OpenAsync(None);
        var closed = new TaskCompletionSource<StoreClosedReason>(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Closed += reason => closed.TrySetResult(reason);
        proxy.Stall();
        await using (var eraser = _source.NewStore()) await eraser.DeleteAsync(None);
        proxy.Cut();
        proxy.Resume();
        Assert.Equal(StoreClosedReason.Deleted, await closed.Task.WaitAsync(TimeSpan.FromSeconds(20))); // its session is back, and it has looked
        Assert.Equal(StoreClosedReason.Deleted, (await Assert.ThrowsAsync<StorageClosedException>(async () => await StoreContent.ReadAsync(store))).Reason);
    }

    [Fact]
    public async Task Commits_are_made_durable_whatever_the_roles_default_is()
    {
        var (_, fence) = await LeadAsync();
        await cluster.ExecuteAsync("CREATE TABLE durability (setting text); CREATE FUNCTION note_durability() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO durability VALUES (current_setting(''synchronous_commit'')); RETURN NULL; END'");
        await cluster.ExecuteAsync("CREATE TRIGGER note AFTER INSERT ON datasync.log FOR EACH STATEMENT EXECUTE FUNCTION note_durability()");
        try
        {
            var last = Position.Start;
            foreach (var setting in new[] { "off", "local", "remote_write", "on", "remote_apply" })
            {
                await cluster.ExecuteAsync($"ALTER ROLE datasync SET synchronous_commit = {setting}; ALTER ROLE datasync SET default_transaction_isolation = 'serializable'");
                await using var writer = _source.NewStore(_source.NewSource(setting));
                await writer.OpenAsync(None);
                var commit = Commit(fence, last, 1);
                await writer.AppendAsync(fence, [commit], None);
                last = commit.Position;
                Assert.Equal(setting == "remote_apply" ? "remote_apply" : "on", await cluster.QueryAsync<string>("SELECT setting FROM durability ORDER BY ctid DESC LIMIT 1"));
            }
        }
        finally
        {
            await cluster.ExecuteAsync("ALTER ROLE datasync RESET ALL; DROP TRIGGER note ON datasync.log; DROP FUNCTION note_durability; DROP TABLE durability");
            cluster.Admin.Clear();
        }
    }

    [Theory]
    [InlineData(PostgresErrorCodes.DiskFull, StorageErrorCode.Quota)]
    [InlineData(PostgresErrorCodes.DataCorrupted, StorageErrorCode.Corrupt)]
    [InlineData(PostgresErrorCodes.InsufficientPrivilege, StorageErrorCode.Unavailable)]
    [InlineData(PostgresErrorCodes.ReadOnlySqlTransaction, StorageErrorCode.Closed)]
    [InlineData(PostgresErrorCodes.AdminShutdown, StorageErrorCode.Closed)]
    [InlineData(PostgresErrorCodes.DeadlockDetected, StorageErrorCode.Closed)]
    [InlineData(PostgresErrorCodes.OutOfMemory, StorageErrorCode.Other)]
    public async Task What_the_server_refuses_is_an_exception_of_its_own_type_and_writes_nothing(string state, StorageErrorCode code)
    {
        var (store, fence) = await LeadAsync();
        await cluster.ExecuteAsync($"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION USING ERRCODE = ''{state}'', MESSAGE = ''as if''; END'");
        await cluster.ExecuteAsync("CREATE TRIGGER fail BEFORE INSERT ON datasync.log FOR EACH STATEMENT EXECUTE FUNCTION fail()");
        try
        {
            var error = await Assert.ThrowsAnyAsync<StorageException>(async () => await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None));
            Assert.Equal((code, state), (error.Code, error.PlatformName));
        }
        finally
        {
            await cluster.ExecuteAsync("DROP TRIGGER fail ON datasync.log; DROP FUNCTION fail");
        }

        await store.OpenAsync(None);
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
        await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None);
    }

    [Fact]
    public async Task What_a_repair_removes_is_kept_aside()
    {
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 2), None);
        await SetRecordAsync(StoreRecordKind.Log, 2, [1, 2, 3]);
        var raised = await store.RaiseEpochAsync(fence.Incarnation, default, Tab, None);
        var recovered = await Recovery.LoadAsync(store, raised, new(Action: CorruptionAction.Repair), None);
        using (recovered.Image) await Recovery.RepairAsync(store, new(raised.Incarnation, raised.Epoch), recovered, None);
        Assert.Equal([1, 2, 3], await cluster.QueryAsync<byte[]>(
            "SELECT bytes FROM datasync.quarantine WHERE kind = 'log' AND key = 2 AND database = (SELECT id FROM datasync.databases WHERE name = $1)", _source.Name));
    }
}
