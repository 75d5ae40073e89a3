using System.Buffers.Binary;
using System.Runtime.InteropServices;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// One commit as bytes: what the writing tab seals, what travels to the leader, and what the log keeps. The leader only
/// stamps the header (marker, epoch, incarnation); the body is never copied apart or encoded again.
/// </summary>
/// <remarks>
/// <code>
///    0  u32 magic "DSC1"   4  u16 format   6  u16 checksum kind
///    8  i64 marker   16  i64 epoch   24  16 bytes incarnation
///   40  16 bytes commit id   56  16 bytes id of the commit before   72  16 bytes writer (tab id)
///   88  i64 time (Unix ms)   96  i64 file size after   104  i32 blocks   108  i32 freed blocks
///  112  u64 checksum of the body   120  i64 rows that statements changed (-1: no statements)   128  i64 last row id (minimum: none)
///  136  i32 bytes of the tables' names (-1: not known)   140  u32 1: the schema changed
///  144  u64 xxHash64 of bytes 0–143
///  152  body: blocks × u32 block id, freed × u32 block id, the tables' names (UTF-8, a zero behind each), padding to 8, blocks × u64 checksum,
///       blocks × 4096 bytes
/// </code>
/// Format 1 has no statements: its header's hash is at 120, its body begins at 128. Format 2 has no tables: its hash is at 136, its body begins at 144.
/// The body's checksum covers ids and block checksums; the block checksums cover the bytes.
/// Instances are immutable but for <see cref="SetResult"/> and the first <see cref="Stamp"/>; the array given to <see cref="Parse"/> must not be changed.
/// </remarks>
internal sealed class CommitRecord
{
    /// <summary>The fewest bytes that a record can have.</summary>
    public const int MinSize = OldHeaderSize;

    /// <summary>
    /// The most that one commit may write, in bytes of blocks: the browser stores no more in one record (Chromium: 127 MiB with all that is
    /// around it), and no array holds more elsewhere.
    /// </summary>
    internal static readonly long MaxBytes = OperatingSystem.IsBrowser() ? 120 << 20 : 1 << 30;

    private const uint Magic = 0x31435344;
    private const int HeaderSize = 152, OldHeaderSize = 128, NoTablesHeaderSize = 144;
    private const int MarkerOffset = 8, EpochOffset = 16, IncarnationOffset = 24, CommitOffset = 40, BaseOffset = 56, WriterOffset = 72,
        TimeOffset = 88, FileSizeOffset = 96, BlockCountOffset = 104, FreedCountOffset = 108, BodyChecksumOffset = 112, ChangesOffset = 120, RowIdOffset = 128, TableBytesOffset = 136, FlagsOffset = 140;
    private const uint SchemaChanged = 1;

    private readonly byte[] _bytes;

    private CommitRecord(byte[] bytes) => _bytes = bytes;

    /// <summary>The record's bytes, as stored and sent.</summary>
    public ReadOnlyMemory<byte> Bytes => _bytes;

    /// <summary>The array behind <see cref="Bytes"/>, all of it; for handing to a store or a channel without a copy.</summary>
    public ArraySegment<byte> Segment => new(_bytes);

    /// <summary>The commit's id.</summary>
    public CommitId Id => new(ReadGuid(CommitOffset));

    /// <summary>The marker: of a commit not yet stamped, the one it hopes for.</summary>
    public long Marker => ReadInt64(MarkerOffset);

    /// <summary>What the commit was built on.</summary>
    public Position Base => new(Marker - 1, new(ReadGuid(BaseOffset)));

    /// <summary>Where the history stands with this commit.</summary>
    public Position Position => new(Marker, Id);

    /// <summary>The epoch under which the leader accepted it; 0 when not yet stamped.</summary>
    public Epoch Epoch => new(ReadInt64(EpochOffset));

    /// <summary>The store for which the leader accepted it; empty when not yet stamped.</summary>
    public Guid Incarnation => ReadGuid(IncarnationOffset);

    /// <summary>The tab that wrote it.</summary>
    public TabId Writer => TabId.FromGuid(ReadGuid(WriterOffset));

    /// <summary>When it was sealed, in Unix milliseconds by the writer's clock.</summary>
    public long TimeMs => ReadInt64(TimeOffset);

    /// <summary>Size of the database in bytes after it.</summary>
    public long FileSize => ReadInt64(FileSizeOffset);

    /// <summary>What the statements did that it was made of; null where it was made of the writer's blocks.</summary>
    public StatementResult? Result
    {
        get
        {
            if (HeaderEnd == OldHeaderSize || ReadInt64(ChangesOffset) is not (>= 0 and var changes)) return null;
            return new((int)changes, ReadInt64(RowIdOffset) is var row and not long.MinValue ? row : null);
        }
    }

    /// <summary>Which tables it changed.</summary>
    public TouchedTables Tables
    {
        get
        {
            if (HeaderEnd != HeaderSize) return TouchedTables.Unknown;
            var isSchemaChanged = (BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(FlagsOffset)) & SchemaChanged) != 0;
            return BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(TableBytesOffset)) < 0
                ? new(null, isSchemaChanged)
                : new(TouchedTables.Decode(_bytes.AsSpan(HeaderEnd + (BlockCount + FreedCount) * 4, TableBytes)), isSchemaChanged);
        }
    }

    /// <summary>How many blocks it writes.</summary>
    public int BlockCount => BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(BlockCountOffset));

    /// <summary>How many blocks it frees.</summary>
    public int FreedCount => BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(FreedCountOffset));

    /// <summary>How its blocks are checksummed.</summary>
    public ChecksumKind Checksum => (ChecksumKind)BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(6));

    /// <summary>The blocks it writes, in rising order.</summary>
    public ReadOnlySpan<uint> BlockIds => MemoryMarshal.Cast<byte, uint>(_bytes.AsSpan(HeaderEnd, BlockCount * 4));

    /// <summary>The blocks it frees, in rising order.</summary>
    public ReadOnlySpan<uint> FreedIds => MemoryMarshal.Cast<byte, uint>(_bytes.AsSpan(HeaderEnd + BlockCount * 4, FreedCount * 4));

    /// <summary>The checksum of the <paramref name="index"/>-th block in <see cref="BlockIds"/>.</summary>
    public ulong BlockChecksum(int index) =>
        BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(ChecksumsAt(HeaderEnd, BlockCount, FreedCount, TableBytes) + index * 8));

    /// <summary>The 4096 bytes of the <paramref name="index"/>-th block in <see cref="BlockIds"/>.</summary>
    public ReadOnlySpan<byte> BlockData(int index) =>
        _bytes.AsSpan(DataAt(HeaderEnd, BlockCount, FreedCount, TableBytes) + index * Extent.BlockSize, Extent.BlockSize);

    /// <summary>
    /// Seals a batch. Blocks and freed blocks are in rising order; <paramref name="block"/> gives each block's bytes. <paramref name="format"/> is what the store's tabs can read: 2 where an older
    /// version of the app still leads, which says nothing of tables.
    /// </summary>
    internal static CommitRecord Seal(
        CommitId id, Position position, TabId writer, long timeMs, long fileSize, ChecksumKind kind,
        ReadOnlySpan<uint> blocks, ReadOnlySpan<uint> freed, Func<uint, nint> block, StatementResult? result = null, TouchedTables? tables = null, int format = Head.CurrentFormat)
    {
        var hasTables = format > 2;
        var header = hasTables ? HeaderSize : NoTablesHeaderSize;
        var names = hasTables ? tables?.Encode() : null;
        var dataAt = DataAt(header, blocks.Length, freed.Length, names?.Length ?? 0);
        var bytes = GC.AllocateUninitializedArray<byte>(checked(dataAt + blocks.Length * Extent.BlockSize));
        bytes.AsSpan(0, dataAt).Clear();
        var checksumsAt = ChecksumsAt(header, blocks.Length, freed.Length, names?.Length ?? 0);
        MemoryMarshal.AsBytes(blocks).CopyTo(bytes.AsSpan(header));
        MemoryMarshal.AsBytes(freed).CopyTo(bytes.AsSpan(header + blocks.Length * 4));
        names?.CopyTo(bytes, header + (blocks.Length + freed.Length) * 4);
        for (var i = 0; i < blocks.Length; i++)
        {
            var target = bytes.AsSpan(dataAt + i * Extent.BlockSize, Extent.BlockSize);
            unsafe { new ReadOnlySpan<byte>((void*)block(blocks[i]), Extent.BlockSize).CopyTo(target); }
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(checksumsAt + i * 8), Storage.Checksum.Compute(kind, target));
        }

        var record = new CommitRecord(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(4), (ushort)Math.Max(format, 2));
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(6), (ushort)kind);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(MarkerOffset), position.Marker + 1);
        record.WriteGuid(CommitOffset, id.Value);
        record.WriteGuid(BaseOffset, position.Commit.Value);
        record.WriteGuid(WriterOffset, writer.ToGuid());
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(TimeOffset), timeMs);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(FileSizeOffset), fileSize);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(BlockCountOffset), blocks.Length);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(FreedCountOffset), freed.Length);
        if (hasTables)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(TableBytesOffset), names?.Length ?? -1);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(FlagsOffset), tables is { IsSchemaChanged: false } ? 0 : SchemaChanged);
        }

        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(BodyChecksumOffset), record.HashBody());
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(ChangesOffset), result?.Changes ?? -1);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(RowIdOffset), result?.LastInsertRowId ?? long.MinValue);
        record.SealHeader();
        return record;
    }

    /// <summary>Says what the statements did that it was made of; before anybody else has it.</summary>
    internal void SetResult(StatementResult result)
    {
        BinaryPrimitives.WriteInt64LittleEndian(_bytes.AsSpan(ChangesOffset), result.Changes);
        BinaryPrimitives.WriteInt64LittleEndian(_bytes.AsSpan(RowIdOffset), result.LastInsertRowId ?? long.MinValue);
        SealHeader();
    }

    /// <summary>
    /// This commit with the fence under which the leader accepts it. One that was accepted before is copied: an earlier
    /// leadership's append may still be reading its bytes.
    /// </summary>
    internal CommitRecord Stamp(Fence fence)
    {
        var record = Epoch == default ? this : new CommitRecord([.. _bytes]);
        BinaryPrimitives.WriteInt64LittleEndian(record._bytes.AsSpan(EpochOffset), fence.Epoch.Value);
        record.WriteGuid(IncarnationOffset, fence.Incarnation);
        record.SealHeader();
        return record;
    }

    /// <summary>
    /// Reads a record. Returns null, with what is wrong in words, when header or body fail; the blocks' bytes are checked
    /// only when <paramref name="verifyBlocks"/> asks for it.
    /// </summary>
    public static CommitRecord? Parse(byte[] bytes, bool verifyBlocks, out string? error)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        var record = new CommitRecord(bytes);
        error = record.Check(verifyBlocks);
        return error is null ? record : null;
    }

    /// <summary>
    /// Reads what a record's header says of marker, commit and the record's length, when it passes its own checksum. The
    /// bytes may be longer or shorter than the record.
    /// </summary>
    internal static bool TryReadHeader(ReadOnlySpan<byte> bytes, out long marker, out CommitId id, out long length)
    {
        (marker, id, length) = (0, default, 0);
        if (bytes.Length < OldHeaderSize || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic) return false;
        var header = HeaderEndOf(bytes);
        if (bytes.Length < header || !IsHeaderSound(bytes, header)) return false;
        var (blocks, freed) = (BinaryPrimitives.ReadInt32LittleEndian(bytes[BlockCountOffset..]), BinaryPrimitives.ReadInt32LittleEndian(bytes[FreedCountOffset..]));
        var tables = TableBytesOf(bytes);
        length = ((header + ((long)blocks + freed) * 4 + tables + 7) & ~7) + blocks * (8L + Extent.BlockSize);
        if (blocks < 0 || freed < 0 || tables > TouchedTables.MaxBytes || length > int.MaxValue) return false;
        (marker, id) = (BinaryPrimitives.ReadInt64LittleEndian(bytes[MarkerOffset..]), new(new Guid(bytes.Slice(CommitOffset, 16))));
        return true;
    }

    /// <summary>Whether these are the first bytes of a record, but not all of them.</summary>
    internal static bool IsCutShort(byte[] bytes)
    {
        if (bytes.Length < OldHeaderSize || bytes.Length < HeaderEndOf(bytes)) return true;
        var record = new CommitRecord(bytes);
        return IsHeaderSound(bytes, record.HeaderEnd)
            && bytes.Length < (long)DataAt(record.HeaderEnd, record.BlockCount, record.FreedCount, record.TableBytes) + (long)record.BlockCount * Extent.BlockSize;
    }

    /// <summary>The blocks whose bytes fail their checksums, of a record that holds otherwise; none of any other.</summary>
    internal static IReadOnlyList<long> FindBadBlocks(byte[] bytes)
    {
        if (Parse(bytes, verifyBlocks: false, out _) is not { } record) return [];
        var bad = new List<long>();
        for (var i = 0; i < record.BlockCount; i++)
        {
            if (record.BlockChecksum(i) != Storage.Checksum.Compute(record.Checksum, record.BlockData(i))) bad.Add(record.BlockIds[i]);
        }

        return bad;
    }

    /// <summary>
    /// Whether it can be what a tab sealed: every block lies before the database's end. What comes in a message is asked, so that
    /// nobody makes room on the word of a number.
    /// </summary>
    internal bool IsPlausible => FileSize <= uint.MaxValue * (long)Extent.BlockSize
        && (BlockCount == 0 || BlockIds[^1] < (FileSize + Extent.BlockSize - 1) / Extent.BlockSize);

    private string? Check(bool verifyBlocks)
    {
        if (_bytes.Length < OldHeaderSize || _bytes.Length < HeaderEnd) return $"it has only {_bytes.Length} bytes";
        if (BinaryPrimitives.ReadUInt32LittleEndian(_bytes) != Magic) return "it has no commit header";
        if (BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(4)) > Head.CurrentFormat) return "it has a newer format";
        if (Checksum is not (ChecksumKind.FastHash or ChecksumKind.Crc32)) return "it names an unknown checksum";
        if (!IsHeaderSound(_bytes, HeaderEnd)) return "its header fails its checksum";
        if (BlockCount < 0 || FreedCount < 0 || Marker < 1 || FileSize < 0) return "its header holds negative numbers";
        if (TableBytes > TouchedTables.MaxBytes) return "its tables' names are too long";
        var expected = (long)BlockCount * (4 + 8 + Extent.BlockSize) + (long)FreedCount * 4 + TableBytes;
        if (expected > int.MaxValue || _bytes.Length != DataAt(HeaderEnd, BlockCount, FreedCount, TableBytes) + BlockCount * Extent.BlockSize)
            return "its length does not match its block count";
        if (BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(BodyChecksumOffset)) != HashBody()) return "its body fails its checksum";
        if (!IsRising(BlockIds) || !IsRising(FreedIds)) return "its block ids are not in order";
        return verifyBlocks ? FindBadBlock() : null;
    }

    private string? FindBadBlock()
    {
        for (var i = 0; i < BlockCount; i++)
        {
            if (BlockChecksum(i) != Storage.Checksum.Compute(Checksum, BlockData(i))) return $"its block {BlockIds[i]} fails its checksum";
        }

        return null;
    }

    private static bool IsRising(ReadOnlySpan<uint> ids)
    {
        for (var i = 1; i < ids.Length; i++)
        {
            if (ids[i] <= ids[i - 1]) return false;
        }

        return true;
    }

    private static int HeaderEndOf(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]) switch
    {
        1 => OldHeaderSize,
        2 => NoTablesHeaderSize,
        _ => HeaderSize,
    };

    private static int TableBytesOf(ReadOnlySpan<byte> bytes) =>
        HeaderEndOf(bytes) == HeaderSize ? Math.Max(BinaryPrimitives.ReadInt32LittleEndian(bytes[TableBytesOffset..]), 0) : 0;

    private static int ChecksumsAt(int header, int blocks, int freed, int tables) => (header + (blocks + freed) * 4 + tables + 7) & ~7;

    private static int DataAt(int header, int blocks, int freed, int tables) => ChecksumsAt(header, blocks, freed, tables) + blocks * 8;

    private static ulong HashHeader(ReadOnlySpan<byte> bytes, int header) => Storage.Checksum.Compute(ChecksumKind.FastHash, bytes[..(header - 8)]);

    private static bool IsHeaderSound(ReadOnlySpan<byte> bytes, int header) =>
        BinaryPrimitives.ReadUInt64LittleEndian(bytes[(header - 8)..]) == HashHeader(bytes, header);

    /// <summary>Where the body begins, behind the header and its hash.</summary>
    private int HeaderEnd => HeaderEndOf(_bytes);

    private int TableBytes => TableBytesOf(_bytes);

    private ulong HashBody() => Storage.Checksum.Compute(
        ChecksumKind.FastHash, _bytes.AsSpan(HeaderEnd, DataAt(HeaderEnd, BlockCount, FreedCount, TableBytes) - HeaderEnd));

    private void SealHeader() => BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(HeaderEnd - 8), HashHeader(_bytes, HeaderEnd));

    private long ReadInt64(int offset) => BinaryPrimitives.ReadInt64LittleEndian(_bytes.AsSpan(offset));

    private Guid ReadGuid(int offset) => new(_bytes.AsSpan(offset, 16));

    private void WriteGuid(int offset, Guid value) => value.TryWriteBytes(_bytes.AsSpan(offset));
}
