using DataSync.Contracts;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>A disk that is full is not pushed further.</summary>
public sealed class FullStoreTests : IDisposable
{
    private readonly Cluster _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void After_a_lack_of_room_no_heartbeat_tries_a_checkpoint_for_half_a_minute_though_writes_go_on()
    {
        _cluster.Options.CheckpointLogRecords = 4;
        var tab = _cluster.Open();
        _cluster.Run(1);
        var (isFull, pass) = (true, tab.Store.Before!);
        tab.Store.Before = call => isFull && call.Operation == StoreOperation.Checkpoint ? Task.FromException(new StorageQuotaException()) : pass(call);
        var before = tab.Store.CountOf(StoreOperation.Checkpoint);
        for (ulong i = 1; i <= 10; i++)
        {
            _cluster.Wait(_cluster.Start(() => tab.AppendAsync(i)));
            _cluster.Run(2);
        }

        Assert.Equal(before + 1, tab.Store.CountOf(StoreOperation.Checkpoint));
        isFull = false;
        _cluster.Run(30);
        Assert.Equal(before + 2, tab.Store.CountOf(StoreOperation.Checkpoint));
        Assert.Equal(0, tab.Pipeline.LogRecords);
        Assert.Equal(Enumerable.Range(1, 10).Select(i => (ulong)i), tab.List());
    }

    [Fact]
    public void An_append_without_room_keeps_checkpoints_off_but_not_for_good()
    {
        _cluster.Options.CheckpointLogRecords = 4;
        var tab = _cluster.Open();
        _cluster.Run(1);
        for (ulong i = 1; i <= 3; i++) _cluster.Wait(_cluster.Start(() => tab.AppendAsync(i)));
        var before = tab.Store.CountOf(StoreOperation.Checkpoint);
        tab.Store.FailAt(StoreOperation.Append, new StorageQuotaException());
        Assert.Throws<StorageQuotaException>(() => _cluster.Wait(_cluster.Start(() => tab.AppendAsync(4))));
        _cluster.Wait(_cluster.Start(() => tab.AppendAsync(5)));
        _cluster.Run(20);
        Assert.Equal(before, tab.Store.CountOf(StoreOperation.Checkpoint));
        _cluster.Run(15);
        Assert.Equal(before + 1, tab.Store.CountOf(StoreOperation.Checkpoint));
    }
}
