using DataSync.Contracts;
using DataSync.Storage;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>What one commit takes, and pragmas that look at the file.</summary>
public sealed class LimitTests : IDisposable
{
    private readonly NativeTabs _tabs = new();
    private readonly MemoryBlockMedium _medium = new();

    public void Dispose() => _tabs.Dispose();

    [Fact]
    public async Task A_transaction_that_is_too_large_fails_typed_before_it_is_sent_and_leaves_nothing_behind()
    {
        var options = new DataSyncOptions { Pipeline = { MaxCommitBytes = 1 << 20 } };
        await using var leader = await _tabs.OpenAsync(new MemoryBlockStore(_medium), options);
        await leader.ExecuteAsync("CREATE TABLE t(x)");
        await leader.Coordinator.WaitForLeadershipAsync();
        await using var follower = await _tabs.OpenAsync(new MemoryBlockStore(_medium), options);
        foreach (var database in new[] { leader, follower })
        {
            var marker = leader.Marker;
            await AssertTooLargeAsync(() => database.ExecuteAsync("INSERT INTO t VALUES (zeroblob(2000000))"));
            await AssertTooLargeAsync(() => database.ExecuteAsync("INSERT INTO t VALUES (1); INSERT INTO t VALUES (zeroblob(2000000))"));
            await AssertTooLargeAsync(() => database.WriteAsync(connection => connection.Execute("INSERT INTO t VALUES (zeroblob(2000000))")));
            await AssertTooLargeAsync(() => database.WriteAsync(connection =>
            {
                connection.Execute("INSERT INTO t VALUES (zeroblob(2000000))");
                return Task.CompletedTask;
            }));
            Assert.Equal([0L], await database.QueryAsync<long>("SELECT count(*) FROM t"));
            Assert.Equal(marker, leader.Marker);
            await database.ExecuteAsync("INSERT INTO t VALUES (zeroblob(900000)); DELETE FROM t");
            Assert.Equal(["ok"], await database.QueryAsync<string>("PRAGMA integrity_check"));
        }
    }

    [Fact]
    public async Task The_page_size_is_told_right_after_it_was_changed()
    {
        await using var database = await _tabs.OpenAsync(new MemoryBlockStore(_medium));
        await database.ExecuteAsync("CREATE TABLE t(x)");
        Assert.Equal([(4096, 0)], await database.QueryAsync<(int, int)>("SELECT page_size, auto_vacuum FROM pragma_page_size, pragma_auto_vacuum"));
        await database.ExecuteAsync("PRAGMA page_size=1024");
        await database.ExecuteAsync("PRAGMA auto_vacuum=FULL");
        await database.ExecuteAsync("VACUUM");
        Assert.Equal([1024], await database.QueryAsync<int>("PRAGMA page_size"));
        Assert.Equal([1], await database.QueryAsync<int>("PRAGMA auto_vacuum"));
        await database.ExecuteAsync("PRAGMA page_size=8192");
        await database.ExecuteAsync("VACUUM");
        Assert.Equal([8192], await database.QueryAsync<int>("PRAGMA page_size"));
    }

    private static async Task AssertTooLargeAsync(Func<Task> write)
    {
        var error = await Assert.ThrowsAsync<CommitTooLargeException>(write);
        Assert.Contains("split it into smaller ones", error.Message, StringComparison.Ordinal);
    }
}
