using System.Buffers.Binary;

namespace DataSync.Storage;

/// <summary>
/// Cuts a large message into parts and puts the parts together again. A message that misses a part never comes out: its
/// sender repeats it. Memory is bounded: one unfinished message of at most <see cref="MaxMessage"/> bytes at a time.
/// </summary>
/// <remarks>
/// A part: <code>u32 magic "DSF1", u32 number, 16 bytes id of the message, i32 index, i32 count, i64 length, bytes</code>
/// A message that fits in one part travels as it is.
/// </remarks>
/// <param name="maxMessage">The largest message that is taken, in bytes.</param>
internal sealed class MessageFragments(long maxMessage = MessageFragments.MaxMessage)
{
    /// <summary>Bytes of the largest part; Chromium copies a message at least twice on its way.</summary>
    public const int MaxPart = 8 << 20;

    /// <summary>Bytes of the largest message.</summary>
    public const long MaxMessage = 1L << 30;

    private const uint Magic = 0x31465344;
    private const int HeaderSize = 40;

    private Guid _id;
    private byte[] _message = [];
    private int _next;

    public static IEnumerable<byte[]> Split(byte[] message)
    {
        if (message.Length <= MaxPart)
        {
            yield return message;
            yield break;
        }

        var id = Guid.NewGuid();
        var size = MaxPart - HeaderSize;
        var count = (message.Length + size - 1) / size;
        for (var i = 0; i < count; i++)
        {
            var body = message.AsSpan(i * size, Math.Min(size, message.Length - i * size));
            var part = new byte[HeaderSize + body.Length];
            BinaryPrimitives.WriteUInt32LittleEndian(part, Magic);
            id.TryWriteBytes(part.AsSpan(8));
            BinaryPrimitives.WriteInt32LittleEndian(part.AsSpan(24), i);
            BinaryPrimitives.WriteInt32LittleEndian(part.AsSpan(28), count);
            BinaryPrimitives.WriteInt64LittleEndian(part.AsSpan(32), message.Length);
            body.CopyTo(part.AsSpan(HeaderSize));
            yield return part;
        }
    }

    /// <summary>Where what came in begins a message: how large that is, and its beginning. Null: it is a later part.</summary>
    public static (long Length, ReadOnlyMemory<byte> Beginning)? TryBegin(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Length < HeaderSize || BinaryPrimitives.ReadUInt32LittleEndian(bytes.Span) != Magic) return (bytes.Length, bytes);
        return BinaryPrimitives.ReadInt32LittleEndian(bytes.Span[24..]) == 0 ? (BinaryPrimitives.ReadInt64LittleEndian(bytes.Span[32..]), bytes[HeaderSize..]) : null;
    }

    /// <summary>Takes what came in; returns a message when one is complete.</summary>
    public byte[]? Add(byte[] bytes)
    {
        if (bytes.Length < HeaderSize || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic) return bytes;
        var id = new Guid(bytes.AsSpan(8, 16));
        var index = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(24));
        var count = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(28));
        var length = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(32));
        const int Size = MaxPart - HeaderSize;
        var body = bytes.AsSpan(HeaderSize);
        var isPart = length > MaxPart && length <= maxMessage && count == (length + Size - 1) / Size && index >= 0 && index < count
            && body.Length == Math.Min(Size, length - (long)index * Size);

        // Room is made for a message whose first part is there in full, never on the word of a header alone.
        if (isPart && index == 0) Begin(id, length);
        if (!isPart || id != _id || index != _next || length != _message.Length)
        {
            if (id == _id) Begin(Guid.Empty, 0);
            return null;
        }

        body.CopyTo(_message.AsSpan(index * Size));
        if (++_next < count) return null;
        var message = _message;
        Begin(Guid.Empty, 0);
        return message;
    }

    private void Begin(Guid id, long length)
    {
        (_id, _next) = (id, 0);
        _message = length > 0 ? GC.AllocateUninitializedArray<byte>((int)length) : [];
    }
}
