using System.Buffers.Binary;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// Whole files in and out.
public sealed partial class DataSyncDatabase
{
    private const int ChunkSize = Extent.DataSize;
    private const int HeaderSize = 100, PageSizeOffset = 16, FormatOffset = 18, ChangeCounterOffset = 24, PageCountOffset = 28,
        SchemaCookieOffset = 40, VersionValidForOffset = 92;

    /// <summary>
    /// Writes the database, as it stands durable at this moment, to a stream as a SQLite file.
    /// </summary>
    /// <param name="target">Receives the file; not closed.</param>
    /// <param name="progress">Hears of every 256 KiB.</param>
    /// <param name="cancellationToken">Stops writing.</param>
    /// <exception cref="StorageException">The database has stopped.</exception>
    public async Task ExportAsync(Stream target, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(target);
        ObjectDisposedException.ThrowIf(_closed, this);
        _pipeline.ThrowIfUnreadable();
        if (_pipeline.Fault is null) await ForceSyncAsync(cancellationToken).ConfigureAwait(false);
        await _interactive.WaitAsync(cancellationToken).ConfigureAwait(false);

        // One copy in memory at one moment, so that writes go on while it trickles out.
        var chunks = CopyImage();
        var total = chunks.Sum(c => (long)c.Length);
        long done = 0;
        foreach (var chunk in chunks)
        {
            await target.WriteAsync(chunk, cancellationToken).ConfigureAwait(false);
            progress?.Report(new(done += chunk.Length, total));
        }

        await target.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Replaces the whole database, in every tab, by a SQLite file, in one commit. The file is checked first
    /// (<c>PRAGMA quick_check</c>); until then nothing is changed. A file in WAL mode is taken without its <c>-wal</c> file,
    /// so checkpoint it first.
    /// </summary>
    /// <param name="source">The file, from its beginning.</param>
    /// <param name="progress">Hears of every 256 KiB that was read.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="DatabaseImportException">It is no SQLite database, is cut short, or is damaged. Nothing was changed.</exception>
    /// <exception cref="StorageException">It could not be made durable, for instance for lack of room. Nothing was changed.</exception>
    public async Task ImportAsync(Stream source, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ThrowIfUnusable();
        var chunks = await ReadChunksAsync(source, progress, cancellationToken).ConfigureAwait(false);
        DatabaseFileHeader.Check(chunks);
        CheckContent(chunks);
        using var admission = AutoSync.Admit();
        for (var attempt = 1; ; attempt++)
        {
            using var turn = await AutoSync.BeginWriteAsync(exclusive: true, cancellationToken).ConfigureAwait(false);
            Replace(chunks);
            turn.Dispose();
            var outcome = await turn.Outcome.ConfigureAwait(false);
            if (!outcome.IsStale) return;
            if (attempt == _options.MaxAttempts) throw new StaleCommitException(attempt);
        }
    }

    /// <summary>What the database takes, here and of the origin's quota.</summary>
    public async Task<StorageInfo> GetStorageInfoAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfUnusable();
        var size = _pipeline.Storage.Size;
        var extents = (int)((size + Extent.DataSize - 1) / Extent.DataSize);
        var estimate = OperatingSystem.IsBrowser() ? await BrowserStorage.EstimateAsync(cancellationToken).ConfigureAwait(false) : default;
        return new(size, extents, _pipeline.LogRecords, _pipeline.LogBytes, estimate.UsageBytes, estimate.QuotaBytes, estimate.IsPersistent);
    }

    private List<byte[]> CopyImage()
    {
        var storage = _pipeline.Storage;
        var chunks = new List<byte[]>();
        for (long at = 0; at < storage.Size; at += ChunkSize)
        {
            var chunk = new byte[Math.Min(ChunkSize, storage.Size - at)];
            storage.Read(at, chunk);
            chunks.Add(chunk);
        }

        return chunks;
    }

    private static async Task<List<byte[]>> ReadChunksAsync(Stream source, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        var total = source.CanSeek ? source.Length - source.Position : 0;
        var chunks = new List<byte[]>();
        for (long done = 0; ;)
        {
            var chunk = new byte[ChunkSize];
            var read = await source.ReadAtLeastAsync(chunk, ChunkSize, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false);
            if (read > 0) chunks.Add(read == ChunkSize ? chunk : chunk[..read]);
            progress?.Report(new(done += read, total));
            if (read < ChunkSize) return chunks;
        }
    }

    // SQLite itself looks at the file, in a database of its own in memory.
    private static void CheckContent(List<byte[]> chunks)
    {
        var name = $"import-{Guid.NewGuid():N}";
        using var storage = BlockStorage.CreateReadOnly(chunks);
        BlockVfs.Shared.Register(name, storage);
        try
        {
            using var connection = new SqliteConnection($"{CachedConnection.ConnectionString(name)};Mode=ReadOnly");
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA quick_check(1)";
            if (command.ExecuteScalar() is var result and not "ok") throw new DatabaseImportException($"The file is damaged ({result}), so nothing was imported.");
        }
        catch (SqliteException error)
        {
            throw new DatabaseImportException($"The file cannot be read as a SQLite database ({error.Message}), so nothing was imported.", error);
        }
        finally
        {
            BlockVfs.Shared.Unregister(name);
        }
    }

    // As one more connection of this tab: SQLite's own locks keep the others out meanwhile.
    private void Replace(List<byte[]> chunks)
    {
        var file = BlockVfs.Shared.Open(Name, SqliteOpenFlags.MainDatabase | SqliteOpenFlags.ReadWrite, out var opened)
            ?? throw new SqliteException($"The database could not be opened for the import: {VfsFailure.Last}", opened);
        try
        {
            Require(file.TryLock(LockLevel.Shared));
            Require(file.TryLock(LockLevel.Reserved));
            Require(file.TryLock(LockLevel.Exclusive));
            long at = 0;
            foreach (var chunk in chunks)
            {
                var bytes = at == 0 ? DatabaseFileHeader.Continue(chunk, file) : chunk;
                Require(file.Write(at, bytes));
                at += bytes.Length;
            }

            Require(file.Truncate(at));
            Require(file.Control(SqliteFileControl.CommitPhaseTwo));
        }
        finally
        {
            file.Close();
        }
    }

    private static void Require(int result)
    {
        if (result == SqliteResult.Ok) return;
        throw new SqliteException($"The import could not take place of the database: {VfsFailure.Last ?? "a connection of this tab is using it"}. Finish reading here, then try again.", result & 0xFF, result);
    }

    /// <summary>The first 100 bytes of a SQLite file; see https://sqlite.org/fileformat.html, section 1.3.</summary>
    private static class DatabaseFileHeader
    {
        public static void Check(List<byte[]> chunks)
        {
            var length = chunks.Sum(c => (long)c.Length);
            if (length < HeaderSize || !chunks[0].AsSpan(0, 16).SequenceEqual("SQLite format 3\0"u8))
                throw new DatabaseImportException("The file is no SQLite database, so nothing was imported.");
            var header = chunks[0].AsSpan(0, HeaderSize);
            int pageSize = BinaryPrimitives.ReadUInt16BigEndian(header[PageSizeOffset..]);
            if (pageSize == 1) pageSize = 65536;
            if (pageSize < 512 || !System.Numerics.BitOperations.IsPow2(pageSize))
                throw new DatabaseImportException("The file's header is damaged (its page size is impossible), so nothing was imported.");
            long pages = BinaryPrimitives.ReadUInt32BigEndian(header[PageCountOffset..]);
            var isPageCountValid = pages > 0 && header.Slice(ChangeCounterOffset, 4).SequenceEqual(header.Slice(VersionValidForOffset, 4));
            if (length % pageSize != 0 || (isPageCountValid && pages * pageSize > length))
                throw new DatabaseImportException($"The file is cut short (it has {length} bytes, and should have {pages * pageSize}), so nothing was imported.");

            // Opened without its WAL, it must not be in WAL mode: there is none here.
            if (header[FormatOffset] == 2) chunks[0][FormatOffset] = 1;
            if (header[FormatOffset + 1] == 2) chunks[0][FormatOffset + 1] = 1;
        }

        /// <summary>The first bytes with counters that go on from the present file's, so that every cache of it is dropped.</summary>
        public static byte[] Continue(byte[] first, VfsFile present)
        {
            var bytes = first.AsSpan().ToArray();
            Span<byte> old = stackalloc byte[HeaderSize];
            present.Read(0, old);
            Raise(bytes, old, ChangeCounterOffset);
            Raise(bytes, old, SchemaCookieOffset);
            bytes.AsSpan(ChangeCounterOffset, 4).CopyTo(bytes.AsSpan(VersionValidForOffset));
            return bytes;
        }

        private static void Raise(byte[] bytes, ReadOnlySpan<byte> old, int offset)
        {
            var greater = Math.Max(BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(offset)), BinaryPrimitives.ReadUInt32BigEndian(old[offset..]));
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(offset), unchecked(greater + 1));
        }
    }
}
