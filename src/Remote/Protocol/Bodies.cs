using System.Buffers.Binary;
using System.Text;
using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Remote;

/// <summary>The bodies of frames as bytes.</summary>
/// <remarks>
/// <code>
/// Hello    u32 magic "DSW1", u16 lowest and u16 highest version, u16 version of the tabs' messages, name in UTF-8
/// Welcome  u16 version, u8 access, u8 zero
/// Join     16 bytes: a secret of the tab, by which it proves after a cut that it is the one that joined before
/// Read     u8 1: with extents, 2: with their list, 4: only some; i64 after marker, i32 index of each of those
/// ExtentList  i32 index of each
/// Head     i32 extents, i32 log records, the head as it is stored
/// Extent   i32 index, i32 size of the stored record, its bytes as far as an extent has room for them
/// Log      i64 marker, u8 1: may be torn, i32 size of the record, bytes (frames of one record follow each other)
/// Error    i32 code, u8 reason for which a store was closed, text in UTF-8
/// Closed   u8 reason
/// Lease    16 bytes leader (zero: nobody), i64 epoch
/// </code>
/// </remarks>
internal static class Bodies
{
    /// <summary>The protocol of these frames.</summary>
    public const ushort Version = 1;

    /// <summary>The most of a log record that goes in one frame.</summary>
    public const int MaxPart = 1 << 20;

    /// <summary>The largest frame: a part of a message.</summary>
    public const int MaxFrame = MessageFragments.MaxPart + Frame.HeaderSize;

    /// <summary>Of a frame that comes before the user is known.</summary>
    public const int MaxHello = 1024;

    private const uint Magic = 0x31575344;

    public static byte[] Hello(string name)
    {
        var bytes = new byte[10 + Encoding.UTF8.GetByteCount(name)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(4), Version);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(6), Version);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), CommitMessage.ProtocolVersion);
        Encoding.UTF8.GetBytes(name, bytes.AsSpan(10));
        return bytes;
    }

    /// <returns>The database's name, and whether this side speaks a version of the client's.</returns>
    public static (string Name, bool IsKnown) ReadHello(ReadOnlySpan<byte> body)
    {
        if (body.Length < 10 || BinaryPrimitives.ReadUInt32LittleEndian(body) != Magic) throw ProtocolException.Garbage("a greeting");
        var (lowest, highest) = (BinaryPrimitives.ReadUInt16LittleEndian(body[4..]), BinaryPrimitives.ReadUInt16LittleEndian(body[6..]));
        var isKnown = lowest <= Version && Version <= highest && BinaryPrimitives.ReadUInt16LittleEndian(body[8..]) == CommitMessage.ProtocolVersion;
        return (Encoding.UTF8.GetString(body[10..]), isKnown);
    }

    public static byte[] Welcome(bool mayWrite, bool mayWritePages) => [(byte)Version, 0, (byte)((mayWrite ? 1 : 0) | (mayWritePages ? 2 : 0)), 0];

    public static (bool MayWrite, bool MayWritePages) ReadWelcome(ReadOnlySpan<byte> body)
    {
        if (body.Length < 4 || BinaryPrimitives.ReadUInt16LittleEndian(body) != Version) throw ProtocolException.Garbage("a welcome");
        return ((body[2] & 1) != 0, (body[2] & 2) != 0);
    }

    public static byte[] Read(StoreRead request)
    {
        byte[] bytes = [(byte)((request.IncludeExtents ? 1 : 0) | (request.ListExtents ? 2 : 0) | (request.Only is null ? 0 : 4)), 0, 0, 0, 0, 0, 0, 0, 0, .. ExtentList(request.Only ?? [])];
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(1), request.AfterMarker);
        return bytes;
    }

    public static StoreRead ReadRead(ReadOnlySpan<byte> body, IStoreReadSink sink)
    {
        if (body.Length < 9 || body[0] > 7 || BinaryPrimitives.ReadInt64LittleEndian(body[1..]) is < 0) throw ProtocolException.Garbage("a request to read");
        var only = ReadExtentList(body[9..]);
        if ((body[0] & 4) == 0 && only.Length > 0) throw ProtocolException.Garbage("a request to read");
        return new(sink, (body[0] & 1) != 0, BinaryPrimitives.ReadInt64LittleEndian(body[1..])) { ListExtents = (body[0] & 2) != 0, Only = (body[0] & 4) != 0 ? only : null };
    }

    public static byte[] ExtentList(IReadOnlyList<int> indices)
    {
        var bytes = new byte[4 * indices.Count];
        for (var i = 0; i < indices.Count; i++) BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4 * i), indices[i]);
        return bytes;
    }

    /// <summary>Rising, and each once, as stores take and give them.</summary>
    public static int[] ReadExtentList(ReadOnlySpan<byte> body)
    {
        if (body.Length % 4 != 0) throw ProtocolException.Garbage("a list of extents");
        var indices = new int[body.Length / 4];
        for (var i = 0; i < indices.Length; i++)
        {
            indices[i] = BinaryPrimitives.ReadInt32LittleEndian(body[(4 * i)..]);
            if (indices[i] <= (i == 0 ? -1 : indices[i - 1])) throw ProtocolException.Garbage("a list of extents");
        }

        return indices;
    }

    public static byte[] Head(Head head, int extents, int logRecords)
    {
        var stored = HeadCodec.Encode(head);
        var bytes = new byte[8 + stored.Length];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, extents);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), logRecords);
        stored.CopyTo(bytes, 8);
        return bytes;
    }

    public static (Head Head, int Extents, int LogRecords) ReadHead(ReadOnlyMemory<byte> body)
    {
        if (body.Length < 8) throw ProtocolException.Garbage("a head");
        return (HeadCodec.Decode(body[8..].ToArray()), BinaryPrimitives.ReadInt32LittleEndian(body.Span), BinaryPrimitives.ReadInt32LittleEndian(body.Span[4..]));
    }

    public static byte[] Extent(Extent extent, int recordSize)
    {
        var present = Math.Clamp(recordSize, 0, DataSync.Storage.Extent.MaxRecordSize);
        var bytes = GC.AllocateUninitializedArray<byte>(8 + present);
        BinaryPrimitives.WriteInt32LittleEndian(bytes, extent.Index);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4), recordSize);
        extent.RecordBytes[..present].CopyTo(bytes.AsSpan(8));
        return bytes;
    }

    public static (Extent Extent, int RecordSize) ReadExtent(ReadOnlySpan<byte> body)
    {
        if (body.Length < 8 || BinaryPrimitives.ReadInt32LittleEndian(body) is < 0 || body.Length - 8 > DataSync.Storage.Extent.MaxRecordSize) throw ProtocolException.Garbage("an extent");
        var extent = new Extent(BinaryPrimitives.ReadInt32LittleEndian(body));
        body[8..].CopyTo(extent.RecordBytes);
        return (extent, BinaryPrimitives.ReadInt32LittleEndian(body[4..]));
    }

    /// <summary>A record as the bodies of one or several frames.</summary>
    public static IEnumerable<byte[]> Log(long marker, byte[] record, bool mayBeTorn)
    {
        for (var at = 0; at == 0 || at < record.Length; at += MaxPart)
        {
            var part = record.AsSpan(at, Math.Min(MaxPart, record.Length - at));
            var bytes = GC.AllocateUninitializedArray<byte>(13 + part.Length);
            BinaryPrimitives.WriteInt64LittleEndian(bytes, marker);
            bytes[8] = mayBeTorn ? (byte)1 : (byte)0;
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(9), record.Length);
            part.CopyTo(bytes.AsSpan(13));
            yield return bytes;
        }
    }

    public static (long Marker, bool MayBeTorn, int Length) ReadLog(ReadOnlySpan<byte> body)
    {
        if (body.Length < 13 || BinaryPrimitives.ReadInt32LittleEndian(body[9..]) is < 0) throw ProtocolException.Garbage("a record of the log");
        return (BinaryPrimitives.ReadInt64LittleEndian(body), body[8] == 1, BinaryPrimitives.ReadInt32LittleEndian(body[9..]));
    }

    public static byte[] Error(StorageException error)
    {
        var bytes = new byte[5 + Encoding.UTF8.GetByteCount(error.Message)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, (int)error.Code);
        bytes[4] = (byte)(error is StorageClosedException closed ? closed.Reason : StoreClosedReason.Lost);
        Encoding.UTF8.GetBytes(error.Message, bytes.AsSpan(5));
        return bytes;
    }

    public static StorageException ReadError(ReadOnlySpan<byte> body)
    {
        if (body.Length < 5) throw ProtocolException.Garbage("an error");
        var (code, text) = ((StorageErrorCode)BinaryPrimitives.ReadInt32LittleEndian(body), Encoding.UTF8.GetString(body[5..]));
        return code == StorageErrorCode.Closed ? new StorageClosedException(ReasonOf(body[4]), text) : StorageException.FromCode(code, text);
    }

    public static byte[] Closed(StoreClosedReason reason) => [(byte)reason];

    public static StoreClosedReason ReadClosed(ReadOnlySpan<byte> body) => body.Length == 1 ? ReasonOf(body[0]) : throw ProtocolException.Garbage("a reason");

    public static byte[] Lease(TabId? leader, Epoch epoch)
    {
        var bytes = new byte[24];
        (leader ?? default).ToGuid().TryWriteBytes(bytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), epoch.Value);
        return bytes;
    }

    public static (TabId? Leader, Epoch Epoch) ReadLease(ReadOnlySpan<byte> body)
    {
        if (body.Length != 24 || BinaryPrimitives.ReadInt64LittleEndian(body[16..]) is < 0 or > Epoch.MaxPlausible) throw ProtocolException.Garbage("a lease");
        var leader = TabId.FromGuid(new(body[..16]));
        return (leader == default ? null : leader, new(BinaryPrimitives.ReadInt64LittleEndian(body[16..])));
    }

    private static StoreClosedReason ReasonOf(byte value) => (StoreClosedReason)value is var reason && Enum.IsDefined(reason) ? reason : StoreClosedReason.Lost;
}
