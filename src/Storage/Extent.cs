using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace DataSync.Storage;

/// <summary>
/// 64 consecutive blocks (256 KiB) with each block's version, checksum and last-modified time: the unit in which a
/// checkpoint writes and an open reads, and at the same time the memory in which a tab keeps its image.
/// </summary>
/// <remarks>
/// The bytes in memory are the bytes of the stored record, so storing or loading an extent is one copy:
/// <code>
///    0  u32 magic "DSX1"   4  u16 format   6  u16 checksum kind   8  u32 index   12  u32 reserved
///   16  16 bytes incarnation   32  u64 presence bits (block i is bit i)   40  i64 reserved
///   48  u64 xxHash64 of bytes 0–47 and 64–1599   56  i64 reserved
///   64  64 × i64 version   576  64 × u64 checksum   1088  64 × i64 last-modified (Unix ms)
/// 2048  64 × 4096 bytes; a stored record ends after its last present block
/// </code>
/// The buffer is unmanaged: the browser shim copies between it and SQLite's memory by address. Not thread-safe; the
/// owner's lock protects it. Its memory is freed by <see cref="Dispose"/>, or by the finaliser.
/// </remarks>
internal sealed unsafe class Extent : IDisposable
{
    /// <summary>Bytes in a block.</summary>
    public const int BlockSize = 4096;

    /// <summary>Blocks in an extent.</summary>
    public const int BlockCount = 64;

    /// <summary>Bytes of database content in an extent.</summary>
    public const int DataSize = BlockSize * BlockCount;

    /// <summary>Bytes before the first block in a record.</summary>
    public const int HeaderSize = 2048;

    /// <summary>Bytes of the largest record.</summary>
    public const int MaxRecordSize = HeaderSize + DataSize;

    private const uint Magic = 0x31585344;
    private const int PresenceOffset = 32, HashOffset = 48, VersionOffset = 64, ChecksumOffset = 576, ModifiedOffset = 1088,
        MetadataEnd = 1600;

    private byte* _buffer;

    /// <summary>An extent without blocks; all of its bytes read as zero.</summary>
    /// <param name="index">Which one: <c>offset / 262144</c>.</param>
    public Extent(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        Index = index;
        _buffer = (byte*)NativeMemory.AllocZeroed(MaxRecordSize);
        GC.AddMemoryPressure(MaxRecordSize);
    }

    /// <summary>Frees the memory if <see cref="Dispose"/> was not called.</summary>
    ~Extent() => Free();

    /// <summary>Which extent of the database: its first byte is at <c>Index × 262144</c>.</summary>
    public int Index { get; }

    /// <summary>Presence bits: block i was written, and not freed since, when bit i is set.</summary>
    public ulong Presence
    {
        get => *(ulong*)(Buffer + PresenceOffset);
        set => *(ulong*)(Buffer + PresenceOffset) = value;
    }

    /// <summary>Blocks of an image that are stored and were not read yet: here they are empty. Never part of a record; to set a block's metadata makes it known.</summary>
    public ulong Missing { get; set; }

    /// <summary>Greater than that of whichever extent of the same image was used before.</summary>
    public long LastUse { get; set; }

    /// <summary>The newest commit that wrote or freed one of its blocks, of those that are known.</summary>
    public long NewestVersion
    {
        get
        {
            var versions = new ReadOnlySpan<long>(Buffer + VersionOffset, BlockCount);
            var newest = 0L;
            foreach (var version in versions) newest = Math.Max(newest, version);
            return newest;
        }
    }

    /// <summary>Bytes that a stored record of this extent takes; 0 when no block is present.</summary>
    public int RecordSize => Presence == 0 ? 0 : HeaderSize + (64 - System.Numerics.BitOperations.LeadingZeroCount(Presence)) * BlockSize;

    private byte* Buffer => _buffer != null ? _buffer : throw new ObjectDisposedException(nameof(Extent));

    /// <summary>Address of the record's bytes, valid until this extent is disposed.</summary>
    public nint RecordAddress => (nint)Buffer;

    /// <summary>The record's bytes as memory to fill or to copy from; all <see cref="MaxRecordSize"/> of them.</summary>
    public Span<byte> RecordBytes => new(Buffer, MaxRecordSize);

    /// <summary>Address of a block's first byte.</summary>
    /// <param name="block">0 to 63.</param>
    public nint BlockAddress(int block) => (nint)(Buffer + HeaderSize + Checked(block) * BlockSize);

    /// <summary>A block's bytes.</summary>
    /// <param name="block">0 to 63.</param>
    public Span<byte> Block(int block) => new((void*)BlockAddress(block), BlockSize);

    /// <summary>Whether a block was written (and not freed since).</summary>
    /// <param name="block">0 to 63.</param>
    public bool IsPresent(int block) => (Presence >> Checked(block) & 1) != 0;

    /// <summary>A block's metadata.</summary>
    /// <param name="block">0 to 63.</param>
    public BlockMetadata this[int block]
    {
        get
        {
            Checked(block);
            return new(
                ((long*)(Buffer + VersionOffset))[block],
                ((ulong*)(Buffer + ChecksumOffset))[block],
                ((long*)(Buffer + ModifiedOffset))[block],
                IsPresent(block));
        }

        set
        {
            Checked(block);
            ((long*)(Buffer + VersionOffset))[block] = value.Version;
            ((ulong*)(Buffer + ChecksumOffset))[block] = value.Checksum;
            ((long*)(Buffer + ModifiedOffset))[block] = value.LastModifiedMs;
            Presence = value.IsPresent ? Presence | 1UL << block : Presence & ~(1UL << block);
            Missing &= ~(1UL << block);
        }
    }

    /// <summary>Writes the record's own fields and hash; call before storing <see cref="RecordBytes"/>.</summary>
    /// <param name="incarnation">The store that the record belongs to.</param>
    /// <param name="kind">How the blocks' checksums were made.</param>
    public void SealRecord(Guid incarnation, ChecksumKind kind)
    {
        var bytes = RecordBytes;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], Head.CurrentFormat);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[6..], (ushort)kind);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], (uint)Index);
        incarnation.TryWriteBytes(bytes[16..]);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[HashOffset..], HashMetadata());
    }

    /// <summary>
    /// Checks the record's own fields and hash (not the blocks; see <see cref="VerifyBlock"/>). Returns null when they
    /// hold, else what is wrong, in words.
    /// </summary>
    /// <param name="incarnation">The store that the record must belong to.</param>
    /// <param name="recordSize">Bytes that the stored record had.</param>
    public string? VerifyRecord(Guid incarnation, int recordSize)
    {
        var bytes = RecordBytes;
        if (recordSize is < HeaderSize or > MaxRecordSize) return $"its record has {recordSize} bytes";
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic) return "its record has no extent header";
        if (BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]) > Head.CurrentFormat) return "its record has a newer format";
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) != (uint)Index) return "its record belongs to another place";
        if (new Guid(bytes[16..32]) != incarnation) return "its record belongs to another store";
        if (BinaryPrimitives.ReadUInt64LittleEndian(bytes[HashOffset..]) != HashMetadata()) return "its block table fails its checksum";
        if (recordSize < RecordSize) return "its record is cut short";
        return null;
    }

    /// <summary>Whether these are the intact bytes of a record that belongs to another place or another store.</summary>
    internal bool IsForeign(Guid incarnation)
    {
        var bytes = RecordBytes;
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes) == Magic
            && BinaryPrimitives.ReadUInt64LittleEndian(bytes[HashOffset..]) == HashMetadata()
            && (BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) != (uint)Index || new Guid(bytes[16..32]) != incarnation);
    }

    /// <summary>Whether a block's bytes match its checksum; a block that is not present matches when it is all zero.</summary>
    /// <param name="block">0 to 63.</param>
    /// <param name="kind">How the checksums were made.</param>
    public bool VerifyBlock(int block, ChecksumKind kind) => IsPresent(block)
        ? this[block].Checksum == Checksum.Compute(kind, Block(block))
        : !Block(block).ContainsAnyExcept((byte)0);

    /// <summary>Frees the memory. Addresses taken before are invalid from here on.</summary>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private static int Checked(int block) => (uint)block < BlockCount
        ? block
        : throw new ArgumentOutOfRangeException(nameof(block), block, "An extent has blocks 0 to 63.");

    private ulong HashMetadata()
    {
        Span<byte> covered = stackalloc byte[HashOffset + MetadataEnd - VersionOffset];
        RecordBytes[..HashOffset].CopyTo(covered);
        RecordBytes[VersionOffset..MetadataEnd].CopyTo(covered[HashOffset..]);
        return Checksum.Compute(ChecksumKind.FastHash, covered);
    }

    private void Free()
    {
        if (_buffer == null) return;
        NativeMemory.Free(_buffer);
        _buffer = null;
        GC.RemoveMemoryPressure(MaxRecordSize);
    }
}

/// <summary>What is known of one block beside its bytes.</summary>
/// <param name="Version">The marker of the commit that last wrote (or freed) it; 0 for never.</param>
/// <param name="Checksum">Checksum of its 4096 bytes.</param>
/// <param name="LastModifiedMs">When that commit was made, in Unix milliseconds by the writer's clock.</param>
/// <param name="IsPresent">False for a block that was never written, or that was freed.</param>
public readonly record struct BlockMetadata(long Version, ulong Checksum, long LastModifiedMs, bool IsPresent);
