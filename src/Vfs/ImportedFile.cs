using System.Buffers.Binary;
using System.Numerics;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>
/// A SQLite file on its way in, in memory. It was looked at: its header as soon as that was read, then its length, then all of it, by
/// SQLite itself. See https://sqlite.org/fileformat.html, section 1.3.
/// </summary>
internal sealed class ImportedFile
{
    /// <summary>The size of the file's header.</summary>
    public const int HeaderSize = 100;

    private const int ChunkSize = Extent.DataSize;
    private const int PageSizeOffset = 16, FormatOffset = 18, ChangeCounterOffset = 24, PageCountOffset = 28,
        SchemaCookieOffset = 40, EncodingOffset = 56, VersionValidForOffset = 92;

    // The header, and behind it the first page's kind and number of cells: the schema's tree.
    private const int BeginningSize = 108, KindOffset = 100, CellsOffset = 103;
    private const int Wal = 2, Utf16 = 2, Leaf = 13;

    private ImportedFile(List<byte[]> chunks, bool wasInWalMode)
    {
        (Chunks, WasInWalMode) = (chunks, wasInWalMode);
        Length = chunks.Sum(chunk => (long)chunk.Length);
    }

    /// <summary>Its bytes, in chunks of 256 KiB but for the last one; not in WAL mode any more.</summary>
    public IReadOnlyList<byte[]> Chunks { get; }

    /// <summary>Its size in bytes.</summary>
    public long Length { get; }

    /// <summary>Whether a <c>-wal</c> file that was not read may hold commits that are not in it.</summary>
    public bool WasInWalMode { get; }

    /// <summary>Reads and checks a file. SQLite must have been started.</summary>
    /// <param name="source">The file, from its beginning.</param>
    /// <param name="maxBytes">What fits into one commit.</param>
    /// <param name="progress">Hears of every 256 KiB that was read.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="DatabaseImportException">It cannot be imported; the message says why, and what to do.</exception>
    /// <exception cref="CommitTooLargeException">It does not fit into one commit.</exception>
    public static async Task<ImportedFile> ReadAsync(Stream source, long maxBytes, IProgress<TransferProgress>? progress, CancellationToken cancellationToken)
    {
        var total = source.CanSeek ? source.Length - source.Position : 0;
        var chunk = new byte[ChunkSize];
        var read = await source.ReadAtLeastAsync(chunk, BeginningSize, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false);
        CheckBeginning(chunk.AsSpan(0, Math.Min(read, BeginningSize)));
        var wasInWalMode = LeaveWalMode(chunk);
        var chunks = new List<byte[]>();
        for (long done = 0; ;)
        {
            read += await source.ReadAtLeastAsync(chunk.AsMemory(read), ChunkSize - read, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false);
            if (read > 0) chunks.Add(read == ChunkSize ? chunk : chunk[..read]);
            done += read;
            progress?.Report(new(done, total));
            if (done > maxBytes) throw new CommitTooLargeException($"Nothing was imported: the file has more than {maxBytes} bytes, which is what fits into one commit.");
            if (read < ChunkSize) break;
            (chunk, read) = (new byte[ChunkSize], 0);
        }

        var file = new ImportedFile(chunks, wasInWalMode);
        file.CheckLength();
        file.CheckContent();
        return file;
    }

    /// <summary>What a database of this tab holds; it needs no checks.</summary>
    public static ImportedFile Of(List<byte[]> chunks) => new(chunks, wasInWalMode: false);

    /// <summary>The first bytes with counters that go on from the present database's, so that every cache of it is dropped.</summary>
    /// <param name="present">The present database's first bytes; zeros where there are none.</param>
    public byte[] Continue(ReadOnlySpan<byte> present)
    {
        var bytes = Chunks[0].AsSpan().ToArray();
        foreach (var offset in new[] { ChangeCounterOffset, SchemaCookieOffset })
        {
            var greater = Math.Max(ReadInt(bytes, offset), ReadInt(present, offset));
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(offset), unchecked(greater + 1));
        }

        bytes.AsSpan(ChangeCounterOffset, 4).CopyTo(bytes.AsSpan(VersionValidForOffset));
        return bytes;
    }

    private static void CheckBeginning(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty) throw Refuse("the file is empty. If there is a -wal file beside it, run PRAGMA wal_checkpoint(TRUNCATE) there first");
        if (bytes.Length < HeaderSize || !bytes[..16].SequenceEqual("SQLite format 3\0"u8))
            throw Refuse("the file is no SQLite database, or an encrypted one. Decrypt it first");
        var pageSize = ReadPageSize(bytes);
        if (pageSize < 512 || !BitOperations.IsPow2(pageSize)) throw Refuse("the file's header is damaged (its page size is impossible)");
        switch (ReadInt(bytes, EncodingOffset))
        {
            case 0 or 1: // nothing yet, or UTF-8
                break;
            case Utf16 or Utf16 + 1:
                throw Refuse("the file's text is UTF-16, and SQLite in the browser reads UTF-8 only. Make another file of it first: sqlite3 this.db .dump | sqlite3 new.db");
            default:
                throw Refuse("the file's header is damaged (its text encoding is impossible)");
        }

        if (IsInWalMode(bytes) && bytes.Length == BeginningSize && bytes[KindOffset] == Leaf && BinaryPrimitives.ReadUInt16BigEndian(bytes[CellsOffset..]) == 0)
            throw Refuse("the file is in WAL mode and holds no table: what there is lies in the -wal file beside it. Run PRAGMA wal_checkpoint(TRUNCATE) there first");
    }

    private static bool IsInWalMode(ReadOnlySpan<byte> bytes) => bytes[FormatOffset] == Wal || bytes[FormatOffset + 1] == Wal;

    // Opened without its WAL, it must not be in WAL mode: there is none here.
    private static bool LeaveWalMode(Span<byte> bytes)
    {
        if (!IsInWalMode(bytes)) return false;
        bytes.Slice(FormatOffset, 2).Fill(1);
        return true;
    }

    private void CheckLength()
    {
        long pageSize = ReadPageSize(Chunks[0]), pages = ReadInt(Chunks[0], PageCountOffset);
        var isPageCountValid = pages > 0 && Chunks[0].AsSpan(ChangeCounterOffset, 4).SequenceEqual(Chunks[0].AsSpan(VersionValidForOffset, 4));
        var expected = isPageCountValid ? pages * pageSize : Length / pageSize * pageSize;
        if (Length < Math.Max(expected, pageSize)) throw Refuse($"the file is cut short: it has {Length} bytes, and should have {Math.Max(expected, pageSize)}");
        if (Length % pageSize == 0) return;
        throw Refuse(isPageCountValid
            ? $"the file has {Length - expected} bytes behind the database's end: something was added to it. Cut it to {expected} bytes"
            : $"the file has {Length} bytes, which are no whole pages of {pageSize}: it was cut short, or something was added to it");
    }

    // SQLite itself looks at the file, in a database of its own in memory, and trusts nothing in it.
    private void CheckContent()
    {
        var name = $"import-{Guid.NewGuid():N}";
        using var storage = BlockStorage.CreateReadOnly(Chunks);
        BlockVfs.Shared.Register(name, storage);
        try
        {
            using var connection = new SqliteConnection($"{CachedConnection.ConnectionString(name)};Mode=ReadOnly");
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA quick_check(1)";
            if (command.ExecuteScalar() is var result and not "ok") throw Refuse($"the file is damaged ({result})");
        }
        catch (SqliteException error)
        {
            throw Refuse($"the file cannot be read as a SQLite database ({error.Message})", error);
        }
        finally
        {
            BlockVfs.Shared.Unregister(name);
        }
    }

    private static int ReadPageSize(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt16BigEndian(bytes[PageSizeOffset..]) is var size and not 1 ? size : 65536;

    private static uint ReadInt(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32BigEndian(bytes[offset..]);

    private static DatabaseImportException Refuse(string reason, Exception? cause = null) => new($"Nothing was imported: {reason}.", cause);
}
