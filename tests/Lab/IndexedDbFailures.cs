using DataSync.Contracts;
using DataSync.Storage;
using Xunit;

namespace DataSync.Lab;

/// <summary>What a user's browser can do to a store, and what the app is told.</summary>
public sealed class IndexedDbFailures : StoreSuite
{
    private readonly IndexedDbSource _source = new();
    private readonly IndexedDbOptions _options = new() { BlockedTimeout = TimeSpan.FromMilliseconds(300) };

    private protected override IStoreSource Source => _source;

    [Theory]
    [InlineData("missing", "NotSupportedError")]
    [InlineData("throws", "SecurityError")]
    [InlineData("refuses", "InvalidStateError")]
    public async Task Refused_storage_is_said_to_be_unavailable(string how, string name)
    {
        IndexedDbSource.Refuse(how);
        var error = await Assert.ThrowsAsync<StorageUnavailableException>(OpenAsync);
        Assert.Equal(name, error.PlatformName);
        Assert.Contains("private mode", error.Message, StringComparison.Ordinal);
        IndexedDbSource.Allow();
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None);
    }

    [Fact]
    public async Task A_disk_that_is_full_when_the_database_is_opened_is_said_to_have_no_room()
    {
        IndexedDbSource.Refuse("full");
        var error = await Assert.ThrowsAsync<StorageQuotaException>(OpenAsync);
        Assert.Equal("UnknownError", error.PlatformName);
    }

    [Fact]
    public async Task A_browser_that_is_slow_is_waited_for_longer_than_one_in_whose_way_another_tab_is()
    {
        IndexedDbSource.Delay(3 * _options.BlockedTimeout.TotalMilliseconds);
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None);
    }

    [Fact]
    public async Task An_opening_that_the_browser_breaks_off_is_tried_again_a_few_times()
    {
        IndexedDbSource.BreakOff(3);
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None);
        IndexedDbSource.BreakOff(int.MaxValue);
        Assert.Equal("AbortError", (await Assert.ThrowsAsync<StorageUnavailableException>(OpenAsync)).PlatformName);
    }

    [Fact]
    public async Task It_is_waited_for_longer_still_where_the_page_itself_is_late()
    {
        IndexedDbSource.Delay(10 * _options.BlockedTimeout.TotalMilliseconds);
        await Assert.ThrowsAsync<StorageUnavailableException>(OpenAsync);
        await using var late = _source.NewStore(_options, new LateTime());
        await late.OpenAsync(None);
    }

    [Fact]
    public async Task A_browser_that_never_answers_is_called_slow_and_not_blocked()
    {
        IndexedDbSource.Delay(int.MaxValue);
        var error = await Assert.ThrowsAsync<StorageUnavailableException>(OpenAsync);
        Assert.Contains("very slow", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("another tab", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_database_of_a_newer_layout_is_not_opened()
    {
        await IndexedDbSource.MakeOtherAsync(_source.Database, 2);
        var error = await Assert.ThrowsAsync<StoreFormatException>(OpenAsync);
        Assert.Equal("VersionError", error.PlatformName);
    }

    [Fact]
    public async Task A_database_that_is_not_ours_is_left_alone()
    {
        await IndexedDbSource.MakeOtherAsync(_source.Database, 1);
        var error = await Assert.ThrowsAsync<CorruptStoreException>(OpenAsync);
        Assert.Equal("NotFoundError", error.PlatformName);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_database_that_cannot_be_opened_is_deleted(int version)
    {
        await IndexedDbSource.MakeOtherAsync(_source.Database, version);
        await Assert.ThrowsAnyAsync<StorageException>(OpenAsync);
        await using (var eraser = NewStore()) await eraser.DeleteAsync(None);
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None);
    }

    [Fact]
    public async Task A_newer_version_that_upgrades_the_store_closes_it_and_says_so()
    {
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None);
        var reasons = new List<StoreClosedReason>();
        store.Closed += reasons.Add;
        await IndexedDbSource.MakeOtherAsync(_source.Database, 2);
        Assert.Equal([StoreClosedReason.Upgraded], reasons);
        var error = await Assert.ThrowsAsync<StorageClosedException>(async () => await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None));
        Assert.Equal(StoreClosedReason.Upgraded, error.Reason);
        Assert.Contains("newer version", error.Message, StringComparison.Ordinal);
        Assert.Contains("Reload", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("DataError", "Failed to write blobs (IOError)")]
    [InlineData("UnknownError", "Internal error: IO error: 000005.ldb: FILE_ERROR_NO_SPACE (ChromeMethodBFE: 9::WritableFileAppend::8)")]
    [InlineData("UnknownError", "Unable to store record in object store: database or disk is full")]
    public async Task A_disk_that_is_really_full_is_said_to_have_no_room(string name, string message)
    {
        var (store, fence) = await LeadAsync();
        IndexedDbSource.AbortWith(name, message);
        var error = await Assert.ThrowsAsync<StorageQuotaException>(async () => await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None));
        IndexedDbSource.StopAborting();
        Assert.Equal(name, error.PlatformName);
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
    }

    [Fact]
    public async Task A_connection_that_the_browser_closes_for_lack_of_room_is_lost_and_says_why()
    {
        var (store, fence) = await LeadAsync();
        IndexedDbSource.AbortWith("UnknownError", "Connection is closing because of: IO error: 000005.log: FILE_ERROR_NO_SPACE");
        var error = await Assert.ThrowsAsync<StorageClosedException>(async () => await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None));
        IndexedDbSource.StopAborting();
        Assert.Equal(StoreClosedReason.Lost, error.Reason);
        Assert.Contains("no room", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_quota_error_at_the_very_end_writes_nothing()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await store.AppendAsync(fence, [chain[0]], None);
        IndexedDbSource.AbortWith("QuotaExceededError");
        var error = await Assert.ThrowsAsync<StorageQuotaException>(async () => await store.AppendAsync(fence, chain[1..], None));
        IndexedDbSource.StopAborting();
        Assert.Equal("QuotaExceededError", error.PlatformName);
        Assert.Equal([1], (await StoreContent.ReadAsync(store)).Markers);
        await store.AppendAsync(fence, chain[1..], None);
        Assert.Equal([1, 2, 3], (await StoreContent.ReadAsync(store)).Markers);
    }

    [Fact]
    public async Task A_commit_larger_than_the_browser_takes_says_so_and_writes_nothing()
    {
        var (store, fence) = await LeadAsync();
        uint[] blocks = [.. Enumerable.Range(0, 33_000).Select(id => (uint)id)];
        var error = await Record.ExceptionAsync(async () => await store.AppendAsync(fence, [Commit(fence, Position.Start, blocks)], None));
        if (error is null)
        {
            // Chromium alone has a limit.
            Assert.Equal([1], (await StoreContent.ReadAsync(store)).Markers);
            return;
        }

        Assert.Contains("split", Assert.IsType<CommitTooLargeException>(error).Message, StringComparison.Ordinal);
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
        var chain = Chain(fence, Position.Start, 1);
        await store.AppendAsync(fence, chain, None);
        await Assert.ThrowsAsync<CommitTooLargeException>(async () => await store.AppendAsync(fence, [Commit(fence, chain[0].Position, blocks)], None));
        await store.AppendAsync(fence, Chain(fence, chain[0].Position, 1), None);
    }

    [Fact]
    public async Task An_abort_that_nobody_asked_for_is_a_lost_connection()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 1);
        var reasons = new List<StoreClosedReason>();
        store.Closed += reasons.Add;
        IndexedDbSource.AbortWith("AbortError");
        var error = await Assert.ThrowsAsync<StorageClosedException>(async () => await store.AppendAsync(fence, chain, None));
        IndexedDbSource.StopAborting();
        Assert.Equal((StoreClosedReason.Lost, "AbortError"), (error.Reason, error.PlatformName));
        await Assert.ThrowsAsync<StorageClosedException>(async () => await store.AppendAsync(fence, chain, None));
        Assert.Equal([StoreClosedReason.Lost], reasons);
        Assert.Equal(fence.Incarnation, (await store.OpenAsync(None)).Incarnation);
        await store.AppendAsync(fence, chain, None);
    }

    [Fact]
    public async Task Another_error_is_passed_on_and_the_store_stays_open()
    {
        var (store, fence) = await LeadAsync();
        IndexedDbSource.AbortWith("DataError");
        var error = await Assert.ThrowsAsync<StorageException>(async () => await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None));
        IndexedDbSource.StopAborting();
        Assert.Equal((StorageErrorCode.Other, "DataError"), (error.Code, error.PlatformName));
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
    }

    /// <summary>Seen in WebKit: the server had completed the append when it ended, and the page heard of an internal error.</summary>
    [Fact]
    public async Task An_error_without_a_reason_leaves_open_whether_an_append_was_completed()
    {
        var (store, fence) = await LeadAsync();
        IndexedDbSource.AbortWith("UnknownError", "An internal error was encountered in the Indexed Database server");
        var error = await Assert.ThrowsAsync<StorageClosedException>(async () => await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None));
        IndexedDbSource.StopAborting();
        Assert.Equal((StoreClosedReason.Lost, "UnknownError"), (error.Reason, error.PlatformName));
        Assert.Equal(fence.Incarnation, (await store.OpenAsync(None)).Incarnation);
        await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None);
    }

    [Fact]
    public async Task A_deletion_that_is_blocked_ends_with_a_reason()
    {
        var (store, fence) = await LeadAsync();
        await IndexedDbSource.HoldAsync(_source.Database);
        var error = await Assert.ThrowsAsync<StorageUnavailableException>(async () => await store.DeleteAsync(None));
        Assert.Contains("another tab", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<StorageUnavailableException>(async () => await store.OpenAsync(None));
        IndexedDbSource.Release();
        Assert.NotEqual(fence.Incarnation, (await store.OpenAsync(None)).Incarnation);
    }

    [Fact]
    public async Task A_reader_that_fails_ends_the_read_and_nothing_else()
    {
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 40), None);
        await Assert.ThrowsAsync<NotFiniteNumberException>(async () => await store.ReadAsync(new StoreRead(new FailingSink(30), true), None));
        await Assert.ThrowsAsync<NotFiniteNumberException>(async () => await store.ReadAsync(new StoreRead(new FailingSink(0), true), None));
        using var cancel = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await store.ReadAsync(new StoreRead(new FailingSink(20, cancel), true), cancel.Token));
        Assert.Equal(40, (await StoreContent.ReadAsync(store)).Log.Count);
    }

    [Fact]
    public async Task Many_calls_at_once_end_in_order()
    {
        var (store, fence) = await LeadAsync();
        var ended = new List<long>();
        await Task.WhenAll(Chain(fence, Position.Start, 20).Select(async commit =>
        {
            await store.AppendAsync(fence, [commit], None);
            ended.Add(commit.Marker);
        }));
        Assert.Equal(Enumerable.Range(1, 20).Select(marker => (long)marker), ended);
    }

    [Fact]
    public async Task The_browser_tells_what_is_stored()
    {
        var estimate = await BrowserStorage.EstimateAsync(None);
        Assert.True(estimate.QuotaBytes > 0);
        Assert.True(estimate.UsageBytes >= 0);
        Assert.Equal(await BrowserStorage.RequestPersistenceAsync(None), (await BrowserStorage.EstimateAsync(None)).IsPersistent);
    }

    public override async Task DisposeAsync()
    {
        IndexedDbSource.Allow();
        IndexedDbSource.StopAborting();
        await base.DisposeAsync();
    }

    private protected override IBlockStore NewStore() => _source.NewStore(_options);

    /// <summary>A clock by which every timer takes twice its time.</summary>
    private sealed class LateTime : TimeProvider
    {
        public override long GetTimestamp() => 2 * base.GetTimestamp();
    }

    private sealed class FailingSink(int after, CancellationTokenSource? cancel = null) : IStoreReadSink
    {
        private int _left = after;

        public void OnHead(Head head, int extents, int logRecords) => Count();

        public void OnExtent(Extent extent, int recordSize) => Count();

        public void OnLog(long marker, byte[] record, bool mayBeTorn) => Count();

        private void Count()
        {
            if (_left-- > 0) return;
            if (cancel is null) throw new NotFiniteNumberException("by the test");
            cancel.Cancel();
        }
    }
}
