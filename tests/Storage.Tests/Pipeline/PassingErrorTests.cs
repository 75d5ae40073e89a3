using DataSync.Contracts;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>A store that cannot be read for a moment, and one that never can again.</summary>
public sealed class PassingErrorTests : IDisposable
{
    private readonly Cluster _cluster = new();
    private readonly ClusterTab _writer;
    private readonly ClusterTab _reader;

    public PassingErrorTests()
    {
        // Nothing is announced with its blocks, so the other tab reads each commit from the log.
        _cluster.Options.AnnounceBytes = 0;
        var tabs = _cluster.Open(2);
        (_writer, _reader) = (tabs[0], tabs[1]);
    }

    public static TheoryData<StorageException> Passing => new(
        new StorageException("The browser's storage failed (UnknownError)."), new StorageQuotaException(), new StorageUnavailableException());

    public static TheoryData<StorageException> Lasting => new(
        new CorruptStoreException(null), new StoreFormatException(99), new StoreReplacedException(), new StorageClosedException(StoreClosedReason.Deleted));

    public void Dispose() => _cluster.Dispose();

    [Theory]
    [MemberData(nameof(Passing), DisableDiscoveryEnumeration = true)]
    public void A_read_that_fails_a_few_times_stops_no_tab(StorageException error)
    {
        for (var nth = 1; nth <= 3; nth++) _reader.Store.FailAt(StoreOperation.Read, error, nth);
        Write(1);
        _cluster.Run(7);
        Assert.Null(_reader.Pipeline.Fault);
        Assert.Equal([1UL], _reader.List());
        _cluster.Wait(_cluster.Start(() => _reader.AppendAsync(2)));
        Assert.Equal([1UL, 2], _reader.List());
    }

    [Theory]
    [MemberData(nameof(Passing), DisableDiscoveryEnumeration = true)]
    public void A_read_that_keeps_failing_stops_the_tab_after_ten_seconds_or_so(StorageException error)
    {
        var reads = FailReads(error);
        Write(1);
        _cluster.Run(4);
        Assert.Null(_reader.Pipeline.Fault);
        _cluster.Run(16);
        Assert.Same(error, _reader.Pipeline.Fault);
        Assert.Equal(9, reads());
        _cluster.Run(30);
        Assert.Equal(9, reads());
        Write(2);
    }

    [Fact]
    public void A_write_whose_tab_cannot_read_what_it_missed_is_given_up_in_time_and_others_go_on()
    {
        var held = _reader.Store.HoldAt(StoreOperation.Read);
        Write(1);
        var write = _cluster.Start(() => _reader.AppendAsync(2, exclusive: true));
        _cluster.Run(_cluster.Options.WriteTimeout.TotalSeconds - 2);
        Assert.False(write.IsCompleted);
        _cluster.Run(4);
        Assert.False(Assert.Throws<NoLeaderException>(() => _cluster.Wait(write)).IsOutcomeUnknown);
        Write(3);
        held.Release();
        _cluster.Wait(_cluster.Start(() => _reader.AppendAsync(4)));
        Assert.Equal([1UL, 3, 4], _reader.List());
    }

    /// <summary>As a client whose server has lost its store: nobody waits for it to lead, and it goes on when the store is back.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_tab_that_only_observes_tries_for_as_long_as_it_takes(bool isLost)
    {
        var platform = _cluster.Browser.OpenTab();
        var observer = new TabRig(
            Cluster.Scope, platform, new MemoryBlockStore(_cluster.Medium), _cluster.Bus.CreateChannel(delivery => platform.Clock.CreateTimer(_ => delivery(), null, TimeSpan.Zero, Timeout.InfiniteTimeSpan)),
            _cluster.Options, new ObserverPlatform(platform));
        _cluster.Do(() => _ = observer.Pipeline.OpenAsync());
        _cluster.Run(1);
        for (var nth = 1; nth <= 20; nth++)
            observer.Store.FailAt(StoreOperation.Read, isLost ? new StorageClosedException(StoreClosedReason.Lost) : new StorageUnavailableException(), nth);
        Write(1);
        _cluster.Run(60);
        Assert.Null(observer.Pipeline.Fault);
        Assert.Equal(0, observer.Pipeline.Position.Marker);
        _cluster.Run(200);
        Assert.Equal(1, observer.Pipeline.Position.Marker);
        _cluster.Do(() => _ = observer.Pipeline.DisposeAsync().AsTask());
    }

    [Fact]
    public void A_disk_that_is_full_is_asked_every_two_seconds_only()
    {
        var reads = FailReads(new StorageQuotaException());
        Write(1);
        _cluster.Run(1.9);
        Assert.Equal(1, reads());
        _cluster.Run(2);
        Assert.Equal(2, reads());
    }

    [Theory]
    [MemberData(nameof(Lasting), DisableDiscoveryEnumeration = true)]
    public void What_does_not_pass_stops_the_tab_at_once(StorageException error)
    {
        var reads = FailReads(error);
        Write(1);
        _cluster.Run(0.1);
        Assert.IsType(error.GetType(), _reader.Pipeline.Fault);
        Assert.Equal(1, reads());
    }

    [Fact]
    public void A_connection_that_is_lost_with_a_few_reads_is_opened_again()
    {
        for (var nth = 1; nth <= 4; nth++) _reader.Store.FailAt(StoreOperation.Read, new StorageClosedException(StoreClosedReason.Lost), nth);
        Write(1);
        _cluster.Run(3);
        Assert.Null(_reader.Pipeline.Fault);
        Assert.Equal([1UL], _reader.List());
    }

    [Fact]
    public void A_connection_that_is_lost_with_every_read_is_not_opened_for_ever()
    {
        FailReads(new StorageClosedException(StoreClosedReason.Lost));
        var before = _reader.Store.CountOf(StoreOperation.Open);
        Write(1);
        _cluster.Run(20);
        Assert.IsType<StorageClosedException>(_reader.Pipeline.Fault);
        Assert.Equal(before + 7, _reader.Store.CountOf(StoreOperation.Open));
        Write(2);
    }

    private void Write(ulong tag) => _cluster.Wait(_cluster.Start(() => _writer.AppendAsync(tag)));

    private Func<int> FailReads(StorageException error)
    {
        var before = _reader.Store.CountOf(StoreOperation.Read);
        _reader.Store.Before = call => call.Operation == StoreOperation.Read ? Task.FromException(error) : Task.CompletedTask;
        return () => _reader.Store.CountOf(StoreOperation.Read) - before;
    }
}
