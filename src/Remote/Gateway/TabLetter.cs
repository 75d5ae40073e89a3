using System.Buffers.Binary;
using DataSync.Coordination;

namespace DataSync.Remote;

/// <summary>What a letter between two tabs of a browser means.</summary>
internal enum TabLetterKind : byte
{
    /// <summary>A frame of the protocol, to the gateway or from it. The first of a line is the greeting.</summary>
    Frame = 1,

    /// <summary>The line is over. From the gateway to a guest: it has no connection, or does not know the line.</summary>
    Bye = 2,

    /// <summary>From the gateway to a guest: it takes no more guests, or not of this version.</summary>
    Refused = 3,

    /// <summary>From the gateway: to all, that it has a connection; to a guest, that it is there, and is about to have one.</summary>
    Up = 4,
}

/// <summary>A message between two tabs of one browser, of which one is the other's gateway to the server.</summary>
/// <remarks>
/// <code>0 u32 magic "DSG1"   4 u8 kind   5 3 bytes zero   8 16 bytes sender   24 16 bytes addressee (zero: all)   40 u32 line   44 frame</code>
/// </remarks>
/// <param name="Kind">What it means.</param>
/// <param name="Sender">The tab that sent it.</param>
/// <param name="To">The tab that it is for; default for all.</param>
/// <param name="Line">The guest's number of the line that it belongs to.</param>
/// <param name="Body">A frame's bytes.</param>
internal readonly record struct TabLetter(TabLetterKind Kind, TabId Sender, TabId To, uint Line, ReadOnlyMemory<byte> Body = default)
{
    private const uint Magic = 0x31475344;
    private const int HeaderSize = 44;

    public byte[] Encode()
    {
        var bytes = new byte[HeaderSize + Body.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        bytes[4] = (byte)Kind;
        Sender.ToGuid().TryWriteBytes(bytes.AsSpan(8));
        To.ToGuid().TryWriteBytes(bytes.AsSpan(24));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(40), Line);
        Body.Span.CopyTo(bytes.AsSpan(HeaderSize));
        return bytes;
    }

    /// <returns>Null: it is none. Any page of this origin can post here.</returns>
    public static TabLetter? TryParse(byte[] bytes)
    {
        if (bytes.Length < HeaderSize || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic) return null;
        var kind = (TabLetterKind)bytes[4];
        if (kind is < TabLetterKind.Frame or > TabLetterKind.Up || (bytes[5] | bytes[6] | bytes[7]) != 0) return null;
        return new(
            kind, TabId.FromGuid(new(bytes.AsSpan(8, 16))), TabId.FromGuid(new(bytes.AsSpan(24, 16))), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(40)), bytes.AsMemory(HeaderSize));
    }
}
