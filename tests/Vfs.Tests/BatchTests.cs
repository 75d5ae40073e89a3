using DataSync.Storage;
using Xunit;

namespace DataSync.Vfs.Tests;

public sealed class BatchTests : IDisposable
{
    private readonly TestStorage _test = new();

    public void Dispose() => _test.Dispose();

    private VfsFile Writer()
    {
        var file = _test.Open();
        foreach (var level in new[] { LockLevel.Shared, LockLevel.Reserved, LockLevel.Exclusive }) Assert.Equal(SqliteResult.Ok, file.TryLock(level));
        return file;
    }

    [Fact]
    public void A_transaction_is_published_in_phase_two_and_not_before()
    {
        var file = Writer();
        file.Write(4096, Bytes(4096, 7));
        Assert.Empty(_test.Sealed);
        file.Control(SqliteFileControl.CommitPhaseTwo);
        Assert.Equal([1u], _test.Sealed.Single().BlockIds.ToArray());
        file.Unlock(LockLevel.None);
        Assert.Single(_test.Sealed);
        Assert.Equal(8192, _test.Storage.Size);
    }

    [Fact]
    public void A_lock_that_falls_without_phase_two_drops_everything_that_was_written()
    {
        _test.Write(0, Bytes(8192, 1));
        var file = Writer();
        file.Write(0, Bytes(4096, 2));
        file.Write(65536, Bytes(4096, 3));
        file.Truncate(4096);
        file.Unlock(LockLevel.Shared);
        Assert.Equal(Bytes(8192, 1), _test.Read(0, 8192));
        Assert.Equal(8192, _test.Storage.Size);
        Assert.Single(_test.Sealed);
    }

    [Fact]
    public void A_truncation_is_part_of_the_transaction()
    {
        _test.Write(0, Bytes(12288, 1));
        var file = Writer();
        file.Truncate(4096);
        file.Control(SqliteFileControl.CommitPhaseTwo);
        file.Close();
        Assert.Equal(4096, _test.Storage.Size);
        Assert.Equal([1u, 2u], _test.Sealed[1].FreedIds.ToArray());
    }

    [Fact]
    public void A_block_that_came_and_went_within_a_transaction_is_not_freed()
    {
        _test.Write(0, Bytes(4096, 1));
        var file = Writer();
        file.Write(0, Bytes(4096, 2));
        file.Write(8192, Bytes(4096, 3));
        file.Truncate(4096);
        file.Control(SqliteFileControl.CommitPhaseTwo);
        file.Close();
        Assert.Equal([0u], _test.Sealed[1].BlockIds.ToArray());
        Assert.Empty(_test.Sealed[1].FreedIds.ToArray());
    }

    [Fact]
    public void Under_an_exclusive_locking_mode_each_transaction_is_a_batch_of_its_own()
    {
        var file = Writer();
        file.Write(0, Bytes(4096, 1));
        file.Control(SqliteFileControl.CommitPhaseTwo);
        Assert.False(_test.Storage.InBatch);
        file.Write(4096, Bytes(4096, 2));
        Assert.True(_test.Storage.InBatch);
        file.Control(SqliteFileControl.CommitPhaseTwo);
        Assert.Equal(2, _test.Sealed.Count);
        Assert.Equal(LockLevel.Exclusive, file.Level);
        _test.Refusal = "not now";
        Assert.Equal(SqliteResult.IoErrorWrite, file.Write(0, Bytes(4096, 3)));
        Assert.Equal("not now", VfsFailure.Last);
    }

    [Fact]
    public void A_transaction_without_a_write_commits_nothing()
    {
        var file = Writer();
        file.Control(SqliteFileControl.CommitPhaseTwo);
        file.Close();
        Assert.Empty(_test.Sealed);
        Assert.Equal(1, _test.Ended);
    }

    [Fact]
    public void A_short_read_fills_with_zeros()
    {
        _test.Write(0, Bytes(100, 9));
        var file = _test.Open();
        file.TryLock(LockLevel.Shared);
        var bytes = Bytes(200, 5);
        Assert.Equal(SqliteResult.IoErrorShortRead, file.Read(50, bytes));
        Assert.Equal(Bytes(50, 9), bytes[..50]);
        Assert.Equal(new byte[150], bytes[50..]);
        Assert.Equal(0, file.GetReadAddress(50, 200));
        Assert.NotEqual(0, file.GetReadAddress(50, 50));
    }

    [Fact]
    public void A_write_without_a_lock_is_refused()
    {
        var file = _test.Open();
        Assert.Equal(SqliteResult.IoErrorWrite, file.Write(0, Bytes(4096, 1)));
        Assert.Equal(0, file.GetWriteAddress(4096, 4096));
        Assert.Equal(0, _test.Storage.Size);
    }

    [Fact]
    public void A_first_page_that_says_WAL_is_stored_without()
    {
        var page = Bytes(4096, 0);
        (page[18], page[19]) = (2, 2);
        _test.Write(0, page);
        Assert.Equal([1, 1], _test.Read(18, 2));
    }

    [Fact]
    public void A_pager_drops_its_cache_when_the_history_changed_though_the_counter_did_not()
    {
        var page = Bytes(4096, 0);
        page[27] = 5;
        _test.Write(0, page);
        var file = _test.Open();
        Assert.Equal(page[24..40], Version(file));
        Assert.Equal(page[24..40], Version(file));

        _test.Write(4096, Bytes(4096, 1));
        _test.Storage.UndoFrom(_test.Sealed[1].Id);
        var served = Version(file);
        Assert.NotEqual(page[24..40], served);
        Assert.NotEqual(Bytes(16, 0xFF), served);
        Assert.Equal(page[24..40], Version(file));
    }

    [Fact]
    public void Only_the_version_read_is_altered_and_a_taken_back_change_of_the_schema_also_changes_its_cookie_once()
    {
        var page = Bytes(4096, 3);
        _test.Write(0, page);
        var file = _test.Open();
        _test.Write(0, [.. page[..40], 3, 3, 3, 4, .. page[44..]]);
        _test.Storage.UndoFrom(_test.Sealed[1].Id);

        file.TryLock(LockLevel.Shared);
        var other = new byte[16];
        file.Read(25, other);
        Assert.Equal(page[25..41], other);
        Assert.Equal(0, file.GetReadAddress(0, 4096));
        file.Read(24, other);
        Assert.NotEqual(page[24..40], other);
        file.Read(24, other);
        Assert.Equal(page[24..40], other);
        var first = new byte[4096];
        file.Read(0, first);
        Assert.NotEqual(page[40..44], first[40..44]);
        first.AsSpan(40, 4).Fill(3);
        Assert.Equal(page, first);
        file.Read(0, first);
        Assert.Equal(page, first);
        Assert.NotEqual(0, file.GetReadAddress(0, 4096));
    }

    [Fact]
    public void A_taken_back_commit_that_left_the_schema_as_it_was_prepares_nothing_again()
    {
        var page = Bytes(4096, 3);
        _test.Write(0, page);
        var file = _test.Open();
        _test.Write(4096, Bytes(4096, 1));
        _test.Storage.UndoFrom(_test.Sealed[1].Id);
        Assert.NotEqual(page[24..40], Version(file)); // the pages are read again
        file.TryLock(LockLevel.Shared);
        var first = new byte[4096];
        file.Read(0, first);
        Assert.Equal(page, first);
    }

    [Fact]
    public void A_version_read_that_never_came_is_still_due()
    {
        _test.Write(0, Bytes(4096, 3));
        var file = _test.Open();
        _test.Write(4096, Bytes(4096, 1));
        _test.Storage.UndoFrom(_test.Sealed[1].Id);
        file.TryLock(LockLevel.Shared);
        file.Unlock(LockLevel.None);
        Assert.NotEqual(Bytes(16, 3), Version(file));
    }

    [Fact]
    public void Exceptions_become_result_codes_with_words()
    {
        Assert.Equal(SqliteResult.Full, VfsFailure.Report(new StorageQuotaException(), SqliteResult.IoErrorWrite));
        Assert.Contains("no room", VfsFailure.Last, StringComparison.Ordinal);
        Assert.Equal(SqliteResult.IoErrorNoMemory, VfsFailure.Report(new InsufficientMemoryException(), SqliteResult.IoErrorWrite));
        Assert.Equal(SqliteResult.Corrupt, VfsFailure.Report(new CorruptStoreException(null, "torn"), SqliteResult.IoErrorRead));
        Assert.Equal(SqliteResult.Misuse, VfsFailure.Report(new InvalidOperationException("x"), SqliteResult.Misuse));
        Assert.Equal("x", VfsFailure.TakeFor(SqliteResult.Misuse));
        Assert.Null(VfsFailure.Last);
    }

    private static byte[] Version(VfsFile file)
    {
        var bytes = new byte[16];
        file.TryLock(LockLevel.Shared);
        file.Read(24, bytes);
        file.Unlock(LockLevel.None);
        return bytes;
    }

    private static byte[] Bytes(int count, byte value)
    {
        var bytes = new byte[count];
        Array.Fill(bytes, value);
        return bytes;
    }
}
