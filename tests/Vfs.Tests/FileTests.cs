using Microsoft.Extensions.Logging;
using Xunit;

namespace DataSync.Vfs.Tests;

public sealed class FileTests : IDisposable
{
    private const SqliteOpenFlags Journal = (SqliteOpenFlags)0x800 | SqliteOpenFlags.ReadWrite;

    private readonly TestStorage _test = new();

    public void Dispose() => _test.Dispose();

    [Fact]
    public void A_database_that_is_not_registered_cannot_be_opened_and_the_reason_names_those_that_are()
    {
        Assert.Null(_test.Vfs.Open("other.db", SqliteOpenFlags.MainDatabase | SqliteOpenFlags.ReadWrite | SqliteOpenFlags.Create, out var result));
        Assert.Equal(SqliteResult.CantOpen, result);
        Assert.Contains("other.db", VfsFailure.Last, StringComparison.Ordinal);
        Assert.Contains("app.db", VfsFailure.Last, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_is_registered_once_and_free_again_afterwards()
    {
        Assert.Throws<InvalidOperationException>(() => _test.Vfs.Register("app.db", _test.Storage));
        Assert.True(_test.Vfs.Unregister("app.db"));
        Assert.False(_test.Vfs.Unregister("app.db"));
        _test.Vfs.Register("app.db", _test.Storage);
    }

    [Fact]
    public void What_a_logger_throws_does_not_pass_through_SQLite()
    {
        _test.Vfs.Logger = new ThrowingLogger();
        _test.WhenSealed = () => throw new InvalidOperationException();
        var file = _test.Open();
        foreach (var level in new[] { LockLevel.Shared, LockLevel.Reserved, LockLevel.Exclusive }) Assert.Equal(SqliteResult.Ok, file.TryLock(level));
        Assert.Equal(SqliteResult.Ok, file.Write(0, [1]));
        Assert.Equal(SqliteResult.IoErrorCommit, file.Control(SqliteFileControl.CommitPhaseTwo));
        Assert.Equal(SqliteResult.Ok, file.Unlock(LockLevel.None));
        Assert.False(_test.Storage.InBatch);
    }

    [Fact]
    public void A_journal_lives_in_memory_until_it_is_deleted()
    {
        var first = _test.Open("app.db-journal", Journal | SqliteOpenFlags.Create);
        Assert.Equal(SqliteResult.Ok, first.Write(100_000, [1, 2, 3]));
        Assert.True(_test.Vfs.Exists("app.db-journal"));
        var second = _test.Open("app.db-journal", Journal);
        var bytes = new byte[5];
        Assert.Equal(SqliteResult.IoErrorShortRead, second.Read(99_999, bytes));
        Assert.Equal([0, 1, 2, 3, 0], bytes);
        Assert.Equal(100_003, second.Size);
        Assert.Equal(SqliteResult.Ok, _test.Vfs.Delete("app.db-journal"));
        Assert.False(_test.Vfs.Exists("app.db-journal"));
        Assert.Equal(SqliteResult.IoErrorDeleteNoEntry, _test.Vfs.Delete("app.db-journal"));
        Assert.Equal(100_003, second.Size);
        Assert.Null(_test.Vfs.Open("app.db-journal", Journal, out _));
        Assert.Empty(_test.Sealed);
    }

    [Fact]
    public void A_temporary_file_is_gone_when_it_is_closed()
    {
        var named = _test.Open("temp", Journal | SqliteOpenFlags.Create | SqliteOpenFlags.DeleteOnClose);
        named.Close();
        Assert.False(_test.Vfs.Exists("temp"));
        var (a, b) = (_test.Open("", Journal), _test.Open("", Journal));
        a.Write(0, [1]);
        Assert.Equal(0, b.Size);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(65_536)]
    [InlineData(70_000)]
    public void What_was_cut_off_a_memory_file_does_not_come_back(int size)
    {
        var file = _test.Open("", Journal);
        var bytes = new byte[200_000];
        Array.Fill(bytes, (byte)1);
        file.Write(0, bytes);
        file.Truncate(size);
        Assert.Equal(size, file.Size);
        file.Truncate(200_000);
        file.Read(0, bytes);
        Assert.DoesNotContain((byte)0, bytes[..size]);
        Assert.DoesNotContain((byte)1, bytes[size..]);
    }

    [Fact]
    public void A_write_ahead_log_is_refused_with_words()
    {
        Assert.Null(_test.Vfs.Open("app.db-wal", SqliteOpenFlags.WriteAheadLog | SqliteOpenFlags.ReadWrite | SqliteOpenFlags.Create, out var result));
        Assert.Equal(SqliteResult.CantOpen, result);
        Assert.Contains("write-ahead", VfsFailure.Last, StringComparison.Ordinal);
    }

    [Fact]
    public void SQLite_cannot_delete_a_database()
    {
        Assert.Equal(SqliteResult.IoErrorDelete, _test.Vfs.Delete("app.db"));
        Assert.True(_test.Vfs.Exists("app.db"));
    }

    [Fact]
    public void The_time_is_counted_in_julian_days()
    {
        // 2000-01-01 12:00 UTC is Julian day 2451545.
        Assert.Equal(2451545L * 86_400_000, new BlockVfs(new FixedTime()).GetJulianDayMs());
    }

    private sealed class FixedTime : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2000, 1, 1, 12, 0, 0, TimeSpan.Zero);
    }

    private sealed class ThrowingLogger : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => throw new InvalidOperationException("It is over.");
    }
}
