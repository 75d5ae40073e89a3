using Xunit;

namespace DataSync.Vfs.Tests;

public sealed class LockTests : IDisposable
{
    private readonly TestStorage _test = new();

    public void Dispose() => _test.Dispose();

    [Fact]
    public void Readers_and_one_reserved_writer_go_together()
    {
        var (a, b) = (_test.Open(), _test.Open());
        Assert.Equal(SqliteResult.Ok, a.TryLock(LockLevel.Shared));
        Assert.Equal(SqliteResult.Ok, a.TryLock(LockLevel.Reserved));
        Assert.Equal(SqliteResult.Ok, b.TryLock(LockLevel.Shared));
        Assert.Equal(SqliteResult.Busy, b.TryLock(LockLevel.Reserved));
        Assert.Equal(LockLevel.Shared, b.Level);
        Assert.True(b.IsReserved);
    }

    [Fact]
    public void A_writer_that_waits_for_readers_keeps_new_ones_out()
    {
        var (writer, reader, late) = (_test.Open(), _test.Open(), _test.Open());
        reader.TryLock(LockLevel.Shared);
        writer.TryLock(LockLevel.Shared);
        writer.TryLock(LockLevel.Reserved);
        Assert.Equal(SqliteResult.Busy, writer.TryLock(LockLevel.Exclusive));
        Assert.Equal(LockLevel.Pending, writer.Level);
        Assert.Equal(SqliteResult.Busy, late.TryLock(LockLevel.Shared));
        reader.Unlock(LockLevel.None);
        Assert.Equal(SqliteResult.Ok, writer.TryLock(LockLevel.Exclusive));
        Assert.Equal(SqliteResult.Busy, late.TryLock(LockLevel.Shared));
        writer.Unlock(LockLevel.Shared);
        Assert.Equal(SqliteResult.Ok, late.TryLock(LockLevel.Shared));
    }

    [Fact]
    public void A_lock_is_only_raised_and_an_unlock_only_lowers()
    {
        var file = _test.Open();
        Assert.Equal(SqliteResult.Ok, file.Unlock(LockLevel.None));
        file.TryLock(LockLevel.Shared);
        file.TryLock(LockLevel.Reserved);
        Assert.Equal(SqliteResult.Ok, file.TryLock(LockLevel.Shared));
        Assert.Equal(LockLevel.Reserved, file.Level);
        Assert.Equal(SqliteResult.Ok, file.Unlock(LockLevel.None));
        Assert.Equal(SqliteResult.Ok, file.Unlock(LockLevel.Shared));
        Assert.Equal(LockLevel.None, file.Level);
    }

    [Fact]
    public void Shared_goes_straight_to_exclusive_when_a_journal_is_rolled_back()
    {
        var (a, b) = (_test.Open(), _test.Open());
        a.TryLock(LockLevel.Shared);
        Assert.Equal(SqliteResult.Ok, a.TryLock(LockLevel.Exclusive));
        Assert.Equal(SqliteResult.Busy, b.TryLock(LockLevel.Shared));
        a.Unlock(LockLevel.None);
        Assert.Equal(SqliteResult.Ok, b.TryLock(LockLevel.Shared));
    }

    [Fact]
    public void The_storage_is_idle_only_when_the_last_connection_has_unlocked()
    {
        var (a, b) = (_test.Open(), _test.Open());
        a.TryLock(LockLevel.Shared);
        b.TryLock(LockLevel.Shared);
        a.Unlock(LockLevel.None);
        Assert.Equal(0, _test.Idle);
        Assert.False(_test.Storage.IsIdle);
        b.Unlock(LockLevel.None);
        Assert.Equal(1, _test.Idle);
        Assert.True(_test.Storage.IsIdle);
    }

    [Fact]
    public void A_lock_that_SQLite_gives_back_is_kept_until_somebody_needs_the_readers_gone()
    {
        var (reader, writer) = (_test.Open(), _test.Open());
        reader.TryLock(LockLevel.Shared);
        reader.Unlock(LockLevel.None);
        Assert.Equal((2, LockLevel.None, 0), (ShareOf(reader), reader.Level, _test.Idle)); // nobody had asked
        reader.TryLock(LockLevel.Shared);
        Assert.Equal((1, LockLevel.Shared), (ShareOf(reader), reader.Level));
        reader.Unlock(LockLevel.None);

        writer.TryLock(LockLevel.Shared);
        writer.TryLock(LockLevel.Reserved);
        Assert.Equal(2, ShareOf(reader));
        Assert.Equal(SqliteResult.Ok, writer.TryLock(LockLevel.Exclusive));
        Assert.Equal((0, 0), (ShareOf(reader), ShareOf(writer)));
        Assert.Equal(SqliteResult.Busy, reader.TryLock(LockLevel.Shared));
        writer.Unlock(LockLevel.None);

        reader.TryLock(LockLevel.Shared);
        reader.Unlock(LockLevel.None);
        Assert.True(_test.Storage.IsIdle);
        Assert.Equal(0, ShareOf(reader));
    }

    [Fact]
    public void Who_reads_when_the_readers_are_needed_gone_does_not_keep_its_lock()
    {
        var (first, second) = (_test.Open(), _test.Open());
        first.TryLock(LockLevel.Shared);
        Assert.False(_test.Storage.IsIdle);
        second.TryLock(LockLevel.Shared); // came later, and so may keep it
        second.Unlock(LockLevel.None);
        Assert.Equal((3, 2), (ShareOf(first), ShareOf(second)));
        var before = _test.Idle;
        first.Unlock(LockLevel.None);
        Assert.Equal((0, 0, before + 1), (ShareOf(first), ShareOf(second), _test.Idle));
        Assert.True(_test.Storage.IsIdle);
    }

    /// <summary>Nobody else asks, so a question that got lost between two steps of the reader would be answered never.</summary>
    [Fact]
    public void Whoever_waits_for_a_reader_of_another_thread_to_leave_is_told()
    {
        using var told = new AutoResetEvent(false);
        _test.WhenIdle = () => told.Set();
        var hasEnded = false;
        var reader = new Thread(() =>
        {
            var file = _test.Open();
            while (!Volatile.Read(ref hasEnded))
            {
                file.TryLock(LockLevel.Shared);
                file.Unlock(LockLevel.None);
            }
        });
        reader.Start();
        try
        {
            for (var i = 0; i < 500_000; i++)
            {
                bool isIdle;
                lock (_test.Storage.Sync) isIdle = _test.Storage.IsIdle;
                if (!isIdle) Assert.True(told.WaitOne(TimeSpan.FromMinutes(1)), $"Nobody told, question {i}.");
            }
        }
        finally
        {
            Volatile.Write(ref hasEnded, true);
            reader.Join();
        }
    }

    [Fact]
    public void A_file_that_is_closed_keeps_nothing()
    {
        var (a, b) = (_test.Open(), _test.Open());
        a.TryLock(LockLevel.Shared);
        a.Unlock(LockLevel.None);
        a.Close();
        _test.Storage.RecallReaders = null;
        Assert.True(_test.Storage.IsIdle);
        b.TryLock(LockLevel.Shared);
        Assert.Equal(SqliteResult.Ok, b.TryLock(LockLevel.Exclusive));
    }

    [Fact]
    public void A_refused_writer_gets_the_reason_and_leaves_the_place_free()
    {
        var (a, b) = (_test.Open(), _test.Open());
        _test.Refusal = "Another tab has the write turn.";
        a.TryLock(LockLevel.Shared);
        Assert.Equal(SqliteResult.BusyRefused, a.TryLock(LockLevel.Reserved));
        Assert.Equal(SqliteResult.Busy, SqliteResult.BusyRefused & 0xFF);
        Assert.Equal("Another tab has the write turn.", VfsFailure.Last);
        Assert.Equal(LockLevel.Shared, a.Level);
        _test.Refusal = null;
        b.TryLock(LockLevel.Shared);
        Assert.Equal(SqliteResult.Ok, b.TryLock(LockLevel.Reserved));
    }

    [Fact]
    public void Closing_drops_the_lock_and_the_batch()
    {
        var file = _test.Open();
        file.TryLock(LockLevel.Shared);
        file.TryLock(LockLevel.Reserved);
        file.TryLock(LockLevel.Exclusive);
        file.Write(0, new byte[4096]);
        Assert.Equal(1, _test.Vfs.CountOpenFiles("app.db"));
        Assert.Equal(SqliteResult.Ok, file.Close());
        Assert.True(_test.Storage.IsIdle);
        Assert.Equal(0, _test.Storage.Size);
        Assert.Equal(0, _test.Vfs.CountOpenFiles("app.db"));
    }

    private static unsafe int ShareOf(VfsFile file) => *(int*)file.ShareAddress;
}
