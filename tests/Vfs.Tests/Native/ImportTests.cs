using DataSync.Contracts;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>Files that are imported, and those that are refused, with the reason.</summary>
[Collection(VfsLoggerCollection.Name)]
public sealed class ImportTests : IDisposable
{
    private readonly NativeTabs _tabs = new();
    private readonly MemoryBlockMedium _medium = new();
    private readonly ListLogger _logger = new();
    private readonly string _path = Path.GetTempFileName();

    public void Dispose()
    {
        _tabs.Dispose();
        BlockVfs.Shared.Logger = NullLogger.Instance;
        foreach (var ending in new[] { "", "-wal", "-shm" }) File.Delete(_path + ending);
    }

    [Theory]
    [InlineData("PRAGMA encoding='UTF-16le'", "UTF-16")]
    [InlineData("PRAGMA encoding='UTF-16be'", "sqlite3 this.db .dump | sqlite3 new.db")]
    [InlineData("PRAGMA journal_mode=WAL", "in the -wal file beside it")]
    public async Task A_file_that_would_be_read_wrongly_is_refused_with_what_to_do(string pragma, string words)
    {
        await using var database = await OpenAsync();
        var file = Make($"{pragma}; CREATE TABLE t(x TEXT); INSERT INTO t VALUES ('new')");
        await AssertRefusedAsync(database, file, words);
    }

    [Fact]
    public async Task What_is_no_whole_database_is_named_as_what_it_is()
    {
        await using var database = await OpenAsync();
        var file = Make("CREATE TABLE t(x TEXT); INSERT INTO t VALUES ('new')");
        var random = new byte[file.Length];
        new Random(7).NextBytes(random);
        byte[] Changed(int at, byte value) => [.. file[..at], value, .. file[(at + 1)..]];
        await AssertRefusedAsync(database, [], "the file is empty");
        await AssertRefusedAsync(database, random, "an encrypted one");
        await AssertRefusedAsync(database, file[..50], "no SQLite database");
        await AssertRefusedAsync(database, file[..^4096], $"cut short: it has {file.Length - 4096} bytes, and should have {file.Length}");
        await AssertRefusedAsync(database, file[..^1], "cut short");
        await AssertRefusedAsync(database, [.. file, 1, 2, 3], $"has 3 bytes behind the database's end: something was added to it. Cut it to {file.Length} bytes");
        await AssertRefusedAsync(database, [.. Changed(92, 99), 1], "no whole pages of 4096");
        await AssertRefusedAsync(database, Changed(16, 3), "page size is impossible");
        await AssertRefusedAsync(database, Changed(59, 9), "text encoding is impossible");
        await AssertRefusedAsync(database, Changed(4096, 0xA5), "damaged");
        await database.ImportAsync(new MemoryStream([.. file, .. new byte[8192]])); // whole pages behind the end: SQLite passes over them
        Assert.Equal(["new"], await database.QueryAsync<string>("SELECT x FROM t"));
        Assert.Equal(["ok"], await database.QueryAsync<string>("PRAGMA integrity_check"));
    }

    [Fact]
    public async Task A_wrong_file_is_refused_after_the_first_read()
    {
        await using var database = await OpenAsync();
        using var endless = new Endless();
        await Assert.ThrowsAsync<DatabaseImportException>(() => database.ImportAsync(endless));
        Assert.Equal(1, endless.Reads);
    }

    [Fact]
    public async Task A_file_that_fits_into_no_commit_is_refused_before_it_was_read_to_its_end()
    {
        await using var database = await OpenAsync(new() { Pipeline = { MaxCommitBytes = 1 << 20 } });
        var file = Make("CREATE TABLE t(x TEXT); INSERT INTO t VALUES ('new'), (zeroblob(3000000))");
        using var stream = new MemoryStream(file);
        await Assert.ThrowsAsync<CommitTooLargeException>(() => database.ImportAsync(stream));
        Assert.InRange(stream.Position, 1 << 20, 2 << 20);
        Assert.Equal(["old"], await database.QueryAsync<string>("SELECT x FROM t"));
    }

    [Fact]
    public async Task A_checkpointed_file_in_wal_mode_is_imported_with_a_warning_by_readers_that_read_little_at_once()
    {
        await using var database = await OpenAsync(logger: _logger);
        var file = Make("PRAGMA journal_mode=WAL; CREATE TABLE t(x TEXT); INSERT INTO t VALUES ('new'), (zeroblob(600000)); PRAGMA wal_checkpoint(TRUNCATE)");
        Assert.Equal(2, file[18]);
        await database.ImportAsync(new Dripping(file));
        Assert.Contains(3004, _logger.Ids); // commits may lie in a file that was not given
        Assert.Equal(["new"], await database.QueryAsync<string>("SELECT x FROM t WHERE typeof(x) = 'text'"));
        Assert.Equal(["ok"], await database.QueryAsync<string>("PRAGMA integrity_check"));
    }

    private async Task<DataSyncDatabase> OpenAsync(DataSyncOptions? options = null, ListLogger? logger = null)
    {
        var database = await _tabs.OpenAsync(new MemoryBlockStore(_medium), options, logger);
        await database.ExecuteAsync("CREATE TABLE t(x TEXT); INSERT INTO t VALUES ('old')");
        return database;
    }

    private static async Task AssertRefusedAsync(DataSyncDatabase database, byte[] file, string words)
    {
        var error = await Assert.ThrowsAsync<DatabaseImportException>(() => database.ImportAsync(new MemoryStream(file)));
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
        Assert.Contains("Nothing was imported", error.Message, StringComparison.Ordinal);
        Assert.Equal(["old"], await database.QueryAsync<string>("SELECT x FROM t"));
    }

    // The main file as it is while the connection is open: without what is in its WAL.
    private byte[] Make(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={_path};Pooling=false");
        connection.Open();
        connection.Execute(sql);
        using var stream = new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var file = new byte[stream.Length];
        stream.ReadExactly(file);
        return file;
    }

    private sealed class Endless : MemoryStream
    {
        public int Reads { get; private set; }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Reads++;
            buffer.Span.Fill((byte)'x');
            return new(buffer.Length);
        }
    }

    private sealed class Dripping(byte[] bytes) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(buffer.Length, 90)], cancellationToken);
    }
}
