using System.Buffers.Binary;
using DataSync.Coordination;

namespace DataSync.Remote;

/// <summary>What a frame means. C: from the client, S: from the server.</summary>
internal enum FrameKind : byte
{
    /// <summary>C, the first: protocol versions and the database's name.</summary>
    Hello = 1,

    /// <summary>S, the answer: what the user may do.</summary>
    Welcome = 2,

    /// <summary>C: a tab has the database open; it is answered when messages for it arrive here.</summary>
    Join = 3,

    /// <summary>C: a tab has closed it.</summary>
    Leave = 4,

    /// <summary>Both: a message from or for a tab, or a part of one.</summary>
    Message = 5,

    /// <summary>C: open the store; answered by <see cref="Head"/>.</summary>
    Open = 6,

    /// <summary>C: read the store; answered by <see cref="Head"/>, the list of extents, extents and log, as far as they were asked for.</summary>
    Read = 7,

    /// <summary>S: the store's head.</summary>
    Head = 8,

    /// <summary>S: an extent.</summary>
    Extent = 9,

    /// <summary>S: a record of the log, or a part of one.</summary>
    Log = 10,

    /// <summary>S: the request is answered.</summary>
    End = 11,

    /// <summary>S: the request (0: the connection) fails.</summary>
    Error = 12,

    /// <summary>S: the store was closed under the server.</summary>
    Closed = 13,

    /// <summary>S, at each heartbeat: who leads. Its absence tells the client that the line is dead.</summary>
    Lease = 14,

    /// <summary>S: which extents are stored.</summary>
    ExtentList = 15,
}

/// <summary>One binary message of the WebSocket.</summary>
/// <remarks>
/// <code>0 u8 kind   1 3 bytes zero   4 u32 request   8 16 bytes tab (zero: none)   24 body</code>
/// Each names the tab that it is from or for, so that one socket can serve several; a message without one is for all of them. Numbers are little-endian.
/// </remarks>
/// <param name="Kind">What it means.</param>
/// <param name="Request">The client's request that it is or answers; 0 for none.</param>
/// <param name="Tab">The tab that it is from or for; default for none.</param>
/// <param name="Body">The rest; of a received frame valid until the next is received.</param>
internal readonly record struct Frame(FrameKind Kind, uint Request, TabId Tab, ReadOnlyMemory<byte> Body = default)
{
    public const int HeaderSize = 24;

    public int Size => HeaderSize + Body.Length;

    public byte[] Encode()
    {
        var bytes = GC.AllocateUninitializedArray<byte>(Size);
        bytes[0] = (byte)Kind;
        bytes.AsSpan(1, 3).Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), Request);
        Tab.ToGuid().TryWriteBytes(bytes.AsSpan(8));
        Body.Span.CopyTo(bytes.AsSpan(HeaderSize));
        return bytes;
    }

    /// <exception cref="ProtocolException">It is none.</exception>
    public static Frame Parse(ReadOnlyMemory<byte> bytes)
    {
        var span = bytes.Span;
        if (span.Length < HeaderSize || span[0] is < (byte)FrameKind.Hello or > (byte)FrameKind.ExtentList || (span[1] | span[2] | span[3]) != 0) throw ProtocolException.Garbage("a frame");
        return new((FrameKind)span[0], BinaryPrimitives.ReadUInt32LittleEndian(span[4..]), TabId.FromGuid(new(span.Slice(8, 16))), bytes[HeaderSize..]);
    }
}
